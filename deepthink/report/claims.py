"""Each claim of the paper, and two questions of our own, against what was measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

from deepthink.report import comparisons, experiments, sensitivity_claims, statistics
from deepthink.report.comparisons import contrast
from deepthink.report.layouts import RULES, SUITES, TASKS
from deepthink.report.measurements import (
    BY_DEV,
    FIVE,
    VANILLA,
    Measured,
    Reading,
    measure,
    percent,
    scales_of,
    shared,
    sizes,
)
from deepthink.report.runs import Runs, Scale
from deepthink.report.statistics import Estimate
from deepthink.report.tables import categories
from deepthink.report.verdicts import HOLDS, NOT_RUN, PART, Judged, judge, judge_gains


@dataclass(frozen=True)
class Verdict:
    """What became of a claim. `where`: its place in the paper, empty for our own questions."""

    claim: str
    where: str
    verdict: str
    evidence: str


def verdicts(runs: Runs, model: str) -> list[Verdict]:
    """Every claim for one model, once: by the largest scale that can tell, the others beside it."""
    found = []
    for claim, where, experiment, judge_claim in CLAIMS:
        scales = scales_of(runs, experiments.settings(experiment), model)
        judged = [(scale, *judge_claim(runs, model, scale)) for scale in scales]
        told = [one for one in judged if one[2]]
        found.append(Verdict(claim, where, *_joined(told)))
    return found


def _joined(judged: Sequence[tuple[Scale, str, str]]) -> Judged:
    """The verdict of the first scale that has one; the evidence of all, each with its verdict."""
    if not judged:
        return NOT_RUN, ""
    first, *others = sorted(judged, key=lambda one: one[1] == NOT_RUN)
    _, verdict, evidence = first
    if others:
        beside = (f"{scale}: **{verdict}**, {told}" for scale, verdict, told in others)
        evidence = "<br>".join([f"{first[0]}: {evidence}", *beside])
    return verdict, evidence


def _vanilla(reading: Reading) -> Callable[[Runs, str, Scale], Judged]:
    def judge_(runs: Runs, model: str, scale: Scale) -> Judged:
        return judge([("", comparisons.thinking(runs, model, scale, reading)["vanilla"])])

    return judge_


def _repetition(runs: Runs, model: str, scale: Scale) -> Judged:
    return judge(
        (
            (reading.name, comparisons.thinking(runs, model, scale, reading)["repetition"])
            for reading in comparisons.TESTED
        ),
        len(comparisons.TESTED),
    )


def _selectors(runs: Runs, model: str, scale: Scale) -> Judged:
    found = comparisons.thinking(runs, model, scale, FIVE)
    averages = {label: found[label].average for label in RULES.values()}
    gains = {label: average for label, average in averages.items() if average is not None}
    verdict, told = judge_gains(gains, len(RULES))
    return verdict, f"average over tasks: {told}" if told else ""


def _dev(runs: Runs, model: str, scale: Scale) -> Judged:
    def read(method: str, reading: Reading) -> list[Measured]:
        return [
            measure(
                runs,
                experiments.setting("table1", method=method, task=task),
                model,
                scale,
                reading,
            )
            for task in TASKS
        ]

    thought = read("deepthink_dev", BY_DEV)
    best, lens = (read(method, VANILLA) for method in ("best_random", "lens"))
    return judge(
        (
            ("against Random ♣", contrast("", thought, best, tested=True)),
            ("against LENS", contrast("", thought, lens, tested=True, paired=False)),
        ),
        2,
    )


def _suites(runs: Runs, model: str, scale: Scale) -> Judged:
    gains = {
        name: _gain(runs, model, scale, experiments.setting("table3", task=suite))
        for suite, name in SUITES.items()
    }
    found = {name: gain for name, gain in gains.items() if gain is not None}
    return judge_gains(found, len(SUITES))


def _gain(
    runs: Runs, model: str, scale: Scale, setting: experiments.Setting, members: Sequence[int] = ()
) -> Estimate | None:
    """How much t = 5 is ahead of t = 1, over all questions of a suite's members."""
    late, early = (measure(runs, setting, model, scale, reading) for reading in (FIVE, VANILLA))
    if not (draws := shared(late, early)):
        return None
    chosen = members or range(len(setting.configs))
    first, second = ([part.of_draws(draws)[i] for i in chosen] for part in (late, early))
    weights = [sizes(setting)[i] for i in chosen]
    return percent(statistics.average_difference(first, second, weights=weights))


