"""The paper's tables, ours beside the paper's, from stored runs alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from deepthink.cli import compose
from deepthink.config import Suite
from deepthink.report import experiments, paper
from deepthink.report.cells import (
    BY_DEV,
    FIVE,
    ORACLE,
    VANILLA,
    Cell,
    Measured,
    Reading,
    measure,
    scales_of,
)
from deepthink.report.experiments import Setting
from deepthink.report.runs import Runs, Scale

TASKS = {"sst2": "SST2", "sst5": "SST5", "trec": "TREC", "mr": "MR", "agnews": "AG News"}
SUITES = {"mmlu": "MMLU", "bbh": "BBH"}
WHOLE = Scale(-1, -1, -1, "bfloat16")
"""What the paper's models run on without further words, on a GPU."""
REFERENCE = {"table1": "gpt2-large"}
"""Whose numbers stand beside those of a model the paper does not have."""


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


@dataclass(frozen=True)
class Line:
    """A row to be: which experiment's setting, how it is read, and the paper's row beside it.

    axes: what singles the setting out in its experiment, the task aside. published: columns and
        values of the paper's CSV, the task and model aside; None where the paper has no such row.
        pooled: as in `Cell`.
    """

    label: str
    axes: dict[str, str]
    reading: Reading
    published: dict[str, str] | None
    pooled: bool = False


_RULES = {
    "herding": "Herding",
    "k_center": "K-Center Greedy",
    "entropy": "Entropy",
    "least_confidence": "Least Confidence",
    "margin": "Margin",
    "cal": "CAL",
    "craig": "CRAIG",
    "grad_match": "GradMatch",
    "facility_location": "Facility Location",
    "graph_cut": "Graph Cut",
}
NO_DEV, DEV = "without dev set", "with dev set"
TABLE1 = {
    NO_DEV: [
        Line("Random", {"method": "deepthink_curve"}, VANILLA, {"method": "random"}),
        *(Line(label, {"method": m}, VANILLA, {"method": m}) for m, label in _RULES.items()),
        Line("Deep-Thinking", {"method": "deepthink_curve"}, FIVE, {"method": "deepthink"}),
    ],
    DEV: [
        Line("LENS", {"method": "lens"}, VANILLA, {"method": "lens"}),
        Line("Random ♣", {"method": "best_random"}, VANILLA, {"method": "best_random"}),
        Line("Deep-Thinking ♣", {"method": "deepthink_dev"}, BY_DEV, {"method": "deepthink_dev"}),
    ],
}
_OURS = {"method": "deepthink"}
TABLE2 = [
    Line("ICL", {}, VANILLA, {"method": "vanilla"}),
    Line("Deep-Thinking, t = 5", {}, FIVE, _OURS),
    Line("Deep-Thinking, t by dev", {}, BY_DEV, _OURS),
    Line("Deep-Thinking, oracle t (upper bound)", {}, ORACLE, None),
]
TABLE3 = {
    "over questions": [
        Line("ICL", {}, VANILLA, {"method": "vanilla"}, pooled=True),
        Line("Deep-Thinking, t = 5", {}, FIVE, _OURS, pooled=True),
    ],
    "over tasks": [
        Line("ICL", {}, VANILLA, None),
        Line("Deep-Thinking, t = 5", {}, FIVE, None),
    ],
}


def table1(results: Path, runs: Runs) -> Table:
    """Selectors against thinking over random demonstrations (§4.1), with repetition besides."""
    copied = (
        "The paper's rows without a dev set but Deep-Thinking, and LENS, were copied from the LENS "
        "paper (other prompts and label words, four templates): compare order and rough size."
    )
    return Table(
        "table1",
        "Table 1: ways to choose demonstrations, and thinking",
        (*TASKS.values(), "Average"),
        tuple(
            _block(results, runs, "table1", model, scale, published, TABLE1, TASKS)
            for model, scale, published in _blocks(runs, "table1")
        ),
        (
            copied,
            "Random is t = 1 of the Deep-Thinking runs: the same demonstrations. ♣: the best of "
            "ten random sets by vanilla accuracy on dev, for every seed; t ≤ 15 by dev.",
        ),
    )


def table2(results: Path, runs: Runs) -> Table:
    """Vanilla against thinking on the same demonstrations, across models (§4.4)."""
    return Table(
        "table2",
        "Table 2: vanilla in-context learning and Deep-Thinking across models",
        (*TASKS.values(), "Average"),
        tuple(
            _block(results, runs, "table2", model, scale, published, {"": TABLE2}, TASKS)
            for model, scale, published in _blocks(runs, "table2")
        ),
        (
            "The paper does not say how t was chosen here; its program's logs show the best t on "
            "the test split. Three readings stand side by side; the oracle is an upper bound.",
        ),
    )


