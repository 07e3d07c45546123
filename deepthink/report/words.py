"""Numbers as words: fixed formats for tables and sentences."""

from deepthink.report.comparisons import Contrast
from deepthink.report.layouts import TASKS
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


def standing(found: Contrast, rival: str) -> str:
    """Ahead of or behind a rival, on average and by task, or not told apart from it."""
    words = {
        1: "significantly ahead",
        -1: "significantly behind",
        0: f"not told apart from {rival}",
    }
    tasks: dict[int, list[str]] = {1: [], -1: [], 0: []}
    for task, estimate in zip(found.tasks, found.estimates, strict=True):
        if estimate is not None and task != "average":
            tasks[found.ahead(task)].append(TASKS[task])
    told = []
    for sign, names in tasks.items():
        alone = not sign and len(names) == len(found.tasks) - 1
        places = [f"on {'any task by itself' if alone else ', '.join(names)}"] if names else []
        if found.average is not None and found.ahead("average") == sign:
            places.insert(0, f"on average ({compared(found.average)})")
        if places:
            told.append(f"{words[sign]} {' and '.join(places)}")
    return "; ".join(told) if told else "not run"
