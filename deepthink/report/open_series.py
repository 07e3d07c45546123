"""The runs of one method on an open task, and their numbers over t beside plain learning's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from deepthink.config.job import Config
from deepthink.report import axes as named
from deepthink.report.axes import DRAW, UNRESOLVED, Axes
from deepthink.report.open_answers import change, questions
from deepthink.report.runs import Draw, Run
from deepthink.report.statistics import Estimate
from deepthink.store.open_points import OpenPoint

Key = tuple[tuple[str, Any], ...]
"""What the runs of a series have in common: their axes, without the draw."""

_ELSEWHERE = (*DRAW, *UNRESOLVED, "data_root", "pool.overlap", "model.hub_id", "model.revision")
"""Axes that tell no two methods apart: the draw, and where a job's model and rows came from."""


@dataclass(frozen=True)
class Series:
    """The runs of one method on a task, which differ in their draw alone.

    key: what they have in common. wanted: the draws that were asked for. runs: by draw. plain: by
    draw, a run whose t = 1 is the plain reading of the same demonstrations, written once.
    """

    key: Key
    wanted: tuple[Draw, ...]
    runs: Mapping[Draw, Run]
    plain: Mapping[Draw, Run]

    @property
    def task(self) -> str:
        """The task's name."""
        return str(dict(self.key)["task"])

    @property
    def steps(self) -> list[int]:
        """The scored t; [1] without thinking, and without a run."""
        first = next(iter(self.runs.values()), None)
        if first is None or dict(self.key)["method.iterations"] == 1:
            return [1]
        return [point.step for point in first.record.open]

    def is_plain(self, step: int) -> bool:
        """Whether this is plain learning itself, to which all else is compared."""
        return step == 1 and _once(self.key)

    def number(self, name: str, step: int) -> float | None:
        """The mean over draws of a number of the points at t = step; None if a draw lacks it."""
        found = [_number(_point(run, step), name) for run in self.runs.values()]
        known = [value for value in found if value is not None]
        return mean(known) if known and len(known) == len(found) else None

    def change(self, name: str, step: int) -> Estimate | None:
        """How much higher a number is than in plain learning; None where no questions are paired.

        name: "log_p", "final_log_p", "strict" or "flexible".
        """
        draws = []
        for draw, run in self.runs.items():
            plain = self.plain.get(draw)
            if plain is None or plain.examples != run.examples:
                return None
            ours, theirs = (_of_questions(each, name) for each in (run, plain))
            if step not in ours or 1 not in theirs:
                return None
            draws.append({1: theirs[1], 0: ours[step]})
        return change(draws, 0) if draws else None


def series(
    runs: Sequence[Run], asked: Sequence[tuple[Config, Sequence[Draw]]] = ()
) -> list[Series]:
    """The series of runs of open tasks, by one model and on one scale.

    asked: jobs that an experiment asks for, with their draws. Their series come first, and are
        there without a run too.
    """
    wanted: dict[Key, dict[Draw, None]] = {}
    for config, draws in asked:
        wanted.setdefault(_key(named.of_config(config)), {}).update(dict.fromkeys(draws))
    found: dict[Key, dict[Draw, Run]] = {}
    for run in runs:
        key = _key(named.of_record(run.record, run.path.parent.name))
        other = found.setdefault(key, {}).get(run.draw)
        if other is None or not _written(other):  # answers of the same job are no other numbers
            found[key][run.draw] = run
    plain = {
        (_without_method(key), draw): run
        for key, by_draw in found.items()
        if _once(key)
        for draw, run in by_draw.items()
    }
    made = []
    for key in dict.fromkeys((*wanted, *found)):
        by_draw = found.get(key, {})
        draws = (*wanted.get(key, by_draw),)
        read = {d: plain[place] for d in draws if (place := (_without_method(key), d)) in plain}
        if dict(key)["method.iterations"] == 1 and _once(key):
            by_draw = {**read, **by_draw}  # plain learning is t = 1 of a job that went on to think
        taken = {draw: by_draw[draw] for draw in draws if draw in by_draw}
        made.append(Series(key, draws, taken, read))
    return made


def _key(axes: Axes) -> Key:
    """How answers are written is left out: it changes no likelihood."""
    kept = {
        name: value
        for name, value in axes.items()
        if name not in _ELSEWHERE and (name == "task.open.final" or "task.open" not in name)
    }
    return tuple(sorted(kept.items()))


def _without_method(key: Key) -> Key:
    """What plain readings of the same demonstrations have in common."""
    return tuple(
        (name, value)
        for name, value in key
        if not name.startswith("method") or name.startswith("method.selector")
    )


def _written(run: Run) -> bool:
    return any(point.metrics for point in run.record.open)


def _once(key: Key) -> bool:
    """Whether demonstrations and queries are written once, and read as one."""
    values = dict(key)
    written = [values[f"method.{name}"] for name in ("copies", "groups", "query")]
    return written == [1, 1, "once"]


def _point(run: Run, step: int) -> OpenPoint:
    return next(point for point in run.record.open if point.step == step)


def _number(point: OpenPoint, name: str) -> float | None:
    if name in ("log_p", "final_log_p"):
        value: float | None = getattr(point, name)
        return value
    return (point.metrics or {}).get(name)


def _of_questions(run: Run, name: str) -> Mapping[int, Any]:
    """The numbers of the questions by t; empty if the file of scores is missing."""
    if (found := questions(run)) is None:
        return {}
    of = {"log_p": found.log_p, "final_log_p": found.final, **found.correct}
    return of.get(name, {})
