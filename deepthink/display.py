"""What a job shows in the terminal: a progress bar, a table, and where the record lies."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from deepthink import readings
from deepthink.study import Outcome, Watcher


class ProgressWatcher(Watcher):
    """A progress bar over all query readings of a job, with the newest accuracies."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("starting", total=None)
        self._latest: dict[str, str] = {}
        self._stage = ""

    def stage(self, text: str) -> None:
        """Name the stage."""
        self._stage = text
        self._bar.update(self._task, description=text)

    def start(self, total: int) -> None:
        """The length of the bar is known."""
        self._bar.update(self._task, total=total)

    def advance(self, readings: int) -> None:
        """Move on."""
        self._bar.advance(self._task, readings)

    def step(self, point: dict[str, Any]) -> None:
        """Show an accuracy as soon as it is known."""
        share = point["correct"] / point["count"]
        self._latest[point["split"]] = f"{point['split']} {share:.1%}"
        shown = ", ".join(self._latest.values())
        self._bar.update(self._task, description=f"{self._stage}: t={point['step']} {shown}")


@contextmanager
def watching(console: Console) -> Iterator[Watcher]:
    """A watcher that draws on `console` for the length of one job and leaves nothing behind."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        yield ProgressWatcher(bar)


def show(outcome: Outcome, console: Console) -> None:
    """Print a job's curve as a table, its readings, what was unusual, and the record's path."""
    record = outcome.record
    key, curve = record["identity"], record["curve"]
    title = f"{record['config']['model']['name']} · {key['task']['name']} · seed {key['seed']}"
    method = f"{outcome.path.parent.name}, {_method(key)}"
    console.print(f"{title} · {method}", style="italic", highlight=False, soft_wrap=True)
    table = Table()
    table.add_column("t", justify="right")
    splits = [split for split in ("dev", "test") if readings.of_split(curve, split)]
    for split in splits:
        table.add_column(f"{split} accuracy", justify="right")
        table.add_column("95 % interval", justify="right")
    table.add_column("")
    for point in readings.of_split(curve, "test"):
        cells = [str(point["step"])]
        for split in splits:
            cells += _cells(readings.at_step(curve, split, point["step"]))
        table.add_row(*cells, "vanilla" if point["step"] == 1 else "")
    console.print(table)
    for line in _remarks(record):
        console.print(line, highlight=False)
    verb = "wrote" if outcome.scores is not None else "read, not run again (force=true does):"
    console.print(f"{verb} {outcome.path}", highlight=False, soft_wrap=True)


def _cells(point: readings.Point) -> list[str]:
    low, high = readings.interval(point)
    return [f"{point['correct'] / point['count']:.1%}", f"{low:.1%} – {high:.1%}"]


def _method(key: dict[str, Any]) -> str:
    thinking = key["thinking"]
    if thinking["iterations"] == 1:
        return f"{key['demonstrations']} demonstrations"
    momentum = f", β {thinking['momentum']:g}" if thinking["momentum"] else ""
    return (
        f"{key['demonstrations']} demonstrations, η {thinking['step_size']:g}{momentum}, "
        f"{thinking['positions']} positions"
    )


def _remarks(record: dict[str, Any]) -> Iterator[str]:
    curve, shots = record["curve"], record["demonstrations"]
    chosen = readings.by_dev(curve)
    if chosen is not None and record["identity"]["thinking"]["iterations"] > 1:
        share = chosen["correct"] / chosen["count"]
        yield f"t chosen on dev: {chosen['step']}, test accuracy {share:.1%}"
    dropped = len(shots["indices"]) - shots["kept"]
    if dropped:
        yield (
            f"the context holds {shots['kept']} of {len(shots['indices'])} demonstrations at 2L "
            f"positions: the first {dropped} were dropped for every query"
        )
    if shots["truncated"]:
        yield f"the demonstrations were cut to their last {shots['tokens']} tokens"
    found, published = record["data"]["read_rows"], record["data"]["published_rows"]
    if found != published:
        yield (
            f"the data read has {found['pool']:,} training and {found['test']:,} test rows, the "
            f"published set {published['pool']:,} and {published['test']:,}"
        )