def _categories(runs: Runs, model: str, scale: Scale) -> Judged:
    (setting,) = experiments.settings("figure3")
    found = {
        category: _gain(runs, model, scale, setting, members)
        for category, members in categories(setting).items()
    }
    gains = {c: e for c, e in found.items() if e is not None}
    if not gains:
        return NOT_RUN, ""
    most = max(gains, key=lambda c: gains[c].mean)
    verdict, told = judge_gains(gains)
    if verdict == HOLDS and most != "STEM":
        verdict = PART
    return verdict, f"{told}; most in {most}"


def _aligned(runs: Runs, model: str, scale: Scale) -> Judged:
    places = list(product(comparisons.STEP_SIZES, (FIVE, comparisons.LAST, BY_DEV)))
    return judge(
        (
            (
                f"η = {size}, {reading.name}",
                comparisons.positions(runs, model, scale, size, reading)[0],
            )
            for size, reading in places
        ),
        len(places),
    )


CLAIMS: tuple[tuple[str, str, str, Callable[[Runs, str, Scale], Judged]], ...] = (
    (
        "Thinking beats vanilla on the same demonstrations, t = 5",
        "Tables 1, 2",
        "table1",
        _vanilla(FIVE),
    ),
    ("Thinking beats vanilla, t ≤ 15 by dev", "§4.3, Table 2", "table1", _vanilla(BY_DEV)),
    (
        "Thinking over random demonstrations beats every selection rule",
        "Table 1",
        "table1",
        _selectors,
    ),
    ("With a dev set, thinking beats the best random set and LENS", "Table 1 ♣", "table1", _dev),
    ("Thinking beats vanilla on MMLU and BBH", "Table 3", "table3", _suites),
    ("It gains in every MMLU category, most in STEM", "Figure 3", "figure3", _categories),
    (
        "It is ahead with any number of demonstrations",
        "Figure 4",
        "figure4",
        sensitivity_claims.any_count,
    ),
    (
        "Vanilla and thinking gain from more demonstrations",
        "Figure 4",
        "figure4",
        sensitivity_claims.more_demonstrations,
    ),
    (
        "Thinking over two demonstrations beats vanilla with sixteen",
        "§4.6",
        "figure4",
        sensitivity_claims.fewer_demonstrations,
    ),
    (
        "It varies less between draws, however many demonstrations",
        "Figure 4",
        "figure4",
        sensitivity_claims.steadier_at_any_count,
    ),
    (
        "It varies less between draws of eight",
        "Figure 5",
        "figure5_seeds",
        sensitivity_claims.steadier("figure5_seeds", comparisons.TESTED),
    ),
    (
        "It varies less between their orders",
        "Figure 5",
        "figure5_orders",
        sensitivity_claims.steadier("figure5_orders", (FIVE,)),
    ),
    (
        "η = 0.01 is the best balance of three step sizes",
        "Figure 6",
        "figure6",
        sensitivity_claims.best_step_size,
    ),
    (
        "A larger η needs fewer iterations",
        "Figure 6",
        "figure6",
        sensitivity_claims.fewer_iterations,
    ),
    ("Dev and test agree over t", "Figure 6", "figure6", sensitivity_claims.dev_and_test),
    ("Thinking is more than repeating the demonstrations", "", "repetition", _repetition),
    ("Aligned positions are better than continued ones", "", "positions", _aligned),
)
"""Claim, its place in the paper, the experiment that tests it, and how it is judged."""
