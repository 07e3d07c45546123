"""The authors' protocol: what it gains, and how much of that is the choice of t on test.

The released program (momentum 0.9, η = 0.01, continued positions, T = 15) logs the test accuracy
after every t, and the best one can be read off. The best of several looks is above the first look
even where nothing was gained. To see how far, t is chosen on a random half of the test rows and
read on the other half, which had no part in the choice. With row i in the unseen half H of a split,

    gain[s, i] = mean over splits with i in H of (right[s, i, t*(s, not H)] - right[s, i, 1])

where t*(s, A) is the best t of draw s on the rows A, the earliest of equals. Each split is used
both ways round. What the best t on test shows beyond this mean is the choice itself. The chosen
half is smaller than the whole, so t* is a little less well chosen than with all rows.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import StringIO

import numpy as np

from deepthink.report import prose, statistics
from deepthink.report.central import DECIDING, PLAIN, RAW, SEVEN, Block
from deepthink.report.comparisons import compare, corrected
from deepthink.report.layouts import TASKS
from deepthink.report.measurements import Measured, Subject, percent, shared, subjects
from deepthink.report.readings import BY_DEV, FIVE, ORACLE, VANILLA, Reading
from deepthink.report.render import Grid, latex, markdown
from deepthink.report.runs import Array, Draw, Runs
from deepthink.report.statistics import Estimate
from deepthink.report.verdicts import Judged, judge
from deepthink.report.words import difference, interval, number

EXPERIMENT, NAME = "authors", "authors"
TITLE = "The authors' protocol: how much is the choice of t on test"
SPLITS = 200
"""How many times the test rows are halved at random."""
HALVES = "best t on one half of test, read on the other"
BEST = "best t on test (upper bound)"
CHOICE = "of which the choice itself"


SETTINGS = {
    "the authors' program": (EXPERIMENT, "authors", SEVEN),
    "the paper's setting": ("rivals", "deepthink_curve", FIVE),
}
"""The settings that are looked at, the second as a control: experiment, method and fixed t."""


@dataclass(frozen=True)
class Protocol:
    """What one setting of thinking gains on one subject, by the way that t is chosen.

    rows: by the way's name the gain over t = 1 in points, of each task and then of their mean. None
        where it was not run, or, of the mean, where no draw is there of all tasks.
    wanted: how many draws the experiment asks for.
    """

    subject: Subject
    setting: str
    fixed: Reading
    rows: dict[str, tuple[Estimate | None, ...]]
    wanted: int

    @property
    def measured(self) -> bool:
        """Whether there is any number."""
        return any(any(estimates) for estimates in self.rows.values())

    def mean(self, row: str) -> Estimate | None:
        """The gain over all tasks."""
        return self.rows[row][-1]


def every(runs: Runs) -> list[Protocol]:
    """What was measured on every subject that has runs of the authors' setting."""
    found = []
    for subject in subjects(runs, EXPERIMENT):
        of = [protocol(subject, setting) for setting in SETTINGS]
        if of[0].measured:
            found += of
    return found


def protocol(subject: Subject, setting: str) -> Protocol:
    """What a setting gains on a subject, run or not."""
    experiment, method, fixed = SETTINGS[setting]

    def parts(reading: Reading) -> list[Measured]:
        return subject.measure_tasks(experiment, reading, TASKS, method=method)

    curves, plain = parts(ORACLE), parts(VANILLA)
    gains = {
        reading.name: compare("", parts(reading), plain, tested=False).estimates
        for reading in (fixed, BY_DEV)
    }
    rows = {
        **gains,
        BEST: _estimates(curves, best),
        HALVES: _estimates(curves, halved),
        CHOICE: _estimates(curves, lambda right: best(right) - halved(right)),
    }
    return Protocol(subject, setting, fixed, rows, max(len(part.wanted) for part in curves))


def best(right: Array) -> Array:
    """The gain of the best t over t = 1: right [S, T, I] of 0 and 1 to [S, I] of -1, 0 and 1."""
    chosen = right.sum(axis=2).argmax(axis=1)
    gain: Array = right[np.arange(len(right)), chosen].astype(float) - right[:, 0]
    return gain


