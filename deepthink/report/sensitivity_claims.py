"""The paper's claims about draws, orders, counts, η and t (§4.6), judged by what was measured."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from deepthink.report import comparisons, experiments, statistics
from deepthink.report.comparisons import contrast
from deepthink.report.layouts import TASKS
from deepthink.report.measurements import (
    BY_DEV,
    FIVE,
    ORACLE,
    VANILLA,
    Measured,
    Reading,
    at,
    measure,
    percent,
    shared,
)
from deepthink.report.runs import Array, Runs, Scale
from deepthink.report.statistics import FEWEST, LEVEL, Estimate
from deepthink.report.verdicts import NOT, NOT_RUN, Judged, all_of, judge_gains
from deepthink.report.words import number, probability

RESAMPLES = 1000
Gains = dict[str, Estimate]


def _counts() -> list[str]:
    return experiments.axes("figure4")["demonstrations.count"]


def _of_figure4(
    runs: Runs, model: str, scale: Scale, count: str, reading: Reading
) -> Iterator[tuple[str, Measured]]:
    """Each task of Figure 4 with so many demonstrations."""
    for task in experiments.axes("figure4")["task"]:
        setting = experiments.setting("figure4", task=task, **{"demonstrations.count": count})
        yield task, measure(runs, setting, model, scale, reading)


def _gains(ours: Iterator[tuple[str, Measured]], theirs: Iterator[tuple[str, Measured]]) -> Gains:
    """How far the first is ahead of the second on each task of Figure 4 that both were run on."""
    pairs = ((task, a, b) for (task, a), (_, b) in zip(ours, theirs, strict=True))
    found = {TASKS[task]: contrast("", [a], [b], tested=True).estimates[0] for task, a, b in pairs}
    return {task: gain for task, gain in found.items() if gain is not None}


def any_count(runs: Runs, model: str, scale: Scale) -> Judged:
    """T = 5 is ahead of t = 1 with every number of demonstrations."""
    gains: Gains = {}
    for count in _counts():
        late, early = (_of_figure4(runs, model, scale, count, r) for r in (FIVE, VANILLA))
        gains |= {f"{task} with {count}": gain for task, gain in _gains(late, early).items()}
    return judge_gains(gains, len(_counts()) * len(experiments.axes("figure4")["task"]))


def more_demonstrations(runs: Runs, model: str, scale: Scale) -> Judged:
    """The largest number of demonstrations is better than the smallest, thought over or not."""
    fewest, *_, most = sorted(_counts(), key=int)
    gains: Gains = {}
    for name, reading in (("vanilla", VANILLA), (FIVE.name, FIVE)):
        few, many = (_of_figure4(runs, model, scale, c, reading) for c in (fewest, most))
        gains |= {f"{task}, {name}": gain for task, gain in _gains(many, few).items()}
    if not gains:
        return NOT_RUN, ""
    verdict, told = judge_gains(gains, 2 * len(experiments.axes("figure4")["task"]))
    return verdict, f"{most} less {fewest}: {told}"


def fewer_demonstrations(runs: Runs, model: str, scale: Scale) -> Judged:
    """The smallest number of demonstrations thought over is better than the largest, read once."""
    fewest, *_, most = sorted(_counts(), key=int)
    few, many = (
        _of_figure4(runs, model, scale, count, reading)
        for count, reading in ((fewest, FIVE), (most, VANILLA))
    )
    return judge_gains(_gains(few, many), len(experiments.axes("figure4")["task"]))


def spread(outcomes: Array) -> float:
    """Standard deviation of the accuracy over draws, in points."""
    return 100 * float(outcomes.mean(axis=1).std(ddof=1))


def _steadier(pairs: dict[str, tuple[Measured, Measured]], asked: int) -> Judged:
    """The second of each pair varies less over the draws that both have."""
    places, smaller, ps, told = [], [], [], []
    for place, (early, late) in pairs.items():
        draws = shared(early, late)
        if len(draws) < FEWEST:
            continue
        outcomes = [part.of_draws(draws)[0] for part in (early, late)]
        before, after = map(spread, outcomes)
        worst = [number(100 * float(one.mean(axis=1).min())) for one in outcomes]
        places.append(place)
        smaller.append(after < before)
        ps.append(statistics.pitman_morgan(*(one.mean(axis=1) for one in outcomes)))
        told.append(
            f"SD {number(before)} → {number(after)} n={len(draws)}, worst {' → '.join(worst)}"
        )
    adjusted = statistics.holm(ps)
    states = [less and p < 1 - LEVEL for less, p in zip(smaller, adjusted, strict=True)]
    parts = (f"{a}: {b}, {probability(p)}" for a, b, p in zip(places, told, adjusted, strict=True))
    evidence = "; ".join(parts)
    return all_of(states, asked), evidence and f"{evidence} (Pitman-Morgan)"


def steadier_at_any_count(runs: Runs, model: str, scale: Scale) -> Judged:
    """Accuracy varies less over draws at t = 5 than at t = 1, with every number of them."""
    pairs = {}
    for count in _counts():
        early, late = (_of_figure4(runs, model, scale, count, r) for r in (VANILLA, FIVE))
        for (task, before), (_, after) in zip(early, late, strict=True):
            pairs[f"{TASKS[task]} with {count}"] = (before, after)
    return _steadier(pairs, len(pairs))


def steadier(experiment: str, readings: Sequence[Reading]) -> Callable[[Runs, str, Scale], Judged]:
    """The judge of: accuracy varies less over an experiment's draws or orders than at t = 1."""

    def judge(runs: Runs, model: str, scale: Scale) -> Judged:
        (setting,) = experiments.settings(experiment)
        early = measure(runs, setting, model, scale, VANILLA)
        late = {r.name: measure(runs, setting, model, scale, r) for r in readings}
        return _steadier({name: (early, part) for name, part in late.items()}, len(readings))

    return judge


