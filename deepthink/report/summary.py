"""The opening of the page: what was found on a model, in a few sentences written by rule."""

from collections.abc import Iterator, Sequence

from deepthink.report import claims, comparisons, experiments, judging, statistics
from deepthink.report.cells import BY_DEV, FIVE, scales_of
from deepthink.report.comparisons import PAPERS_STEP_SIZE, STEP_SIZES, Contrast
from deepthink.report.layouts import RULES
from deepthink.report.runs import Runs, Scale
from deepthink.report.statistics import LEVEL
from deepthink.report.words import compared, standing

PAPERS = f"the paper's setting (η = {PAPERS_STEP_SIZE}, continued positions)"


def sentences(runs: Runs, model: str) -> Iterator[str]:
    """Thinking, selection, positions, then the verdicts; what was not run is left out."""
    for experiment, written in (
        ("table1", (_thinking, _selection, _best_of_ten)),
        ("positions", (_positions,)),
    ):
        for scale in scales_of(runs, experiments.settings(experiment), model):
            for write in written:
                yield from write(runs, model, scale)
    yield from _verdicts(claims.verdicts(runs, model))


def _thinking(runs: Runs, model: str, scale: Scale) -> Iterator[str]:
    """The paper's setting against vanilla and repetition."""
    against = {
        reading: comparisons.thinking(runs, model, scale, reading)[:2]
        for reading in comparisons.TESTED
    }
    for at, rival in enumerate(found.label for found in against[FIVE]):
        told = [
            f"{reading.name}: {standing(found[at], rival)}"
            for reading, found in against.items()
            if any(found[at].estimates)
        ]
        if told:
            yield f"**Thinking in {PAPERS} against {rival}.** {'. '.join(told)}."


def _selection(runs: Runs, model: str, scale: Scale) -> Iterator[str]:
    """Thinking over random demonstrations against each selection rule, on average."""
    told = []
    for reading in comparisons.TESTED:
        rules = [
            one
            for one in comparisons.thinking(runs, model, scale, reading)
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
    adjusted = statistics.holm([1.0 if e.p is None else e.p for e in found])
    sure = [e.mean > 0 for e, p in zip(found, adjusted, strict=True) if p < 1 - LEVEL]
    ahead, behind = sure.count(True), sure.count(False)
    return f"significantly ahead of {ahead} and behind {behind} of {len(rules)}"


def _best_of_ten(runs: Runs, model: str, scale: Scale) -> Iterator[str]:
    """What dev labels are worth where they choose t, and where they choose demonstrations."""
    of_label = {one.label: one for one in comparisons.thinking(runs, model, scale, BY_DEV)}
    average = of_label["Random ♣"].average
    if average is not None:
        yield (
            "**Dev labels spent on t, less dev labels spent on choosing among ten random sets** "
            f"that are read once: {compared(average)} on average."
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


def _verdicts(found: Sequence[claims.Verdict]) -> Iterator[str]:
    """How many of the paper's claims came to what."""
    papers = [one.verdict for one in found if one.where]
    counts = {
        name: papers.count(name)
        for name in (judging.HOLDS, judging.PART, judging.NOT, judging.NOT_RUN)
    }
    if counts[judging.NOT_RUN] < len(papers):
        told = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
        yield f"**The paper's {len(papers)} claims**: {told}."
