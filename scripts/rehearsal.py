"""The whole paper on stand-ins of its fourteen models: killed in the middle, continued, drawn.

    make rehearsal
    make rehearsal ARGS="--out /tmp/rehearsal --models gpt2-large,opt-350m,llama2-7b"

`make paper` runs on the ids of the hub, offline, from a cache that `stand_ins` makes. So nothing is
new but the weights on the day a GPU is at hand. All experiments, tasks, methods and draws are those
of the paper; words make the sets of rows small. The command is killed (SIGKILL) when some records
are there, and given again. At the end every job must have exactly one record and be done once,
every table must be complete and every figure drawn. The model at which it was killed first runs
once more without a kill, and every record and score must be the same.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import stand_in_tokenizers
import stand_ins

from deepthink.app import streams
from deepthink.config.overrides import axes
from deepthink.report import layouts, plan, programme
from deepthink.report.runs import Runs
from deepthink.store import records

ROOT = Path(__file__).resolve().parent.parent
SMALL = ("scale=cpu", "test_size=4", "dev_size=4", "pool_size=24")
SUITES = ("scale=cpu_suite", "test_size=4", "dev_size=null", "pool_size=null")
KILLS = (0.1, 0.5)
"""Parts of all records that are there when the command is killed."""

TABLES = {layout.name for layout in layouts.LAYOUTS}
ABOUT = ("table", "model", "section", "row", "column")
FIGURES = (
    *(("figure3", model) for model in axes("figure3")["model"]),
    *((figure, "gpt2-large") for figure in ("figure4", "figure5", "figure6")),
)
"""The paper's figures, and the models of which each is drawn."""


@dataclass(frozen=True)
class Stage:
    """Where the rehearsal takes place.

    made: the folder that `stand_ins` made. words: what reduces the paper.
    """

    made: Path
    words: tuple[str, ...]

    def command(self, results: Path, *more: str) -> list[str]:
        """The command, as a user would type it."""
        words = (*self.words, f"data_root={self.made / 'data'}", f"results={results}", *more)
        return [sys.executable, str(ROOT / "run.py"), "paper", *words]

    def environment(self) -> dict[str, str]:
        """No network, the made cache of the hub, a cache of its own for signals, one thread."""
        return os.environ | {
            "HF_HUB_OFFLINE": "1",
            "HF_HUB_CACHE": str(self.made / "hub"),
            "DEEPTHINK_CACHE": str(self.made / "cache"),
            "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
        }


def reduced(models: Sequence[str]) -> tuple[str, ...]:
    """The words that keep every experiment, task, method and draw, with few rows each."""
    suites = [f"{name}:{word}" for name in ("table3", "figure3") for word in SUITES]
    chosen = [] if [*models] == [*stand_ins.CONFIGS] else [f"model={','.join(models)}"]
    offered = {part.experiment for part in programme.programme(chosen).parts}
    scoped = (word for word in suites if word.partition(":")[0] in offered)
    return (*chosen, *SMALL, *scoped, "wandb.mode=disabled")


def wanted(words: Sequence[str]) -> int:
    """How many records the jobs of the reduced paper have."""
    works = plan.of_parts(Runs([]), programme.programme(words).parts)
    return sum(work.done + work.missing for work in works)


def made(results: Path) -> list[Path]:
    """The records that are there."""
    return [*(results / "records").rglob("*.json")]


def run(stage: Stage, results: Path, kills: Sequence[int]) -> list[str]:
    """Give the command until it ends by itself; returns the model at work at each kill.

    kills: how many records are there when it is killed, each time.
    """
    at_work: list[str] = []
    for due in (*kills, None):
        process = subprocess.Popen(stage.command(results), env=stage.environment())
        while process.poll() is None and (due is None or len(made(results)) < due):
            time.sleep(0.2)
        if due is None:
            if process.returncode:
                sys.exit(f"error: the command ended with exit code {process.returncode}")
            break
        if process.poll() is not None:
            sys.exit(f"error: the command ended before {due} records were there")
        process.kill()
        process.wait()
        newest = max(made(results), key=lambda path: path.stat().st_mtime)
        at_work.append(newest.relative_to(results / "records").parts[0])
        print(f"killed at {len(made(results))} records, at work: {at_work[-1]}", flush=True)
    return at_work


def times_done(results: Path) -> Counter[tuple[str, ...]]:
    """How often each job was done, of all sweeps of a folder of results."""
    done: Counter[tuple[str, ...]] = Counter()
    for journal in (results / "sweeps").rglob("worker*.jsonl"):
        jobs = json.loads((journal.parent / "sweep.json").read_text())["jobs"]
        for line in map(json.loads, journal.read_text().splitlines()):
            if line["job"] < len(jobs):
                done[tuple(jobs[line["job"]])] += line["done"]
    return done


