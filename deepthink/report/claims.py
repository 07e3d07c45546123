"""Each claim of the paper, and two questions of our own, against what was measured.

A verdict follows from the numbers by rule: "holds" where every part of the claim is significantly
so (95 %, Holm's correction over the parts), "in part" where some are, or the average over tasks
alone is, or tasks are missing, "not here" where none is, "not run" where there is nothing to judge
by. The rule cannot say "false": an interval that holds zero may be wide, and is printed beside.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from deepthink.report import comparisons, experiments, statistics
from deepthink.report.cells import (
    BY_DEV,
    FIVE,
    ORACLE,
    VANILLA,
    Measured,
    Reading,
    at,
    measure,
    percent,
    scales_of,
    shared,
)
from deepthink.report.comparisons import FEWEST, Contrast, contrast
from deepthink.report.layouts import RULES, SUITES, TASKS
from deepthink.report.runs import Array, Runs, Scale
from deepthink.report.statistics import LEVEL, Estimate
from deepthink.report.tables import categories
from deepthink.report.words import compared, number

HOLDS, PART, NOT, NOT_RUN = "holds", "in part", "not here", "not run"


@dataclass(frozen=True)
class Verdict:
    """What became of a claim. `where`: its place in the paper, empty for our own questions."""

    claim: str
    where: str
    verdict: str
    evidence: str


def verdicts(runs: Runs, model: str) -> list[Verdict]:
    """Every claim for one model, on each scale its experiment was run on; once if on none."""
    found = []
    for claim, where, experiment, judge in CLAIMS:
        scales = scales_of(runs, experiments.settings(experiment), model)
        judged = [judge(runs, model, scale) for scale in scales]
        told = [one for one in judged if one[1]] or [(NOT_RUN, "")]
        found += [Verdict(claim, where, *one) for one in told]
    return found


Judged = tuple[str, str]


def _all(states: Sequence[bool]) -> str:
    """The verdict on a claim of several parts."""
    if not states:
        return NOT_RUN
    return HOLDS if all(states) else PART if any(states) else NOT


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
    verdict = _all(states)
    if verdict == HOLDS and len(known) < len(set(found.tasks) - {"average"}):
        verdict = PART
    if verdict == NOT and len(found.tasks) > 1 and found.ahead("average") > 0:
        verdict = PART
    return verdict, "; ".join(told)


def _vanilla(reading: Reading) -> Callable[[Runs, str, Scale], Judged]:
    def judge(runs: Runs, model: str, scale: Scale) -> Judged:
        return judge_contrast(comparisons.thinking(runs, model, scale, reading)[0])

    return judge


def _repetition(runs: Runs, model: str, scale: Scale) -> Judged:
    verdicts_ = []
    told = []
    for reading in comparisons.TESTED:
        found = comparisons.thinking(runs, model, scale, reading)[1]
        verdict, evidence = judge_contrast(found)
        verdicts_.append(verdict)
        if evidence:
            told.append(f"{reading.name}: {evidence}")
    ran = [v for v in verdicts_ if v != NOT_RUN]
    whole = NOT_RUN if not ran else ran[0] if len(set(ran)) == 1 else PART
    return whole, ". ".join(told)


def _selectors(runs: Runs, model: str, scale: Scale) -> Judged:
    rules = [c for c in comparisons.thinking(runs, model, scale, FIVE) if c.label in RULES.values()]
    found = {one.label: one.average for one in rules if one.average is not None}
    told = "; ".join(f"{label} {compared(average)}" for label, average in found.items())
    return _all(_surely_above(found.values())), f"average over tasks: {told}" if told else ""


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
    verdicts_, told = [], []
    for label, rival in (("Random ♣", "best_random"), ("LENS", "lens")):
        verdict, evidence = judge_contrast(
            contrast(label, thought, read(rival, VANILLA), tested=True)
        )
        if verdict != NOT_RUN:
            verdicts_.append(verdict)
        if evidence:
            told.append(f"against {label}: {evidence}")
    if not verdicts_:
        return NOT_RUN, ""
    return verdicts_[0] if len(set(verdicts_)) == 1 else PART, ". ".join(told)


def _suites(runs: Runs, model: str, scale: Scale) -> Judged:
    gains = {
        name: _gain(runs, model, scale, experiments.setting("table3", task=suite))
        for suite, name in SUITES.items()
    }
    found = {name: gain for name, gain in gains.items() if gain is not None}
    told = "; ".join(f"{name} {compared(gain)}" for name, gain in found.items())
    return _all(_surely_above(found.values())), told


def _gain(
    runs: Runs, model: str, scale: Scale, setting: experiments.Setting, members: Sequence[int] = ()
) -> Estimate | None:
    """How much t = 5 is ahead of t = 1, over all questions of a suite's members."""
    late, early = (measure(runs, setting, model, scale, reading) for reading in (FIVE, VANILLA))
    if not late.found or not early.found:
        return None
    chosen = members or range(len(setting.configs))
    first, second = (
        np.concatenate([part.outcomes[i] for i in chosen], axis=1) for part in (late, early)
    )
    return percent(statistics.difference(first, second))


