"""The page results/README.md, and every table and figure beside it."""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path

from deepthink.installation import IN_CHECKOUT
from deepthink.report import (
    authors,
    captions,
    card,
    central,
    central_tables,
    choosing,
    choosing_tables,
    claims,
    comparison_tables,
    data_tables,
    experiments,
    figures,
    further,
    further_tables,
    layouts,
    mechanism,
    mechanism_tables,
    open_tables,
    opening,
    prose,
    regrets,
    rival_tables,
    sections,
    tables,
    what_was_run,
)
from deepthink.report.comparison_tables import ComparisonRow
from deepthink.report.figures import Drawn
from deepthink.report.render import Grid, grid, header, latex, long_form, markdown
from deepthink.report.rivals import Standings
from deepthink.report.runs import Runs
from deepthink.report.writer import Writer

EXPERIMENTS = frozenset(
    {layout.name for layout in layouts.LAYOUTS}
    | {figure.experiment for figure in figures.FIGURES}
    | {claim.experiment for claim in claims.CLAIMS}
    | {central.MANY_ROWS.experiment, choosing.EXPERIMENT}
)
"""The experiments that the page is about. Runs that none of them asks for: see `further`."""


def load(results: Path) -> Runs:
    """The runs under `results`. All of them are on the page."""
    return Runs.load(results)


def studied(runs: Runs) -> Runs:
    """The runs that the page's experiments ask for. Their tables and figures hold no other run."""
    return runs.only(lambda run: experiments.asks_for(EXPERIMENTS, run))


def write(results: Path, runs: Runs, stage: Callable[[str], object]) -> Writer:
    """Regenerate every table, figure and the page of the runs under `results`.

    stage: called with the name of what comes next. OSError for a folder that cannot be written.
    """
    writer = Writer(results)
    drawn = []
    for each, drawing in figures.every(studied(runs), stage):
        writer.figure(each.file, drawing)
        drawn.append(each)
    beside = further.beside(runs, further.every(runs, EXPERIMENTS))
    for each, drawing in figures.of_further(further_tables.groups(beside), stage):
        writer.figure(each.file, drawing)
        drawn.append(each)
    stage("tables")
    for name, text in texts(results, runs, drawn):
        writer.text(name, text)
    writer.sweep()
    return writer


def texts(results: Path, runs: Runs, drawn: Sequence[Drawn]) -> Iterator[tuple[str, str]]:
    """Every text file by its name under `results`. drawn: the figures that there are."""
    asked = studied(runs)
    built = tables.every(asked)
    for table in built:
        yield (
            f"tables/{table.name}.md",
            "\n".join(sections.table_section(asked, table, table.blocks)),
        )
        shown = [block for block in table.blocks if block.measured] or table.blocks
        blocks = [(str(block.subject), grid(table, block)) for block in shown]
        notes = (prose.ACCURACY, *table.notes)
        tex = latex(table.name, table.title, notes, header(table), blocks)
        yield f"tables/{table.name}.tex", tex
        yield f"tables/{table.name}.csv", long_form(table)
    if drawn:
        yield "figures/captions.md", captions.every(drawn)
    for name, title, content in data_tables.every(asked):
        yield from _plain(name, title, content)
    others = further.every(runs, EXPERIMENTS)
    if others:
        for name, text in _plain(further.NAME, further.TITLE, further.grid(others)):
            yield name, further.long_form(others) if name.endswith(".csv") else text
    yield from open_tables.texts(runs)
    found = Found.of(asked)
    if found.standings:
        yield f"tables/{rival_tables.NAME}.csv", rival_tables.long_form(found.standings)
    yield from regrets.texts(asked)
    yield from central_tables.texts(found.blocks)
    yield from authors.texts(found.protocols)
    yield from mechanism_tables.texts(asked, found.explained)
    yield from choosing_tables.texts(asked, found.choices)
    yield "tables/comparisons.csv", comparison_tables.long_form(found.compared)
    beside = sections.further_section(further.beside(runs, others), drawn)
    yield "README.md", "\n".join(_page(results, asked, built, found, beside, drawn))
    if about := "\n".join(card.text(results, runs)):
        yield card.NAME, about


@dataclass(frozen=True)
class Found:
    """What several sections and files show.

    compared: thinking against its rivals, and positions. standings: the rivals. blocks: the central
    comparison. protocols: the authors' protocol. explained: label bias over t. choices: rules for η
    and t.
    """

    compared: list[ComparisonRow]
    standings: list[Standings]
    blocks: list[central.Block]
    protocols: list[authors.Protocol]
    explained: list[mechanism.Curves]
    choices: list[choosing.Choices]

    @classmethod
    def of(cls, runs: Runs) -> "Found":
        """From the runs that the page's experiments ask for."""
        return cls(
            [*comparison_tables.every(runs)],
            rival_tables.every(runs),
            central.blocks(runs),
            authors.every(runs),
            mechanism.every(runs),
            choosing.every(runs),
        )

    @property
    def titles(self) -> dict[str, str]:
        """The names of the tables that have a file, and their titles."""
        there = {
            central_tables: bool(self.blocks),
            authors: bool(self.protocols),
            mechanism_tables: True,
            choosing_tables: True,
        }
        return {module.NAME: module.TITLE for module, written in there.items() if written}

    @property
    def opening(self) -> tuple[str, ...]:
        """The items that the page begins with."""
        answers = opening.answers(self.blocks, self.protocols, self.explained)
        return tuple(opening.lines(answers))


def _plain(name: str, title: str, content: Grid) -> Iterator[tuple[str, str]]:
    out = StringIO()
    csv.writer(out, lineterminator="\n").writerows([content.header, *content.rows])
    yield f"tables/{name}.csv", out.getvalue()
    yield f"tables/{name}.md", f"## {title}\n\n{markdown(content)}\n"
    yield f"tables/{name}.tex", latex(name, title, (), content.header, [("", content)])


def _page(
    results: Path,
    asked: Runs,
    built: Sequence[tables.Table],
    found: Found,
    others: Iterator[str],
    drawn: Sequence[Drawn],
) -> Iterator[str]:
    """The text of results/README.md, part by part. others: the part on further runs."""
    yield prose.HEAD
    if found.opening:
        yield "\n".join(f"- {item}" for item in found.opening) + "\n"
    yield prose.GENERATED.format(command="make tables" if IN_CHECKOUT else "deepthink tables")
    yield from central_tables.section(found.blocks)
    yield from authors.section(found.protocols, found.blocks)
    images = partial(captions.images, "mechanism", drawn)
    yield from mechanism_tables.section(found.explained, images)
    yield from choosing_tables.section(found.choices)
    yield from sections.short_section(asked)
    yield from sections.claims_section(asked)
    yield from sections.thinking_section(found.compared, drawn)
    yield from sections.rivals_section(found.standings, drawn)
    yield from sections.positions_section(found.compared, drawn)
    yield from sections.stopping_section(asked, drawn)
    yield from sections.options_section(found.compared)
    yield from sections.tables_section(results, asked, built, found.titles)
    yield from others
    yield from what_was_run.section(asked)
    yield "## Figures\n"
    yield prose.FIGURES
    yield from (captions.image(each) for each in drawn if not each.figure.section)
    yield prose.METHODS
