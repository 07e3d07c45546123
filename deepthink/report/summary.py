"""The opening of the page: what was found on a model, in a few sentences written by rule."""

from collections.abc import Iterator, Sequence

from deepthink.report import claims, comparisons, experiments, judging
from deepthink.report.cells import BY_DEV, scales_of
from deepthink.report.comparisons import PAPERS_STEP_SIZE, STEP_SIZES, Contrast
from deepthink.report.layouts import RULES
from deepthink.report.runs import Runs, Scale
from deepthink.report.words import compared, standing

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
        both = judging.corrected([found[rival] for found in against])
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
    signs = judging.surely(found)
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
    tested = [verdict for verdict in papers if verdict != judging.NOT_RUN]
    if not tested:
        return
    theirs = {m for t in ("table1", "table2", "table3") for m in experiments.axes(t)["model"]}
    yield (
        f"**{model}** is {'one' if model in theirs else 'none'} of the paper's models. Of "
        f"{len(papers)} claims of the paper {len(tested)} were tested on it: "
        f"{tested.count(judging.HOLDS)} confirmed in full, {tested.count(judging.PART)} in part; "
        "the others are undecided or go the other way (the intervals below say how far)."
    )
