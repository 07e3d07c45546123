"""The sections of results/README.md that show one kind of result each."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from deepthink.config import overrides
from deepthink.installation import CONF
from deepthink.report import (
    captions,
    claims,
    comparison_tables,
    experiments,
    further,
    further_tables,
    open_tables,
    options,
    paper,
    prose,
    regrets,
    rival_tables,
    sentences,
    tables,
    verdicts,
)
from deepthink.report.comparison_tables import ComparisonRow
from deepthink.report.figures import Drawn
from deepthink.report.further import FurtherRow
from deepthink.report.render import Grid, gaps, grid, markdown, so_far
from deepthink.report.rivals import Standings
from deepthink.report.runs import Runs


def table_section(runs: Runs, table: tables.Table, blocks: Sequence[tables.Block]) -> Iterator[str]:
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


def further_section(rows: Sequence[FurtherRow], drawn: Sequence[Drawn]) -> Iterator[str]:
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


def short_section(runs: Runs) -> Iterator[str]:
    """The results on each model in short, as far as the paper's tables were run on it."""
    for model in runs.models:
        if lines := [*sentences.opening(runs, model)]:
            yield f"## {model} in short\n"
            yield "\n".join(f"- {sentence}" for sentence in lines) + "\n"


def claims_section(runs: Runs) -> Iterator[str]:
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


def thinking_section(compared: Sequence[ComparisonRow], drawn: Sequence[Drawn]) -> Iterator[str]:
    """Thinking against everything else, one table for each reading of t."""
    yield "## Does thinking pay?\n"
    rows = [row for row in compared if row.question == comparison_tables.THINKING and row.measured]
    for subject in dict.fromkeys(row.subject for row in rows):
        yield f"### {subject}\n"
        yield prose.PAYS
        yield from captions.images("thinking", drawn, subject)
        yield from comparison_tables.markdown(rows, subject)


def rivals_section(found: Sequence[Standings], drawn: Sequence[Drawn]) -> Iterator[str]:
    """Every rival with its price, and where thinking stands among them."""
    if not found:
        return
    yield f"## {rival_tables.TITLE}\n"
    yield prose.RIVALS
    for of in found:
        yield f"### {of.subject}\n"
        yield from captions.images("rivals", drawn, of.subject)
        yield from rival_tables.section(of)


def positions_section(compared: Sequence[ComparisonRow], drawn: Sequence[Drawn]) -> Iterator[str]:
    """Aligned against continued positions: the results in words, the figure and the tables."""
    rows = [row for row in compared if row.question.startswith("positions") and row.measured]
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


def options_section(compared: Sequence[ComparisonRow]) -> Iterator[str]:
    """What flipped labels, a joint seam and momentum change."""
    rows = [row for row in compared if row.question == options.QUESTION and row.measured]
    if not rows:
        return
    yield "## Three options\n"
    yield prose.OPTIONS
    for subject in dict.fromkeys(row.subject for row in rows):
        yield f"### {subject}\n"
        yield "\n".join(f"- {sentence}" for sentence in options.sentences(subject)) + "\n"
        yield from comparison_tables.markdown(rows, subject)


def stopping_section(runs: Runs, drawn: Sequence[Drawn]) -> Iterator[str]:
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


def tables_section(
    results: Path, runs: Runs, built: Sequence[tables.Table], others: Mapping[str, str]
) -> Iterator[str]:
    """Links to all tables, and the first of them as far as they were run.

    others: the titles of further tables by their names.
    """
    yield "## Tables\n"
    titles = {table.name: table.title for table in built}
    titles |= {open_tables.NAME: open_tables.TITLE, regrets.NAME: regrets.TITLE, **others}
    links = ", ".join(f"[{title}](tables/{name}.md)" for name, title in titles.items())
    yield prose.TABLES.format(links=links, notes=_notes(results))
    for one in built:
        measured = [block for block in one.blocks if block.measured]
        if one.front and measured:
            yield from table_section(runs, one, measured)
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
