"""The comparison that decides: thinking against plain learning, calibration, and two rivals.

Each setting of thinking is held against vanilla, against what calibration alone gives, against the
mean over five orders, and against gradient descent on the memory, with raw scores and with
calibrated ones. The runs are those of `experiment=rivals`. Runs of `experiment=central` have more
test rows and fewer methods, and stand in a block of their own.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

from deepthink.report import verdicts
from deepthink.report.comparisons import Comparison
from deepthink.report.layout import Line
from deepthink.report.layouts import TASKS
from deepthink.report.measurements import Measured, Subject, shared, subjects
from deepthink.report.readings import BY_DEV, FIVE, VANILLA, Reading, at
from deepthink.report.rival_claims import SETTINGS
from deepthink.report.rival_lines import METHODS
from deepthink.report.rivals import FROM_DEV, Entry
from deepthink.report.runs import Runs
from deepthink.report.words import difference

SEVEN = at(7)
"""The fixed t of the authors' setting."""


def _line(method: str, reading: Reading) -> Line:
    """The rivals' line of a method under a reading of t."""
    (only,) = (m for m in METHODS if m.axes["method"] == method and m.reading == reading)
    return only


@dataclass(frozen=True)
class Contrast:
    """What thinking is held against.

    rival: its line. calibrated: whether the scores of thinking are calibrated, and whether those of
        the rival are.
    """

    name: str
    rival: Line
    calibrated: tuple[bool, bool]


RAW, ACROSS, BOTH = (False, False), (False, True), (True, True)
PLAIN = _line("deepthink_curve", VANILLA)
ORDERS = _line("permutations", VANILLA)
DESCENT = _line("kv_tuning", at(21))


def _against_vanilla(plain: Line) -> tuple[Contrast, ...]:
    return (
        Contrast("less vanilla", plain, RAW),
        Contrast("less calibrated vanilla", plain, ACROSS),
        Contrast("calibrated, less calibrated vanilla", plain, BOTH),
    )


@dataclass(frozen=True)
class Design:
    """The ways to think that are compared, what they are held against, and whose runs these are."""

    experiment: str
    thinking: tuple[Line, ...]
    contrasts: tuple[Contrast, ...]


DECIDING = Design(
    "rivals",
    tuple(
        _line(method, reading)
        for method in SETTINGS.values()
        for reading in (SEVEN if method == "authors" else FIVE, BY_DEV)
    ),
    (
        *_against_vanilla(PLAIN),
        Contrast("less five orders averaged", ORDERS, RAW),
        Contrast("less gradient descent (CT-KV)", DESCENT, RAW),
        Contrast("calibrated, less calibrated five orders", ORDERS, BOTH),
        Contrast("calibrated, less calibrated CT-KV", DESCENT, BOTH),
    ),
)
"""Everything that is compared: six ways to think, and seven things that each is held against."""

_OF_CENTRAL = {"deepthink_curve": "deepthink"}
"""The methods that `experiment=central` runs under another name, at T = 5."""


def _many_rows() -> Design:
    """The design of `experiment=central`: t = 5 of each setting, against vanilla alone."""
    methods = {name: _OF_CENTRAL.get(method, method) for name, method in SETTINGS.items()}
    lines = tuple(
        Line(f"Thinking, {name}, t = 5", {"method": method}, FIVE)
        for name, method in methods.items()
    )
    plain = replace(PLAIN, axes={"method": _OF_CENTRAL["deepthink_curve"]})
    return Design("central", lines, _against_vanilla(plain))


MANY_ROWS = _many_rows()


@dataclass(frozen=True)
class Compared:
    """One way to think against one rival. The p of the comparison are corrected, see `Block`.

    sides: what was measured of thinking and of the rival, on each task.
    """

    line: Line
    contrast: Contrast
    comparison: Comparison
    sides: tuple[tuple[Measured, ...], tuple[Measured, ...]]

    @property
    def wanted(self) -> int:
        """How many draws the experiment asks for."""
        return max(len(part.wanted) for side in self.sides for part in side)

    @property
    def measured(self) -> bool:
        """Whether there is a mean over tasks."""
        return self.comparison.average is not None

    @property
    def standing(self) -> int | None:
        """1 or -1 if the mean over tasks is significant, 0 if not; None if it is not tested."""
        return None if self.comparison.adjusted[-1] is None else self.comparison.ahead("average")

    def in_words(self, rival: str) -> str:
        """The mean over tasks with its interval, and what the test says of it.

        rival: what the rival is called.
        """
        if self.comparison.average is None:
            return "no number on all five tasks"
        told = {
            None: "too few draws to test",
            1: f"significantly ahead of {rival}",
            -1: f"significantly behind {rival}",
            0: f"not told apart from {rival}",
        }[self.standing]
        return f"{difference(self.comparison.average)}, {told}"


