"""A table over any records: one row for each setting, averaged over its draws, with differences.

It is what a sweep ends with, and what `deepthink compare` prints. Nothing in it is foreseen: its
rows are what differs between the records, whatever the model, the task or the method.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from deepthink.report import axes as named
from deepthink.report import groups
from deepthink.report.axes import Axes
from deepthink.report.groups import COLUMNS, Cell, Group
from deepthink.report.runs import Draw, Run

Label = tuple[Any, ...]
"""The values of a row for the axes in which rows differ."""


@dataclass(frozen=True)
class Entry:
    """A job in a table.

    label: its row. model: its block's. run: None if it has no record.
    """

    axes: Axes
    label: Label
    model: str
    draw: Draw
    run: Run | None = None

    @property
    def task(self) -> str:
        """The task or the suite."""
        return str(self.axes["task"])


@dataclass(frozen=True)
class Line:
    """A row: a setting, with a cell for each of `COLUMNS`.

    draws: how many are averaged. wanted: how many any row has. cells: None where there is no
    result, or no dev set. told: why the row has no differences; "" if it has some, or is the first.
    unpaired: whether its seeds have nothing to do with those of the first row.
    """

    label: Label
    draws: int
    wanted: int
    cells: tuple[Cell | None, ...]
    told: str = ""
    unpaired: bool = False


@dataclass(frozen=True)
class Block:
    """The rows of one task or suite of a model, or of the average over several.

    examples: how many test examples there are of all tasks together; None if rows differ in it.
    """

    model: str
    tasks: tuple[str, ...]
    examples: int | None
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Closing:
    """The table.

    keys: the axes in which rows differ. every: the axes of all jobs.
    """

    keys: tuple[str, ...]
    every: tuple[Axes, ...] = field(repr=False)
    blocks: tuple[Block, ...]

    @property
    def compares(self) -> bool:
        """Whether there is more than one number: several rows, tasks or draws."""
        return len(self.blocks) > 1 or len(self.blocks[0].lines) > 1 or len(self.draws) > 1

    @property
    def draws(self) -> list[Draw]:
        """All draws, in order."""
        return sorted({draw_of(axes) for axes in self.every})


def draw_of(axes: Axes) -> Draw:
    """The draw of a job."""
    return axes["seed"], axes["order"]


def build(runs: Sequence[Run], missing: Sequence[Axes] = ()) -> Closing:
    """The table over runs in the order in which they come; all rows are compared with the first.

    missing: the axes of jobs that have no record.
    """
    found = [(named.of_record(run.record, run.path.parent.name), run) for run in runs]
    every = [axes for axes, _ in found]
    missing = [{key: named.frozen(value) for key, value in axes.items()} for axes in missing]
    keys = named.distinguishing(every, missing) or ("method",)
    labels = [tuple(axes.get(key) for key in keys) for axes in every]
    entries = [
        Entry(axes, label, axes["model"], draw_of(axes), run)
        for (axes, run), label in zip(found, labels, strict=True)
    ] + [Entry(axes, _label(axes, keys, labels), axes["model"], draw_of(axes)) for axes in missing]
    return Closing(keys, (*every, *missing), blocks(entries))


def _label(axes: Axes, keys: Sequence[str], labels: Sequence[Label]) -> Label:
    """The row of a job without a record. What the job did not get to know may be anything."""
    own = tuple(axes.get(key) for key in keys)
    sure = [key in axes or key not in named.UNRESOLVED for key in keys]
    for label in labels:
        if all(a == b for a, b, known in zip(own, label, sure, strict=True) if known):
            return label
    return own


def blocks(entries: Sequence[Entry]) -> tuple[Block, ...]:
    """A block for each task of each model, and one for the average if a model has several tasks."""
    rows = [*dict.fromkeys(entry.label for entry in entries)]
    made = []
    for model in dict.fromkeys(entry.model for entry in entries):
        here = [entry for entry in entries if entry.model == model]
        tasks = [*dict.fromkeys(entry.task for entry in here)]
        of_tasks = [[entry for entry in here if entry.task == task] for task in tasks]
        made += [_block(rows, [entries]) for entries in of_tasks]
        answered = [entries for entries in of_tasks if not any(map(_is_open, entries))]
        if len(answered) > 1 and (average := _block(rows, answered)).lines:
            made.append(average)
    return tuple(made)


def _is_open(entry: Entry) -> bool:
    """Whether a job is of an open task, whose numbers are no accuracies."""
    return any(key.startswith("task.open.") for key in entry.axes)


def _groups(entries: Sequence[Entry], rows: Sequence[Label]) -> list[Group]:
    """The group of each row, of the entries of one task."""
    wanted = frozenset(entry.draw for entry in entries)
    members = len({entry.axes["task.member"] for entry in entries})
    found: dict[Label, dict[Draw, list[Run]]] = {row: {} for row in rows}
    for entry in entries:
        if entry.run is not None and entry.label in found:
            found[entry.label].setdefault(entry.draw, []).append(entry.run)
    return [Group.of(found[row], members, wanted) for row in rows]


def _block(rows: Sequence[Label], of_tasks: Sequence[Sequence[Entry]]) -> Block:
    """of_tasks: the entries of each task. A row that some task was not to have is left out."""
    asked = set(rows).intersection(*({e.label for e in entries} for entries in of_tasks))
    here = [row for row in rows if row in asked]
    of_rows = [*zip(*(_groups(entries, here) for entries in of_tasks), strict=True)]
    lines = [
        _line(row, found, of_rows[0] if place else None)
        for place, (row, found) in enumerate(zip(here, of_rows, strict=True))
    ]
    counts = {sum(g.count for g in found) for found in of_rows if groups.shared(found)}
    tasks = tuple(entries[0].task for entries in of_tasks)
    examples = counts.pop() if len(counts) == 1 else None
    return Block(of_tasks[0][0].model, tasks, examples, lines=tuple(lines))


def _line(label: Label, found: Sequence[Group], first: Sequence[Group] | None) -> Line:
    """A row, from the groups of its tasks; first: those of the first row, None if it is that."""
    draws = groups.shared(found)
    wanted = len(frozenset[Draw]().union(*(one.wanted for one in found)))
    if not draws:
        return Line(label, 0, wanted, (None,) * len(COLUMNS))
    told = groups.incomparable(found, first) if first else ""
    others = first if first and not told else None
    cells = tuple(groups.cell(column, found, others) for column in COLUMNS)
    return Line(
        label,
        len(draws),
        wanted,
        cells,
        told,
        unpaired=others is not None and not groups.paired(found, others),
    )
