"""The comparison that decides: thinking against plain learning, calibration, and two rivals.

Each setting of thinking is held against vanilla, against what calibration alone gives, against the
mean over five orders, and against gradient descent on the memory, with raw scores and with
calibrated ones. The runs are those of `experiment=rivals`. Runs of `experiment=central` have more
test rows and fewer methods, and stand in a block of their own.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import product

from deepthink.report.comparisons import Comparison, corrected
from deepthink.report.layout import Line
from deepthink.report.layouts import TASKS
from deepthink.report.measurements import Measured, Subject, shared, subjects
from deepthink.report.readings import BY_DEV, FIVE, TESTED, VANILLA, Reading, at
from deepthink.report.rival_claims import SETTINGS
from deepthink.report.rival_lines import METHODS
from deepthink.report.rivals import FROM_DEV, Entry, less
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
        }[self.comparison.told("average")]
        return f"{difference(self.comparison.average)}, {told}"


@dataclass(frozen=True)
class Block:
    """Every comparison of a design on one subject.

    rows: p is corrected by Holm's method over all tests of one question, see `rivals.less`.
    entries: the accuracies, of methods that have one on every task.
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

    @property
    def by_dev(self) -> list[Line]:
        """The ways to think whose t is chosen on dev."""
        return [line for line in self.design.thinking if line.reading == BY_DEV]

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
    sides = _Sides(subject, design)
    rows = []
    for line, contrast in product(design.thinking, design.contrasts):
        ours, theirs = contrast.calibrated
        pair = sides.find(line, ours), sides.find(contrast.rival, theirs)
        comparison = replace(sides.tested(*pair), label=contrast.name)
        rows.append(Compared(line, contrast, comparison, (pair[0].parts, pair[1].parts)))
    rivals = {contrast.rival.label: contrast.rival for contrast in design.contrasts}
    entries = (
        sides.find(line, calibrated)
        for line, calibrated in product((*rivals.values(), *design.thinking), (False, True))
    )
    return Block(subject, design, tuple(rows), tuple(e for e in entries if shared(*e.parts)))


@dataclass(frozen=True)
class _Sides:
    """The two sides of every comparison on one subject, each measured and compared once."""

    subject: Subject
    design: Design
    entries: dict[tuple[str, bool], Entry] = field(default_factory=dict)
    differences: dict[tuple[int, int], Comparison] = field(default_factory=dict)

    def find(self, line: Line, calibrated: bool) -> Entry:
        """What was measured of a line on each task."""
        if (line.label, calibrated) not in self.entries:
            reading = line.reading.after(FROM_DEV) if calibrated else line.reading
            experiment = self.design.experiment
            parts = self.subject.measure_tasks(experiment, reading, TASKS, **line.axes)
            self.entries[line.label, calibrated] = Entry(line, calibrated, tuple(parts))
        return self.entries[line.label, calibrated]

    def less(self, first: Entry, second: Entry) -> Comparison:
        """One entry less another, with the p of this pair alone."""
        pair = id(first), id(second)
        if pair not in self.differences:
            self.differences[pair] = first.less(second)
        return self.differences[pair]

    def tested(self, first: Entry, second: Entry) -> Comparison:
        """The same with p corrected over all tests of their question.

        A design without t by dev has as many tests as one with it: what it does not ask for is
        undecided, so that its p are those of `comparisons.question`.
        """
        if self.design == DECIDING:
            return less(first, second, self.find, self.less)
        (alone,) = corrected([self.less(first, second)], len(TESTED) * (len(TASKS) + 1))
        return alone
