"""Every comparison that is reported, as Markdown and as one CSV."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from deepthink.report import comparisons
from deepthink.report.comparisons import Contrast
from deepthink.report.layouts import TASKS
from deepthink.report.measurements import ORACLE, Reading
from deepthink.report.render import Grid
from deepthink.report.render import markdown as as_markdown
from deepthink.report.runs import Runs, Scale
from deepthink.report.statistics import LEVEL, Estimate
from deepthink.report.words import MISSING, interval, number, probability

THINKING = "thinking less"


@dataclass(frozen=True)
class Compared:
    """A contrast and where it stands: the question it belongs to, and how t was read."""

    model: str
    scale: Scale
    family: str
    reading: Reading
    contrast: Contrast


def every(runs: Runs) -> Iterator[Compared]:
    """Thinking against its rivals, then aligned against continued positions at each η.

    Of other data or another model only what has numbers.
    """
    return (one for one in _every(runs) if not one.scale.other or any(one.contrast.estimates))


def _every(runs: Runs) -> Iterator[Compared]:
    for model, scale in comparisons.subjects(runs, "table1"):
        for reading in comparisons.READINGS:
            for found in comparisons.thinking(runs, model, scale, reading).values():
                yield Compared(model, scale, THINKING, reading, found)
    for model, scale in comparisons.subjects(runs, "positions"):
        for size in comparisons.STEP_SIZES:
            for reading in (comparisons.LAST, *comparisons.READINGS):
                for found in comparisons.positions(runs, model, scale, size, reading):
                    yield Compared(model, scale, f"positions, η = {size}", reading, found)


def markdown(compared: Sequence[Compared], model: str, scale: Scale) -> Iterator[str]:
    """One table for each family and reading of a model and scale that has numbers."""
    tables: dict[tuple[str, Reading], list[Contrast]] = {}
    for one in compared:
        if (one.model, one.scale) == (model, scale) and any(one.contrast.estimates):
            tables.setdefault((one.family, one.reading), []).append(one.contrast)
    for (family, reading), rows in tables.items():
        read = f"{reading.name} (upper bound)" if reading is ORACLE else reading.name
        heading = f"{read}: less" if family == THINKING else f"{family.partition(', ')[2]}, {read}"
        cells = tuple((row.label, *map(_cell, row.estimates, row.adjusted)) for row in rows)
        yield as_markdown(Grid((heading, *TASKS.values(), "average"), cells)) + "\n"


def _cell(estimate: Estimate | None, p: float | None) -> str:
    """The difference, bold where it is significant, its interval, and what it rests on."""
    if estimate is None:
        return MISSING
    mean, rest = interval(estimate, signed=True).split(" ", 1)
    notes = []
    if estimate.wins is not None:
        notes.append(f"{estimate.wins}:{estimate.losses} of {estimate.seeds}")
    else:
        notes.append(f"n={estimate.seeds}")
    if estimate.effect is not None:
        notes.append(f"d {number(estimate.effect, signed=True)}")
    if p is not None:
        notes.append(probability(p))
        if p < 1 - LEVEL:
            mean = f"**{mean}**"
    return f"{mean} {rest}" + "".join(["<br>", ", ".join(notes)] if notes else [])


_COLUMNS = (
    "model", "scale", "family", "reading", "contrast", "task", "difference", "low", "high",
    "seeds", "wins", "losses", "examples", "effect", "p", "p_holm",
)  # fmt: skip


def long_form(compared: Sequence[Compared]) -> str:
    """As CSV, one line for each contrast and task; empty where it was not run or not tested."""
    rows = []
    for one in compared:
        place = (one.model, one.scale, one.family, one.reading.name, one.contrast.label)
        found = one.contrast
        for task, e, p in zip(found.tasks, found.estimates, found.adjusted, strict=True):
            numbers: tuple[object, ...] = ("",) * (len(_COLUMNS) - len(place) - 1)
            if e is not None:
                ends = (f"{value:.4f}" for value in (e.mean, e.low, e.high))
                effect = "" if e.effect is None else f"{e.effect:.4f}"
                counted = ("" if n is None else str(n) for n in (e.wins, e.losses))
                tested = ("", "") if p is None else (f"{e.p:.3g}", f"{p:.3g}")
                numbers = (*ends, e.seeds, *counted, e.examples, effect, *tested)
            rows.append((*place, task, *numbers))
    return pd.DataFrame(rows, columns=_COLUMNS).to_csv(index=False, lineterminator="\n")
