"""Whether one rule without labels chooses a good η and t on every model."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from deepthink.report import verdicts
from deepthink.report.choosing import LABEL_FREE, Choices, Rule
from deepthink.report.layouts import POSITIONS, TASKS
from deepthink.report.render import Grid, markdown
from deepthink.report.runs import Scale
from deepthink.report.verdicts import Judged
from deepthink.report.words import difference, interval

SERVES, NOT, OPEN = "serves every model", "does not serve every model", "undecided"


@dataclass(frozen=True)
class Answer:
    """The verdict on a rule at one kind of positions, on raw and on calibrated scores."""

    rule: Rule
    positions: str
    raw: Judged
    calibrated: Judged


def answers(found: Sequence[Choices]) -> list[Answer]:
    """The verdicts on every label-free rule from choices of one scale.

    None for positions at which fewer than two models were run.
    """
    judged = []
    for positions, rule in product(POSITIONS, LABEL_FREE):
        raw, calibrated = (
            [e for e in found if (e.positions, e.calibrated) == (positions, treated)]
            for treated in (False, True)
        )
        if len(raw) > 1:
            judged.append(Answer(rule, positions, serves(rule, raw), serves(rule, calibrated)))
    return judged


def serves(rule: Rule, models: Sequence[Choices]) -> Judged:
    """Whether a label-free rule gains on every model, and the evidence.

    It serves every model if its gain over t = 1 is significant on each (after Holm's correction
    over models and label-free rules), and no task of any model is significantly behind (corrected
    over the tasks of all models). It does not if a model or a task is significantly behind.
    """
    every = [
        (other, model, chosen)
        for other, model in product(LABEL_FREE, models)
        if (chosen := model.of(other)) is not None
    ]
    signs = verdicts.significant_signs(chosen.gain for _, _, chosen in every)
    mine = [
        (model, chosen, sign)
        for (other, model, chosen), sign in zip(every, signs, strict=True)
        if other == rule
    ]
    tasks = [
        (f"{model.subject.model}, {TASKS[task]}", gain)
        for model, chosen, _ in mine
        for task, gain in zip(model.tasks, chosen.gains, strict=True)
    ]
    behind = verdicts.significant_signs(gain for _, gain in tasks)
    losses = [
        f"{name} {interval(gain, signed=True)}"
        for (name, gain), sign in zip(tasks, behind, strict=True)
        if sign < 0
    ]
    evidence = [f"{model.subject.model} {difference(chosen.gain)}" for model, chosen, _ in mine]
    if losses:
        evidence.append(f"significantly behind on {', '.join(losses)}")
    averages = [sign for _, _, sign in mine]
    verdict = OPEN
    if losses or -1 in averages:
        verdict = NOT
    elif len(mine) == len(models) and all(sign > 0 for sign in averages):
        verdict = SERVES
    return verdict, "; ".join(evidence) or "not run"


def section(found: Sequence[Choices]) -> Iterator[str]:
    """A sentence and a table for each scale on which several models were run."""
    for scale in dict.fromkeys(each.subject.scale for each in found):
        judged = answers([each for each in found if each.subject.scale == scale])
        if judged:
            yield _sentence(judged, scale) + "\n"
            rows = (
                (answer.rule.name, answer.positions, *map(_cell, (answer.raw, answer.calibrated)))
                for answer in judged
            )
            header = ("rule", "positions", "raw, less vanilla", "calibrated, less vanilla")
            yield markdown(Grid(header, tuple(rows))) + "\n"


def _sentence(judged: Sequence[Answer], scale: Scale) -> str:
    """Which rules serve every model."""
    raw, calibrated = (
        [
            f"{answer.rule.name} ({answer.positions})"
            for answer in judged
            if (answer.calibrated if treated else answer.raw)[0] == SERVES
        ]
        for treated in (False, True)
    )
    return (
        f"**Does one rule without labels serve every model?** Of {len(judged)} on raw scores: "
        f"{', '.join(raw) or 'none'}. On calibrated scores: {', '.join(calibrated) or 'none'} "
        f"({scale})."
    )


def _cell(judged: Judged) -> str:
    verdict, evidence = judged
    return f"**{verdict}**: {evidence}"
