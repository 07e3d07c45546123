"""Every comparison that is reported, as Markdown and as one CSV."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from deepthink.report import comparisons, options
from deepthink.report.comparisons import Comparison
from deepthink.report.layouts import STEP_SIZES, TASKS
from deepthink.report.measurements import Subject, subjects
from deepthink.report.readings import LAST, READINGS, Reading
from deepthink.report.render import Grid
from deepthink.report.render import markdown as as_markdown
from deepthink.report.runs import Runs
from deepthink.report.statistics import LEVEL, Estimate
from deepthink.report.words import MISSING, interval, number, probability

THINKING = "thinking less"


@dataclass(frozen=True)
class ComparisonRow:
    """A comparison and its place: the subject, the question it answers, and the reading of t."""

    subject: Subject
    question: str
    reading: Reading
    comparison: Comparison

    @property
    def measured(self) -> bool:
        """Whether there is any number."""
        return any(self.comparison.estimates)


def every(runs: Runs) -> Iterator[ComparisonRow]:
    """Thinking against its rivals, aligned against continued positions at each η, the options.

    Rows of other data or another model are left out if they have no number.
    """
    return (row for row in _every(runs) if row.measured or not row.subject.scale.other)


def _every(runs: Runs) -> Iterator[ComparisonRow]:
    for subject in subjects(runs, "table1"):
        for reading in READINGS:
            for comparison in comparisons.thinking(subject, reading).values():
                yield ComparisonRow(subject, THINKING, reading, comparison)
    for subject in subjects(runs, "positions"):
        for size in STEP_SIZES:
            for reading in (LAST, *READINGS):
                for comparison in comparisons.positions(subject, size, reading):
                    yield ComparisonRow(subject, f"positions, η = {size}", reading, comparison)
    of_options = (s for name in options.EXPERIMENTS for s in subjects(runs, name))
    for subject in dict.fromkeys(of_options):
        for reading in options.TESTED:
            for comparison in options.every(subject, reading):
                yield ComparisonRow(subject, options.QUESTION, reading, comparison)


def markdown(rows: Sequence[ComparisonRow], subject: Subject) -> Iterator[str]:
    """One table for each question and reading for which the subject has numbers."""
    tables: dict[tuple[str, Reading], list[Comparison]] = {}
    for row in rows:
        if row.subject == subject and row.measured:
            tables.setdefault((row.question, row.reading), []).append(row.comparison)
    for (question, reading), lines in tables.items():
        name = f"{reading.name} (upper bound)" if reading.upper_bound else reading.name
        thinking = question == THINKING
        heading = f"{name}: less" if thinking else f"{question.partition(', ')[2]}, {name}"
        cells = tuple((line.label, *map(_cell, line.estimates, line.adjusted)) for line in lines)
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


def long_form(rows: Sequence[ComparisonRow]) -> str:
    """As CSV, one line for each comparison and task; empty where nothing was run or tested."""
    lines = []
    for row in rows:
        comparison = row.comparison
        place = (row.subject.model, row.subject.scale, row.question, row.reading.name)
        for task, e, p in zip(
            comparison.tasks, comparison.estimates, comparison.adjusted, strict=True
        ):
            numbers: tuple[object, ...] = ("",) * (len(_COLUMNS) - len(place) - 2)
            if e is not None:
                ends = (f"{value:.4f}" for value in (e.mean, e.low, e.high))
                effect = "" if e.effect is None else f"{e.effect:.4f}"
                counts = ("" if n is None else str(n) for n in (e.wins, e.losses))
                tested = ("", "") if p is None else (f"{e.p:.3g}", f"{p:.3g}")
                numbers = (*ends, e.seeds, *counts, e.examples, effect, *tested)
            lines.append((*place, comparison.label, task, *numbers))
    return pd.DataFrame(lines, columns=_COLUMNS).to_csv(index=False, lineterminator="\n")
