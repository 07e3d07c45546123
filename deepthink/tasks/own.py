"""A task in a file of the user's own: what is not said of it is found in its rows.

`resolved` makes an ordinary task of it, with a source, classes and label words. `rows_of` reads the
rows of such a source.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import numpy as np

from deepthink import content
from deepthink.config.own import OwnSpec
from deepthink.config.tasks import SourceSpec, TaskSpec, as_typed
from deepthink.config.templates import TEXT
from deepthink.errors import UserError, shown
from deepthink.kept import Kept
from deepthink.tasks import harness_tasks, own_columns, own_files
from deepthink.tasks.examples import columns_of
from deepthink.tasks.own_classes import Label, classes
from deepthink.tasks.own_files import Parts
from deepthink.tasks.rows import Rows
from deepthink.tasks.splitting import stratified_order

SEED = 20240812
"""Which rows are held out for test. It is no job's seed: jobs differ in their demonstrations."""

FEWEST, MOST_HELD_OUT = 12, 1000
"""The fewest rows that can be divided, and the most that are held out for test by default."""

KEPT: Kept[tuple[TaskSpec, object]] = Kept(100)
"""Tasks that were resolved, with the state of their files."""

_told: set[tuple[Path, str]] = set()


def ignore(line: str) -> None:
    """Tell nobody."""


def resolved(task: TaskSpec, tell: Callable[[str], object] = ignore) -> TaskSpec:
    """The task with what its file says: the source, the classes and their words.

    Any other task, and one that is resolved, is returned as it is.

    tell: called with a line on what was found, once for a file in a process.

    Raises:
        UserError: the file cannot be read, or its rows are no task.
    """
    own = task.own
    if own is None or task.sources:
        return task if task.harness is None else harness_tasks.resolved(task)
    paths = [path for part in own_files.files(own) for path in part]
    state = content.states(paths)
    known = KEPT.find(repr(task))
    if known is not None and state is not None and known[1] == state:
        return known[0]
    full, line = described(task, own_files.read(own), Path(own.file).name)
    if (paths[0].resolve(), line) not in _told:
        tell(line)
    _told.add((paths[0].resolve(), line))
    KEPT.keep(repr(task), (full, state), size=1)
    return full


def states(own: OwnSpec) -> tuple[object, ...] | None:
    """What is another value as soon as one of the files changes; None as `content.states`."""
    return content.states(path for part in own_files.files(own) for path in part)


def described(task: TaskSpec, parts: Parts, file: str) -> tuple[TaskSpec, str]:
    """The task that the rows make, and a line on what was found in them; UserError as `resolved`.

    file: what messages call the file.
    """
    assert task.own is not None
    own = task.own
    cells = own_columns.columns(parts.all)
    text, label, options = _columns(task, own, parts, cells, file)
    held_out = _held_out(own, parts, file)
    wanted = [*(text if name == TEXT else name for name in task.parsed.columns), label, *options]
    own_columns.check_filled(parts.all, dict.fromkeys(wanted))
    if TEXT in task.parsed.columns:
        _check_texts(parts.all, text)
    found = Label([], [])
    marks: list[Any] | None = None
    if own.choices is None:
        found = classes(parts.all, label, own.labels, file)
        _check_heading(label, cells, found, file)
    elif options == own.choices:
        marks = _marks(cells[label], options, label, file)
    count = len(parts.pool) - held_out
    tested = held_out if parts.test is None else len(parts.test)
    source = SourceSpec(
        repository=own.file,
        bundled=False,
        revision=None,
        files=None,
        text=text,
        label=label,
        classes=found.values or marks,
        pool="train",
        test="test" if parts.test is not None else "held out",
        choices=own.choices,
    )
    full = replace(
        task,
        own=replace(own, split=parts.split, held_out=held_out or None),
        labels=found.words,
        demonstrations=own.demonstrations or _usual_count(len(found.words), count, tested),
        rows={"pool": count, "test": tested},
        sources=[source],
    )
    columns_of(source, full)
    return full, _line(full, file, count + tested)


def _columns(
    task: TaskSpec, own: OwnSpec, parts: Parts, cells: own_columns.Cells, file: str
) -> tuple[str, str, list[str]]:
    """The columns of the text, the label and the options, as they are named or found."""
    options = [own.choices] if isinstance(own.choices, str) else list(own.choices or ())
    for name in options:
        own_columns.named("task.choices", name, parts.all)
    in_template = [name for name in task.parsed.columns if name != TEXT]
    for name in in_template:
        own_columns.named("a column of task.template", name, parts.all)
    taken = [*options, *in_template, *filter(None, (parts.split, own.text))]
    if own.label is not None:
        label = own_columns.named("task.label", own.label, parts.all)
    else:
        label = own_columns.label_column(cells, taken, file)
    if own.text is not None:
        text = own_columns.named("task.text", own.text, parts.all)
    elif TEXT in task.parsed.columns:
        text = own_columns.text_column(cells, [*taken, label], file)
    else:
        text = in_template[0]
    return text, label, options


