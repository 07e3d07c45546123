"""The paper's claims about draws, orders, counts, η and t (§4.6), judged by what was measured."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

from deepthink.config import overrides
from deepthink.report import comparisons, statistics
from deepthink.report.comparisons import compare
from deepthink.report.layouts import PAPERS_STEP_SIZE, TASKS
from deepthink.report.measurements import Measured, Subject, percent, shared
from deepthink.report.readings import BY_DEV, FIVE, LAST, ORACLE, VANILLA, Reading
from deepthink.report.runs import Array
from deepthink.report.statistics import FEWEST, LEVEL, Estimate
from deepthink.report.verdicts import NOT, NOT_RUN, Gain, Judged, all_of, judge_gains, tested
from deepthink.report.words import number, probability

RESAMPLES = 1000
Estimates = dict[str, Estimate]


def _counts() -> list[str]:
    """The numbers of demonstrations in Figure 4, the smallest first."""
    return sorted(overrides.axes("figure4")["demonstrations.count"], key=int)


def _tasks() -> list[str]:
    """The tasks of Figure 4."""
    return overrides.axes("figure4")["task"]


def _with_count(subject: Subject, count: str, reading: Reading) -> list[Measured]:
    """Each task of Figure 4 with this number of demonstrations."""
    axes = {"demonstrations.count": count}
    return subject.measure_tasks("figure4", reading, _tasks(), **axes)


def _gains(firsts: Sequence[Measured], seconds: Sequence[Measured]) -> Estimates:
    """How far the first is ahead of the second on each task of Figure 4 that both have."""
    pairs = zip(_tasks(), firsts, seconds, strict=True)
    by_task = {TASKS[task]: compare("", [a], [b], tested=True).estimates[0] for task, a, b in pairs}
    return {task: gain for task, gain in by_task.items() if gain is not None}


def any_count(subject: Subject) -> Judged:
    """Judge the claim that t = 5 is ahead of t = 1 with every number of demonstrations.

    The differences that Table 1's comparison with vanilla shows too have its p.
    """
    gains: Estimates = {}
    shown: dict[str, Gain] = {}
    known = comparisons.thinking(subject, FIVE)["vanilla"]
    for count in _counts():
        late, early = (_with_count(subject, count, reading) for reading in (FIVE, VANILLA))
        gains |= {f"{task} with {count}": gain for task, gain in _gains(late, early).items()}
        for task in _tasks():
            name, estimate = f"{TASKS[task]} with {count}", known.estimates[known.tasks.index(task)]
            if estimate is not None and estimate == gains.get(name):
                shown[name] = Gain(estimate, known.told(task))
    return judge_gains({**tested(gains), **shown}, len(_counts()) * len(_tasks()))


def more_demonstrations(subject: Subject) -> Judged:
    """Judge the claim that the most demonstrations beat the fewest, at t = 1 and at t = 5."""
    fewest, *_, most = _counts()
    gains: Estimates = {}
    for name, reading in (("vanilla", VANILLA), (FIVE.name, FIVE)):
        few, many = (_with_count(subject, count, reading) for count in (fewest, most))
        gains |= {f"{task}, {name}": gain for task, gain in _gains(many, few).items()}
    if not gains:
        return NOT_RUN, ""
    verdict, evidence = judge_gains(tested(gains), 2 * len(_tasks()))
    return verdict, f"{most} less {fewest}: {evidence}"


def fewer_demonstrations(subject: Subject) -> Judged:
    """Judge the claim that t = 5 with the fewest demonstrations beats t = 1 with the most.

    Vanilla may be worse with more demonstrations, so t = 5 must beat it with the fewest as well.
    """
    fewest, *_, most = _counts()
    few, same, many = (
        _with_count(subject, count, reading)
        for count, reading in ((fewest, FIVE), (fewest, VANILLA), (most, VANILLA))
    )
    gains = _gains(few, many)
    plain = {f"{task} with {fewest}": gain for task, gain in _gains(few, same).items()}
    both = tested({**gains, **plain})
    over = {name: (key, both[key]) for name in gains if (key := f"{name} with {fewest}") in both}
    verdict, evidence = judge_gains({name: both[name] for name in gains}, len(_tasks()), over)
    return verdict, evidence and f"{fewest} less vanilla with {most}: {evidence}"


def spread(outcomes: Array) -> float:
    """The standard deviation of the accuracy over draws, in points; outcomes [S, I], S ≥ 2."""
    return 100 * float(outcomes.mean(axis=1).std(ddof=1))


def _judge_spread(pairs: dict[str, tuple[Measured, Measured]], expected: int) -> Judged:
    """Judge the claim that the second of each pair varies less over the draws that both have."""
    places, smaller, ps, spreads = [], [], [], []
    for place, (early, late) in pairs.items():
        draws = shared(early, late)
        if len(draws) < FEWEST:
            continue
        outcomes = [part.of_draws(draws)[0] for part in (early, late)]
        before, after = map(spread, outcomes)
        worst = [number(100 * float(part.mean(axis=1).min())) for part in outcomes]
        places.append(place)
        smaller.append(after < before)
        ps.append(statistics.pitman_morgan(*(part.mean(axis=1) for part in outcomes)))
        spreads.append(
            f"SD {number(before)} → {number(after)} n={len(draws)}, worst {' → '.join(worst)}"
        )
    adjusted = statistics.holm(ps)
    states = [less and p < 1 - LEVEL for less, p in zip(smaller, adjusted, strict=True)]
    evidence = "; ".join(
        f"{place}: {text}, {probability(p)}"
        for place, text, p in zip(places, spreads, adjusted, strict=True)
    )
    return all_of(states, expected), evidence and f"{evidence} (Pitman-Morgan)"


def steadier_at_any_count(subject: Subject) -> Judged:
    """Judge the claim that t = 5 varies less over draws than t = 1, with every count."""
    pairs = {}
    for count in _counts():
        early, late = (_with_count(subject, count, reading) for reading in (VANILLA, FIVE))
        for task, before, after in zip(_tasks(), early, late, strict=True):
            pairs[f"{TASKS[task]} with {count}"] = (before, after)
    return _judge_spread(pairs, len(pairs))


def steadier(experiment: str, readings: Sequence[Reading]) -> Callable[[Subject], Judged]:
    """The judge of the claim that thinking varies less than t = 1 over an experiment's draws."""

    def judge_steadier(subject: Subject) -> Judged:
        early = subject.measure(experiment, VANILLA)
        pairs = {r.name: (early, subject.measure(experiment, r)) for r in readings}
        return _judge_spread(pairs, len(readings))

    return judge_steadier


