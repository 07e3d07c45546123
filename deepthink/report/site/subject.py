"""Everything that the page holds of one model on one scale, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from deepthink.report import chance
from deepthink.report.layouts import TASKS
from deepthink.report.measurements import Subject
from deepthink.report.readings import VANILLA, Calibration, at
from deepthink.report.rivals import ANSWERS, Entry, standings
from deepthink.report.site import examples, head, pairs
from deepthink.report.site.examples import Shown
from deepthink.report.site.methods import Method, slug
from deepthink.report.site.pairs import Pairs
from deepthink.report.site.sources import Sources, commands
from deepthink.report.site.variants import METRICS, Variant, variant
from deepthink.report.statistics import Estimate
from deepthink.report.words import rounded

Number = tuple[float, float | None, float | None]
"""A mean and the ends of its interval, rounded to the digits that are shown."""


@dataclass(frozen=True)
class SubjectContent:
    """One model on one scale.

    tasks: those that have runs. chance: of each column the accuracy in per cent of guessing, and
    of always the most frequent label. variants: by key, see `_variant`. curves: by method and
    calibration, see `_curve`. less: by the keys of two variants, see `_comparison`. stated: the
    variants of which any two are compared. baselines: those that everything is compared with.
    examples: by method and task. missing: the methods without a run, and their commands.
    """

    key: str
    model: str
    scale: str
    tasks: tuple[str, ...]
    chance: list[tuple[float, float]]
    figures: list[head.Figure]
    variants: dict[str, dict[str, Any]]
    curves: dict[str, list[dict[str, Any] | None]]
    less: dict[str, list[list[Any] | None]]
    stated: list[str]
    baselines: list[str]
    costs: list[dict[str, Any]]
    examples: dict[str, Shown]
    missing: list[tuple[str, str]]


def content(
    subject: Subject,
    methods: Sequence[Method],
    calibrations: Mapping[str, Calibration | None],
    sources: Sources,
) -> SubjectContent:
    """The content of a subject. sources: is given every source that its numbers have."""
    raw = [variant(subject, [*TASKS], m, m.readings["own"], ("none", None)) for m in methods]
    tasks = tuple(
        task for at_, task in enumerate(TASKS) if any(each.parts[at_].runs for each in raw)
    )
    run = {method.key for method in methods if _was_run(subject, tasks, method)}
    found = [
        each
        for method in methods
        if method.key in run
        for reading in dict.fromkeys(method.readings.values())
        for calibration in calibrations.items()
        if (each := variant(subject, tasks, method, reading, calibration)).there
    ]
    compared = Pairs(found)
    return SubjectContent(
        key=slug(f"{subject.model} {subject.scale}"),
        model=subject.model,
        scale=str(subject.scale),
        tasks=tasks,
        chance=_chances(found, len(tasks)),
        figures=head.figures(compared),
        variants={each.key: _variant(each, sources) for each in found},
        curves=_curves(found, calibrations),
        less={
            f"{a.key} {b.key}": _comparison(comparison)
            for a, b, comparison in compared.every()
        },
        stated=[each.key for each in found if pairs.stated(each)],
        baselines=[each.key for each in found if pairs.baseline(each)],
        costs=_costs(subject),
        examples=_examples(found),
        missing=[
            (each.method.label, commands(each.parts)) for each in raw if each.method.key not in run
        ],
    )  # fmt: skip


def _was_run(subject: Subject, tasks: Sequence[str], method: Method) -> bool:
    """Whether a method has a number after t = 1, which it shares with plain learning."""
    readings = [r for r in method.readings.values() if r != VANILLA or not method.steps]
    return any(
        variant(subject, tasks, method, reading, ("none", None)).there for reading in readings
    )


def _chances(variants: Sequence[Variant], tasks: int) -> list[tuple[float, float]]:
    """See `chance` of `SubjectContent`."""
    alone = [chance.of_task(*(each.parts[place] for each in variants)) for place in range(tasks)]
    found = [levels for levels in alone if levels is not None]
    columns = [*found, *([chance.mean(found)] if tasks > 1 else [])]
    return [(rounded(each.chance or 0), rounded(each.majority)) for each in columns]


def _variant(each: Variant, sources: Sources) -> dict[str, Any]:
    """Lists with a value for each column: of every metric, draws, t and the source.

    n: draws, draws asked for, test examples, and whether no draw is missing.
    """
    columns = range(len(each.columns))
    values = {
        name: [_number(each.estimate(name, column), metric.digits) for column in columns]
        for name, metric in METRICS.items()
    }
    return {
        **{name: numbers for name, numbers in values.items() if any(numbers)},
        "n": [
            [cell.seeds, cell.wanted, cell.so_far.examples if cell.so_far else 0, cell.complete]
            for cell in each.cells
        ],
        "t": [each.steps(column) for column in columns],
        "source": [
            sources.add(parts, cell.draws) if cell.draws else None
            for parts, cell in zip(each.columns, each.cells, strict=True)
        ],
    }


def _number(estimate: Estimate | None, digits: int) -> Number | None:
    """An estimate as it is shown; None for one that is missing."""
    if estimate is None:
        return None
    low, high = (
        rounded(end, digits) if isfinite(end) else None for end in (estimate.low, estimate.high)
    )
    return rounded(estimate.mean, digits), low, high


def _curves(
    variants: Sequence[Variant], calibrations: Mapping[str, Calibration | None]
) -> dict[str, list[dict[str, Any] | None]]:
    """The curve over t of every method that has one, under every calibration."""
    first: dict[str, Variant] = {}
    for each in variants:
        if each.method.steps:
            first.setdefault(f"{each.method.key}|{each.calibration}", each)
    return {
        key: _curve(each, (each.calibration, calibrations[each.calibration]))
        for key, each in first.items()
    }


def _curve(of: Variant, calibration: tuple[str, Calibration | None]) -> list[dict[str, Any] | None]:
    """Of each column the scored t, and the numbers of every metric after each; None without runs.

    Only t that every run of the column has are there.
    """
    subject = of.parts[0].subject
    tasks = [part.setting.configs[0].task.name for part in of.parts]
    every = {run.steps for part in of.parts for (run,) in part.runs.values()}
    steps = sorted(set().union(*every))
    at_steps = [variant(subject, tasks, of.method, at(step), calibration) for step in steps]
    columns: list[dict[str, Any] | None] = []
    for column in range(len(of.columns)):
        there = [each for each in at_steps if each.cells[column].draws]
        most = max((each.cells[column].seeds for each in there), default=0)
        whole = [each for each in there if each.cells[column].seeds == most]
        numbers = {
            name: [_number(each.estimate(name, column), metric.digits) for each in whole]
            for name, metric in METRICS.items()
        }
        t = [each.reading.fixed for each in whole]
        known = {name: each for name, each in numbers.items() if any(each)}
        columns.append({"t": t, "n": most, **known} if whole else None)
    return columns


def _comparison(comparison: Any) -> list[list[Any] | None]:
    """Of each column: mean, low, high, corrected p, draws won and lost, draws; None if not run."""
    return [
        None
        if estimate is None
        else [
            *(_number(estimate, 1) or ()),
            None if p is None else float(f"{p:.2g}"),
            estimate.wins,
            estimate.losses,
            estimate.seeds,
        ]
        for estimate, p in zip(comparison.estimates, comparison.adjusted, strict=True)
    ]


def _costs(subject: Subject) -> list[dict[str, Any]]:
    """Every method with its accuracy and its price, as `report.rivals` has them."""
    of = standings(subject)
    return [_cost(entry, entry in of.front) for entry in of.entries]


def _cost(entry: Entry, front: bool) -> dict[str, Any]:
    price = entry.price
    return {
        "label": entry.line.label,
        "calibrated": entry.calibrated,
        "accuracy": _number(entry.estimate, 1),
        "n": entry.estimate.seeds,
        "operations": float(f"{price.of(ANSWERS):.4g}"),
        "before": float(f"{price.before:.4g}"),
        "query": float(f"{price.query:.4g}"),
        "front": front,
        "thinking": entry.line.label.startswith("Thinking"),
    }


def _examples(variants: Sequence[Variant]) -> dict[str, Shown]:
    """The first rows of one run of every method and task that has scores."""
    found = {}
    for each in variants:
        for part in each.parts:
            task = part.setting.configs[0].task.name
            key = f"{each.method.key}|{task}"
            if each.calibration == "none" and key not in found:
                shown = examples.of(part)
                if shown is not None and (each.method.steps or len(shown.steps) == 1):
                    found[key] = shown
    return found
