"""The opening of the page: what was found on a model, in a few sentences written by rule."""

from collections.abc import Iterator, Sequence

import numpy as np

from deepthink.report import claims, comparisons, experiments, verdicts
from deepthink.report.comparisons import LAST, PAPERS_STEP_SIZE, STEP_SIZES, Contrast
from deepthink.report.layouts import RULES
from deepthink.report.measurements import BY_DEV, FIVE, ORACLE, Measured, scales_of
from deepthink.report.runs import Runs, Scale
from deepthink.report.words import compared, number, standing

PAPERS = f"the paper's setting (η = {PAPERS_STEP_SIZE}, continued positions)"


def sentences(runs: Runs, model: str) -> Iterator[str]:
    """What was asked, thinking, selection, positions; what was not run is left out."""
    yield from _verdicts(model, claims.verdicts(runs, model))
    for experiment, written in (
        ("table1", (_thinking, _selection, _best_of_ten)),
        ("positions", (_positions,)),
    ):
        scales = scales_of(runs, experiments.settings(experiment), model)
        found = {scale: [s for w in written for s in w(runs, model, scale)] for scale in scales}
        told = {scale: sentences for scale, sentences in found.items() if sentences}
        for scale, sentences in told.items():
            where = f"On {scale}: " if len(told) > 1 else ""
            yield from (where + sentence for sentence in sentences)


def _thinking(runs: Runs, model: str, scale: Scale) -> Iterator[str]:
    """The paper's setting against vanilla and repetition."""
    against = [comparisons.thinking(runs, model, scale, r) for r in comparisons.TESTED]
    for rival in comparisons.SAME_DEMONSTRATIONS:
        both = verdicts.corrected([found[rival] for found in against])
        told = [
            f"{reading.name}: {standing(found, rival)}"
            for reading, found in zip(comparisons.TESTED, both, strict=True)
            if any(found.estimates)
        ]
        if told:
            yield f"**Thinking in {PAPERS} against {rival}.** {'. '.join(told)}."


def _selection(runs: Runs, model: str, scale: Scale) -> Iterator[str]:
    """Thinking over random demonstrations against each selection rule, on average."""
    told = []
    for reading in comparisons.TESTED:
        rules = [
            one
            for one in comparisons.thinking(runs, model, scale, reading).values()
            if one.label in RULES.values() and one.average is not None
        ]
        if rules:
            told.append(f"{reading.name}: {_counted(rules)}")
    if told:
        yield (
            f"**Against selection rules**, on average over the tasks. {'. '.join(told)} "
            "(corrected over the rules)."
        )


def _counted(rules: Sequence[Contrast]) -> str:
    """Of how many it is surely ahead and behind."""
    found = [one.average for one in rules if one.average is not None]
    signs = verdicts.surely(found)
    ahead, behind = signs.count(1), signs.count(-1)
    return f"significantly ahead of {ahead} and behind {behind} of {len(rules)}"


def _best_of_ten(runs: Runs, model: str, scale: Scale) -> Iterator[str]:
    """What dev labels are worth where they choose t, and where they choose demonstrations."""
    average = comparisons.thinking(runs, model, scale, BY_DEV)["Random ♣"].average
    if average is not None:
        yield (
            "**Dev labels spent on choosing t, instead of on choosing among ten random sets** that "
            f"are read once: {compared(average)} on average."
        )


def _positions(runs: Runs, model: str, scale: Scale) -> Iterator[str]:
    """Aligned positions against vanilla, continued ones and the paper's setting, t by dev."""
    rivals = {
        "aligned − vanilla": "vanilla",
        "aligned − continued": "continued ones",
        f"aligned − continued at η = {PAPERS_STEP_SIZE}": "the paper's setting",
    }
    for size in STEP_SIZES:
        told = [
            f"{compared(found.average)} against {rivals[found.label]}"
            for found in comparisons.positions(runs, model, scale, size, BY_DEV)
            if found.label in rivals and found.average is not None
        ]
        if told:
            yield (
                f"**Aligned positions at η = {size}**, {BY_DEV.name}, on average: "
                f"{', '.join(told)}."
            )


def _verdicts(model: str, found: Sequence[claims.Verdict]) -> Iterator[str]:
    """What the model is to the paper, and how many of the paper's claims came to what."""
    papers = [one.verdict for one in found if one.where]
    tested = [verdict for verdict in papers if verdict != verdicts.NOT_RUN]
    if not tested:
        return
    theirs = {m for t in ("table1", "table2", "table3") for m in experiments.axes(t)["model"]}
    yield (
        f"**{model}** is {'one' if model in theirs else 'none'} of the paper's models. Of "
        f"{len(papers)} claims of the paper {len(tested)} were tested on it: "
        f"{tested.count(verdicts.HOLDS)} confirmed in full, {tested.count(verdicts.PART)} in part; "
        "the others are undecided or go the other way (the intervals below say how far)."
    )


def paragraph(runs: Runs, model: str, scale: Scale) -> str:
    """What holds and what does not; empty where the two were not run side by side."""
    return " ".join(
        sentence for size in STEP_SIZES for sentence in _at_one_size(runs, model, scale, size)
    )


def _at_one_size(runs: Runs, model: str, scale: Scale, size: str) -> Iterator[str]:
    last = comparisons.positions(runs, model, scale, size, LAST)
    five = comparisons.positions(runs, model, scale, size, FIVE)
    by_dev = comparisons.positions(runs, model, scale, size, BY_DEV)
    oracle = comparisons.positions(runs, model, scale, size, ORACLE)
    if not any(last[0].estimates):
        return
    yield f"**η = {size}.** At t = 15 aligned is {standing(last[0], 'continued')}."
    names = ("continued", "aligned")
    parts = [comparisons.placed(runs, model, scale, size, name, LAST) for name in names]
    both = [pair for pair in zip(*parts, strict=True) if all(part.found for part in pair)]
    told = [
        f"{name} stands {number(float(np.mean([_fall(pair[side]) for pair in both])))} points "
        "below its best t"
        for side, name in enumerate(names)
    ]
    yield f"There {' and '.join(told)} (mean curves, averaged over tasks)."
    if any(five[0].estimates):
        yield (
            f"At t = 5 it is {standing(five[0], 'continued')}; against vanilla, "
            f"{standing(five[1], 'vanilla')}."
        )
    bound = oracle[0].average
    aside = f" (with oracle t, an upper bound, {compared(bound)})" if bound else ""
    yield f"With t chosen by dev it is {standing(by_dev[0], 'continued')}{aside}."
    yield (
        f"Against vanilla, t by dev, aligned is {standing(by_dev[1], 'vanilla')}. "
        f"Continued is {standing(by_dev[2], 'vanilla')}."
    )
    if size != PAPERS_STEP_SIZE and any(by_dev[3].estimates):
        rival = f"the paper's setting (continued, η = {PAPERS_STEP_SIZE})"
        yield f"Against {rival}, t by dev, aligned is {standing(by_dev[3], 'that')}."


def _fall(part: Measured) -> float:
    """How far the mean curve has fallen from its highest point to its end, in points."""
    every = [run for (run,) in part.found.values()]
    curve = [float(np.mean([run.correct(t).mean() for run in every])) for t in every[0].steps]
    return 100 * (max(curve) - curve[-1])
