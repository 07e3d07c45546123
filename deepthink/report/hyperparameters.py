"""The paper's claims about draws, orders, counts, η and t (§4.6), judged by what was measured."""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np

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
    shared,
)
from deepthink.report.comparisons import contrast
from deepthink.report.judging import HOLDS, NOT, NOT_RUN, Judged, all_of, surely_above
from deepthink.report.layouts import TASKS
from deepthink.report.runs import Array, Runs, Scale
from deepthink.report.statistics import FEWEST, LEVEL, Estimate
from deepthink.report.words import compared, number, probability

RESAMPLES = 1000


def _counts() -> list[str]:
    return experiments.axes("figure4")["demonstrations.count"]


def _of_figure4(
    runs: Runs, model: str, scale: Scale, count: str, reading: Reading
) -> Iterator[tuple[str, Measured]]:
    """Each task of Figure 4 with so many demonstrations."""
    for task in experiments.axes("figure4")["task"]:
        setting = experiments.setting("figure4", task=task, **{"demonstrations.count": count})
        yield task, measure(runs, setting, model, scale, reading)


def any_count(runs: Runs, model: str, scale: Scale) -> Judged:
    """T = 5 is ahead of t = 1 with every number of demonstrations."""
    gains: dict[str, Estimate] = {}
    for count in _counts():
        late, early = (_of_figure4(runs, model, scale, count, r) for r in (FIVE, VANILLA))
        for (task, ours), (_, theirs) in zip(late, early, strict=True):
            (found,) = contrast("", [ours], [theirs], tested=True).estimates
            if found is not None:
                gains[f"{TASKS[task]} with {count}"] = found
    told = "; ".join(f"{place} {compared(found)}" for place, found in gains.items())
    asked = len(_counts()) * len(experiments.axes("figure4")["task"])
    return all_of(surely_above(gains.values()), asked), told


def more_demonstrations(runs: Runs, model: str, scale: Scale) -> Judged:
    """The largest number of demonstrations is better than the smallest, thought over or not."""
    fewest, *_, most = sorted(_counts(), key=int)
    gains: dict[str, Estimate] = {}
    for name, reading in (("vanilla", VANILLA), (FIVE.name, FIVE)):
        few, many = (_of_figure4(runs, model, scale, c, reading) for c in (fewest, most))
        for (task, theirs), (_, ours) in zip(few, many, strict=True):
            (found,) = contrast("", [ours], [theirs], tested=True).estimates
            if found is not None:
                gains[f"{TASKS[task]}, {name}"] = found
    if not gains:
        return NOT_RUN, ""
    told = "; ".join(f"{place} {compared(found)}" for place, found in gains.items())
    asked = 2 * len(experiments.axes("figure4")["task"])
    return all_of(surely_above(gains.values()), asked), f"{most} less {fewest}: {told}"


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
    told += [f"{papers} against {size}: {compared(one)}" for size, one in apart.items()]
    verdict = all_of(surely_above(one for one in apart.values() if one is not None), len(apart))
    return verdict, f"t by dev: {'; '.join(told)}"


def _steps(part: Measured) -> tuple[int, ...]:
    """The t at which every run was scored."""
    return next(run.steps for (run,) in part.found.values())


def _curves(part: Measured, split: str, steps: Sequence[int]) -> Array:
    """Outcomes [S, t, I] of 0 and 1."""
    every = [run for (run,) in part.found.values()]
    return np.array([[run.correct(t, split) for t in steps] for run in every])


def _resampled(
    parts: Sequence[Array], same_examples: bool, rng: np.random.Generator
) -> list[Array]:
    """Mean curves [t] of outcomes [S, t, I] each, over draws and examples drawn with replacement.

    All have the same draws; same_examples: the same examples too.
    """
    seeds = rng.integers(len(parts[0]), size=len(parts[0]))
    sizes = [part.shape[2] for part in parts]
    drawn = [rng.integers(size, size=size) for size in (sizes[:1] if same_examples else sizes)]
    examples = drawn * len(parts) if same_examples else drawn
    return [
        part[seeds][:, :, chosen].mean(axis=(0, 2))
        for part, chosen in zip(parts, examples, strict=True)
    ]


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
    tops = np.array(
        [[int(c.argmax()) for c in _resampled(curves, True, rng)] for _ in range(RESAMPLES)]
    )
    shares = [float((tops[:, i + 1] < tops[:, i]).mean()) for i in range(len(found) - 1)]
    told = [
        f"η = {size}: t = {steps[int(curve.mean(axis=(0, 2)).argmax())]}"
        for size, curve in zip(found, curves, strict=True)
    ]
    earlier = [
        f"earlier with {larger} than with {smaller} in {100 * share:.0f} %"
        for (smaller, larger), share in zip(pairwise(found), shares, strict=True)
    ]
    sure = [share > (1 + LEVEL) / 2 for share in shares]
    return all_of(sure), (
        f"mean curve highest at {', '.join(told)} (t ≤ {steps[-1]}); "
        f"{', '.join(earlier)} of {RESAMPLES} bootstrap samples"
    )


def dev_and_test(runs: Runs, model: str, scale: Scale) -> Judged:
    """The mean curves of dev and test over t rise and fall together."""
    setting = experiments.setting("figure6", **{"method.step_size": comparisons.PAPERS_STEP_SIZE})
    whole = measure(runs, setting, model, scale, BY_DEV)
    if not whole.found:
        return NOT_RUN, ""
    dev, test = (_curves(whole, split, _steps(whole)) for split in ("dev", "test"))
    curves = [part.mean(axis=(0, 2)) for part in (dev, test)]
    if min(map(np.ptp, curves)) == 0:
        return NOT, "one of the curves is flat"
    rng = np.random.default_rng(0)
    resampled = (_resampled((dev, test), False, rng) for _ in range(RESAMPLES))
    rs = [np.corrcoef(a, b)[0, 1] for a, b in resampled if min(np.ptp(a), np.ptp(b)) > 0]
    low, high = np.quantile(rs, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    lost = [
        measure(runs, setting, model, scale, reading).outcomes[0].mean()
        for reading in (ORACLE, BY_DEV)
    ]
    gap = 100 * float(lost[0] - lost[1])
    r = float(np.corrcoef(*curves)[0, 1])
    ends = ", ".join(f"{end:+.2f}".replace("-", "−") for end in (low, high))
    return HOLDS if low > 0 else NOT, (
        f"mean curves over t correlate at r = {r:.2f} [{ends}] (bootstrap over draws and "
        f"examples); choosing t on dev costs {number(gap)} points against the oracle"
    )
