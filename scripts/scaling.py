"""How time and memory of every selector grow with the pool, on made-up signals.

    make scaling
    make scaling ARGS="--sizes 1000 4000 --methods craig cal --out /tmp/scaling.json"

Every run is a separate process. Memory is its peak above what the imports take, so it is that of
signals and working space. Prompts are those that a model would have read. An exponent is the slope
of a straight line through the logarithms over all sizes. The signals are Gaussian clusters of
SmolLM2-135M's width with four labels. LENS has a stand-in for the model, so its time leaves out the
model's.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from measured import add_out, write
from rich.console import Console
from rich.table import Table

from deepthink.app.progress_bar import watching
from deepthink.config.overrides import compose
from deepthink.errors import UserError
from deepthink.installation import CONF
from deepthink.plugins import RULES
from deepthink.selection.pool import Pool, Progress, Usage
from deepthink.structures import Example

SIZES = [1000, 4000, 16000, 64000]
WIDTH, CLASSES, COUNT = 576, 4, 8
NAMES = tuple(f"label {c}" for c in range(CLASSES))


class MadeUp:
    """A `Reader` whose answers are random numbers."""

    answer_score = "sum"
    answer_tokens = (1,) * CLASSES

    def __init__(self, size: int) -> None:
        self.usage = Usage()
        rng = np.random.default_rng(0)
        centres = rng.normal(size=(20, WIDTH))
        self._hidden = rng.standard_normal((size, WIDTH), dtype=np.float32)
        for row, centre in zip(self._hidden, rng.integers(20, size=size), strict=True):
            row += centres[centre]
        self._scores = rng.standard_normal((size, CLASSES), dtype=np.float32)

    def zero_shot(
        self, examples: Sequence[Example], progress: Progress
    ) -> tuple[np.ndarray, np.ndarray]:
        """The signals of the whole pool."""
        self.usage.read += len(examples)
        return self._hidden[: len(examples)], self._scores[: len(examples)]

    def after(
        self, sets: Sequence[Sequence[Example]], queries: Sequence[Example], progress: Progress
    ) -> np.ndarray:
        """Label scores that know nothing of what was shown."""
        rng = np.random.default_rng(len(sets))
        self.usage.read += len(sets) * len(queries)
        return rng.normal(-3, 1, size=(len(sets), len(queries), CLASSES)).astype(np.float32)


def held() -> tuple[int, int]:
    """Bytes of memory that this process holds now, and its peak."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines if "kB" in line}
    return kilobytes["VmRSS"] * 1024, kilobytes["VmHWM"] * 1024


def measure(method: str, size: int) -> dict[str, float]:
    """Seconds, bytes and prompts of a single selection, in this process."""
    selector = compose([f"method={method}"]).method.selector
    select = RULES.load(selector)
    warm = RULES.load(selector)
    warm(pool_of(300), COUNT, np.random.default_rng(0))  # imports, thread pools
    before, _ = held()
    pool = pool_of(size)
    begin = time.perf_counter()
    select(pool, COUNT, np.random.default_rng(0))
    seconds = time.perf_counter() - begin
    prompts = sum(stage.read for stage in pool.stages)
    return {"seconds": seconds, "bytes": held()[1] - before, "prompts": prompts}


def pool_of(size: int) -> Pool:
    """Examples whose labels take turns; the dev set and the queries are among them."""
    examples = [Example(str(i), NAMES, i % CLASSES) for i in range(size)]
    texts = [example.text for example in examples[:100]]
    return Pool(examples, examples[:100], MadeUp(size), queries=texts)


def exponent(sizes: list[int], values: list[float]) -> float:
    """The slope of log values over log sizes."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0].round(2)) + 0.0  # never -0.00


def summary(sizes: list[int], runs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The documentation's figures of the largest pool, and all runs, in the order of `sizes`."""
    at = sizes.index(max(sizes))
    largest = {method: figures["runs"][at] for method, figures in runs.items()}
    ranked = sorted(largest, key=lambda method: -largest[method]["seconds"])
    slowest, others = ranked[:2], ranked[2:]
    return {
        "size": sizes[at],
        "width": WIDTH,
        "classes": CLASSES,
        "count": COUNT,
        "slowest": [{"method": name, "seconds": largest[name]["seconds"]} for name in slowest],
        "others_seconds": largest[others[0]]["seconds"] if others else None,
        "gib": max(run["bytes"] for run in largest.values()) / 2**30,
        "methods": runs,
    }


def main() -> None:
    """Start a process for each method and size, then print a table."""
    names = sorted(path.stem for path in (CONF / "method").glob("[!_]*.yaml"))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--methods", nargs="*", help="default: one of every selector")
    parser.add_argument("--single", nargs=2, help=argparse.SUPPRESS)
    add_out(parser, "scaling")
    options = parser.parse_args()
    if options.single:
        print(json.dumps(measure(options.single[0], int(options.single[1]))))
        return
    if not Path("/proc/self/status").exists():
        raise SystemExit("error: this script reads memory from Linux's /proc")
    console = Console(width=130, highlight=False)
    methods = options.methods
    if not methods:
        by_selector = {compose([f"method={name}"]).method.selector["name"]: name for name in names}
        methods = sorted(by_selector)
    table = Table(title=f"{COUNT} of n examples, d = {WIDTH}, {CLASSES} labels")
    table.add_column("method")
    for size in options.sizes:
        table.add_column(f"n = {size:,}", justify="right")
    for heading in ("time", "memory", "prompts"):
        table.add_column(heading, justify="right")
    runs = {}
    for method in methods:
        results = []
        for size in options.sizes:
            with watching(console) as watch:
                watch.stage(f"{method}, n = {size:,}")
                command = [sys.executable, __file__, "--single", method, str(size)]
                process = subprocess.run(command, capture_output=True, text=True, check=False)
            if process.returncode:
                raise SystemExit(f"error: {method}, n = {size}: {process.stderr.strip()[-300:]}")
            results.append(json.loads(process.stdout))
        columns = {key: [result[key] for result in results] for key in results[0]}
        grown = {
            key: exponent(options.sizes, values) if all(values) else None
            for key, values in columns.items()
        }
        table.add_row(
            method,
            *(f"{r['seconds'] * 1e3:,.0f} ms, {r['bytes'] / 2**20:,.0f} MiB" for r in results),
            *("none" if power is None else f"n^{power:.2f}" for power in grown.values()),
        )
        runs[method] = {"runs": results, "exponents": grown}
    console.print(table)
    write(options, summary(options.sizes, runs))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        raise SystemExit(f"error: {error}") from error