def _by_size(runs: Runs, model: str, scale: Scale, reading: Reading) -> dict[str, Measured]:
    """Figure 6's measurements by η, the smallest first; empty unless every η was run."""
    sizes = sorted(experiments.axes("figure6")["method.step_size"], key=float)
    found = {
        size: measure(
            runs,
            experiments.setting("figure6", **{"method.step_size": size}),
            model,
            scale,
            reading,
        )
        for size in sizes
    }
    return found if all(part.found for part in found.values()) else {}


def best_step_size(runs: Runs, model: str, scale: Scale) -> Judged:
    """With t by dev, the paper's η is ahead of every other."""
    papers = comparisons.PAPERS_STEP_SIZE
    found = _by_size(runs, model, scale, BY_DEV)
    if not found:
        return NOT_RUN, ""
    told = [
        f"η = {size} {number(100 * float(part.outcomes[0].mean()))} n={len(part.found)}"
        for size, part in found.items()
    ]
    apart = {
        size: contrast(size, [found[papers]], [part], tested=True).estimates[0]
        for size, part in found.items()
        if size != papers
    }
    gains = {f"{papers} against {size}": one for size, one in apart.items() if one is not None}
    verdict, compared_ = judge_gains(gains, len(apart))
    return verdict, f"t by dev: {'; '.join([*told, compared_])}"


def _steps(part: Measured) -> tuple[int, ...]:
    """The t at which every run was scored."""
    return next(run.steps for (run,) in part.found.values())


def _curves(part: Measured, split: str, steps: Sequence[int]) -> Array:
    """Outcomes [S, t, I] of 0 and 1."""
    every = [run for (run,) in part.found.values()]
    return np.array([[run.correct(t, split) for t in steps] for run in every])


def _resampled(parts: Sequence[Array], rng: np.random.Generator) -> list[Array]:
    """Mean curves [t] of outcomes [S, t, I] each, over draws and examples drawn with replacement.

    All have the same draws and examples.
    """
    seeds, _, examples = parts[0].shape
    drawn, chosen = rng.integers(seeds, size=seeds), rng.integers(examples, size=examples)
    return [part[drawn][:, :, chosen].mean(axis=(0, 2)) for part in parts]


def fewer_iterations(runs: Runs, model: str, scale: Scale) -> Judged:
    """The mean curve over t is highest the earlier, the larger η.

    Significantly so if it is in nearly all samples of draws and examples drawn with replacement.
    """
    found = _by_size(runs, model, scale, at(15))
    draws = [set(part.found) for part in found.values()]
    if not found or draws.count(draws[0]) < len(draws):
        return NOT_RUN, ""
    steps = sorted(set.intersection(*(set(_steps(part)) for part in found.values())))
    curves = [_curves(part, "test", steps) for part in found.values()]
    rng = np.random.default_rng(0)
    tops = np.array([[int(c.argmax()) for c in _resampled(curves, rng)] for _ in range(RESAMPLES)])
    shares = [float((tops[:, i + 1] < tops[:, i]).mean()) for i in range(len(found) - 1)]
    told = [
        f"η = {size}: t = {steps[int(curve.mean(axis=(0, 2)).argmax())]}"
        for size, curve in zip(found, curves, strict=True)
    ]
    earlier = [
        f"earlier with {larger} than with {smaller} in {100 * share:.0f} %"
        for (smaller, larger), share in zip(pairwise(found), shares, strict=True)
    ]
    tops_ = [int(curve.mean(axis=(0, 2)).argmax()) for curve in curves]
    last = len(steps) - 1
    known = [not (a == b == last) for a, b in pairwise(tops_)]
    sure = [share > (1 + LEVEL) / 2 for share, can in zip(shares, known, strict=True) if can]
    beyond = "" if all(known) else "; where both are highest at the last t it cannot be told"
    return all_of(sure, len(known)) if sure else NOT, (
        f"mean curve highest at {', '.join(told)} (t ≤ {steps[-1]}); "
        f"{', '.join(earlier)} of {RESAMPLES} bootstrap samples{beyond}"
    )


def dev_and_test(runs: Runs, model: str, scale: Scale) -> Judged:
    """The t that is best on dev is better on test than the scored t are on average."""
    setting = experiments.setting("figure6", **{"method.step_size": comparisons.PAPERS_STEP_SIZE})
    chosen = measure(runs, setting, model, scale, BY_DEV)
    if len(chosen.found) < FEWEST:
        return NOT_RUN, ""
    steps = _steps(chosen)
    dev, test = (_curves(chosen, split, steps) for split in ("dev", "test"))
    gain = percent(statistics.difference(chosen.outcomes[0], test.mean(axis=1)))
    best = measure(runs, setting, model, scale, ORACLE).outcomes[0].mean()
    bound = 100 * float(best - chosen.outcomes[0].mean())
    verdict, told = judge_gains({"t by dev less the mean over t, on test:": gain})
    curves = [part.mean(axis=(0, 2)) for part in (dev, test)]
    if min(map(np.ptp, curves)) > 0:
        r = f"{np.corrcoef(*curves)[0, 1]:.2f}".replace("-", "−")
        told += f"; the mean curves correlate over t at r = {r}"
    return verdict, f"{told}; oracle t, an upper bound, is {number(bound)} points higher"
