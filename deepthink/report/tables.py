"""The paper's tables with our numbers beside the paper's, from stored runs alone."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from deepthink.config import overrides
from deepthink.report import budgets, experiments, paper
from deepthink.report.cells import Cell
from deepthink.report.chance import Levels
from deepthink.report.experiments import Setting
from deepthink.report.layout import Layout, Line
from deepthink.report.layouts import LAYOUTS
from deepthink.report.measurements import Measured, Subject, subjects
from deepthink.report.runs import Runs, Scale

WHOLE = Scale(-1, -1, -1, "bfloat16")
"""The scale on which a GPU runs the paper's models by default."""


@dataclass(frozen=True)
class Row:
    """A method under a reading, one cell for each column. note: on its budget, if it has one."""

    label: str
    cells: tuple[Cell, ...]
    note: str = ""


@dataclass(frozen=True)
class Section:
    """Rows under one heading."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Block:
    """All rows of one subject. `published`: whether the paper has this model."""

    subject: Subject
    published: bool
    sections: tuple[Section, ...]

    @property
    def rows(self) -> Iterator[Row]:
        """The rows of all sections."""
        return (row for section in self.sections for row in section.rows)

    def levels(self, section: Section) -> tuple[Levels | None, ...]:
        """Chance and majority of each column, averaged as the cells of a section are."""
        pooled = section.rows[0].cells[0].pooled if section.rows else False
        alike = [row.cells for row in self.rows if row.cells[0].pooled == pooled]
        return tuple(
            next((cell.levels for cell in cells if cell.levels), None)
            for cells in zip(*alike, strict=True)
        )

    @property
    def measured(self) -> bool:
        """Whether any run is there."""
        return any(part.runs for row in self.rows for cell in row.cells for part in cell.parts)


@dataclass(frozen=True)
class Table:
    """A table of measured numbers. `front`: as in `Layout`."""

    name: str
    title: str
    columns: tuple[str, ...]
    blocks: tuple[Block, ...]
    notes: tuple[str, ...]
    front: bool


def every(runs: Runs) -> list[Table]:
    """All tables of measured numbers, the paper's first."""
    return [build(runs, layout) for layout in LAYOUTS]


def build(runs: Runs, layout: Layout) -> Table:
    """A table with a block for each model and scale."""
    columns = tuple(layout.places.values())
    notes = layout.notes
    if not layout.places:
        (setting,) = experiments.settings(layout.name)
        columns = tuple(categories(setting))
        notes = (*notes, paper.stated_gains())
    elif len(columns) > 2:
        columns = (*columns, "Average")
    blocks = _shown(_block(layout, *subject) for subject in _subjects(runs, layout))
    notes = (*notes, *(row.note for block in blocks for row in block.rows if row.note))
    return Table(layout.name, layout.title, columns, blocks, notes, layout.front)


def categories(setting: Setting) -> dict[str, list[int]]:
    """The places of a setting's suite members by the suite's categories."""
    suite = experiments.suite(setting.configs[0].task.name.partition("/")[0])
    names = [config.task.member for config in setting.configs]
    return {
        category: [names.index(member) for member in members]
        for category, members in suite.categories.items()
    }


def _subjects(runs: Runs, layout: Layout) -> list[tuple[Subject, bool]]:
    """Subjects, and whether the paper has the model: the paper's first, then all with runs."""
    published = overrides.axes(layout.name)["model"] if layout.in_paper else []
    pairs = []
    for model in (*published, *(m for m in runs.models if m not in published)):
        measured = list(subjects(runs, layout.name, [model]))
        if model in published and not any(subject.scale.whole for subject in measured):
            measured.insert(0, Subject(runs, model, WHOLE))
        pairs += [(subject, model in published) for subject in measured]
    return pairs


def _block(layout: Layout, subject: Subject, published: bool) -> Block:
    """The rows of one subject. A line that calibrates stored scores is shown if there are any."""
    sections = []
    for title, lines in layout.sections.items():
        rows = (_row(layout, subject, published, title, line) for line in lines)
        pairs = zip(lines, rows, strict=True)
        kept = tuple(row for line, row in pairs if not line.reading.calibration or _has_runs(row))
        sections.append(Section(title, kept))
    return Block(subject, published, tuple(sections))


def _has_runs(row: Row) -> bool:
    return any(part.runs for cell in row.cells for part in cell.parts)


def _row(layout: Layout, subject: Subject, published: bool, section: str, line: Line) -> Row:
    """One cell for each place, then their average where there are more than two tasks."""
    paper_model = subject.model if published else layout.reference

    def cell(place: str, *parts: Measured) -> Cell:
        within = any(part.setting.axes["task"] in cut for part in parts)
        if line.published is None or paper_model is None:
            return Cell(parts, pooled=line.pooled, within_budget=within)
        column = "task" if layout.places else "category"
        where = {**line.published, "model": paper_model, column: place}
        if layout.reference:
            where["section"] = section
        printed = paper.value(layout.name, **where)
        if published:
            return Cell(parts, printed, pooled=line.pooled, within_budget=within)
        return Cell(parts, context=printed, pooled=line.pooled, within_budget=within)

    parts = _parts(layout, subject, line)
    cut = budgets.cut(line.budget, subject.scale)
    parts |= {task: budgets.within(parts[task], most) for task, most in cut.items()}
    cells = [cell(place, part) for place, part in parts.items()]
    if len(layout.places) > 2:
        cells.append(cell("average", *parts.values()))
    return Row(line.label, tuple(cells), budgets.note(line.label, subject, parts, cut))


def _parts(layout: Layout, subject: Subject, line: Line) -> dict[str, Measured]:
    """What was measured at each place: a task, or a category of the experiment's suite."""
    if layout.places:
        return {
            task: subject.measure(layout.name, line.reading, task=task, **line.axes)
            for task in layout.places
        }
    (setting,) = experiments.settings(layout.name)
    return {
        category: subject.measure_setting(
            replace(setting, configs=tuple(setting.configs[i] for i in members)), line.reading
        )
        for category, members in categories(setting).items()
    }


def _shown(blocks: Iterable[Block]) -> tuple[Block, ...]:
    """All blocks; of other data or another model only the rows and cells that have runs."""
    pruned = (_pruned(block) if block.subject.scale.other else block for block in blocks)
    return tuple(block for block in pruned if block.sections)


def _pruned(block: Block) -> Block:
    def cell(full: Cell) -> Cell:
        if all(part.runs for part in full.parts):
            return full
        unasked = (replace(part, setting=replace(part.setting, draws=())) for part in full.parts)
        return replace(full, parts=tuple(unasked))

    sections = []
    for section in block.sections:
        rows = [replace(row, cells=tuple(map(cell, row.cells))) for row in section.rows]
        if kept := tuple(row for row in rows if any(cell.wanted for cell in row.cells)):
            sections.append(replace(section, rows=kept))
    return replace(block, sections=tuple(sections))
