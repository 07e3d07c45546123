"""Further runs as tables of methods and tasks, one for each model and scale.

A method is called by its label and by what was swept, such as "deepthink (T = 8, η = 0.1)".
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deepthink.report.chance import Levels
from deepthink.report.further import READINGS, FurtherRow, accuracy, shown
from deepthink.report.measurements import Subject
from deepthink.report.render import Grid
from deepthink.report.words import MISSING, level_rows, printable

SYMBOLS = {"iterations": "T", "demonstrations": "k", "thinking.step_size": "η"}
"""Settings with a symbol. They are named wherever methods differ in them, whatever their labels."""

_Line = tuple[str, str]
"""A label, and its settings as text: the rows of one method on several tasks have the same."""


@dataclass(frozen=True)
class Swept:
    """The rows of one model and scale, by method and by task.

    names: how each method is called, see `method_names`. columns: the heading of each task.
    """

    subject: Subject
    names: Mapping[_Line, str]
    columns: Mapping[str, str]
    cells: Mapping[tuple[_Line, str], FurtherRow]

    def of_task(self, column: str) -> dict[str, FurtherRow]:
        """The rows of one task by the method's name, in the order of the table."""
        return {
            name: self.cells[line, column]
            for line, name in self.names.items()
            if (line, column) in self.cells
        }

    @property
    def grid(self) -> Grid:
        """Chance and majority, then a line for each method and reading of t."""
        levels = [self._levels(column) for column in self.columns]
        rows = level_rows(levels, before=("",), after=("",))
        rules: list[int] = []
        for line, name in self.names.items():
            found = [self.cells.get((line, column)) for column in self.columns]
            rules.append(len(rows))
            label = name
            for reading in READINGS:
                estimates = [row.estimates.get(reading) if row else None for row in found]
                if any(estimates):
                    numbers = [accuracy(row, reading) if row else MISSING for row in found]
                    t = str(next(row.iterations for row in found if row))
                    counts = sorted({e.seeds for e in estimates if e is not None})
                    n = "–".join(str(count) for count in dict.fromkeys((counts[0], counts[-1])))
                    rows.append((label, reading.replace("T", t), *numbers, n))
                    label = ""
            if label:
                rows.append((label, "", *[MISSING] * len(found), "0"))
        rules = rules if any(levels) else rules[1:]
        return Grid(("method", "", *self.columns.values(), "n"), tuple(rows), tuple(rules))

    def _levels(self, column: str) -> Levels | None:
        """Chance and majority of a task; None if nothing was run on it."""
        rows = (row for (_, task), row in self.cells.items() if task == column)
        return next((row.levels for row in rows if row.levels), None)


def groups(rows: Sequence[FurtherRow]) -> list[Swept]:
    """The rows by model and scale, in their order."""
    return [
        _group(subject, [row for row in rows if row.subject == subject])
        for subject in dict.fromkeys(row.subject for row in rows)
    ]


def _group(subject: Subject, rows: Sequence[FurtherRow]) -> Swept:
    numbers: dict[str, set[int]] = {}
    for row in rows:
        if not _sets_count(row):
            numbers.setdefault(row.suite, set()).add(row.common["demonstrations"])
    changed = {suite for suite, counts in numbers.items() if len(counts) > 1}
    settings = {id(row): _settings(row, row.suite in changed) for row in rows}
    rows = sorted(rows, key=lambda row: (row.label, *_ordered(settings[id(row)])))
    lines = {id(row): (row.label, json.dumps(settings[id(row)])) for row in rows}
    tasks = {id(row): json.dumps(_task(row)) for row in rows}
    return Swept(
        subject,
        method_names({lines[id(row)]: settings[id(row)] for row in rows}),
        _columns({tasks[id(row)]: row for row in sorted(rows, key=lambda row: row.suite)}),
        {(lines[id(row)], tasks[id(row)]): row for row in rows},
    )


def _ordered(settings: Mapping[str, Any]) -> list[tuple[bool, float, str]]:
    """The settings as a key to sort by: T, k and η first, numbers by their size."""
    values = [settings.get(name) for name in sorted(settings, key=_place)]
    return [
        (isinstance(v, int | float), v if isinstance(v, int | float) else 0.0, json.dumps(v))
        for v in values
    ]


