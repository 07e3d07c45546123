"""By what rule a claim's numbers become a verdict.

"holds" where every part of the claim is significantly so (95 %, Holm's correction over the parts),
"in part" where some are, or the average over tasks alone is, or tasks are missing, "not here" where
none is, "not run" where there is nothing to judge by. The rule cannot say "false": an interval that
holds zero may be wide, and is printed beside.
"""

from collections.abc import Iterable, Sequence

from deepthink.report import statistics
from deepthink.report.comparisons import Contrast
from deepthink.report.layouts import TASKS
from deepthink.report.statistics import LEVEL, Estimate
from deepthink.report.words import compared, number

HOLDS, PART, NOT, NOT_RUN = "holds", "in part", "not here", "not run"

Judged = tuple[str, str]
"""A verdict and the evidence for it; no evidence: not run."""


def all_of(states: Sequence[bool], asked: int | None = None) -> str:
    """The verdict on a claim of several parts. asked: how many there should be."""
    if not states:
        return NOT_RUN
    if all(states) and len(states) == (asked or len(states)):
        return HOLDS
    return PART if any(states) else NOT


def judge_contrast(found: Contrast) -> Judged:
    """The first is ahead on every task, or in part; losses that are significant are told."""
    parts = [
        (task, estimate)
        for task, estimate in zip(found.tasks, found.estimates, strict=True)
        if estimate is not None and task != "average"
    ]
    known = [
        t for t, p in zip(found.tasks, found.adjusted, strict=True) if p is not None and t in TASKS
    ]
    states = [found.ahead(task) > 0 for task in known]
    told = []
    if (average := found.estimates[-1]) is not None and len(found.tasks) > 1:
        told.append(f"on average {compared(average)}")
    for word, sign in (("ahead", 1), ("behind", -1)):
        names = [
            f"{TASKS[t]} {number(e.mean, signed=True)}" for t, e in parts if found.ahead(t) == sign
        ]
        if names:
            told.append(f"significantly {word} on {', '.join(names)}")
    for word, tested in (("undecided", True), ("too few draws to test", False)):
        even = [
            f"{TASKS[t]} {number(e.mean, signed=True)}"
            for t, e in parts
            if not found.ahead(t) and (t in known) == tested
        ]
        if even:
            told.append(f"{word} on {', '.join(even)}")
    missing = [TASKS[t] for t in TASKS if t not in [task for task, _ in parts]]
    if parts and missing:
        told.append(f"not run on {', '.join(missing)}")
    verdict = all_of(states, len(set(found.tasks) - {"average"}))
    if verdict == NOT and len(found.tasks) > 1 and found.ahead("average") > 0:
        verdict = PART
    return verdict, "; ".join(told)


def combined(parts: Iterable[tuple[str, Contrast]], asked: int) -> Judged:
    """The verdict on several comparisons, each with a name. asked: how many there should be."""
    judged = [(name, judge_contrast(found)) for name, found in parts]
    ran = [verdict for _, (verdict, _) in judged if verdict != NOT_RUN]
    told = ". ".join(f"{name}: {evidence}" for name, (_, evidence) in judged if evidence)
    if not ran:
        return NOT_RUN, told
    if len(set(ran)) == 1 and (ran[0] != HOLDS or len(ran) == asked):
        return ran[0], told
    return PART, told


def surely_above(estimates: Iterable[Estimate]) -> list[bool]:
    """Which differences are above zero, significantly so after correction over all of them."""
    found = list(estimates)
    adjusted = statistics.holm([1.0 if e.p is None else e.p for e in found])
    return [e.mean > 0 and p < 1 - LEVEL for e, p in zip(found, adjusted, strict=True)]
