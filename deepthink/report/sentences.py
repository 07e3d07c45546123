"""The sentences of the page that state results: the opening, and the paragraph on positions."""

from collections.abc import Iterator, Sequence

import numpy as np

from deepthink.config import overrides
from deepthink.report import claims, comparisons, verdicts
from deepthink.report.comparisons import Comparison
from deepthink.report.layouts import PAPERS_STEP_SIZE, POSITIONS, RULES, STEP_SIZES
from deepthink.report.measurements import Measured, Subject, subjects
from deepthink.report.readings import BY_DEV, FIVE, LAST, ORACLE, TESTED
from deepthink.report.runs import Runs
from deepthink.report.words import difference, number, standing

PAPERS = f"the paper's setting (η = {PAPERS_STEP_SIZE}, continued positions)"


def opening(runs: Runs, model: str) -> Iterator[str]:
    """The results on one model in short; what was not run is left out."""
    yield from _verdicts(model, claims.verdicts(runs, model))
    for experiment, writers in (
        ("table1", (_thinking, _selection, _best_of_ten)),
        ("positions", (_positions,)),
    ):
        by_scale = {
            subject.scale: [sentence for write in writers for sentence in write(subject)]
            for subject in subjects(runs, experiment, [model])
        }
        written = {scale: sentences for scale, sentences in by_scale.items() if sentences}
        for scale, sentences in written.items():
            where = f"On {scale}: " if len(written) > 1 else ""
            yield from (where + sentence for sentence in sentences)


def _thinking(subject: Subject) -> Iterator[str]:
    """The paper's setting against vanilla and repetition."""
    against = [comparisons.thinking(subject, reading) for reading in TESTED]
    for rival in comparisons.SAME_DEMONSTRATIONS:
        parts = [
            f"{reading.name}: {standing(by_rival[rival], rival)}"
            for reading, by_rival in zip(TESTED, against, strict=True)
            if any(by_rival[rival].estimates)
        ]
        if parts:
            yield f"**Thinking in {PAPERS} against {rival}.** {'. '.join(parts)}."


def _selection(subject: Subject) -> Iterator[str]:
    """Thinking over random demonstrations against the selection rules, on average."""
    parts = []
    for reading in TESTED:
        rules = [
            comparison
            for comparison in comparisons.thinking(subject, reading).values()
            if comparison.label in RULES.values() and comparison.average is not None
        ]
        if rules:
            parts.append(f"{reading.name}: {_counted(rules)}")
    if parts:
        yield f"**Against selection rules**, on average over the tasks. {'. '.join(parts)}."


def _counted(rules: Sequence[Comparison]) -> str:
    """How many rules thinking is significantly ahead of and behind."""
    signs = [rule.ahead("average") for rule in rules]
    ahead, behind = signs.count(1), signs.count(-1)
    return f"significantly ahead of {ahead} and behind {behind} of {len(rules)}"


def _best_of_ten(subject: Subject) -> Iterator[str]:
    """Dev labels that choose t against dev labels that choose demonstrations."""
    average = comparisons.thinking(subject, BY_DEV)["Random ♣"].average
    if average is not None:
        yield (
            "**Using dev labels to choose t, instead of to choose among ten random sets** that "
            f"are read once: {difference(average)} on average."
        )


def _positions(subject: Subject) -> Iterator[str]:
    """Aligned positions against vanilla, continued ones and the paper's setting, t by dev."""
    rivals = {
        "aligned − vanilla": "vanilla",
        "aligned − continued": "continued ones",
        f"aligned − continued at η = {PAPERS_STEP_SIZE}": "the paper's setting",
    }
    for size in STEP_SIZES:
        parts = [
            f"{difference(comparison.average)} against {rivals[comparison.label]}"
            for comparison in comparisons.positions(subject, size, BY_DEV)
            if comparison.label in rivals and comparison.average is not None
        ]
        if parts:
            yield (
                f"**Aligned positions at η = {size}**, {BY_DEV.name}, on average: "
                f"{', '.join(parts)}."
            )


def _verdicts(model: str, judged: Sequence[claims.Verdict]) -> Iterator[str]:
    """Whether the model is one of the paper's, and how many of its claims have which verdict."""
    papers = [verdict.verdict for verdict in judged if verdict.where]
    tested = [verdict for verdict in papers if verdict != verdicts.NOT_RUN]
    if not tested:
        return
    theirs = {m for t in ("table1", "table2", "table3") for m in overrides.axes(t)["model"]}
    yield (
        f"**{model}** is {'one' if model in theirs else 'none'} of the paper's models. Of the "
        f"paper's {len(papers)} claims, {len(tested)} were tested on it. Confirmed in full: "
        f"{tested.count(verdicts.HOLDS)}. Confirmed in part: {tested.count(verdicts.PART)}. The "
        "others are undecided or go the other way; the intervals below say how far."
    )


def on_positions(subject: Subject) -> str:
    """The results on positions in words; empty if aligned and continued were not both run."""
    return " ".join(sentence for size in STEP_SIZES for sentence in _at_one_size(subject, size))


def _at_one_size(subject: Subject, size: str) -> Iterator[str]:
    last, five, by_dev, oracle = (
        comparisons.positions(subject, size, reading) for reading in (LAST, FIVE, BY_DEV, ORACLE)
    )
    if not any(last[0].estimates):
        return
    yield f"**η = {size}.** At {LAST.name} aligned is {standing(last[0], 'continued')}."
    yield f"There {_falls(subject, size)} (mean curves, averaged over tasks)."
    if any(five[0].estimates):
        yield (
            f"At {FIVE.name} it is {standing(five[0], 'continued')}; against vanilla, it is "
            f"{standing(five[1], 'vanilla')}."
        )
    bound = oracle[0].average
    aside = f" (with oracle t, an upper bound, {difference(bound)})" if bound else ""
    yield f"With t chosen by dev it is {standing(by_dev[0], 'continued')}{aside}."
    yield (
        f"Against vanilla, with t by dev, aligned is {standing(by_dev[1], 'vanilla')}. "
        f"Continued is {standing(by_dev[2], 'vanilla')}."
    )
    if size != PAPERS_STEP_SIZE and any(by_dev[3].estimates):
        rival = f"the paper's setting (continued, η = {PAPERS_STEP_SIZE})"
        yield f"Against {rival}, with t by dev, aligned is {standing(by_dev[3], 'that')}."


def _falls(subject: Subject, size: str) -> str:
    """How far each kind of positions ends below its best t, over the tasks that both have."""
    parts = [comparisons.measure_positions(subject, size, name, LAST) for name in POSITIONS]
    both = [pair for pair in zip(*parts, strict=True) if all(part.runs for part in pair)]
    return " and ".join(
        f"{name} is {number(float(np.mean([_fall(pair[side]) for pair in both])))} points "
        "below its best t"
        for side, name in enumerate(POSITIONS)
    )


def _fall(part: Measured) -> float:
    """How far the mean curve ends below its highest point, in points."""
    runs = [run for (run,) in part.runs.values()]
    curve = [float(np.mean([run.correct(t).mean() for run in runs])) for t in runs[0].steps]
    return 100 * (max(curve) - curve[-1])
