"""The claims of the paper, and this study's own questions, judged by what was measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

from deepthink.report import authors, comparisons, experiments, rival_claims, statistics
from deepthink.report import sensitivity_claims as sensitivity
from deepthink.report.comparisons import compare
from deepthink.report.experiments import Setting
from deepthink.report.layouts import RULES, STEP_SIZES, SUITES, TASKS
from deepthink.report.measurements import Subject, percent, shared, sizes, subjects
from deepthink.report.readings import BY_DEV, FIVE, LAST, TESTED, VANILLA, Reading
from deepthink.report.runs import Runs, Scale
from deepthink.report.statistics import Estimate
from deepthink.report.tables import categories
from deepthink.report.verdicts import (
    HOLDS,
    NOT_RUN,
    PART,
    Judged,
    averages,
    judge,
    judge_gains,
    tested,
)


@dataclass(frozen=True)
class Claim:
    """A claim and how it is judged.

    where: its place in the paper, empty for a question of this study. experiment: the experiment
    that tests it. judge: the verdict for one subject.
    """

    text: str
    where: str
    experiment: str
    judge: Callable[[Subject], Judged]


@dataclass(frozen=True)
class Verdict:
    """The verdict on a claim for one model, with its evidence."""

    claim: str
    where: str
    verdict: str
    evidence: str


def verdicts(runs: Runs, model: str) -> list[Verdict]:
    """The verdict on every claim for one model.

    The largest scale that has a verdict gives it; those of other scales are part of the evidence.
    """
    judged_claims = []
    for claim in CLAIMS:
        judged = [
            (subject.scale, *claim.judge(subject))
            for subject in subjects(runs, claim.experiment, [model])
        ]
        with_evidence = [entry for entry in judged if entry[2]]
        judged_claims.append(Verdict(claim.text, claim.where, *_joined(with_evidence)))
    return judged_claims


def _joined(judged: Sequence[tuple[Scale, str, str]]) -> Judged:
    """The verdict of the first scale that has one; the evidence of all, each with its verdict."""
    if not judged:
        return NOT_RUN, ""
    first, *others = sorted(judged, key=lambda entry: entry[1] == NOT_RUN)
    scale, verdict, evidence = first
    if others:
        beside = (f"{other}: **{word}**, {text}" for other, word, text in others)
        evidence = "<br>".join([f"{scale}: {evidence}", *beside])
    return verdict, evidence


def _vanilla(reading: Reading) -> Callable[[Subject], Judged]:
    """The judge of the claim that thinking beats vanilla on every task."""

    def judge_vanilla(subject: Subject) -> Judged:
        return judge([("", comparisons.thinking(subject, reading)["vanilla"])])

    return judge_vanilla


def _repetition(subject: Subject) -> Judged:
    """Judge the claim that thinking beats repeated demonstrations on every task."""
    against = {reading.name: comparisons.thinking(subject, reading) for reading in TESTED}
    parts = [(name, of["repetition"]) for name, of in against.items()]
    return judge(parts, len(TESTED), [of["vanilla"] for of in against.values()])


def _selectors(subject: Subject) -> Judged:
    """Judge the claim that thinking is ahead of every selection rule on average over tasks."""
    against = comparisons.thinking(subject, FIVE)
    gains = averages({label: against[label] for label in RULES.values()})
    over = averages({"vanilla": against["vanilla"]})
    beside = {label: ("", over["vanilla"]) for label in RULES.values() if over}
    verdict, evidence = judge_gains(gains, len(RULES), beside)
    return verdict, f"average over tasks: {evidence}" if evidence else ""


def _dev(subject: Subject) -> Judged:
    """Judge the claim that thinking with dev labels beats selection with dev labels."""
    thought = subject.measure_tasks("table1", BY_DEV, TASKS, method="deepthink_dev")
    best, lens = (
        subject.measure_tasks("table1", VANILLA, TASKS, method=method)
        for method in ("best_random", "lens")
    )
    return judge(
        (
            ("against Random ♣", compare("", thought, best, tested=True)),
            ("against LENS", compare("", thought, lens, tested=True, paired=False)),
        ),
        2,
    )


def _suites(subject: Subject) -> Judged:
    """Judge the claim that t = 5 beats t = 1 on both suites."""
    gains = {
        name: _gain(subject, experiments.setting("table3", task=suite))
        for suite, name in SUITES.items()
    }
    return judge_gains(tested(gains), len(SUITES))


def _gain(subject: Subject, setting: Setting, members: Sequence[int] = ()) -> Estimate | None:
    """How far t = 5 is ahead of t = 1 over all questions of these members, or of all."""
    late, early = (subject.measure_setting(setting, reading) for reading in (FIVE, VANILLA))
    if not (draws := shared(late, early)):
        return None
    chosen = members or range(len(setting.configs))
    first, second = ([part.of_draws(draws)[i] for i in chosen] for part in (late, early))
    weights = [sizes(setting)[i] for i in chosen]
    return percent(statistics.average_difference(first, second, weights=weights))


def _categories(subject: Subject) -> Judged:
    """Judge the claim that t = 5 beats t = 1 in every MMLU category, and most in STEM."""
    (setting,) = experiments.settings("figure3")
    by_category = {
        category: _gain(subject, setting, members)
        for category, members in categories(setting).items()
    }
    gains = tested(by_category)
    if not gains:
        return NOT_RUN, ""
    most = max(gains, key=lambda category: gains[category].estimate.mean)
    verdict, evidence = judge_gains(gains)
    if verdict == HOLDS and most != "STEM":
        verdict = PART
    return verdict, f"{evidence}; most in {most}"


def _aligned(subject: Subject) -> Judged:
    """Judge the claim that aligned positions beat continued ones at every η and reading."""
    places = list(product(STEP_SIZES, (FIVE, LAST, BY_DEV)))
    parts = (
        (f"η = {size}, {reading.name}", comparisons.positions(subject, size, reading)[0])
        for size, reading in places
    )
    return judge(parts, len(places))


CLAIMS = (
    Claim(
        "Thinking beats vanilla on the same demonstrations, t = 5",
        "Tables 1, 2",
        "table1",
        _vanilla(FIVE),
    ),
    Claim("Thinking beats vanilla, t ≤ 15 by dev", "§4.3, Table 2", "table1", _vanilla(BY_DEV)),
    Claim(
        "Thinking over random demonstrations beats every selection rule",
        "Table 1",
        "table1",
        _selectors,
    ),
    Claim(
        "With a dev set, thinking beats the best random set and LENS", "Table 1 ♣", "table1", _dev
    ),
    Claim("Thinking beats vanilla on MMLU and BBH", "Table 3", "table3", _suites),
    Claim("It gains in every MMLU category, most in STEM", "Figure 3", "figure3", _categories),
    Claim(
        "It is ahead with any number of demonstrations",
        "Figure 4",
        "figure4",
        sensitivity.any_count,
    ),
    Claim(
        "Vanilla and thinking gain from more demonstrations",
        "Figure 4",
        "figure4",
        sensitivity.more_demonstrations,
    ),
    Claim(
        "Thinking over two demonstrations beats vanilla with sixteen",
        "§4.6",
        "figure4",
        sensitivity.fewer_demonstrations,
    ),
    Claim(
        "It varies less between draws, however many demonstrations",
        "Figure 4",
        "figure4",
        sensitivity.steadier_at_any_count,
    ),
    Claim(
        "It varies less between draws of eight",
        "Figure 5",
        "figure5_seeds",
        sensitivity.steadier("figure5_seeds", TESTED),
    ),
    Claim(
        "It varies less between their orders",
        "Figure 5",
        "figure5_orders",
        sensitivity.steadier("figure5_orders", (FIVE,)),
    ),
    Claim(
        "η = 0.01 is the best balance of three step sizes",
        "Figure 6",
        "figure6",
        sensitivity.best_step_size,
    ),
    Claim("A larger η needs fewer iterations", "Figure 6", "figure6", sensitivity.fewer_iterations),
    Claim("Dev and test agree over t", "Figure 6", "figure6", sensitivity.dev_and_test),
    Claim("Thinking is more than repeating the demonstrations", "", "repetition", _repetition),
    Claim("Aligned positions are better than continued ones", "", "positions", _aligned),
    Claim("The authors' program beats vanilla", "", "authors", authors.gains),
    Claim("Thinking is more than calibration", "", "rivals", rival_claims.calibration),
    Claim(
        "Calibrated, it is more than repeating the demonstrations",
        "",
        "rivals",
        rival_claims.repetition,
    ),
    Claim("It is more than averaging orders at equal cost", "", "rivals", rival_claims.orders),
    Claim("One step buys what k epochs of gradient descent buy", "", "rivals", rival_claims.epochs),
)