def _sets_count(row: FurtherRow) -> bool:
    """Whether the command set k, so that it is not the task's own number."""
    run = next(iter(row.runs.values()), row.left_out)[0]
    asked = run.record.config.whole.get("demonstrations") or {}
    return asked.get("count") is not None


def _settings(row: FurtherRow, changed: bool) -> dict[str, Any]:
    """The settings of a row's method, by name.

    k is "the task's" unless the command set it, or unless the task's own number was `changed`.
    """
    own = {} if changed or _sets_count(row) else {"demonstrations": "the task's"}
    about = {name: value for name, value in row.common.items() if not name.startswith("task.")}
    return {"iterations": row.iterations, **about, **own}


def _task(row: FurtherRow) -> list[Any]:
    """What is the same in the rows of one column: the task and how it is written."""
    about = {name: value for name, value in row.common.items() if name.startswith("task.")}
    return [row.suite, row.task, about]


def method_names(lines: Mapping[_Line, Mapping[str, Any]]) -> dict[_Line, str]:
    """A name for each method, no two alike: its label, and in brackets what tells it apart.

    That is every setting in which methods of its label differ, and T, k and η where any differ.

    >>> one, other = {"iterations": 5, "a.seam": "x"}, {"iterations": 8, "a.seam": "y"}
    >>> list(method_names({("deepthink", "1"): one, ("repeat", "2"): other}).values())
    ['deepthink (T = 5)', 'repeat (T = 8)']
    """
    names = {}
    for line, settings in lines.items():
        namesakes = [other for key, other in lines.items() if key[0] == line[0]]
        told = [name for name in settings if _differ(namesakes, name, absent=True)]
        told += [name for name in SYMBOLS if _differ(lines.values(), name, absent=False)]
        words = [
            f"{SYMBOLS.get(name, name.removeprefix('thinking.'))} = {_value(settings[name])}"
            for name in sorted(dict.fromkeys(told), key=_place)
            if name in settings
        ]
        names[line] = f"{line[0]} ({', '.join(words)})" if words else line[0]
    return names


def _differ(settings: Iterable[Mapping[str, Any]], name: str, absent: bool) -> bool:
    """Whether a setting has several values. absent: whether to lack it is a value too."""
    values = {json.dumps(each.get(name)) for each in settings if absent or name in each}
    return len(values) > 1


def _place(name: str) -> tuple[int, str]:
    return (list(SYMBOLS).index(name), "") if name in SYMBOLS else (len(SYMBOLS), name)


def _value(value: object) -> str:
    text = shown(value)
    return text if len(text) <= 40 else f"{text[:30]}…{text[-9:]}"


def _columns(tasks: Mapping[str, FurtherRow]) -> dict[str, str]:
    """A heading for each task: its name, and a number where two are written in different ways."""
    headings: dict[str, str] = {}
    for key, row in tasks.items():
        same = sum(heading.partition(" (")[0] == row.task for heading in headings.values())
        headings[key] = f"{row.task} ({same + 1})" if same else row.task
    return headings


def differences(group: Swept) -> list[str]:
    """A sentence for each task that has several columns: in which settings they differ."""
    told = []
    by_task: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for key, heading in group.columns.items():
        _, task, about = json.loads(key)
        by_task.setdefault(task, []).append((heading, about))
    for versions in by_task.values():
        names = {name for _, about in versions for name in about}
        apart = sorted(n for n in names if len({json.dumps(a.get(n)) for _, a in versions}) > 1)
        if apart:
            parts = (
                f"{heading}: {', '.join(f'{name}={_value(about.get(name))}' for name in apart)}"
                for heading, about in versions
            )
            told.append(f"The columns differ in how the task is written. {'; '.join(parts)}.")
    return told


def left_out(rows: Iterable[FurtherRow]) -> str:
    """A sentence on the runs that no number has; empty if there are none."""
    paths = sorted(str(printable(run.path)) for row in rows for run in row.left_out)
    if not paths:
        return ""
    named = ", ".join(f"`{path}`" for path in paths[:5])
    more = f" and {len(paths) - 5} more" if len(paths) > 5 else ""
    return (
        f"In no number of this section (records: {len(paths)}), because scored after other t than "
        "the others of their method, or with or without dev unlike them, or because other members "
        f"of their suite lack their draw: {named}{more}."
    )
