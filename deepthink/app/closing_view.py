"""The table that a sweep ends with, in the terminal; see `deepthink.report.closing`."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deepthink.app import terminal
from deepthink.app.journals import Tally
from deepthink.app.terminal import plain_table
from deepthink.errors import UserError
from deepthink.installation import called
from deepthink.report import axes as named
from deepthink.report import defaults
from deepthink.report.closing import Block, Closing, Line, build
from deepthink.report.groups import COLUMNS, Cell
from deepthink.report.runs import Run
from deepthink.report.statistics import Estimate
from deepthink.report.words import MISSING, spread
from deepthink.store import records

MOST = 12
"""Of a model's tasks, no more than so many have a table of their own."""


def close(tally: Tally) -> None:
    """End a sweep with its table, unless it had one job or one suite; what fails becomes a line.

    tally: how the jobs ended.
    """
    console = terminal.console()
    terminal.show(lambda: _close(tally, console), console)


def _close(tally: Tally, console: Console) -> None:
    runs = []
    for path in dict.fromkeys(map(Path, tally.records)):
        try:
            runs.append(Run(path, records.read(path)))
        except UserError as error:
            console.print(f"not in the table: {error}", highlight=False, soft_wrap=True)
    if runs and (closing := build(runs, tally.missing)).compares:
        show(closing, console)


def show(closing: Closing, console: Console, verb: str = "swept") -> None:
    """Print what was swept and what was fixed, a table for each model and task, and notes.

    verb: how the line of what was swept begins.
    """
    for line in heading(closing, verb):
        console.print(line, style="italic", highlight=False, soft_wrap=True)
    long = sum(len(block.tasks) == 1 for block in closing.blocks) > MOST
    for block in closing.blocks:
        alone = all(len(b.tasks) == 1 for b in closing.blocks if b.model == block.model)
        if not long or alone or len(block.tasks) > 1:
            console.print(_title(block), style="bold", highlight=False, soft_wrap=True)
            console.print(_table(closing, block))
    for note in _notes(closing, long):
        console.print(note, highlight=False)


def heading(closing: Closing, verb: str) -> Iterator[str]:
    """What was swept, and what all jobs had in common."""
    keys = dict.fromkeys(("model", "task", *closing.keys))
    counts = {key: _count(closing, key) for key in keys if key not in named.DRAW}
    swept = [f"{key} ({count})" for key, count in counts.items() if count > 1]
    seeds, orders = (sorted({draw[place] for draw in closing.draws}) for place in (0, 1))
    for name, numbers in (("seed", seeds), ("order", orders)):
        if len(numbers) > 1:
            swept.append(f"{name} ({_range(numbers)})")
    if swept:
        yield f"{verb}: {', '.join(swept)}"
    fixed = defaults.fixed(closing.every)
    alone = [("seed", seeds), ("order", orders)]
    fixed += [f"{name}={n[0]}" for name, n in alone if len(n) == 1 and (name == "seed" or n[0])]
    yield f"fixed: {' '.join(fixed)}"


def _count(closing: Closing, key: str) -> int:
    """How many values an axis has; that it has no effect on some jobs is none, beside several."""
    found = named.values(closing.every, key)
    values = [value for value in found if value is not None]
    return len(values) if len(values) > 1 else len(found)


def _range(numbers: Sequence[int]) -> str:
    """Whole numbers in order, in a few words."""
    first, last = numbers[0], numbers[-1]
    if last - first == len(numbers) - 1:
        return f"{first} to {last}"
    return ", ".join(map(str, numbers)) if len(numbers) <= 5 else f"{len(numbers)} values"


def _title(block: Block) -> str:
    place = block.tasks[0] if len(block.tasks) == 1 else f"average of {len(block.tasks)} tasks"
    rows = f", {block.examples:,} test rows" if block.examples is not None else ""
    return " · ".join(filter(None, [block.model, place + rows]))


def _table(closing: Closing, block: Block) -> Table:
    """Two lines for each row but the first: accuracies, and differences to the first row."""
    columns = columns_of(closing)
    heads = [key.rpartition(".")[2] for key in closing.keys]
    heads = [*closing.keys] if len({*heads}) < len(heads) else heads
    table = plain_table(" · ".join(heads), "draws", *columns)
    table.padding = (0, 1, 0, 0)
    for column in table.columns:  # a narrow terminal must cut no number
        column.no_wrap, column.overflow = False, "fold"
    for place, line in enumerate(block.lines):
        draws = str(line.draws) if line.draws == line.wanted else f"{line.draws} of {line.wanted}"
        cells = [line.cells[[*COLUMNS].index(column)] for column in columns]
        numbers = [_number(cell, cell.estimate) if cell else MISSING for cell in cells]
        table.add_row(_label(line), draws, *(numbers if line.draws else ["no result", "", ""]))
        if place and line.draws:
            table.add_row("  − first row", "", *map(_difference, cells), style="dim")
    return table


def columns_of(closing: Closing) -> list[str]:
    """The columns that say something: without thinking, all are t = 1."""
    lines = [line for block in closing.blocks for line in block.lines]
    thinks = any(axes.get("method.iterations") != 1 for axes in closing.every)
    return [
        column
        for place, column in enumerate(COLUMNS)
        if not place or (thinks and any(line.cells[place] for line in lines))
    ]


def _label(line: Line) -> str:
    values = [named.shown(value) for value in line.label if value is not None]
    return " · ".join(value.replace("\n", "\\n") for value in values) or named.shown(None)


def _difference(cell: Cell | None) -> str:
    if cell is None or cell.difference is None:
        return MISSING
    return "same" if cell.same else _number(cell, cell.difference, signed=True)


def _number(cell: Cell, estimate: Estimate, signed: bool = False) -> str:
    return spread(estimate, signed, digits=4 if cell.open else 1)


def _notes(closing: Closing, long: bool) -> Iterator[str]:
    lines = [line for block in closing.blocks for line in block.lines]
    most = max((line.draws for line in lines), default=0)
    over = "draws and test rows" if most > 1 else "test rows alone, since there is one draw"
    kinds = {cell.open for line in lines for cell in line.cells if cell}
    names = [
        *["accuracies in %"] * (False in kinds),
        *["of open tasks log p per token, in nats"] * (True in kinds),
    ]
    yield f"{'; '.join(names)}; with 95 % intervals over {over}"
    for told in dict.fromkeys(line.told for line in lines if line.told):
        rows = dict.fromkeys(_label(line) for line in lines if line.told == told)
        yield f"no difference to the first row, since there is {told}: {', '.join(rows)}"
    if any(line.unpaired for line in lines):
        yield (
            "another rule chooses other demonstrations at the same seed: differences between rules "
            "pair test rows, not seeds"
        )
    if long:
        yield f"one task by itself: {called()} compare 'task=NAME'"
