"""Further runs: those that no experiment of the page asks for, such as one's own tasks and methods.

`every` has a row for each method on each task; `further_tables` lays them out.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import StringIO
from typing import Any

from deepthink.report import chance, experiments
from deepthink.report.chance import NAMES, Levels
from deepthink.report.measurements import Subject, average, outcomes
from deepthink.report.method import Method
from deepthink.report.readings import BY_DEV, VANILLA, Reading, at
from deepthink.report.render import Grid
from deepthink.report.runs import Draw, Run, Runs, one_per_draw
from deepthink.report.statistics import Estimate
from deepthink.report.words import MISSING, above_chance, interval, number
from deepthink.store.identity import digest, family
from deepthink.structures import flattened

NAME, TITLE = "further", "Further runs"


def is_further(run: Run, names: frozenset[str]) -> bool:
    """Whether none of these experiments asks for a run, with its task, method, draw and T."""
    return not experiments.asks_for(names, run)


@dataclass(frozen=True)
class FurtherRow:
    """The runs of one method on a task or suite, which differ in their draw alone.

    suite: the suite, or the task's own name. task: the same, of a suite with how many members.
    label: the method's name in the path of its records. iterations: T. runs: by draw, one run or
    one for each member of the suite. common: every setting that the runs share, by its dotted name.
    settings: those of them in which the rows of a subject and task differ. left_out: runs of the
    row that are not among `runs`, see `runs.one_per_draw`, or whose draw lacks a member.
    """

    subject: Subject
    suite: str
    task: str
    label: str
    method: Method
    iterations: int
    runs: dict[Draw, tuple[Run, ...]]
    common: Mapping[str, Any]
    settings: Mapping[str, Any]
    left_out: tuple[Run, ...]

    @property
    def readings(self) -> dict[str, Reading]:
        """The readings of t that the row shows, by column, as far as its runs allow them."""
        runs = [run for members in self.runs.values() for run in members]
        readings: dict[str, Reading] = {}
        if not runs:
            return readings
        if all(1 in run.steps for run in runs):
            readings["t = 1"] = VANILLA
        if self.iterations > 1 and all(self.iterations in run.steps for run in runs):
            readings["t = T"] = at(self.iterations)
        if self.iterations > 1 and all(run.has_dev for run in runs):
            readings["t by dev"] = BY_DEV
        return readings

    @cached_property
    def estimates(self) -> dict[str, Estimate]:
        """The accuracy in per cent under each reading; every member of a suite weighs the same."""
        return {
            column: average(outcomes(self.runs, reading))
            for column, reading in self.readings.items()
        }

    @cached_property
    def _of_members(self) -> list[Levels]:
        return chance.of_members(self.runs.values())

    @property
    def levels(self) -> Levels | None:
        """Chance and majority; every member of a suite weighs the same. None without runs."""
        return chance.mean(self._of_members) if self._of_members else None

    def above(self, column: str) -> tuple[int, int] | None:
        """How many members are above chance under a reading, and of how many; None for a task."""
        if len(self._of_members) < 2:
            return None
        found = outcomes(self.runs, self.readings[column])
        return chance.above(found, self._of_members), len(found)

    @property
    def place(self) -> tuple[str, ...]:
        """The words that name the row."""
        method = (self.method.rule, self.method.refinement, self.method.calibration)
        known = {key: value for key, value in self.settings.items() if value is not None}
        settings = ", ".join(f"{key}={shown(value)}" for key, value in known.items())
        words = (*map(str, method), str(self.iterations), settings)
        return self.subject.model, str(self.subject.scale), self.task, self.label, *words


_PLACE = (
    "model", "scale", "task", "label", "rule", "refinement", "calibration", "T", "settings",
)  # fmt: skip
READINGS = ("t = 1", "t = T", "t by dev")
_Key = tuple[Subject, str, int, str]


def every(runs: Runs, names: frozenset[str]) -> list[FurtherRow]:
    """One row for each method, subject, task and T that has a further run; see `is_further`."""
    return _rows(runs, (run for run in runs.all if is_further(run, names)))


def beside(runs: Runs, rows: Iterable[FurtherRow]) -> list[FurtherRow]:
    """A row for each method, whoever asks for it, on the subjects and tasks of these rows."""
    places = {(row.subject, row.suite) for row in rows}
    return _rows(runs, (run for run in runs.all if (_subject(runs, run), run.suite) in places))


def _rows(runs: Runs, wanted: Iterable[Run]) -> list[FurtherRow]:
    alike: dict[_Key, list[Run]] = {}
    for run in wanted:
        key = (_subject(runs, run), run.suite, run.iterations, digest(_family(run)))
        alike.setdefault(key, []).append(run)
    ordered = sorted(alike.items(), key=lambda item: _order(item[0][0], item[1][0]))
    common = {key: dict(flattened(_family(members[0]))) for key, members in ordered}
    settings = _differing(common)
    return [_row(key[0], members, common[key], settings[key]) for key, members in ordered]


def _subject(runs: Runs, run: Run) -> Subject:
    return Subject(runs, run.model, run.scale)


def _order(subject: Subject, run: Run) -> tuple[object, ...]:
    return subject.model, subject.scale.rank, run.suite, run.path.parent.name, str(run.path)


def _family(run: Run) -> dict[str, Any]:
    """What the runs of one row have in common; the members of a suite differ in their task."""
    common = family(run.record.identity)
    if run.task == run.suite:
        return common
    apart = ("name", "version", "labels")
    task = {name: value for name, value in common["task"].items() if name not in apart}
    return {**common, "task": task}


def _row(
    subject: Subject, runs: Sequence[Run], common: Mapping[str, Any], settings: Mapping[str, Any]
) -> FurtherRow:
    members: dict[str, list[Run]] = {}
    for run in runs:
        members.setdefault(run.task, []).append(run)
    draws = sorted({run.draw for run in runs})
    by_member = [one_per_draw(members[task], draws) for task in sorted(members)]
    complete = {
        draw: tuple(by_draw[draw] for by_draw in by_member)
        for draw in draws
        if all(draw in by_draw for by_draw in by_member)
    }
    counted = {run.path for many in complete.values() for run in many}
    first = runs[0]
    return FurtherRow(
        subject=subject,
        suite=first.suite,
        task=first.task if first.task == first.suite else f"{first.suite}, {len(members)} members",
        label=first.path.parent.name,
        method=Method.of(first.record.identity),
        iterations=first.iterations,
        runs=complete,
        common=common,
        settings=settings,
        left_out=tuple(run for run in runs if run.path not in counted),
    )


def _differing(flat: Mapping[_Key, Mapping[str, Any]]) -> dict[_Key, dict[str, Any]]:
    """Of each row, the settings in which the rows of its subject and task differ.

    The parts of the method are left out, since they have columns of their own.
    """
    differing = {}
    for key, settings in flat.items():
        others = [other for place, other in flat.items() if place[:2] == key[:2]]
        names = sorted({name for other in others for name in other if not _of_a_part(name)})
        differing[key] = {
            name: settings.get(name)
            for name in names
            if len({json.dumps(other.get(name)) for other in others}) > 1
        }
    return differing


def _of_a_part(name: str) -> bool:
    """Whether a setting belongs to the rule, the refinement or the calibration."""
    return name.startswith(("selector.", "thinking.refinement.", "calibration."))


def shown(value: object) -> str:
    """A value of a setting in one line."""
    plain = isinstance(value, str) and value.isprintable()
    return str(value) if plain else json.dumps(value, ensure_ascii=False)


def _levels(rows: Iterable[FurtherRow]) -> Iterator[tuple[tuple[str, ...], float]]:
    """The words that name chance and majority of every subject and task, and their values."""
    of_tasks: dict[tuple[Subject, str], FurtherRow] = {}
    for row in rows:
        of_tasks.setdefault((row.subject, row.task), row)
    for (subject, task), row in of_tasks.items():
        for name, field in NAMES.items():
            if (value := getattr(row.levels, field, None)) is not None:
                rest = [""] * (len(_PLACE) - 4)
                yield (subject.model, str(subject.scale), task, name, *rest), value


def grid(rows: Sequence[FurtherRow]) -> Grid:
    """Chance and majority of each task, then the rows with their intervals and number of draws."""
    levels = [(*place, *[number(value)] * len(READINGS), "") for place, value in _levels(rows)]
    lines = [
        (*row.place, *(accuracy(row, column) for column in READINGS), str(len(row.runs)))
        for row in rows
    ]
    return Grid((*_PLACE, *READINGS, "n"), (*levels, *lines), (len(levels),) if levels else ())


def accuracy(row: FurtherRow, column: str) -> str:
    """A number with its interval, and of a suite how many members are above chance."""
    if column not in row.estimates:
        return MISSING
    return interval(row.estimates[column]) + above_chance(row.above(column))


def long_form(rows: Sequence[FurtherRow]) -> str:
    """As CSV, one line for each row and reading, with the records behind it.

    The lines of chance and majority name no reading and no record.
    """
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    numbers = ("reading", "accuracy", "low", "high", "draws", "examples", "records")
    writer.writerow([*_PLACE, *numbers])
    for place, value in _levels(rows):
        writer.writerow([*place, "", f"{value:.4f}", *[""] * (len(numbers) - 2)])
    for row in rows:
        runs = (run for members in row.runs.values() for run in members)
        identifiers = " ".join(run.path.stem.rpartition("-")[2] for run in runs)
        for column, e in row.estimates.items():
            ends = (f"{value:.4f}" for value in (e.mean, e.low, e.high))
            writer.writerow([*row.place, column, *ends, e.seeds, e.examples, identifiers])
    return out.getvalue()