def _by_size(subject: Subject, reading: Reading) -> dict[str, Measured]:
    """Figure 6's measurements by η, the smallest first; empty unless every η was run."""
    sizes = sorted(overrides.axes("figure6")["method.step_size"], key=float)
    parts = {
        size: subject.measure("figure6", reading, **{"method.step_size": size}) for size in sizes
    }
    return parts if all(part.runs for part in parts.values()) else {}


def best_step_size(subject: Subject) -> Judged:
    """Judge the claim that the paper's η is ahead of every other, with t by dev."""
    parts = _by_size(subject, BY_DEV)
    if not parts:
        return NOT_RUN, ""
    accuracies = [
        f"η = {size} {number(100 * float(part.outcomes[0].mean()))} n={len(part.runs)}"
        for size, part in parts.items()
    ]
    differences = {
        f"{PAPERS_STEP_SIZE} against {size}": compare(
            size, [parts[PAPERS_STEP_SIZE]], [part], tested=True
        ).estimates[0]
        for size, part in parts.items()
        if size != PAPERS_STEP_SIZE
    }
    verdict, evidence = judge_gains(tested(differences), len(differences))
    return verdict, f"t by dev: {'; '.join([*accuracies, evidence])}"


def _steps(part: Measured) -> tuple[int, ...]:
    """The t after which every run was scored."""
    return next(run.steps for (run,) in part.runs.values())


