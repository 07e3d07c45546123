"""Tables as Markdown, LaTeX and CSV. The same input gives the same bytes."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO

from deepthink.report.cells import Cell, fill
from deepthink.report.chance import NAMES, Levels
from deepthink.report.statistics import Estimate
from deepthink.report.tables import Block, Row, Section, Table
from deepthink.report.words import above_chance, interval, level_rows, number


@dataclass(frozen=True)
class Grid:
    """A table of text: a heading row, then rows. A line is drawn before each row in `rules`."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    rules: tuple[int, ...] = ()


def grid(table: Table, block: Block) -> Grid:
    """A block in the paper's layout: for each method the paper's row, ours and the difference.

    Chance and majority stand at its head, and again where a section is averaged in another way.
    """
    rows: list[tuple[str, ...]] = []
    rules = []
    shown: tuple[Levels | None, ...] = ()
    for section in block.sections:
        rules.append(len(rows))
        if section.title:
            rows.append((f"*{section.title}*", *[""] * (len(table.columns) + 2)))
        if (levels := block.levels(section)) != shown:
            rows += level_rows(levels, before=("",), after=("",))
            shown = levels
        for row in section.rows:
            rows += _lines(row, block)
    return Grid(header(table), tuple(rows), tuple(rules[1:]))


def header(table: Table) -> tuple[str, ...]:
    """The headings of a table's columns."""
    return ("method", "", *table.columns, "n")


def _lines(row: Row, block: Block) -> Iterator[tuple[str, ...]]:
    label = row.label
    printed = [cell.paper if block.published else cell.context for cell in row.cells]
    if any(value is not None for value in printed):
        yield label, "paper" if block.published else "paper, other model", *map(number, printed), ""
        label = ""
    yield label, "ours", *(_number(c, c.estimate, c.within_budget) for c in row.cells), _count(row)
    if any(cell.difference is not None for cell in row.cells):
        apart = (number(cell.difference, signed=True) for cell in row.cells)
        yield "", "difference", *apart, ""


def _count(row: Row) -> str:
    """How many draws the cells of a row have, and were to have where some are missing."""
    counts = {(cell.seeds, cell.wanted) for cell in row.cells if cell.wanted}
    least, wanted = min(counts)
    if least < wanted:
        return f"{least}/{wanted}"
    most = max(counts)[0]
    return f"{least}–{most}" if least < most else str(most)


def _number(cell: Cell, estimate: Estimate | None, with_n: bool = False) -> str:
    """A cell's number, its n if wanted, and of an average how many tasks are above chance."""
    if estimate is None:
        return interval(None)
    n = f" n={cell.seeds}" if with_n else ""
    return interval(estimate) + n + above_chance(cell.above)


def gaps(block: Block) -> list[str]:
    """One line for each command that fills cells: the rows and draws that it adds, and itself."""
    parts = [c.parts[0] for row in block.rows for c in row.cells if len(c.parts) == 1]
    lines = []
    for line, missing in fill(parts):
        these = {id(part) for part in missing}
        names: list[str] = []
        for section in block.sections:
            rows = [
                row.label
                for row in section.rows
                if any(id(part) in these for cell in row.cells for part in cell.parts)
            ]
            whole = section.title and len(rows) == len(section.rows)
            names += [section.title] if whole else rows
        part = missing[0]
        of = f"{len(part.missing)} of {len(part.wanted)} draws"
        lines.append(f"{', '.join(dict.fromkeys(names))} ({of}): `{line}`")
    return lines


def _labelled(block: Block) -> Iterator[tuple[str, Row]]:
    """Every row with its name, preceded by that of its section."""
    for section in block.sections:
        for row in section.rows:
            yield f"{section.title}: {row.label}" if section.title else row.label, row


def so_far(table: Table, block: Block) -> Grid | None:
    """The numbers so far of cells that lack draws; None if there are none."""
    rows = []
    for label, row in _labelled(block):
        cells = [
            "" if cell.complete or cell.so_far is None
            else _number(cell, cell.so_far, with_n=True)
            for cell in row.cells
        ]  # fmt: skip
        if any(cells):
            rows.append((label, *cells))
    return Grid(("so far", *table.columns), tuple(rows)) if rows else None