def _surely_above(estimates: Iterable[Estimate]) -> list[bool]:
    """Which differences are above zero, significantly so after correction over all of them."""
    found = list(estimates)
    adjusted = statistics.holm([1.0 if e.p is None else e.p for e in found])
    return [e.mean > 0 and p < 1 - LEVEL for e, p in zip(found, adjusted, strict=True)]


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
    told = ", ".join(f"{c} {compared(e)}" for c, e in gains.items())
    verdict = _all(_surely_above(gains.values()))
    if verdict == HOLDS and most != "STEM":
        verdict = PART
    return verdict, f"{told}; most in {most}"


def _counts(runs: Runs, model: str, scale: Scale) -> Judged:
    gains, told = [], []
    for task in ("sst2", "agnews"):
        for count in experiments.axes("figure4")["demonstrations.count"]:
            setting = experiments.setting("figure4", task=task, **{"demonstrations.count": count})
            late, early = (measure(runs, setting, model, scale, r) for r in (FIVE, VANILLA))
            (found,) = contrast("", [late], [early], tested=True).estimates
            if found is not None:
                gains.append(found)
                draws = shared(early, late)
                spread = [_spread(part.of_draws(draws)[0]) for part in (early, late)]
                told.append(
                    f"{TASKS[task]} with {count}: {compared(found)}, SD over seeds "
                    f"{number(spread[0])} → {number(spread[1])}"
                )
    return _all(_surely_above(gains)), "; ".join(told)


def _spread(outcomes: Array) -> float:
    """Standard deviation of the accuracy over draws, in points."""
    return 100 * float(outcomes.mean(axis=1).std(ddof=1)) if len(outcomes) > 1 else 0.0


def pitman_morgan(first: Array, second: Array) -> float:
    """Two-sided p that two paired samples have one variance (Pitman 1939, Morgan 1939).

    1 where it cannot be told: too few pairs, or no spread.
    """
    total, apart = first + second, first - second
    if len(first) < FEWEST or np.ptp(total) == 0 or np.ptp(apart) == 0:
        return 1.0
    return float(stats.pearsonr(total, apart).pvalue)


def _varied(experiment: str) -> Callable[[Runs, str, Scale], Judged]:
    def judge(runs: Runs, model: str, scale: Scale) -> Judged:
        (setting,) = experiments.settings(experiment)
        states, told = [], []
        for reading in comparisons.TESTED if experiment.endswith("seeds") else (FIVE,):
            late = measure(runs, setting, model, scale, reading)
            early = measure(runs, setting, model, scale, VANILLA)
            draws = shared(early, late)
            if len(draws) < FEWEST:
                continue
            outcomes = [part.of_draws(draws)[0] for part in (early, late)]
            shares = [one.mean(axis=1) for one in outcomes]
            p = pitman_morgan(*shares)
            spreads = [_spread(one) for one in outcomes]
            states.append(spreads[1] < spreads[0] and p < 1 - LEVEL)
            told.append(
                f"{reading.name}: SD {number(spreads[0])} → {number(spreads[1])} points "
                f"(n = {len(shares[0])}, p = {p:.2g}, Pitman-Morgan), worst "
                f"{number(100 * float(shares[0].min()))} → {number(100 * float(shares[1].min()))}"
            )
        return _all(states), "; ".join(told)

    return judge


def _step_sizes(runs: Runs, model: str, scale: Scale) -> Judged:
    sizes = sorted(experiments.axes("figure6")["method.step_size"], key=float)
    by_dev = {
        size: measure(
            runs, experiments.setting("figure6", **{"method.step_size": size}), model, scale, BY_DEV
        )
        for size in sizes
    }
    found = {size: part for size, part in by_dev.items() if part.found}
    if "0.01" not in found or len(found) < len(sizes):
        return NOT_RUN, ""
    shares = {size: 100 * float(part.outcomes[0].mean()) for size, part in found.items()}
    told = [
        f"η = {size} {number(share)} (n = {len(found[size].found)})"
        for size, share in shares.items()
    ]
    apart = [
        contrast(size, [found["0.01"]], [part], tested=True).estimates[0]
        for size, part in found.items()
        if size != "0.01"
    ]
    told += [
        f"0.01 against {size}: {compared(one)}"
        for size, one in zip((s for s in found if s != "0.01"), apart, strict=True)
    ]
    verdict = _all(_surely_above(one for one in apart if one is not None))
    return verdict, f"t by dev: {'; '.join(told)}"


