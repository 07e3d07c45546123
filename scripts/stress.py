"""Sixty small jobs under Ray while workers and the driver are killed at random.

    make stress
    make stress ARGS="--kills 5 --jobs 12"

Each kill is a SIGKILL of one worker or, one time in four, of the command itself, which is then
given again. At the end every job must have exactly one whole record, written once, with the numbers
of an undisturbed run. Needs Ray (make ray); takes ten to twenty minutes on two cores.
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
from pathlib import Path

import psutil
from rich.console import Console

from deepthink import records

ROOT = Path(__file__).resolve().parent.parent
SMALL = ("test_size=16", "dev_size=0", "method.iterations=2", "wandb.mode=disabled")
PAUSE = (1.0, 5.0)
"""Seconds between two kills while workers are up."""


def command(results: Path, jobs: int, *more: str) -> list[str]:
    """The sweep as a user types it."""
    words = (*SMALL, f"seed=range({jobs})", f"results={results}", *more)
    return [sys.executable, str(ROOT / "run.py"), *words]


def workers_of(driver: psutil.Process) -> list[psutil.Process]:
    """Ray's processes that are at a task."""
    found = []
    for process in driver.children(recursive=True):
        try:
            if "ray::_run_job" in " ".join(process.cmdline()):
                found.append(process)
        except psutil.Error:
            continue
    return found


def disturb(results: Path, jobs: int, kills: int, rng: random.Random, console: Console) -> Counter:
    """Run the sweep, killing, until it ends by itself after the last kill; counts what happened."""
    happened: Counter[str] = Counter()
    sweep = command(
        results, jobs, "launcher=ray", "workers=2", "hydra.launcher.ray.remote.num_gpus=0"
    )
    while True:
        happened["starts"] += 1
        process = subprocess.Popen(sweep, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        driver = psutil.Process(process.pid)
        while process.poll() is None:
            time.sleep(rng.uniform(*PAUSE))
            victims = workers_of(driver) if process.poll() is None else []
            if happened["kills"] >= kills or not victims:
                continue
            victim = driver if rng.random() < 0.25 else rng.choice(victims)
            what = "driver" if victim is driver else "worker"
            try:
                victim.kill()
            except psutil.NoSuchProcess:
                continue
            happened["kills"] += 1
            happened[what] += 1
            done = len(list((results / "records").rglob("*.json")))
            console.print(f"kill {happened['kills']:>2}: {what}, {done} of {jobs} records")
        process.wait()
        if process.returncode == 0:
            return happened
        reap()


def reap() -> None:
    """What a killed driver leaves of its Ray, as a user's `ray stop --force` does."""
    environment = {**os.environ, "RAY_DEDUP_LOGS": "0"}
    stop = Path(sys.executable).with_name("ray")
    subprocess.run([stop, "stop", "--force"], env=environment, capture_output=True, check=False)


def main() -> None:
    """Print what happened and what is left; exit code 1 if anything was lost or done twice."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--jobs", type=int, default=60, help="default: 60")
    parser.add_argument("--kills", type=int, default=25, help="default: 25")
    parser.add_argument("--seed", type=int, default=0, help="of the kills; default: 0")
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
            {path.name: record["curve"] for path, record in of.records}
            for of in (stored, undisturbed)
        ]
    of_whom = f"{happened['worker']} workers, {happened['driver']} drivers"
    found = {
        "kills": f"{happened['kills']} ({of_whom})",
        "commands given": happened["starts"],
        "records": len(stored.records),
        "corrupt": len(stored.broken),
        "completed twice": sum(count > 1 for count in done.values()),
        "numbers as undisturbed": curves[0] == curves[1],
        "leases left": len(left),
        "seconds": round(seconds),
    }
    for what, value in found.items():
        console.print(f"{what:<24}{value}")
    whole = found["records"] == options.jobs and not found["corrupt"]
    sys.exit(not (whole and not found["completed twice"] and found["numbers as undisturbed"]))


if __name__ == "__main__":
    main()
