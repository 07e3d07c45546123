"""Sixty small jobs under Ray while workers and the driver are killed at random.

    make stress
    make stress ARGS="--kills 5 --jobs 12 --out /tmp/stress.json"

Each kill is a SIGKILL of a worker in the middle of a job. One time in four it kills the command
itself, which is then started again. The kills are spread over the whole sweep. At the end every job
must have exactly one complete record, written once, with the numbers of an undisturbed run. This
needs Ray (make ray) and takes about a quarter of an hour on two cores.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
from measured import add_out, write
from rich.console import Console

from deepthink.store import records

ROOT = Path(__file__).resolve().parent.parent
SMALL = ("test_size=16", "dev_size=0", "method.iterations=2", "wandb.mode=disabled")
PAUSE = (0.0, 2.0)
"""Seconds a worker may go on after it was seen at work, until the kill: up to a job or two."""

AGAIN = 5
"""How often the command is started again after it failed by itself, not counting the kills."""


def command(results: Path, jobs: int, *more: str) -> list[str]:
    """The command of the sweep, as a user would type it."""
    words = (*SMALL, f"seed=range({jobs})", f"results={results}", *more)
    return [sys.executable, str(ROOT / "run.py"), *words]


def at_work(driver: psutil.Process, leases: Path) -> list[psutil.Process]:
    """Ray's processes that are in the middle of a job: those that hold a lease."""
    holders = set()
    for lease in leases.glob("*"):
        with suppress(OSError, ValueError):
            holders.add(json.loads(lease.read_text())["pid"])
    try:
        return [process for process in driver.children(recursive=True) if process.pid in holders]
    except psutil.NoSuchProcess:
        return []


def disturb(
    results: Path, jobs: int, kills: int, rng: random.Random, console: Console
) -> Counter[str]:
    """Run the sweep with kills until it ends by itself after the last kill; counts what happened.

    The kills are spread over the whole sweep: each waits until a number of records drawn
    beforehand is reached and then for a worker at work. Equal numbers give kills in quick
    succession, which no job survives.
    """
    happened: Counter[str] = Counter()
    sweep = command(
        results, jobs, "launcher=ray", "workers=2", "hydra.launcher.ray.remote.num_gpus=0"
    )
    due = sorted(rng.choices(range(jobs), k=kills))
    while True:
        happened["starts"] += 1
        process = subprocess.Popen(sweep, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        driver = psutil.Process(process.pid)
        while process.poll() is None:
            time.sleep(0.1)
            done = len(list((results / "records").rglob("*.json")))
            if not due or done < due[0] or not at_work(driver, results / "leases"):
                continue
            time.sleep(rng.uniform(*PAUSE))
            workers = at_work(driver, results / "leases")
            if not workers:
                continue
            victim = driver if rng.random() < 0.25 else rng.choice(workers)
            what = "driver" if victim is driver else "worker"
            try:
                victim.kill()
            except psutil.NoSuchProcess:
                continue
            due.pop(0)
            happened["kills"] += 1
            happened[what] += 1
            console.print(f"kill {happened['kills']:>2}: {what}, {done} of {jobs} records")
        process.wait()
        if process.returncode == 0 or happened["starts"] > kills + AGAIN:
            return happened
        reap()


def reap() -> None:
    """End the processes of Ray that a killed driver leaves, as `ray stop --force` does."""
    environment = {**os.environ, "RAY_DEDUP_LOGS": "0"}
    stop = Path(sys.executable).with_name("ray")
    subprocess.run([stop, "stop", "--force"], env=environment, capture_output=True, check=False)


def main() -> None:
    """Print what happened, and which records and leases there are.

    Exit code 1 if anything was lost or done twice, or if the sweep ended before the last kill.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=60, help="default: 60")
    parser.add_argument("--kills", type=int, default=25, help="default: 25")
    parser.add_argument("--seed", type=int, default=0, help="of the kills; default: 0")
    add_out(parser, "stress")
    options = parser.parse_args()
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory() as folder:
        results, quiet = Path(folder, "results"), Path(folder, "quiet")
        begin = time.monotonic()
        rng = random.Random(options.seed)
        happened = disturb(results, options.jobs, options.kills, rng, console)
        seconds = time.monotonic() - begin
        subprocess.run(
            command(quiet, options.jobs, "launcher=basic"), stdout=subprocess.DEVNULL, check=True
        )
        stored, undisturbed = records.load_all(results), records.load_all(quiet)
        done: Counter[tuple[str, ...]] = Counter()
        for journal in (results / "sweeps").rglob("worker*.jsonl"):
            jobs = json.loads((journal.parent / "sweep.json").read_text())["jobs"]
            for line in map(json.loads, journal.read_text().splitlines()):
                done[tuple(jobs[line["job"]])] += line["done"]
        left = list((results / "leases").iterdir())
        curves = [
            {path.name: record.curve for path, record in of.records} for of in (stored, undisturbed)
        ]
    outcome = {
        "kills": happened["kills"],
        "workers": happened["worker"],
        "drivers": happened["driver"],
        "commands": happened["starts"],
        "records": len(stored.records),
        "corrupt": len(stored.broken),
        "twice": sum(count > 1 for count in done.values()),
        "same_numbers": curves[0] == curves[1],
        "leases_left": len(left),
        "seconds": round(seconds),
    }
    for what, value in outcome.items():
        console.print(f"{what.replace('_', ' '):<24}{value}")
    if outcome["kills"] < options.kills:
        sys.exit("error: the sweep ended before the last kill; nothing was written")
    write(options, outcome, libraries=("ray", "hydra-ray-launcher"))
    whole = outcome["records"] == options.jobs and not outcome["corrupt"]
    sys.exit(not (whole and not outcome["twice"] and outcome["same_numbers"]))


if __name__ == "__main__":
    main()