def incomplete(results: Path, words: Sequence[str]) -> list[str]:
    """What the drawn folder lacks: cells of tables without a number, experiments without a figure.

    Rows on whole test sets, which no run has, are the paper's own and lack nothing.

    words: those that reduced the paper; a table lacks no model, task or method that they leave out.
    """
    parts = programme.programme(words).parts
    lacking = []
    for name in {part.experiment: None for part in parts if part.experiment in TABLES}:
        models = {part.model for part in parts if part.experiment == name}
        with (results / "tables" / f"{name}.csv").open() as file:
            rows = [row for row in csv.DictReader(file) if row["model"] in models]
        blocks = {(row["model"], row["scale"]) for row in rows if row["draws"] != "0"}
        without = models - {model for model, _ in blocks}
        lacking += [f"{name} has no number of {model}" for model in sorted(without)]
        lacking += [
            " ".join(row[key] for key in ABOUT)
            for row in rows
            if (row["model"], row["scale"]) in blocks and not row["ours"]
        ]
    drawn = {(figure, model) for figure, model in FIGURES if model in {p.model for p in parts}}
    there = [path.stem for path in (results / "figures").glob("*.png")]
    return lacking + [
        f"figure {figure} of {model}"
        for figure, model in sorted(drawn)
        if not any(name.startswith(f"{figure}-{model}-") for name in there)
    ]


def differing(first: Path, second: Path) -> tuple[int, list[str]]:
    """How many records of the second folder were compared with the first's, and which differ."""
    apart = []
    every = [path.relative_to(second) for path in made(second)]
    for path in every:
        if not (first / path).is_file():
            apart.append(str(path))
            continue
        one, other = (records.read(folder / path) for folder in (first, second))
        scores = [
            (folder / path).with_suffix(".parquet").read_bytes() for folder in (first, second)
        ]
        same = (one.identity, one.curve, one.demonstrations) == (
            other.identity, other.curve, other.demonstrations,
        )  # fmt: skip
        if not same or scores[0] != scores[1]:
            apart.append(str(path))
    return len(every), apart


def rehearse(stage: Stage, folder: Path) -> list[str]:
    """Run it with kills, then a part without; returns what is wrong."""
    jobs = wanted(stage.words)
    results, quiet = folder / "results", folder / "undisturbed"
    begin = time.monotonic()
    first, *_ = run(stage, results, [max(1, int(jobs * part)) for part in KILLS])
    spent = time.monotonic() - begin
    chosen = [word for word in stage.words if not word.startswith("model=")]
    alone = Stage(stage.made, (*chosen_for(first, chosen), f"model={first}"))
    run(alone, quiet, [])
    compared, apart = differing(results, quiet)
    twice = [" ".join(job) for job, times in times_done(results).items() if times > 1]
    stored = records.load_all(results)
    lacking = incomplete(results, stage.words)
    left = [*(results / "leases").iterdir()]
    print(f"{len(stored.records)} of {jobs} records, {len(stored.broken)} broken, {spent:.0f} s")
    print(f"{len(twice)} jobs done twice, {len(left)} leases left")
    print(f"{compared} records of {first} without a kill, {len(apart)} differ")
    print(f"{len(lacking)} numbers or figures are missing")
    wrong = [*map(str, stored.broken), *twice, *apart, *lacking, *map(str, left)]
    return wrong if len(stored.records) == jobs else [f"{jobs} records were expected", *wrong]


def chosen_for(model: str, words: Sequence[str]) -> list[str]:
    """The words without those of experiments that do not have the model."""
    has = {part.experiment for part in programme.programme([f"model={model}"]).parts}
    return [word for word in words if ":" not in word or word.partition(":")[0] in has]


def main() -> None:
    """Print how it ended; exit code 1 if anything is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, help="where all is kept; default: nowhere")
    parser.add_argument("--models", help="some of the fourteen, with commas; default: all")
    parser.add_argument("words", nargs="*", help="further words of the command")
    options = parser.parse_args()
    models = options.models.split(",") if options.models else [*stand_ins.CONFIGS]
    with tempfile.TemporaryDirectory() as nowhere:
        folder = (options.out or Path(nowhere)).absolute()
        stand_ins.make(folder, models)
        for reason in stand_in_tokenizers.reasons():
            print(reason)
        wrong = rehearse(Stage(folder, (*reduced(models), *options.words)), folder)
    for line in wrong:
        print(f"wrong: {line}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    streams.script(main)
