"""The paper's tables, ours beside the paper's, from stored runs alone."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from deepthink.report import experiments, paper
from deepthink.report.experiments import Setting
from deepthink.report.layouts import CATEGORIES, LAYOUTS, Layout, Line
from deepthink.report.measurements import Cell, Measured, measure, scales_of
from deepthink.report.runs import Runs, Scale

WHOLE = Scale(-1, -1, -1, "bfloat16")
"""What the paper's models run on without further words, on a GPU."""


@dataclass(frozen=True)
class Row:
    """A method under a reading, one cell for each column."""

    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Section:
    """Rows that belong together."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Block:
    """All rows of one model on one scale. `published`: whether the paper has this model."""

    model: str
    scale: Scale
    published: bool
    sections: tuple[Section, ...]

    @property
    def rows(self) -> Iterator[Row]:
        """The rows of all sections."""
        return (row for section in self.sections for row in section.rows)

    @property
    def measured(self) -> bool:
        """Whether any run is there."""
        return any(part.found for row in self.rows for cell in row.cells for part in cell.parts)


@dataclass(frozen=True)
class Table:
    """A table of the paper."""

    name: str
    title: str
    columns: tuple[str, ...]
    blocks: tuple[Block, ...]
    notes: tuple[str, ...]


def every(runs: Runs) -> list[Table]:
    """All tables of measured numbers, the paper's first."""
    built = [build(runs, layout) for layout in LAYOUTS]
    return [*built[:3], figure3(runs), *built[3:]]


def build(runs: Runs, layout: Layout) -> Table:
    """A table with a block for each model and scale."""
    average = ("Average",) if len(layout.places) > 2 else ()
    return Table(
        layout.name,
        layout.title,
        (*layout.places.values(), *average),
        _shown(_block(runs, layout, *one) for one in _blocks(runs, layout)),
        layout.notes,
    )


def figure3(runs: Runs) -> Table:
    """MMLU by category, the numbers of Figure 3 (§4.5)."""
    (setting,) = experiments.settings("figure3")
    places = categories(setting)

    def cell(line: Line, category: str, model: str, scale: Scale, published: bool) -> Cell:
        chosen = tuple(setting.configs[i] for i in places[category])
        part = measure(runs, replace(setting, configs=chosen), model, scale, line.reading)
        where = {**(line.published or {}), "model": model, "category": category}
        printed = paper.value("figure3", **where) if published else None
        return Cell((part,), printed, pooled=line.pooled)

    def block(model: str, scale: Scale, published: bool) -> Block:
        rows = tuple(
            Row(line.label, tuple(cell(line, name, model, scale, published) for name in places))
            for line in CATEGORIES.sections[""]
        )
        return Block(model, scale, published, (Section("", rows),))

    gains = paper.read("figure3").query("method == 'gain'")
    stated = ", ".join(f"{row.category} +{row.value:g}" for row in gains.itertuples())
    return Table(
        CATEGORIES.name,
        CATEGORIES.title,
        tuple(places),
        _shown(block(*one) for one in _blocks(runs, CATEGORIES)),
        (f"The paper plots four models and states only LLaMA2-7B's gains: {stated}.",),
    )


def _shown(blocks: Iterable[Block]) -> tuple[Block, ...]:
    """All blocks; of other data or another model only the rows and cells that have runs."""
    pruned = (_pruned(block) if block.scale.other else block for block in blocks)
    return tuple(block for block in pruned if block.sections)


def _pruned(block: Block) -> Block:
    def cell(full: Cell) -> Cell:
        if all(part.found for part in full.parts):
            return full
        unasked = (replace(part, setting=replace(part.setting, draws=())) for part in full.parts)
        return replace(full, parts=tuple(unasked))

    sections = []
    for section in block.sections:
        rows = [replace(row, cells=tuple(map(cell, row.cells))) for row in section.rows]
        if kept := tuple(row for row in rows if any(one.wanted for one in row.cells)):
            sections.append(replace(section, rows=kept))
    return replace(block, sections=tuple(sections))


def categories(setting: Setting) -> dict[str, list[int]]:
    """The places of a setting's suite members by the suite's categories."""
    suite = experiments.suite(setting.configs[0].task.name.partition("/")[0])
    names = [config.task.member for config in setting.configs]
    return {
        category: [names.index(member) for member in members]
        for category, members in suite.categories.items()
    }


def _blocks(runs: Runs, layout: Layout) -> list[tuple[str, Scale, bool]]:
    """Model, scale, and whether the paper has the model: the paper's first, then all with runs."""
    published = experiments.axes(layout.name)["model"] if layout.in_paper else []
    settings = experiments.settings(layout.name)
    found = []
    for model in (*published, *(m for m in runs.models if m not in published)):
        scales = scales_of(runs, settings, model)
        if model in published and not any(scale.whole for scale in scales):
            scales.insert(0, WHOLE)
        found += [(model, scale, model in published) for scale in scales]
    return found


def _block(runs: Runs, layout: Layout, model: str, scale: Scale, published: bool) -> Block:
    """One model's rows: a cell for each task, then their average where there are more than two."""
    paper_model = model if published else layout.reference

    def cell(line: Line, section: str, place: str, parts: tuple[Measured, ...]) -> Cell:
        if line.published is None or paper_model is None:
            return Cell(parts, pooled=line.pooled)
        where = {**line.published, "model": paper_model, "task": place}
        if layout.reference:
            where["section"] = section
        printed = paper.value(layout.name, **where)
        if published:
            return Cell(parts, paper=printed, pooled=line.pooled)
        return Cell(parts, context=printed, pooled=line.pooled)

    def row(line: Line, section: str) -> Row:
        parts = []
        for place in layout.places:
            setting = experiments.setting(layout.name, **line.axes, task=place)
            parts.append(measure(runs, setting, model, scale, line.reading))
        cells = [
            cell(line, section, p, (part,)) for p, part in zip(layout.places, parts, strict=True)
        ]
        if len(parts) > 2:
            cells.append(cell(line, section, "average", tuple(parts)))
        return Row(line.label, tuple(cells))

    return Block(
        model,
        scale,
        published,
        tuple(
            Section(title, tuple(row(line, title) for line in lines))
            for title, lines in layout.sections.items()
        ),
    )
