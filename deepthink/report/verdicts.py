"""By what rule a claim's numbers become a verdict.

"holds" where every part of the claim is significantly so (95 %, Holm's correction over all tests of
the claim: its tasks and their average, under every reading and setting it speaks of), "in part"
where some are, or parts are missing, "not here" where none is, "not run" where there is nothing to
judge by. What is significantly the other way is told. The rule cannot say "false": an interval that
holds zero may be wide, and is printed beside.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

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


def judge(parts: Iterable[tuple[str, Contrast]], asked: int = 1) -> Judged:
    """The first of each comparison is ahead on every task.

    Each comparison has a name, empty where there is one only. asked: how many there should be.
    """
    names, contrasts = zip(*parts, strict=True)
    judged = [_one(found) for found in corrected(contrasts)]
    ran = [verdict for verdict, _ in judged if verdict != NOT_RUN]
    told = ". ".join(
        f"{name}: {evidence}" if name else evidence
        for name, (_, evidence) in zip(names, judged, strict=True)
        if evidence
    )
    if not ran:
        return NOT_RUN, told
    if len(set(ran)) == 1 and (ran[0] != HOLDS or len(ran) == asked):
        return ran[0], told
    return PART if set(ran) != {NOT} else NOT, told


def corrected(contrasts: Sequence[Contrast]) -> list[Contrast]:
    """The same with p corrected over all their tasks and averages; what was not tested counts."""
    raw = [None if e is None else e.p for found in contrasts for e in found.estimates]
    adjusted = iter(statistics.holm([1.0 if p is None else p for p in raw]))
    return [
        replace(
            found,
            adjusted=tuple(
                None if e is None or e.p is None else p
                for e, p in zip(found.estimates, adjusted, strict=False)
            ),
        )
        for found in contrasts
    ]


def _one(found: Contrast) -> Judged:
    """Where the first is ahead, where behind, where neither is known."""
    parts = {
        task: estimate
        for task, estimate in zip(found.tasks, found.estimates, strict=True)
        if estimate is not None and task != "average"
    }
    known = [
        task
        for task, p in zip(found.tasks, found.adjusted, strict=True)
        if p is not None and task != "average"
    ]
    told = []
    if (average := found.estimates[-1]) is not None and len(found.tasks) > 1:
        told.append(f"on average {compared(average)}")
    for word, sign, tested in (
        ("significantly ahead", 1, True),
        ("significantly behind", -1, True),
        ("undecided", 0, True),
        ("too few draws to test", 0, False),
    ):
        names = [
            f"{TASKS[task]} {number(e.mean, signed=True)}"
            for task, e in parts.items()
            if found.ahead(task) == sign and (task in known) == tested
        ]
        if names:
            told.append(f"{word} on {', '.join(names)}")
    missing = [TASKS[task] for task in TASKS if task not in parts]
    if parts and missing:
        told.append(f"not run on {', '.join(missing)}")
    states = [found.ahead(task) > 0 for task in known]
    verdict = all_of(states, len(set(found.tasks) - {"average"}))
    if verdict == NOT and len(found.tasks) > 1 and found.ahead("average") > 0:
        verdict = PART
    return verdict, "; ".join(told)


def judge_gains(gains: Mapping[str, Estimate], asked: int | None = None) -> Judged:
    """Every difference, by name, is above zero. asked: how many there should be."""
    signs = dict(zip(gains, surely(gains.values()), strict=True))
    told = [f"{name} {compared(gain)}" for name, gain in gains.items()]
    if reversed_ := [name for name, sign in signs.items() if sign < 0]:
        told.append(f"significantly the other way: {', '.join(reversed_)}")
    return all_of([sign > 0 for sign in signs.values()], asked), "; ".join(told)


def surely(estimates: Iterable[Estimate]) -> list[int]:
    """1 or -1 for differences that are significant after correction over all of them, else 0."""
    found = list(estimates)
    adjusted = statistics.holm([1.0 if e.p is None else e.p for e in found])
    return [
        0 if p >= 1 - LEVEL else 1 if e.mean > 0 else -1
        for e, p in zip(found, adjusted, strict=True)
    ]