@dataclass(frozen=True)
class Block:
    """Every comparison of a design on one subject.

    rows: p is corrected by Holm's method over all tests of one question, which is one setting of
        thinking against one rival: its readings of t, the tasks and their mean. entries: the
        accuracies, of methods that have one on every task.
    """

    subject: Subject
    design: Design
    rows: tuple[Compared, ...]
    entries: tuple[Entry, ...]

    def find(self, line: Line, calibrated: tuple[bool, bool], rival: Line) -> Compared:
        """The comparison of a way to think with a rival."""
        (only,) = (
            row for row in self.rows
            if row.line == line
            and row.contrast.rival == rival
            and row.contrast.calibrated == calibrated
        )  # fmt: skip
        return only

    def entry(self, line: Line, calibrated: bool) -> Entry | None:
        """The accuracy of a method; None if it has none on some task."""
        found = (e for e in self.entries if e.line == line and e.calibrated == calibrated)
        return next(found, None)

    @property
    def plain(self) -> Line:
        """Vanilla in-context learning."""
        return self.design.contrasts[0].rival

    @property
    def fixed(self) -> list[Line]:
        """The ways to think whose t was fixed beforehand, one for each setting."""
        return [line for line in self.design.thinking if line.reading.fixed]

    @cached_property
    def measured(self) -> bool:
        """Whether there is a number, in the design `DECIDING` one that `MANY_ROWS` has not."""
        return any(
            any(row.comparison.estimates)
            for row in self.rows
            if self.design == MANY_ROWS or row.line.reading != FIVE or row.contrast.rival != PLAIN
        )

    @property
    def parts(self) -> Iterator[Measured]:
        """Everything that was measured with raw scores, vanilla aside: its runs are thinking's."""
        seen = {id(part): part for row in self.rows for side in row.sides for part in side}
        return (
            part for part in seen.values()
            if part.reading != VANILLA or part.setting.axes["method"] != self.plain.axes["method"]
        )  # fmt: skip


def blocks(runs: Runs) -> list[Block]:
    """The blocks of every model: what decides first, then what has many test rows and no more."""
    deciding = _built(subjects(runs, DECIDING.experiment), DECIDING)
    there = [block.subject for block in deciding]
    others = (one for one in subjects(runs, MANY_ROWS.experiment) if one not in there)
    return [*deciding, *_built(others, MANY_ROWS)]


def _built(of: Iterable[Subject], design: Design) -> list[Block]:
    return [block for subject in of if (block := build(subject, design)).measured]


def build(subject: Subject, design: Design) -> Block:
    """Every comparison of a design on one subject, run or not."""
    lines = {c.rival.label: c.rival for c in design.contrasts}
    lines |= {line.label: line for line in design.thinking}
    entries = {
        (label, calibrated): Entry(line, calibrated, _parts(subject, design, line, calibrated))
        for (label, line), calibrated in product(lines.items(), (False, True))
    }
    rows = []
    for line, contrast in product(design.thinking, design.contrasts):
        ours, theirs = contrast.calibrated
        pair = entries[line.label, ours], entries[contrast.rival.label, theirs]
        rows.append(_compared(*pair, contrast))
    whole = tuple(entry for entry in entries.values() if shared(*entry.parts))
    return Block(subject, design, tuple(_corrected(rows)), whole)


def _parts(subject: Subject, design: Design, line: Line, calibrated: bool) -> tuple[Measured, ...]:
    reading = line.reading.after(FROM_DEV) if calibrated else line.reading
    return tuple(subject.measure_tasks(design.experiment, reading, TASKS, **line.axes))


def _compared(ours: Entry, theirs: Entry, contrast: Contrast) -> Compared:
    comparison = replace(ours.less(theirs), label=contrast.name)
    return Compared(ours.line, contrast, comparison, (ours.parts, theirs.parts))


def _corrected(rows: Sequence[Compared]) -> Iterator[Compared]:
    """The rows with p corrected over those of the same setting of thinking and the same rival."""
    for row in rows:
        family = [
            one for one in rows
            if one.contrast == row.contrast
            and one.line.axes["method"] == row.line.axes["method"]
        ]  # fmt: skip
        corrected = verdicts.corrected([one.comparison for one in family])
        yield replace(row, comparison=corrected[family.index(row)])
