"""Lines that are too costly for every draw: which cells are final with fewer."""

from collections.abc import Mapping
from dataclasses import replace

from deepthink.report import experiments
from deepthink.report.layout import Budget
from deepthink.report.layouts import TASKS
from deepthink.report.measurements import Measured, Subject
from deepthink.report.runs import Scale
from deepthink.report.words import number


def cut(budget: Budget | None, scale: Scale) -> Mapping[str, int]:
    """By task, the number of draws that a budget allows on a scale; empty if it does not apply."""
    if budget is None or experiments.of_scale(scale) != [f"scale={budget.scale}"]:
        return {}
    return budget.draws


def within(part: Measured, most: int) -> Measured:
    """The same with so many draws wanted, and with every further one that was run."""
    draws = part.setting.draws
    kept = tuple(draw for place, draw in enumerate(draws) if place < most or draw in part.runs)
    return replace(part, setting=replace(part.setting, draws=kept))


def note(
    label: str, subject: Subject, parts: Mapping[str, Measured], cut: Mapping[str, int]
) -> str:
    """A sentence on what was spent on a line within its budget; empty if it has none, or no run."""
    spent = []
    for task in cut:
        if count := len(parts[task].runs):
            hours = number(_hours(parts[task]), digits=2)
            spent.append(f"{count} draws of {TASKS[task]} ({hours} hours each)")
    if not spent:
        return ""
    return (
        f"{label} is costly. On {subject}, its budget was {' and '.join(spent)} instead of every "
        "draw. These cells are final, and their n stands beside them."
    )


def _hours(part: Measured) -> float:
    """What one draw took on average, all members of a suite together."""
    seconds = [sum(run.record.seconds.all for run in runs) for runs in part.runs.values()]
    return sum(seconds) / len(seconds) / 3600
