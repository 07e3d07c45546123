"""The rule by which a claim's numbers become a verdict.

"holds"     every part of the claim is significantly so
"in part"   some parts are, or parts are missing, or only the average over tasks is
"not here"  no part is
"not run"   there is nothing to judge by: no run, or too few draws to test

Significance is at the 95 % level after Holm's correction. A comparison that a table of the page
shows has one p, that of the table: see `comparisons.question`. Other differences are corrected over
all differences of their claim. Evidence names what is significantly the other way. The rule cannot
say "false", because an interval that contains zero may be wide; the interval is printed beside the
verdict.

A claim may hold thinking against something other than vanilla on the same demonstrations, such as
vanilla with more demonstrations, or a selection rule. If that is worse than vanilla, thinking is
ahead of it without having gained anything. Such a part counts only if thinking is significantly
ahead of vanilla on the same demonstrations as well; see `is_credit`.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from deepthink.report import statistics
from deepthink.report.comparisons import Comparison
from deepthink.report.layouts import TASKS
from deepthink.report.statistics import LEVEL, Estimate
from deepthink.report.words import difference, number

HOLDS, PART, NOT, NOT_RUN = "holds", "in part", "not here", "not run"

Judged = tuple[str, str]
"""A verdict and its evidence, which is empty if nothing was run."""


@dataclass(frozen=True)
class Gain:
    """A difference that a claim says is above zero.

    sign: 1 or -1 where it is significant after correction, 0 where it is not, None where nothing
        is tested.
    """

    estimate: Estimate
    sign: int | None


Gains = Mapping[str, Gain]
"""Differences by what they are of, such as a task."""
OverVanilla = Mapping[str, tuple[str, Gain]]
"""By the names of some gains: what is held against vanilla on the same demonstrations, such as a
setting, and how far it is ahead."""


def is_credit(sign: int, over_vanilla: int | None) -> bool:
    """Whether a part of a claim is a gain of thinking.

    sign: that of the difference which the part claims. over_vanilla: that of the difference from
    vanilla on the same demonstrations; None where the claim is about just this difference.

    >>> is_credit(1, None), is_credit(1, 1), is_credit(1, 0), is_credit(0, 1)
    (True, True, False, False)
    """
    return sign > 0 and over_vanilla in (None, 1)


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


def judge(
    parts: Iterable[tuple[str, Comparison]],
    expected: int = 1,
    over_vanilla: Sequence[Comparison] = (),
) -> Judged:
    """Judge the claim that the first method of each comparison is ahead on every task.

    Each comparison has a name, which is empty if there is only one. expected: how many comparisons
    the claim has. over_vanilla: for each of them the first method less vanilla on the same
    demonstrations, where the second is not that; see `is_credit`.
    """
    names, comparisons = zip(*parts, strict=True)
    beside: Sequence[Comparison | None] = over_vanilla or [None] * len(comparisons)
    judged = [_judge_tasks(*pair) for pair in zip(comparisons, beside, strict=True)]
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


def _judge_tasks(comparison: Comparison, over_vanilla: Comparison | None) -> Judged:
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
    evidence = _evidence(comparison, parts, tested)
    if parts and over_vanilla is not None and any(over_vanilla.estimates):
        evidence.append(f"less vanilla on the same demonstrations: {_ahead_on(over_vanilla)}")

    def counts(task: str) -> bool:
        beside = None if over_vanilla is None else over_vanilla.ahead(task)
        return is_credit(comparison.ahead(task), beside)

    verdict = all_of([counts(task) for task in tested], len(set(comparison.tasks) - {"average"}))
    if verdict == NOT and len(comparison.tasks) > 1 and counts("average"):
        verdict = PART
    return verdict, "; ".join(evidence)


def _evidence(
    comparison: Comparison, parts: Mapping[str, Estimate], tested: Sequence[str]
) -> list[str]:
    """What a comparison found, in words. parts: its tasks that were run."""
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
    return evidence


def _ahead_on(comparison: Comparison) -> str:
    """The average of a comparison, and the tasks on which its first method is ahead."""
    ahead = [TASKS[t] for t in comparison.tasks if t != "average" and comparison.ahead(t) > 0]
    average = "" if comparison.average is None else f"{difference(comparison.average)} on average, "
    return f"{average}significantly ahead on {', '.join(ahead) if ahead else 'no task'}"


def tested(estimates: Mapping[str, Estimate | None]) -> dict[str, Gain]:
    """The differences that there are, corrected by Holm's method over all of them."""
    there = {name: estimate for name, estimate in estimates.items() if estimate is not None}
    signs = significant_signs(there.values())
    return {
        name: Gain(e, None if e.p is None else sign)
        for (name, e), sign in zip(there.items(), signs, strict=True)
    }


def significant_signs(estimates: Iterable[Estimate]) -> list[int]:
    """1 or -1 for differences that are significant after correction over all of them, else 0."""
    differences = list(estimates)
    adjusted = statistics.holm([1.0 if e.p is None else e.p for e in differences])
    return [
        0 if p >= 1 - LEVEL else 1 if e.mean > 0 else -1
        for e, p in zip(differences, adjusted, strict=True)
    ]


def averages(comparisons: Mapping[str, Comparison]) -> dict[str, Gain]:
    """The averages over tasks of comparisons, with the p that the page shows of each."""
    return {
        name: Gain(each.average, each.told(each.tasks[-1]))
        for name, each in comparisons.items()
        if each.average is not None
    }


def judge_gains(
    gains: Gains, expected: int | None = None, over_vanilla: OverVanilla | None = None
) -> Judged:
    """Judge the claim that every difference is above zero.

    expected: how many differences the claim has; None takes those that there are. over_vanilla: for
    each difference from something other than vanilla on the same demonstrations, how far the same
    is ahead of that; see `is_credit`. A part that it lacks does not count.
    """
    evidence = [f"{name} {difference(gain.estimate)}" for name, gain in gains.items()]
    if negative := [name for name, gain in gains.items() if gain.sign == -1]:
        evidence.append(f"significantly the other way: {', '.join(negative)}")
    if few := [name for name, gain in gains.items() if gain.sign is None]:
        evidence.append(
            "too few draws to test" + (f": {', '.join(few)}" if few != [*gains] else "")
        )
    signs = {name: gain.sign for name, gain in gains.items() if gain.sign is not None}
    if over_vanilla is None:
        verdict = all_of([is_credit(sign, None) for sign in signs.values()], expected)
        return verdict, "; ".join(evidence)
    known = {name: over_vanilla[name] for name in gains if name in over_vanilla}
    told = dict.fromkeys(f"{of} {difference(gain.estimate)}".strip() for of, gain in known.values())
    if told:
        evidence.append(f"less vanilla on the same demonstrations: {', '.join(told)}")
    states = [
        name in known and is_credit(sign, known[name][1].sign or 0) for name, sign in signs.items()
    ]
    return all_of(states, expected), "; ".join(evidence)
