"""The same jobs under every launcher: are the numbers identical, and what is a job's overhead?

    make launchers
    make launchers ARGS="--jobs 20 --out /tmp/launchers.json basic local"

The script compares every candidate's score and prints the largest difference. A job's overhead is
the sweep's wall time times its workers, less the seconds of thinking and scoring in its records,
divided by the jobs. It includes start-up, loading, composing and storing. A launcher that is not
installed is named and left out.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from measured import add_out, write
from rich import box
from rich.console import Console
from rich.table import Table

from deepthink.app.progress_bar import watching
from deepthink.store import records

ROOT = Path(__file__).resolve().parent.parent
SMALL = ("test_size=2", "dev_size=0", "method.iterations=2", "wandb.mode=disabled")
WAYS = {
    "sweep": (1, ("-m",)),
    "basic": (1, ("launcher=basic",)),
    "local": (2, ("launcher=local", "workers=2")),
    "ray": (2, ("launcher=ray", "workers=2", "hydra.launcher.ray.remote.num_gpus=0")),
}


def main() -> None:
    """Print a line for each launcher; exit code 1 if any number differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ways", nargs="*", help=f"of {', '.join(WAYS)}; default: all")
    parser.add_argument("--jobs", type=int, default=200, help="default: 200")
    add_out(parser, "launchers")
    options = parser.parse_args()
    if unknown := set(options.ways) - set(WAYS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; choose from {', '.join(WAYS)}")
    console = Console(highlight=False)
    table = Table(box=box.SIMPLE_HEAD)
    for heading in ("", "workers", "jobs", "wall, s", "ms on top of a job", "numbers"):
        table.add_column(heading, justify="left" if not heading else "right")
    first: dict[int, pd.Series] = {}
    ways = []
    for way in options.ways or WAYS:
        workers, words = WAYS[way]
        with tempfile.TemporaryDirectory() as folder, watching(console) as watch:
            watch.stage(way)
            begin = time.perf_counter()
            done = subprocess.run(
                [
                    sys.executable, str(ROOT / "run.py"), *words, *SMALL,
                    f"results={folder}", f"seed=range({options.jobs})",
                ],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            wall = time.perf_counter() - begin
            if done.returncode:
                console.print(f"{way} left out: {done.stderr.strip().splitlines()[0]}")
                continue
            stored = records.load_all(Path(folder)).records
            scores = {
                record.identity.seed: pd.read_parquet(path.with_suffix(".parquet"))["score"]
                for path, record in stored
            }
        made = [record for _, record in stored]
        first = first or scores
        apart = max(float(np.abs(scores[seed] - first[seed]).max()) for seed in first)
        spent = sum(record.seconds.think + record.seconds.score for record in made)
        cost = 1000 * (wall * workers - spent) / len(made)
        verdict = f"up to {apart:.1g} apart" if apart else "identical"
        table.add_row(way, str(workers), str(len(made)), f"{wall:.1f}", f"{cost:.0f}", verdict)
        named = " ".join(word for word in words if not word.startswith("hydra."))
        ways.append(
            {"way": way, "words": named, "workers": workers, "jobs": len(made)}
            | {"wall": round(wall, 3), "ms": round(cost, 1), "apart": apart}
        )
    console.print(table)
    if not ways:
        sys.exit("error: no launcher could be measured; nothing was written")
    write(options, {"ways": ways}, libraries=("submitit", "ray"))
    sys.exit(any(way["apart"] for way in ways))


if __name__ == "__main__":
    main()
