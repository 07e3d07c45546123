"""The table of further methods: runs of rules, refinements and calibrations that no layout has."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from io import StringIO
from typing import Any

from deepthink.report import experiments
from deepthink.report.measurements import Subject, average, outcomes
from deepthink.report.method import Method
from deepthink.report.readings import BY_DEV, VANILLA, Reading, at
from deepthink.report.render import Grid
from deepthink.report.runs import Draw, Run, Runs, one_per_draw
from deepthink.report.statistics import Estimate
from deepthink.report.words import interval
from deepthink.store.identity import digest, family, identity

NAME, TITLE = "further", "Further methods"


def is_further(run: Run, names: frozenset[str]) -> bool:
    """Whether a run's rule, refinement or calibration is none that these experiments use.

    A rule counts by its name, a rule from a file outside this package always.
    """
    if experiments.asks_for(names, run):
        return False
    method = Method.of(run.record.identity)
    new_rule = method.rule.source or method.rule.name not in _rules(names)
    return bool(new_rule) or not method.iterates or method.calibrates


@lru_cache
def _rules(names: frozenset[str]) -> frozenset[str]:
    """The selection rules that these experiments use."""
    return frozenset(
        str(identity(config, "", "").selector["name"])
        for name in names
        for setting in experiments.settings(name)
        for config in setting.configs
    )


@dataclass(frozen=True)
class FurtherRow:
    """The runs of one further method on a task or suite, which differ in their draw alone.

    label: the method's name in the path of its records. iterations: T. runs: by draw, one run or
    one for each member of the suite. settings: the settings in which the rows of a subject and task
    differ, by name.
    """

    subject: Subject
    task: str
    label: str
    method: Method
    iterations: int
    runs: dict[Draw, tuple[Run, ...]]
    settings: Mapping[str, Any]

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

    @property
    def place(self) -> tuple[str, ...]:
        """The words that name the row."""
        method = (self.method.rule, self.method.refinement, self.method.calibration)
        known = {key: value for key, value in self.settings.items() if value is not None}
        settings = ", ".join(f"{key}={_shown(value)}" for key, value in known.items())
        words = (*map(str, method), str(self.iterations), settings)
        return self.subject.model, str(self.subject.scale), self.task, self.label, *words


_PLACE = (
    "model", "scale", "task", "label", "rule", "refinement", "calibration", "T", "settings",
)  # fmt: skip
_READINGS = ("t = 1", "t = T", "t by dev")


def every(runs: Runs, names: frozenset[str]) -> list[FurtherRow]:
    """One row for each further method, subject, task and T; see `is_further`."""
    alike: dict[tuple[Subject, str, int, str], list[Run]] = {}
    for run in runs.all:
        if is_further(run, names):
            subject = Subject(runs, run.model, run.scale)
            key = (subject, run.suite, run.iterations, digest(_family(run)))
            alike.setdefault(key, []).append(run)
    ordered = sorted(alike.items(), key=lambda item: _order(item[0][0], item[1][0]))
    settings = _differing({key: _family(members[0]) for key, members in ordered})
    return [_row(key[0], members, settings[key]) for key, members in ordered]


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


def _row(subject: Subject, runs: Sequence[Run], settings: Mapping[str, Any]) -> FurtherRow:
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
    first = runs[0]
    task = first.task if first.task == first.suite else f"{first.suite}, {len(members)} members"
    method = Method.of(first.record.identity)
    label = first.path.parent.name
    return FurtherRow(subject, task, label, method, first.iterations, complete, settings)


def _differing(
    families: Mapping[tuple[Subject, str, int, str], dict[str, Any]],
) -> dict[tuple[Subject, str, int, str], dict[str, Any]]:
    """Of each row, the settings in which the rows of its subject and task differ.

    The parts of the method are left out, since they have columns of their own.
    """
    flat = {key: dict(_flattened(family)) for key, family in families.items()}
    differing = {}
    for key, settings in flat.items():
        others = [other for place, other in flat.items() if place[:2] == key[:2]]
        names = sorted({name for other in others for name in other})
        differing[key] = {
            name: settings.get(name)
            for name in names
            if len({json.dumps(other.get(name)) for other in others}) > 1
        }
    return differing


def _flattened(family: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every setting of a family by its name, such as "prompt.seam"."""
    for name, value in family.items():
        if f"{prefix}{name}" in ("selector", "thinking.refinement", "calibration"):
            continue
        if isinstance(value, dict):
            yield from _flattened(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _shown(value: object) -> str:
    plain = isinstance(value, str) and value.isprintable()
    return str(value) if plain else json.dumps(value, ensure_ascii=False)


def grid(rows: Iterable[FurtherRow]) -> Grid:
    """The rows with their intervals and the number of draws."""
    lines = (
        (
            *row.place,
            *(interval(row.estimates.get(column)) for column in _READINGS),
            str(len(row.runs)),
        )
        for row in rows
    )
    return Grid((*_PLACE, *_READINGS, "n"), tuple(lines))


def long_form(rows: Iterable[FurtherRow]) -> str:
    """As CSV, one line for each row and reading, with the records behind it."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    numbers = ("reading", "accuracy", "low", "high", "draws", "examples", "records")
    writer.writerow([*_PLACE, *numbers])
    for row in rows:
        runs = (run for members in row.runs.values() for run in members)
        identifiers = " ".join(run.path.stem.rpartition("-")[2] for run in runs)
        for column, e in row.estimates.items():
            ends = (f"{value:.4f}" for value in (e.mean, e.low, e.high))
            writer.writerow([*row.place, column, *ends, e.seeds, e.examples, identifiers])
    return out.getvalue()
