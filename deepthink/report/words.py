"""Numbers as words: fixed formats for tables and sentences."""

from deepthink.report.statistics import Estimate

MISSING = "–"


def number(value: float | None, signed: bool = False) -> str:
    """One decimal, with a minus sign for eyes; a dash for what is missing."""
    if value is None:
        return MISSING
    text = f"{value:+.1f}" if signed else f"{value:.1f}"
    return ("0.0" if float(text) == 0 else text).replace("-", "−")


def interval(estimate: Estimate | None, signed: bool = False) -> str:
    """A mean with the ends of its interval."""
    if estimate is None:
        return MISSING
    ends = ", ".join(number(end, signed) for end in (estimate.low, estimate.high))
    return f"{number(estimate.mean, signed)} [{ends}]"


def compared(estimate: Estimate | None) -> str:
    """A difference with its interval, and how many seeds it rests on where they are several."""
    if estimate is None:
        return MISSING
    n = f" n={estimate.seeds}" if estimate.seeds > 1 else ""
    return interval(estimate, signed=True) + n


def probability(p: float | None) -> str:
    """A p-value in two digits."""
    if p is None:
        return ""
    return "p<.001" if p < 0.001 else f"p={p:.2g}".replace("0.", ".")