def _alignment(runs: Runs, model: str, scale: Scale) -> Judged:
    setting = experiments.setting("figure6", **{"method.step_size": "0.01"})
    whole = measure(runs, setting, model, scale, at(15))
    if not whole.found:
        return NOT_RUN, ""
    every = [run for (run,) in whole.found.values()]
    steps = every[0].steps
    dev, test = (
        np.array([[run.correct(t, split) for t in steps] for run in every])
        for split in ("dev", "test")
    )
    curves = [part.mean(axis=(0, 2)) for part in (dev, test)]
    if min(map(np.ptp, curves)) == 0:
        return NOT, "one of the curves is flat"
    r = float(stats.pearsonr(*curves).statistic)
    low, high = _resampled(dev, test)
    lost = [
        measure(runs, setting, model, scale, reading).outcomes[0].mean()
        for reading in (ORACLE, BY_DEV)
    ]
    gap = 100 * float(lost[0] - lost[1])
    ends = ", ".join(f"{end:+.2f}".replace("-", "−") for end in (low, high))
    return HOLDS if low > 0 else NOT, (
        f"mean curves over t correlate at r = {r:.2f} [{ends}] (bootstrap over draws and "
        f"examples); choosing t on dev costs {number(gap)} points against the oracle"
    )


def _resampled(dev: Array, test: Array, times: int = 1000) -> tuple[float, float]:
    """The 95 % interval of the correlation over t of mean curves from outcomes [S, t, I] each."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(times):
        seeds = rng.integers(len(dev), size=len(dev))
        curves = [
            part[seeds][:, :, rng.integers(part.shape[2], size=part.shape[2])].mean(axis=(0, 2))
            for part in (dev, test)
        ]
        if min(map(np.ptp, curves)) > 0:
            found.append(float(np.corrcoef(*curves)[0, 1]))
    low, high = np.quantile(found, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if found else (-1.0, 1.0)
    return float(low), float(high)


def _aligned(runs: Runs, model: str, scale: Scale) -> Judged:
    states, told = [], []
    for size in comparisons.STEP_SIZES:
        for reading in (FIVE, comparisons.LAST, BY_DEV):
            found = comparisons.positions(runs, model, scale, size, reading)[0]
            verdict, evidence = judge_contrast(found)
            if verdict != NOT_RUN:
                states.append(verdict)
                told.append(f"η = {size}, {reading.name}: {evidence}")
    if not states:
        return NOT_RUN, ""
    return states[0] if len(set(states)) == 1 else PART, ". ".join(told)


CLAIMS: tuple[tuple[str, str, str, Callable[[Runs, str, Scale], Judged]], ...] = (
    (
        "Thinking beats vanilla on the same demonstrations, t = 5",
        "Tables 1, 2",
        "table1",
        _vanilla(FIVE),
    ),
    ("Thinking beats vanilla, t by dev (≤ 15)", "Table 2", "table1", _vanilla(BY_DEV)),
    (
        "Thinking over random demonstrations beats every selection rule",
        "Table 1",
        "table1",
        _selectors,
    ),
    ("With a dev set, thinking beats the best random set and LENS", "Table 1 ♣", "table1", _dev),
    ("Thinking beats vanilla on MMLU and BBH", "Table 3", "table3", _suites),
    ("It gains in every MMLU category, most in STEM", "Figure 3", "figure3", _categories),
    ("It is ahead with any number of demonstrations", "Figure 4", "figure4", _counts),
    (
        "It varies less between draws of demonstrations",
        "Figure 5",
        "figure5_seeds",
        _varied("figure5_seeds"),
    ),
    (
        "It varies less between their orders",
        "Figure 5",
        "figure5_orders",
        _varied("figure5_orders"),
    ),
    ("η = 0.01 does best of three step sizes", "Figure 6", "figure6", _step_sizes),
    ("Dev and test agree over t", "Figure 6", "figure6", _alignment),
    ("Thinking is more than repeating the demonstrations", "", "repetition", _repetition),
    ("Aligned positions are better than continued ones", "", "positions", _aligned),
)
"""Claim, its place in the paper, the experiment that tests it, and how it is judged."""
