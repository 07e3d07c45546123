"""The rule by which a claim's numbers become a verdict.

"holds"     every part of the claim is significantly so
"in part"   some parts are, or parts are missing, or only the average over tasks is
"not here"  no part is
"not run"   there is nothing to judge by

Significance is at the 95 % level after Holm's correction over all tests of the claim: its tasks and
their average, under every reading and setting that it names. Evidence names what is significantly
the other way. The rule cannot say "false", because an interval that contains zero may be wide; the
interval is printed beside the verdict.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from deepthink.report import statistics
from deepthink.report.comparisons import Comparison
from deepthink.report.layouts import TASKS
from deepthink.report.statistics import LEVEL, Estimate
from deepthink.report.words import difference, number

HOLDS, PART, NOT, NOT_RUN = "holds", "in part", "not here", "not run"

Judged = tuple[str, str]
"""A verdict and its evidence, which is empty if nothing was run."""


def all_of(states: Sequence[bool], expected: int | None = None) -> str:
    """The verdict on a claim of several parts.

    expected: the number of parts that the claim has; None takes those that there are.

    >>> all_of([True, True]), all_of([True, True], 3), all_of([False]), all_of([])
    ('holds', 'in part', 'not here', 'not run')
    """
    if not states:
        return NOT_RUN
    if all(states) and len(states) == (expected or len(states)):
        return HOLDS
    return PART if any(states) else NOT


def judge(parts: Iterable[tuple[str, Comparison]], expected: int = 1) -> Judged:
    """Judge the claim that the first method of each comparison is ahead on every task.

    Each comparison has a name, which is empty if there is only one. expected: how many comparisons
    the claim has.
    """
    names, comparisons = zip(*parts, strict=True)
    judged = [_judge_tasks(comparison) for comparison in corrected(comparisons)]
    ran = [verdict for verdict, _ in judged if verdict != NOT_RUN]
    evidence = ". ".join(
        f"{name}: {text}" if name else text
        for name, (_, text) in zip(names, judged, strict=True)
        if text
    )
    if not ran:
        return NOT_RUN, evidence
    if len(set(ran)) == 1 and (ran[0] != HOLDS or len(ran) == expected):
        return ran[0], evidence
    return PART if set(ran) != {NOT} else NOT, evidence


def corrected(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons with p corrected over all their tasks and averages together.

    What was not tested counts as a test that is undecided.
    """
    raw = [None if e is None else e.p for each in comparisons for e in each.estimates]
    adjusted = iter(statistics.holm([1.0 if p is None else p for p in raw]))
    return [
        replace(
            each,
            adjusted=tuple(
                None if e is None or e.p is None else p
                for e, p in zip(each.estimates, adjusted, strict=False)
            ),
        )
        for each in comparisons
    ]


def _judge_tasks(comparison: Comparison) -> Judged:
    """Judge one comparison: on which tasks the first is ahead, behind, undecided or untested."""
    parts = {
        task: estimate
        for task, estimate in zip(comparison.tasks, comparison.estimates, strict=True)
        if estimate is not None and task != "average"
    }
    tested = [
        task
        for task, p in zip(comparison.tasks, comparison.adjusted, strict=True)
        if p is not None and task != "average"
    ]
    evidence = []
    if (average := comparison.average) is not None and len(comparison.tasks) > 1:
        evidence.append(f"on average {difference(average)}")
    for words, sign, is_tested in (
        ("significantly ahead", 1, True),
        ("significantly behind", -1, True),
        ("undecided", 0, True),
        ("too few draws to test", 0, False),
    ):
        names = [
            f"{TASKS[task]} {number(e.mean, signed=True)}"
            for task, e in parts.items()
            if comparison.ahead(task) == sign and (task in tested) == is_tested
        ]
        if names:
            evidence.append(f"{words} on {', '.join(names)}")
    missing = [TASKS[task] for task in TASKS if task not in parts]
    if parts and missing:
        evidence.append(f"not run on {', '.join(missing)}")
    states = [comparison.ahead(task) > 0 for task in tested]
    verdict = all_of(states, len(set(comparison.tasks) - {"average"}))
    if verdict == NOT and len(comparison.tasks) > 1 and comparison.ahead("average") > 0:
        verdict = PART
    return verdict, "; ".join(evidence)


def judge_gains(gains: Mapping[str, Estimate], expected: int | None = None) -> Judged:
    """Judge the claim that every difference is above zero. The keys name the differences.

    expected: how many differences the claim has; None takes those that there are.
    """
    signs = dict(zip(gains, significant_signs(gains.values()), strict=True))
    evidence = [f"{name} {difference(gain)}" for name, gain in gains.items()]
    if negative := [name for name, sign in signs.items() if sign < 0]:
        evidence.append(f"significantly the other way: {', '.join(negative)}")
    return all_of([sign > 0 for sign in signs.values()], expected), "; ".join(evidence)


def significant_signs(estimates: Iterable[Estimate]) -> list[int]:
    """1 or -1 for differences that are significant after correction over all of them, else 0."""
    differences = list(estimates)
    adjusted = statistics.holm([1.0 if e.p is None else e.p for e in differences])
    return [
        0 if p >= 1 - LEVEL else 1 if e.mean > 0 else -1
        for e, p in zip(differences, adjusted, strict=True)
    ]