def halved(right: Array, splits: int = SPLITS) -> Array:
    """The gain of a t that other rows chose: right [S, T, I] of 0 and 1 to [S, I], see above.

    The same rows are halved in the same ways for all draws.
    """
    rows = right.shape[2]
    rng = np.random.default_rng(0)
    first = np.array([rng.permutation(rows) < rows // 2 for _ in range(splits)])
    chooses = np.concatenate([first, ~first])
    chosen = (right.astype(np.int32) @ chooses.T).argmax(axis=1)
    gains = right.astype(float) - right[:, :1]
    unseen = (~chooses).astype(float)
    total = [
        sum(unseen[chosen[s] == t].sum(axis=0) * gains[s, t] for t in range(right.shape[1]))
        for s in range(len(right))
    ]
    averaged: Array = np.array(total) / splits
    return averaged


def _estimates(
    parts: Sequence[Measured], gain: Callable[[Array], Array]
) -> tuple[Estimate | None, ...]:
    """A gain on each task, then the mean over those draws that all tasks have; never tested."""
    found = [_estimate([gain(_right(p, [*p.runs]))]) if p.runs else None for p in parts]
    draws = shared(*parts)
    return (*found, _estimate([gain(_right(p, draws)) for p in parts]) if draws else None)


def _estimate(gains: Sequence[Array]) -> Estimate:
    nothing = [np.zeros_like(gain) for gain in gains]
    return replace(percent(statistics.average_difference(gains, nothing)), p=None)


def _right(part: Measured, draws: Sequence[Draw]) -> Array:
    """Which rows were right after every scored t, [S, T, I] of 0 and 1; t = 1 comes first."""
    runs = [part.runs[part.setting.reached(draw)][0] for draw in draws]
    return np.stack([[run.correct(step) for step in run.steps] for run in runs])


def gains(subject: Subject) -> Judged:
    """Judge the claim that the authors' program beats vanilla, at its fixed t and by dev."""
    plain = subject.measure_tasks(EXPERIMENT, VANILLA, TASKS)
    readings = (SEVEN, BY_DEV)
    found = [
        compare("", subject.measure_tasks(EXPERIMENT, reading, TASKS), plain, tested=True)
        for reading in readings
    ]
    names = (reading.name for reading in readings)
    return judge(zip(names, corrected(found), strict=True), 2)


def section(found: Sequence[Protocol], blocks: Sequence[Block]) -> Iterator[str]:
    """The part of the page: two sentences and a table for each subject.

    blocks: the central comparison, whose tests say whether a gain is significant.
    """
    if not found:
        return
    yield f"## {TITLE}\n"
    yield prose.AUTHORS.format(splits=SPLITS, table=f"tables/{NAME}")
    for subject in dict.fromkeys(one.subject for one in found):
        of = [one for one in found if one.subject == subject]
        yield f"### {subject}\n"
        block = next((b for b in blocks if b.subject == subject and b.design == DECIDING), None)
        if text := " ".join(filter(None, (said(of[0], block), *map(share, of)))):
            yield text + "\n"
        yield markdown(grid(of)) + "\n"


def said(of: Protocol, block: Block | None) -> str:
    """Whether the protocol gains anything at a t that was not chosen on test, in words."""
    parts = []
    for reading in (of.fixed, BY_DEV):
        if block is None or of.mean(reading.name) is None:
            continue
        line = next(
            line for line in DECIDING.thinking
            if line.reading == reading and line.axes["method"] == SETTINGS[of.setting][1]
        )  # fmt: skip
        row = block.find(line, RAW, PLAIN)
        parts.append(f"{reading.name}: {row.in_words('vanilla')}")
    return f"With {of.setting}, {'; '.join(parts)}." if parts else ""


def share(of: Protocol) -> str:
    """How much of the best t's gain is the choice of t, in words; empty without all tasks."""
    shown, left, choice = (of.mean(row) for row in (BEST, HALVES, CHOICE))
    if shown is None or left is None or choice is None:
        return ""
    if left.mean > 0:
        so = f"{number(choice.mean)} of the {number(shown.mean)} points are the choice itself"
    else:
        so = "the choice itself makes all of it"
    return (
        f"With {of.setting}, the best t on test shows {difference(shown)} over vanilla. Chosen on "
        f"one half of the test rows and read on the other, it shows {difference(left)}: {so}."
    )


_HEADER = ("thinking in", "t", *TASKS.values(), "mean", "n")


def grid(found: Sequence[Protocol]) -> Grid:
    """The gains over t = 1, one row for each setting and way to choose t."""
    rows: list[tuple[str, ...]] = []
    rules = []
    for of in found:
        rules.append(len(rows))
        label = of.setting
        for name, estimates in of.rows.items():
            n = estimates[-1].seeds if estimates[-1] else 0
            cells = (interval(e, signed=True) for e in estimates)
            rows.append((label, name, *cells, f"{n} of {of.wanted}"))
            label = ""
    return Grid(_HEADER, tuple(rows), tuple(rules[1:]))


def texts(found: Sequence[Protocol]) -> Iterator[tuple[str, str]]:
    """The files under tables/, by name; none if nothing was run."""
    if not found:
        return
    by_subject = {one.subject: [o for o in found if o.subject == one.subject] for one in found}
    grids = [(str(subject), grid(of)) for subject, of in by_subject.items()]
    note = prose.AUTHORS.format(splits=SPLITS, table=NAME)
    parts = [f"## {TITLE}\n", note]
    for title, content in grids:
        parts += [f"### {title}\n", markdown(content) + "\n"]
    yield f"tables/{NAME}.md", "\n".join(parts)
    notes = ("Gains over t = 1 in points, with 95 % intervals over draws and test examples.",)
    yield f"tables/{NAME}.tex", latex(NAME, TITLE, notes, _HEADER, grids)
    yield f"tables/{NAME}.csv", long_form(found)


_COLUMNS = (
    "model", "scale", "setting", "t", "task", "gain", "low", "high", "draws", "wanted", "examples",
)  # fmt: skip


def long_form(found: Sequence[Protocol]) -> str:
    """As CSV, one line for each setting, way to choose t, and task or their mean."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for of in found:
        for name, estimates in of.rows.items():
            for task, e in zip((*TASKS, "average"), estimates, strict=True):
                ends = ("", "", "") if e is None else (e.mean, e.low, e.high)
                numbers = (f"{value:.4f}" if value != "" else "" for value in ends)
                counts = (0, of.wanted, "") if e is None else (e.seeds, of.wanted, e.examples)
                place = (of.subject.model, of.subject.scale, of.setting, name, task)
                writer.writerow((*place, *numbers, *counts))
    return out.getvalue()
