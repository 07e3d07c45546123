"""The page results/README.md, and every table and figure beside it."""

import csv
import os
from collections.abc import Callable, Iterator, Sequence
from io import StringIO
from pathlib import Path

from deepthink.config import overrides
from deepthink.installation import CONF, IN_CHECKOUT
from deepthink.report import (
    captions,
    claims,
    comparison_tables,
    data_tables,
    experiments,
    figures,
    further,
    further_tables,
    layouts,
    open_tables,
    paper,
    prose,
    regrets,
    rival_tables,
    sentences,
    tables,
    verdicts,
    what_was_run,
)
from deepthink.report.comparison_tables import ComparisonRow
from deepthink.report.figures import Drawn
from deepthink.report.further import FurtherRow
from deepthink.report.render import (
    Grid,
    gaps,
    grid,
    header,
    latex,
    long_form,
    markdown,
    so_far,
)
from deepthink.report.rivals import Standings
from deepthink.report.runs import Runs
from deepthink.report.writer import Writer

EXPERIMENTS = frozenset(
    {layout.name for layout in layouts.LAYOUTS}
    | {figure.experiment for figure in figures.FIGURES}
    | {claim.experiment for claim in claims.CLAIMS}
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
        yield f"tables/{table.name}.md", "\n".join(_table(asked, table, table.blocks))
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
    found = rival_tables.every(asked)
    if found:
        yield f"tables/{rival_tables.NAME}.csv", rival_tables.long_form(found)
    yield from regrets.texts(asked)
    compared = list(comparison_tables.every(asked))
    yield "tables/comparisons.csv", comparison_tables.long_form(compared)
    beside = _further(further.beside(runs, others), drawn)
    parts = _page(results, asked, built, compared, found, beside, drawn)
    yield "README.md", "\n".join(parts)


def _plain(name: str, title: str, content: Grid) -> Iterator[tuple[str, str]]:
    out = StringIO()
    csv.writer(out, lineterminator="\n").writerows([content.header, *content.rows])
    yield f"tables/{name}.csv", out.getvalue()
    yield f"tables/{name}.md", f"## {title}\n\n{markdown(content)}\n"
    yield f"tables/{name}.tex", latex(name, title, (), content.header, [("", content)])


def _table(runs: Runs, table: tables.Table, blocks: Sequence[tables.Block]) -> Iterator[str]:
    """These blocks of a table as Markdown, with what is missing in each."""
    yield f"## {table.title}\n"
    yield f"{' '.join([prose.ACCURACY, *table.notes])}\n"
    if not table.blocks:
        yield f"Not run: `{experiments.whole_command(runs, table.name)}`\n"
    for block in blocks:
        yield f"### {block.subject}\n"
        yield markdown(grid(table, block)) + "\n"
        if (partial := so_far(table, block)) is not None:
            yield markdown(partial) + "\n"
        if lines := gaps(block):
            yield "\n".join(f"- missing: {line}" for line in lines) + "\n"


def _page(
    results: Path,
    asked: Runs,
    built: Sequence[tables.Table],
    compared: Sequence[ComparisonRow],
    found: Sequence[Standings],
    others: Iterator[str],
    drawn: Sequence[Drawn],
) -> Iterator[str]:
    """The text of results/README.md, part by part. others: the part on further runs."""
    yield prose.HEAD.format(command="make tables" if IN_CHECKOUT else "deepthink tables")
    for model in asked.models:
        if opening := list(sentences.opening(asked, model)):
            yield f"## {model} in short\n"
            yield "\n".join(f"- {sentence}" for sentence in opening) + "\n"
    yield from what_was_run.section(asked)
    yield from _verdicts(asked)
    yield from _thinking(compared, drawn)
    yield from _rivals(found, drawn)
    yield from _positions(compared, drawn)
    yield from _stopping(asked, drawn)
    yield from _tables(results, asked, built)
    yield from others
    yield "## Figures\n"
    yield prose.FIGURES
    yield from (captions.image(each) for each in drawn if not each.figure.section)
    yield prose.METHODS


def _further(rows: Sequence[FurtherRow], drawn: Sequence[Drawn]) -> Iterator[str]:
    """The further runs: for each model and scale a table and the curves of its tasks.

    rows: those of further runs, and of all others of the same tasks.
    """
    if not rows:
        return
    yield f"## {further.TITLE}\n"
    yield f"{prose.ACCURACY} {prose.FURTHER}\n"
    for group in further_tables.groups(rows):
        yield f"### {group.subject}\n"
        yield markdown(group.grid) + "\n"
        yield from (sentence + "\n" for sentence in further_tables.differences(group))
        yield from captions.images(further.NAME, drawn, group.subject)
    if sentence := further_tables.left_out(rows):
        yield sentence + "\n"


def _verdicts(runs: Runs) -> Iterator[str]:
    """The claims, one table for each model on which any was tested."""
    yield "## Claims\n"
    header = ("claim", "in", "verdict", "evidence (points, 95 % intervals)")
    for model in runs.models:
        judged = claims.verdicts(runs, model)
        if all(verdict.verdict == verdicts.NOT_RUN for verdict in judged):
            continue
        rows = tuple((v.claim, v.where or "ours", f"**{v.verdict}**", v.evidence) for v in judged)
        yield f"### {model}\n"
        yield markdown(Grid(header, rows)) + "\n"
    papers = {m for t in ("table1", "table2", "table3") for m in overrides.axes(t)["model"]}
    if models := sorted(papers - set(runs.models)):
        yield prose.VERDICTS.format(models=", ".join(models))


def _thinking(compared: Sequence[ComparisonRow], drawn: Sequence[Drawn]) -> Iterator[str]:
    """Thinking against everything else, one table for each reading of t."""
    yield "## Does thinking pay?\n"
    rows = [row for row in compared if row.question == comparison_tables.THINKING and row.measured]
    for subject in dict.fromkeys(row.subject for row in rows):
        yield f"### {subject}\n"
        yield prose.PAYS
        yield from captions.images("thinking", drawn, subject)
        yield from comparison_tables.markdown(rows, subject)


def _rivals(found: Sequence[Standings], drawn: Sequence[Drawn]) -> Iterator[str]:
    """Every rival with its price, and where thinking stands among them."""
    if not found:
        return
    yield f"## {rival_tables.TITLE}\n"
    yield prose.RIVALS
    for of in found:
        yield f"### {of.subject}\n"
        yield from captions.images("rivals", drawn, of.subject)
        yield from rival_tables.section(of)


def _positions(compared: Sequence[ComparisonRow], drawn: Sequence[Drawn]) -> Iterator[str]:
    """Aligned against continued positions: the results in words, the figure and the tables."""
    rows = [row for row in compared if row.question != comparison_tables.THINKING and row.measured]
    if not rows:
        return
    yield "## Aligned or continued positions\n"
    yield prose.POSITIONS
    for subject in dict.fromkeys(row.subject for row in rows):
        yield f"### {subject}\n"
        if text := sentences.on_positions(subject):
            yield text + "\n"
        yield from captions.images("positions", drawn, subject)
        yield from comparison_tables.markdown(rows, subject)


def _stopping(runs: Runs, drawn: Sequence[Drawn]) -> Iterator[str]:
    """When to stop: where every rule was read, the figure and the table of regrets."""
    grids = [*regrets.grids_of([*regrets.every(runs)], complete=True)]
    if not grids:
        return
    yield "## When to stop\n"
    yield prose.STOPPING.format(note=regrets.NOTE)
    for subject, content in grids:
        yield f"### {subject}\n"
        yield from captions.images("stopping", drawn, subject)
        yield markdown(content) + "\n"


def _tables(results: Path, runs: Runs, built: Sequence[tables.Table]) -> Iterator[str]:
    """Links to all tables, and the first of them as far as they were run."""
    yield "## Tables\n"
    titles = {table.name: table.title for table in built}
    titles |= {open_tables.NAME: open_tables.TITLE, regrets.NAME: regrets.TITLE}
    links = ", ".join(f"[{title}](tables/{name}.md)" for name, title in titles.items())
    yield prose.TABLES.format(links=links, notes=_notes(results))
    for table in built:
        measured = [block for block in table.blocks if block.measured]
        if table.front and measured:
            yield from _table(runs, table, measured)
    if runs.open:
        yield from open_tables.page(runs, open_tables.blocks(runs))


def _notes(results: Path) -> str:
    """The audit of the paper, with a link from pages of the same checkout."""
    root = CONF.parent
    name = paper.NOTES.relative_to(root).as_posix()
    if not results.resolve().is_relative_to(root):
        return f"`{name}`"
    path = Path(os.path.relpath(paper.NOTES, results.resolve()))
    return f"[{name}]({path.as_posix()})"