def markdown(grid: Grid) -> str:
    """As a Markdown table."""
    rows = [[cell.replace("|", r"\|") for cell in row] for row in (grid.header, *grid.rows)]
    lines = [rows[0], ["---" for _ in grid.header], *rows[1:]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def escaped(text: str) -> str:
    """Text as it is in Markdown, whatever marks of Markdown it has."""
    return re.sub(r"([\\`*_\[\]<>])", r"\\\1", text)


_ESCAPES = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "−": r"$-$",
    "–": "--",
    "♣": r"$\clubsuit$",
    "η": r"$\eta$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "×": r"$\times$",
    "·": r"$\cdot$",
}


def _in_latex(text: str) -> str:
    if text.startswith("*") and text.endswith("*"):
        return rf"\emph{{{_in_latex(text[1:-1])}}}"
    return "".join(_ESCAPES.get(letter, letter) for letter in text)


_PAGE = 45  # rows of normal size that fit on a page


def latex(
    name: str,
    title: str,
    notes: Sequence[str],
    header: Sequence[str],
    grids: Sequence[tuple[str, Grid]],
) -> str:
    r"""As a LaTeX table that fits on a page, with the grids and their headings below each other.

    LaTeX numbers tables itself, so the number in the title is left out. The \label is tab:<name>.
    The document needs the packages booktabs and graphicx.
    """
    about = re.sub(r"^(Table|Figure) [^:]*: ", "", title)
    caption = " ".join([f"{about[0].upper()}{about[1:]}.", *notes])
    width = len(header)
    tall = sum(len(grid.rows) for _, grid in grids) > _PAGE
    lines = [
        r"\begin{table*}[t]",
        r"\centering\scriptsize" if tall else r"\centering",
        r"\resizebox{\ifdim\width>\textwidth\textwidth\else\width\fi}{!}{"
        rf"\begin{{tabular}}{{ll{'r' * (width - 2)}}}",
        r"\toprule",
        " & ".join(map(_in_latex, header)) + r" \\",
    ]
    for heading, grid in grids:
        lines.append(r"\midrule")
        if heading:
            lines += [rf"\multicolumn{{{width}}}{{l}}{{{_in_latex(heading)}}} \\", r"\midrule"]
        for at, row in enumerate(grid.rows):
            if at in grid.rules:
                lines.append(r"\midrule")
            lines.append(" & ".join(map(_in_latex, row)) + r" \\")
    lines += [
        r"\bottomrule",
        r"\end{tabular}}",
        rf"\caption{{{_in_latex(caption)}}}",
        rf"\label{{tab:{name.replace('_', '-')}}}",
        r"\end{table*}",
    ]
    return "\n".join(lines) + "\n"


_COLUMNS = (
    "table", "model", "scale", "section", "row", "column", "paper", "ours", "low", "high",
    "difference", "draws", "wanted", "examples", "above_chance", "tasks", "records", "command",
)  # fmt: skip


def long_form(table: Table) -> str:
    """As CSV, one line for each cell, with the records behind it and the command that fills it."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for block in table.blocks:
        for section in block.sections:
            for line in _level_lines(table, block, section):
                writer.writerow(line)
            for row in section.rows:
                for column, cell in zip(table.columns, row.cells, strict=True):
                    subject = block.subject
                    titles = (section.title, row.label, column)
                    place = (table.name, subject.model, subject.scale, *titles)
                    writer.writerow([*place, *_values(cell)])
    return out.getvalue()


def _level_lines(table: Table, block: Block, section: Section) -> Iterator[list[object]]:
    """A line for chance and one for majority in each column, where they are known."""
    subject = block.subject
    for name, field in NAMES.items():
        for column, levels in zip(table.columns, block.levels(section), strict=True):
            if (value := getattr(levels, field, None)) is not None:
                place = (table.name, subject.model, subject.scale, section.title, name, column)
                yield [*place, "", f"{value:.4f}", *[""] * (len(_COLUMNS) - len(place) - 2)]


def _values(cell: Cell) -> list[object]:
    estimate = cell.estimate
    ends = (estimate.mean, estimate.low, estimate.high) if estimate else ()
    ours = [f"{value:.4f}" for value in ends] or ["", "", ""]
    runs = (run for part in cell.parts for many in part.runs.values() for run in many)
    identifiers = [run.path.stem.rpartition("-")[2] for run in runs]
    return [
        "" if cell.paper is None else cell.paper,
        *ours,
        "" if cell.difference is None else f"{cell.difference:.4f}",
        cell.seeds,
        cell.wanted,
        estimate.examples if estimate else "",
        *((estimate and cell.above) or ("", "")),
        " ".join(dict.fromkeys(identifiers)) if len(cell.parts) == 1 else "",
        "; ".join(line for line, _ in fill(cell.parts)),
    ]
