"""The formats of numbers and names in tables and sentences."""

from collections.abc import Sequence
from pathlib import Path

from deepthink.report.chance import NAMES, Levels
from deepthink.report.comparisons import Comparison
from deepthink.report.layouts import TASKS
from deepthink.report.statistics import LEVEL, Estimate

MISSING = "–"
_STORED = 4
"""The decimals of a number in a CSV file."""


def rounded(value: float, digits: int = 1) -> float:
    """A value rounded from the four decimals that it has in a CSV file.

    Differences of accuracies are often a half of the last digit. Rounding them at once would
    show the error of the last bit, and the page would not agree with its CSV file.

    >>> rounded(-15.04999999999999), round(-15.04999999999999, 1)
    (-15.1, -15.0)
    """
    return round(round(value, max(digits, _STORED)), digits)


def number(value: float | None, signed: bool = False, digits: int = 1) -> str:
    """One decimal, or `digits`, and a typographic minus sign; a dash for None.

    >>> number(-2.04), number(2.04, signed=True), number(None)
    ('−2.0', '+2.0', '–')
    """
    if value is None:
        return MISSING
    value = rounded(value, digits)
    text = f"{value:+.{digits}f}" if signed else f"{value:.{digits}f}"
    return (f"{0:.{digits}f}" if float(text) == 0 else text).replace("-", "−")


def interval(estimate: Estimate | None, signed: bool = False) -> str:
    """A mean with the ends of its interval, such as "65.0 [58.1, 71.9]"; a dash for None."""
    if estimate is None:
        return MISSING
    ends = ", ".join(number(end, signed) for end in (estimate.low, estimate.high))
    return f"{number(estimate.mean, signed)} [{ends}]"


def bold(estimate: Estimate, p: float | None) -> str:
    """A difference with its interval in Markdown, bold where p is below .05."""
    mean, rest = interval(estimate, signed=True).split(" ", 1)
    return f"**{mean}** {rest}" if p is not None and p < 1 - LEVEL else f"{mean} {rest}"


def above_chance(counts: tuple[int, int] | None) -> str:
    """How many of several tasks are above chance, after a number; empty for None.

    >>> above_chance((4, 5))
    '; 4 of 5 tasks above chance'
    """
    return "" if counts is None else f"; {counts[0]} of {counts[1]} tasks above chance"


def level_rows(
    columns: Sequence[Levels | None], before: Sequence[str] = (), after: Sequence[str] = ()
) -> list[tuple[str, ...]]:
    """The rows "Chance" and "Majority" of a table; none if no column has levels.

    before: the cells between a row's name and its numbers. after: those behind them.
    """
    if not any(columns):
        return []
    return [
        (name, *before, *(number(getattr(each, field, None)) for each in columns), *after)
        for name, field in NAMES.items()
    ]


def spread(estimate: Estimate, signed: bool = False, digits: int = 1) -> str:
    """A mean with half the width of its interval, or with the ends where the mean is no middle.

    >>> spread(Estimate(65.0, 58.1, 71.9, 10, 100)), spread(Estimate(100.0, 96.3, 100.0, 1, 100))
    ('65.0 ± 6.9', '100.0 [96.3, 100.0]')
    """
    above, below = estimate.high - estimate.mean, estimate.mean - estimate.low
    if abs(above - below) > 1e-6:
        return interval(estimate, signed)
    return f"{number(estimate.mean, signed, digits)} ± {number(above, digits=digits)}"


def difference(estimate: Estimate | None) -> str:
    """A difference with its interval, and the number of seeds if there are several."""
    if estimate is None:
        return MISSING
    n = f" n={estimate.seeds}" if estimate.seeds > 1 else ""
    return interval(estimate, signed=True) + n


def printable(path: Path) -> str:
    """A path in one line of plain text, whatever its name is."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(path))


def probability(p: float | None) -> str:
    """A p-value in two digits, such as "p=.49"; empty for None."""
    if p is None:
        return ""
    return "p<.001" if p < 0.001 else f"p={p:.2g}".replace("0.", ".")


def standing(comparison: Comparison, rival: str) -> str:
    """Whether the first method is ahead of its rival or behind, on average and by task."""
    words = {
        1: "significantly ahead",
        -1: "significantly behind",
        0: f"not told apart from {rival}",
        None: f"untested against {rival} (too few draws)",
    }
    tasks: dict[int | None, list[str]] = {sign: [] for sign in words}
    for task, estimate in zip(comparison.tasks, comparison.estimates, strict=True):
        if estimate is not None and task != "average":
            tasks[comparison.told(task)].append(TASKS[task])
    parts = []
    for sign, names in tasks.items():
        none_alone = not sign and len(names) == len(comparison.tasks) - 1
        places = [f"on {'any task by itself' if none_alone else ', '.join(names)}"] if names else []
        if comparison.average is not None and comparison.told("average") == sign:
            places.insert(0, f"on average ({difference(comparison.average)})")
        if places:
            parts.append(f"{words[sign]} {' and '.join(places)}")
    return "; ".join(parts) if parts else "not run"
