"""One setting against another, on the same rows of the same data."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from deepthink.errors import UserError
from deepthink.report import axes as named
from deepthink.report.axes import DRAW, Axes
from deepthink.report.closing import Closing, Entry, Label, blocks, build, draw_of
from deepthink.report.runs import Run

_TASK = ("task", "task.member")
_ROWS = ("test_size", "dev_size", "pool_size", "pool.overlap", "task.version", "data_root")
"""Axes that decide which rows of the data a job has."""


@dataclass(frozen=True)
class Side:
    """The runs on one side of a comparison, under the words that named them."""

    name: str
    runs: tuple[Run, ...]

    @property
    def axes(self) -> list[Axes]:
        """The axes of each run."""
        return [named.of_record(run.record, run.path.parent.name) for run in self.runs]


def table(runs: Sequence[Run]) -> Closing:
    """The table that a sweep over these runs would have ended with, plain readings first."""
    every = Side("", tuple(runs)).axes
    keys = ("model", "task", *named.distinguishing(every))

    def rank(pair: tuple[Run, Axes]) -> tuple[Any, ...]:
        axes = pair[1]
        thinks = axes["method.iterations"] > 1
        plain = axes["method"] != "vanilla"
        return thinks, plain, [_rank(axes.get(key)) for key in keys], draw_of(axes)

    ranked = sorted(zip(runs, every, strict=True), key=rank)
    return build([run for run, _ in ranked])


def _rank(value: Any) -> tuple[bool, float, str]:
    """An order of values of any kind: numbers by their size, then texts."""
    number = isinstance(value, int | float)
    return not number, float(value) if number else 0.0, "" if number else named.shown(value)


def compare(first: Side, second: Side) -> Closing:
    """The second side's setting beside that of the first, task by task and on average.

    A side is one setting with any number of draws and tasks; tasks that only one side has are left
    out. Two single runs of one setting are compared as they are, whatever their draws.

    Raises:
        UserError: a side has several settings, both are the same, they have no task or no draw in
            common, or their rows of the data are not the same. It says what differs.
    """
    for side in (first, second):
        _check_one(side)
    tasks = _common(first, second)
    sides = [
        [(r, a) for r, a in zip(side.runs, side.axes, strict=True) if a["task"] in tasks]
        for side in (first, second)
    ]
    every = [axes for pairs in sides for _, axes in pairs]
    draws = [{draw_of(axes) for _, axes in pairs} for pairs in sides]
    alone = len(draws[0]) == len(draws[1]) == 1
    names = f"{first.name} and {second.name}"
    keys = named.distinguishing(every, within=_TASK)
    if not keys and draws[0] == draws[1]:
        raise UserError(f"{names} are runs of one setting with the same draws")
    if not keys and not alone:
        raise UserError(f"{names} are runs of one setting, whose draws are averaged")
    if not alone and not draws[0] & draws[1]:
        raise UserError(f"{names} have no seed and order in common: run the same seeds of both")
    _check_rows(first, second, tasks)
    keys = keys or tuple(key for key in DRAW if len(named.values(every, key)) > 1)
    entries = [
        Entry(axes, _row(keys, pairs[0][1]), "", (0, 0) if alone else draw_of(axes), run)
        for pairs in sides
        for run, axes in pairs
    ]
    return Closing(keys, tuple(every), blocks(entries))


def _row(keys: Sequence[str], axes: Axes) -> Label:
    return tuple(axes.get(key) for key in keys)


def _check_one(side: Side) -> None:
    """UserError unless all runs are of one setting."""
    keys = named.distinguishing(side.axes, within=_TASK)
    if not keys:
        return
    settings = {tuple(axes.get(key) for key in keys) for axes in side.axes}
    values = [named.shown(value) for value in named.values(side.axes, keys[0])]
    raise UserError(
        f"{side.name} has {len(settings)} settings, which differ in {', '.join(keys)}: name one, "
        f"such as {keys[0]}={values[0]} ({keys[0]} is {', '.join(values[:6])})"
    )


def _common(first: Side, second: Side) -> set[str]:
    """The tasks that both sides have; UserError if there is none."""
    of = [[str(axes["task"]) for axes in side.axes] for side in (first, second)]
    if common := {*of[0]} & {*of[1]}:
        return common
    ours, theirs = (", ".join(sorted({*tasks})) for tasks in of)
    raise UserError(f"{first.name} is of {ours}, {second.name} of {theirs}: no task in common")


def _check_rows(first: Side, second: Side, tasks: Collection[str]) -> None:
    """UserError if a task's data or answers are not the same on both sides."""
    ours = {run.task: (run, axes) for run, axes in zip(first.runs, first.axes, strict=True)}
    for run, axes in zip(second.runs, second.axes, strict=True):
        if axes["task"] not in tasks or run.task not in ours:
            continue
        other, theirs = ours[run.task]
        if other.examples != run.examples:
            differ = [
                f"{key} is {named.shown(theirs.get(key))} and {named.shown(axes.get(key))}"
                for key in _ROWS
                if theirs.get(key) != axes.get(key)
            ]
            raise UserError(
                f"{first.name} and {second.name} are not on the same rows of {run.task}, so "
                f"nothing pairs them: {', '.join(differ) or 'the data itself differs'}"
            )