def _curves(part: Measured, split: str, steps: Sequence[int]) -> Array:
    """Outcomes [S, t, I] of 0 and 1."""
    runs = [run for (run,) in part.runs.values()]
    return np.array([[run.correct(t, split) for t in steps] for run in runs])


def _resampled(parts: Sequence[Array], rng: np.random.Generator) -> list[Array]:
    """One bootstrap sample of mean curves [t], from outcomes [S, t, I] of each part.

    Draws and examples are drawn with replacement, the same ones for all parts.
    """
    seeds, _, examples = parts[0].shape
    drawn, chosen = rng.integers(seeds, size=seeds), rng.integers(examples, size=examples)
    return [part[drawn][:, :, chosen].mean(axis=(0, 2)) for part in parts]


def fewer_iterations(subject: Subject) -> Judged:
    """Judge the claim that the mean curve over t is highest the earlier, the larger η is.

    It is significantly earlier if it is so in nearly all bootstrap samples of draws and examples.
    """
    parts = _by_size(subject, LAST)
    draws = [set(part.runs) for part in parts.values()]
    if not parts or draws.count(draws[0]) < len(draws):
        return NOT_RUN, ""
    steps = sorted(set.intersection(*(set(_steps(part)) for part in parts.values())))
    curves = [_curves(part, "test", steps) for part in parts.values()]
    rng = np.random.default_rng(0)
    tops = np.array([[int(c.argmax()) for c in _resampled(curves, rng)] for _ in range(RESAMPLES)])
    shares = [float((tops[:, i + 1] < tops[:, i]).mean()) for i in range(len(parts) - 1)]
    highest = [int(curve.mean(axis=(0, 2)).argmax()) for curve in curves]
    at = ", ".join(f"η = {size}: t = {steps[i]}" for size, i in zip(parts, highest, strict=True))
    earlier = ", ".join(
        f"earlier with {larger} than with {smaller} in {100 * share:.0f} %"
        for (smaller, larger), share in zip(pairwise(parts), shares, strict=True)
    )
    last = len(steps) - 1
    known = [not (a == b == last) for a, b in pairwise(highest)]
    sure = [share > (1 + LEVEL) / 2 for share, can in zip(shares, known, strict=True) if can]
    beyond = "" if all(known) else "; where both are highest at the last t it cannot be told"
    return all_of(sure, len(known)) if sure else NOT, (
        f"mean curve highest at {at} (t ≤ {steps[-1]}); "
        f"{earlier} of {RESAMPLES} bootstrap samples{beyond}"
    )


def dev_and_test(subject: Subject) -> Judged:
    """Judge the claim that the best t on dev is better on test than the mean over scored t."""
    axes = {"method.step_size": PAPERS_STEP_SIZE}
    chosen = subject.measure("figure6", BY_DEV, **axes)
    if len(chosen.runs) < FEWEST:
        return NOT_RUN, ""
    steps = _steps(chosen)
    dev, test = (_curves(chosen, split, steps) for split in ("dev", "test"))
    gain = percent(statistics.difference(chosen.outcomes[0], test.mean(axis=1)))
    best = subject.measure("figure6", ORACLE, **axes).outcomes[0].mean()
    bound = 100 * float(best - chosen.outcomes[0].mean())
    verdict, evidence = judge_gains(tested({"t by dev less the mean over t, on test:": gain}))
    curves = [part.mean(axis=(0, 2)) for part in (dev, test)]
    if min(map(np.ptp, curves)) > 0:
        r = f"{np.corrcoef(*curves)[0, 1]:.2f}".replace("-", "−")
        evidence += f"; the mean curves correlate over t at r = {r}"
    return verdict, f"{evidence}; oracle t, an upper bound, is {number(bound)} points higher"