def table3(results: Path, runs: Runs) -> Table:
    """MMLU and BBH with the benchmarks' own demonstrations (§4.2)."""
    return Table(
        "table3",
        "Table 3: MMLU and BIG-Bench Hard",
        tuple(SUITES.values()),
        tuple(
            _block(results, runs, "table3", model, scale, published, TABLE3, SUITES)
            for model, scale, published in _blocks(runs, "table3")
        ),
        (
            "The paper's averages are over questions, as far as can be told (paper/NOTES.md); over "
            "tasks, every one of the 57 or 22 weighs the same. The demonstrations are given, so "
            "there is one run, and its interval is over questions alone.",
        ),
    )


def figure3(results: Path, runs: Runs) -> Table:
    """MMLU by category, the numbers of Figure 3 (§4.5)."""
    (setting,) = experiments.settings("figure3")
    places = categories(setting)

    def block(model: str, scale: Scale, published: bool) -> Block:
        rows = []
        for line in TABLE3["over questions"]:
            cells = []
            for category, members in places.items():
                chosen = tuple(setting.configs[i] for i in members)
                narrowed = Setting(setting.experiment, setting.axes, chosen, setting.draws)
                where = {**(line.published or {}), "model": model, "category": category}
                cells.append(
                    Cell(
                        (measure(runs, narrowed, model, scale, line.reading),),
                        paper.value(results, "figure3", **where) if published else None,
                        pooled=True,
                    )
                )
            rows.append(Row(line.label, tuple(cells)))
        return Block(model, scale, published, (Section("", tuple(rows)),))

    gains = paper.read(results, "figure3").query("method == 'gain'")
    stated = ", ".join(f"{row.category} +{row.value:g}" for row in gains.itertuples())
    return Table(
        "figure3",
        "Figure 3: MMLU by category",
        tuple(places),
        tuple(block(*one) for one in _blocks(runs, "figure3")),
        (f"The paper plots four models and states only LLaMA2-7B's gains: {stated}.",),
    )


def categories(setting: Setting) -> dict[str, list[int]]:
    """The places of a setting's suite members by the suite's categories."""
    suite = compose([f"task={setting.configs[0].task.name.partition('/')[0]}"])
    assert isinstance(suite, Suite)
    names = [config.task.member for config in setting.configs]
    return {
        category: [names.index(member) for member in members]
        for category, members in suite.spec.categories.items()
    }


def _blocks(runs: Runs, experiment: str) -> list[tuple[str, Scale, bool]]:
    """Model, scale, and whether the paper has the model: the paper's first, then all with runs."""
    published = experiments.axes(experiment)["model"]
    settings = experiments.settings(experiment)
    found = []
    for model in (*published, *(m for m in runs.models if m not in published)):
        scales = scales_of(runs, settings, model)
        if model in published and not any(scale.whole for scale in scales):
            scales.insert(0, WHOLE)
        found += [(model, scale, model in published) for scale in scales]
    return found


def _block(
    results: Path,
    runs: Runs,
    experiment: str,
    model: str,
    scale: Scale,
    published: bool,
    sections: dict[str, list[Line]],
    places: dict[str, str],
) -> Block:
    """One model's rows: a cell for each task, then their average where there are more than two."""
    paper_model = model if published else REFERENCE.get(experiment)

    def cell(line: Line, section: str, place: str, parts: tuple[Measured, ...]) -> Cell:
        if line.published is None or paper_model is None:
            return Cell(parts, pooled=line.pooled)
        where = {**line.published, "model": paper_model, "task": place}
        if experiment in REFERENCE:
            where["section"] = section
        printed = paper.value(results, experiment, **where)
        if published:
            return Cell(parts, paper=printed, pooled=line.pooled)
        return Cell(parts, context=printed, pooled=line.pooled)

    def row(line: Line, section: str) -> Row:
        parts = [
            measure(
                runs,
                experiments.setting(experiment, **line.axes, task=place),
                model,
                scale,
                line.reading,
            )
            for place in places
        ]
        cells = [
            cell(line, section, place, (part,)) for place, part in zip(places, parts, strict=True)
        ]
        if len(places) > 2:
            cells.append(cell(line, section, "average", tuple(parts)))
        return Row(line.label, tuple(cells))

    return Block(
        model,
        scale,
        published,
        tuple(
            Section(title, tuple(row(line, title) for line in lines))
            for title, lines in sections.items()
        ),
    )
