"""When to stop: how far the t that a rule chooses is from the best t on test.

The regret of a rule is the accuracy at the oracle's t less that at the rule's, of the same draw. It
is never below zero, so it is not tested: its interval says how large it is.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from io import StringIO

from deepthink.report import experiments, statistics
from deepthink.report.layouts import STOPPING_SETTINGS, TASKS
from deepthink.report.measurements import Measured, Subject, percent, shared, subjects
from deepthink.report.readings import ORACLE, STOPPING, VANILLA, Reading
from deepthink.report.render import Grid, latex, markdown
from deepthink.report.runs import Runs
from deepthink.report.statistics import Estimate
from deepthink.report.words import MISSING, interval, number

NAME = "regret"
TITLE = "Regret: what the best t on test is ahead of the t that a rule chooses"
NOTE = (
    "Points of accuracy that the oracle's t is ahead of the rule's, over draws and test examples "
    "with 95 % intervals. The regret of t = 1 is the oracle's gain. The part of that gain that a "
    "rule keeps stands in brackets (below 0 it loses), unless the gain's interval holds zero."
)

_HEADER = ("t", *TASKS.values(), "Average")


@dataclass(frozen=True)
class Regret:
    """A rule's regret on one task, or on average over several.

    estimate: in points; None if the rule and the oracle have no draw in common.
    kept: the part of the oracle's gain over t = 1 that the rule keeps, a ratio of means; None
        where the interval of that gain holds zero.
    """

    estimate: Estimate | None = None
    kept: float | None = None


@dataclass(frozen=True)
class RegretRow:
    """The regrets of one rule in one setting, one for each task, then their average."""

    subject: Subject
    setting: str
    rule: Reading
    regrets: tuple[Regret, ...]

    @property
    def measured(self) -> bool:
        """Whether there is any number."""
        return any(regret.estimate for regret in self.regrets)


def regret(
    ruled: Sequence[Measured], best: Sequence[Measured], plain: Sequence[Measured]
) -> Regret:
    """The regret of a rule over tasks, from the same runs under the rule, the oracle and t = 1.

    Only draws count that all parts have.
    """
    draws = shared(*ruled, *best, *plain)
    if not draws:
        return Regret()
    chosen, oracle, first = (
        [outcomes for part in parts for outcomes in part.of_draws(draws)]
        for parts in (ruled, best, plain)
    )
    estimate, gain = (
        percent(statistics.average_difference(oracle, below)) for below in (chosen, first)
    )
    kept = 1 - estimate.mean / gain.mean if gain.low > 0 else None
    return Regret(replace(estimate, low=max(0.0, estimate.low), p=None), kept)


def every(runs: Runs) -> Iterator[RegretRow]:
    """A row for each subject, setting of `experiment=stopping` and rule, from none to the last."""
    for subject in subjects(runs, "stopping"):
        for setting, axes in STOPPING_SETTINGS.items():
            best, plain = (
                subject.measure_tasks("stopping", reading, TASKS, **axes)
                for reading in (ORACLE, VANILLA)
            )
            for rule in STOPPING:
                ruled = subject.measure_tasks("stopping", rule, TASKS, **axes)
                each = [regret([a], [b], [c]) for a, b, c in zip(ruled, best, plain, strict=True)]
                yield RegretRow(subject, setting, rule, (*each, regret(ruled, best, plain)))


def grid(rows: Sequence[RegretRow]) -> Grid:
    """The rows of one subject that have numbers, with a heading for each setting."""
    lines: list[tuple[str, ...]] = []
    rules = []
    for setting in STOPPING_SETTINGS:
        of_setting = [row for row in rows if row.setting == setting and row.measured]
        if of_setting:
            rules.append(len(lines))
            lines.append((f"*{setting}*", *[""] * (len(TASKS) + 1)))
            lines += [(row.rule.name, *map(_cell, row.regrets)) for row in of_setting]
    return Grid(_HEADER, tuple(lines), tuple(rules[1:]))


def _cell(regret: Regret) -> str:
    """The regret with its interval, and the part of the gain that is kept."""
    if regret.estimate is None:
        return MISSING
    kept = "" if regret.kept is None else f" ({number(100 * regret.kept, digits=0)} %)"
    return f"{interval(regret.estimate)}{kept}"


_COLUMNS = (
    "model", "scale", "setting", "t", "task", "regret", "low", "high", "kept", "draws", "examples",
)  # fmt: skip


def long_form(rows: Sequence[RegretRow]) -> str:
    """As CSV, one line for each rule and task; empty where nothing was run."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        place = (row.subject.model, row.subject.scale, row.setting, row.rule.name)
        for task, regret in zip((*TASKS, "average"), row.regrets, strict=True):
            numbers: tuple[object, ...] = ("",) * 6
            if (e := regret.estimate) is not None:
                kept = "" if regret.kept is None else f"{regret.kept:.4f}"
                ends = (f"{value:.4f}" for value in (e.mean, e.low, e.high))
                numbers = (*ends, kept, e.seeds, e.examples)
            writer.writerow([*place, task, *numbers])
    return out.getvalue()


def texts(runs: Runs) -> Iterator[tuple[str, str]]:
    """The table as Markdown, LaTeX and CSV, by the file's name."""
    rows = [*every(runs)]
    grids = [(str(subject), each) for subject, each in grids_of(rows)]
    text = f"## {TITLE}\n\n{NOTE}\n"
    if not grids:
        text += f"\nNot run: `{experiments.whole_command(runs, 'stopping')}`\n"
    for subject, each in grids:
        text += f"\n### {subject}\n\n{markdown(each)}\n"
    yield f"tables/{NAME}.md", text
    yield f"tables/{NAME}.tex", latex(NAME, TITLE, (NOTE,), _HEADER, grids)
    yield f"tables/{NAME}.csv", long_form(rows)


def grids_of(rows: Sequence[RegretRow], complete: bool = False) -> Iterator[tuple[Subject, Grid]]:
    """Each subject that has numbers, with its grid.

    complete: only subjects that have a number of every rule.
    """
    for subject in dict.fromkeys(row.subject for row in rows if row.measured):
        mine = [row for row in rows if row.subject == subject]
        if not complete or {row.rule for row in mine if row.measured} == {*STOPPING}:
            yield subject, grid(mine)