def _held_out(own: OwnSpec, parts: Parts, file: str) -> int:
    """How many of the rows are held out for test; UserError for too few rows to divide."""
    rows = len(parts.pool)
    if parts.test is not None:
        if own.held_out is not None:
            raise UserError(
                f"task.held_out is {own.held_out}, but {file} has test rows of its own: leave it "
                "out, or make a file of the rows to divide"
            )
        if rows < FEWEST // 2:
            raise UserError(
                f"{file} has {rows} training rows: {FEWEST // 2} are the fewest that give "
                "demonstrations and dev rows"
            )
        return 0
    if rows < FEWEST:
        raise UserError(
            f"{file} has {rows} rows: {FEWEST} are the fewest that can be divided into "
            "demonstrations, dev rows and test rows"
        )
    if own.held_out is not None and own.held_out > rows - FEWEST // 2:
        raise UserError(
            f"task.held_out is {own.held_out}, but {file} has {rows} rows: leave {FEWEST // 2} for "
            "demonstrations and dev rows"
        )
    return own.held_out or min(rows // 3, MOST_HELD_OUT)


def _check_heading(label: str, cells: own_columns.Cells, found: Label, file: str) -> None:
    """Raise UserError for a table whose first row was taken for the names of its columns."""
    if label in map(str, found.values):
        raise UserError(
            f"the columns of {file} are called {', '.join(map(shown, cells))}, as if they were a "
            "row: add a first line with names, such as text,label"
        )


def _check_texts(parts: Sequence[Rows], column: str) -> None:
    """Raise UserError for a cell of the text that is no text."""
    for rows in parts:
        for index, cell in enumerate(rows.columns[column]):
            if not isinstance(cell, str):
                raise UserError(
                    f"{rows.where(index)} has {shown(cell)} in column '{column}', which is no "
                    "text: name the column of the text with task.text"
                )


def _marks(cells: Sequence[Any], options: list[str], label: str, file: str) -> list[Any] | None:
    """What stands for each option in the label column; None where their indices do."""
    count = len(options)
    ways: tuple[list[Any], ...] = (
        [*range(count)],
        [*range(1, count + 1)],
        [*ascii_uppercase[:count]],
        [*ascii_uppercase.lower()[:count]],
        options,
    )
    for cell in cells:
        if not isinstance(cell, str | int | float):
            raise UserError(f"column '{label}' of {file} holds {shown(cell)}, which is no option")
    values = {as_typed(cell) for cell in cells}
    for number, marks in enumerate(ways):
        if values <= {*marks}:
            return marks if number else None
    wrong = next(cell for cell in cells if as_typed(cell) not in options)
    raise UserError(
        f"column '{label}' of {file} has {shown(wrong)}, which is none of the options "
        f"{', '.join(options)}: it must say a column's name, 0 to {count - 1}, 1 to {count}, or A "
        f"to {ascii_uppercase[:count][-1]}"
    )


def _usual_count(labels: int, rows: int, tested: int) -> int:
    """How many demonstrations are shown by default: as the paper has them, fewer for few rows.

    >>> _usual_count(2, 300, 100), _usual_count(5, 300, 100), _usual_count(2, 8, 4)
    (8, 10, 2)
    """
    each = ceil(8 / labels) if labels in range(1, 5) else 2 if labels in range(5, 9) else 1
    usual = max(8, labels * each)
    pool = rows - min(tested, rows // 2)  # the others are the dev rows, see `splitting.divide`
    return max(1, min(usual, max(labels, pool // 2), pool))


def _line(task: TaskSpec, file: str, rows: int) -> str:
    """What was found in a file, in one line."""
    (source,) = task.sources
    parts = []
    if TEXT in task.parsed.columns:
        parts.append(f"text from '{source.text}'")
    if source.options:
        parts.append(f"options from {', '.join(source.options)}")
    words = ", ".join(task.labels[:12]) + (", …" if len(task.labels) > 12 else "")
    parts.append(f"label from '{source.label}'" + (f" ({words})" if words else ""))
    prompt = task.template.replace("\n", "\\n")
    return f"{file}: {', '.join(parts)}, {rows:,} rows; the prompt is '{prompt}'"


@dataclass(frozen=True)
class Divided:
    """The training and the test rows of a task, and lines for whoever reads the output."""

    pool: Rows
    test: Rows
    told: tuple[str, ...]


def rows_of(task: TaskSpec) -> Divided:
    """The rows of a resolved task; UserError as `own_files.read`."""
    assert task.own is not None
    (source,) = task.sources
    return divided(task, own_files.read(task.own, columns_of(source, task)))


def divided(task: TaskSpec, parts: Parts) -> Divided:
    """The rows with test rows held out, if there are no others.

    They are drawn by a fixed seed, so that each label has nearly its proportion among them.
    """
    assert task.own is not None
    (source,) = task.sources
    told = [*parts.told, *_contradictions(parts.all, task, source)]
    if parts.test is not None:
        return Divided(parts.pool, parts.test, tuple(told))
    rows, count = parts.pool, task.own.held_out
    assert count is not None
    labels = [repr(as_typed(cell)) for cell in rows.columns[source.label]]
    numbers = {label: number for number, label in enumerate(sorted({*labels}))}
    order = stratified_order([numbers[label] for label in labels], np.random.default_rng(SEED))
    told.append(
        f"{count:,} of the {len(rows):,} rows are held out as test rows, in the proportions of the "
        "labels and the same for every seed (task.test_file=FILE names others)"
    )
    return Divided(rows.take(sorted(order[count:])), rows.take(sorted(order[:count])), tuple(told))


def _contradictions(parts: Sequence[Rows], task: TaskSpec, source: SourceSpec) -> list[str]:
    """A line if rows of the same text have different labels."""
    wanted = [name for name in columns_of(source, task) if name != source.label]
    seen: Mapping[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for rows in parts:
        for index, cells in enumerate(zip(*(rows.columns[n] for n in wanted), strict=True)):
            key = tuple(" ".join(str(cell).casefold().split()) for cell in cells)
            label = repr(as_typed(rows.columns[source.label][index]))
            seen[key].setdefault(label, rows.where(index))
    several = [list(places.values()) for places in seen.values() if len(places) > 1]
    if not several:
        return []
    many = f"{len(several)} texts have" if len(several) > 1 else "a text has"
    return [f"{many} different labels in different rows, such as {' and '.join(several[0][:2])}"]
