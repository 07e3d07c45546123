"""A finished job in the terminal: its curve, the cost of its selection, and its record's path."""

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from deepthink.app import metrics_view, remarks
from deepthink.app.terminal import NARROW, WIDE, plain_table
from deepthink.store import curves, scores
from deepthink.store.chosen import Stage
from deepthink.store.schema import Record
from deepthink.study.jobs import Outcome


def show(outcome: Outcome, console: Console, metrics: bool = False) -> None:
    """Print a job's curve as a table, what was unusual, and the record's path.

    metrics: whether the metrics besides accuracy are printed too.
    """
    show_result(outcome, console)
    if metrics:
        metrics_view.show(outcome.record, console)
    verb = "wrote" if outcome.scores is not None else "read, not run again (force=true does):"
    console.print(f"{verb} {outcome.path}", highlight=False, soft_wrap=True)


def show_result(outcome: Outcome, console: Console) -> None:
    """Print a job's curve as a table, the cost of its selection, and what was unusual."""
    record = outcome.record
    key = record.identity
    title = f"{record.config.model.name} · {key.task.name} · seed {key.seed}"
    method = f"{outcome.path.parent.name}, {remarks.method(key)}"
    console.print(f"{title} · {method}", style="italic", highlight=False, soft_wrap=True)
    if record.open:
        _show_open(outcome, console)
    else:
        console.print(_curve(record, console.width))
    stages = record.selection.stages
    if len(stages) > 1:
        console.print(_stages(stages, console.width))
    for line in (*_cost(stages), *remarks.of_job(record)):
        console.print(line, highlight=False)


def show_briefly(outcome: Outcome, console: Console) -> None:
    """Print one line: the job, its test accuracy at t = 1 and T and by dev, its record's path.

    Of an open task it has the log-probability per token of the references instead.
    """
    record = outcome.record
    key = record.identity
    steps = dict.fromkeys((1, key.thinking.iterations))
    if record.open:
        found = {point.step: point for point in record.open}
        parts = [f"t={step} log p per token {found[step].log_p:.4f}" for step in steps]
    else:
        points = [curves.at_step(record.curve, "test", step) for step in steps]
        parts = [f"t={point.step} {point.accuracy:.1%}" for point in points]
        if (chosen := curves.by_dev(record.curve)) is not None and len(steps) > 1:
            parts.append(f"t by dev ({chosen.step}) {chosen.accuracy:.1%}")
    name = f"{record.config.model.name} {key.task.name} {outcome.path.parent.name} seed {key.seed}"
    line = f"{name}: {', '.join(parts)}; {outcome.path}"
    console.print(line, highlight=False, soft_wrap=True)


def _show_open(outcome: Outcome, console: Console) -> None:
    """Print the curve of an open task, with the scores of this job or those beside its record."""
    from deepthink.app import open_view  # its statistics are slow to import

    table = outcome.scores
    if table is None:
        table = scores.read(outcome.path, outcome.record.scores)
    console.print(open_view.curve(outcome.record, table))
    console.print(open_view.NOTE, highlight=False)


def _curve(record: Record, width: int) -> Table:
    """A row for every scored t, and two columns for every split, or three with flipped labels.

    width: the terminal's, in characters. A narrow one shows no intervals.
    """
    wide = width >= WIDE
    table = Table(box=box.HEAVY_HEAD if wide else box.SIMPLE_HEAD, padding=(0, int(wide)))
    intervals = width >= NARROW
    table.add_column("t", justify="right")
    followed = record.curve[0].followed is not None
    splits = [points for name in ("dev", "test") if (points := curves.of_split(record.curve, name))]
    for points in splits:
        headings = [f"{points[0].split} accuracy"]
        headings += ["95 % interval"] * intervals + ["follows"] * followed
        for heading in headings:
            table.add_column(heading, justify="right", no_wrap=heading[0] == "9")
    table.add_column("")
    for row in zip(*splits, strict=True):
        cells = [str(row[0].step)]
        for point in row:
            accuracy, low, high = curves.accuracy(point)
            cells += [f"{accuracy:.1%}", *[f"{low:.1%} – {high:.1%}"] * intervals]
            if point.followed is not None:
                cells.append(f"{point.followed / point.count:.1%}")
        table.add_row(*cells, "plain ICL" if row[0].step == 1 else "")
    return table


def _stages(stages: Sequence[Stage], width: int) -> Table:
    """How many prompts each stage of a selection gave the model, beside the number foreseen."""
    headings = ("stage", "prompts\nforeseen", "read", "known", "forwards", "tokens", "seconds")
    table = plain_table(*headings, width=width)
    for stage in stages:
        table.add_row(*_cells(stage))
    table.add_section()
    table.add_row(*_cells(_total(stages)))
    return table


def _cells(stage: Stage) -> list[str]:
    return [
        stage.name,
        f"{'≤ ' if stage.bound else ''}{stage.predicted:,}",
        *(f"{number:,}" for number in (stage.read, stage.kept, stage.forwards, stage.tokens)),
        f"{stage.seconds:.1f}",
    ]


def _total(stages: Sequence[Stage]) -> Stage:
    """All stages as one."""
    return Stage(
        name="all",
        predicted=sum(stage.predicted for stage in stages),
        bound=any(stage.bound for stage in stages),
        read=sum(stage.read for stage in stages),
        kept=sum(stage.kept for stage in stages),
        forwards=sum(stage.forwards for stage in stages),
        tokens=sum(stage.tokens for stage in stages),
        shortened=sum(stage.shortened for stage in stages),
        seconds=sum(stage.seconds for stage in stages),
    )


def _cost(stages: Sequence[Stage]) -> Iterator[str]:
    """The cost of a selection in one stage, and how many sets of demonstrations were shortened."""
    if len(stages) == 1:
        (stage,) = stages
        parts = []
        if stage.read:
            parts.append(
                f"{stage.read:,} prompts read in {stage.forwards:,} forwards, {stage.seconds:.1f} s"
            )
        if stage.kept:
            parts.append(f"{stage.kept:,} prompts known from before, not read again")
        yield f"{stage.name}: {'; '.join(parts)}"
    if shortened := sum(stage.shortened for stage in stages):
        yield f"{shortened:,} sets that were tried lost demonstrations to the context's limit"
