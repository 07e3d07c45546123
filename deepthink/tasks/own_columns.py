"""Which columns of a table hold the text and the label."""

from collections.abc import Iterable, Mapping, Sequence
from math import isnan
from typing import Any

from deepthink.errors import UserError, shown, unknown
from deepthink.tasks.own_classes import MOST
from deepthink.tasks.rows import Rows

LABELS = (
    *("label", "labels", "class", "category", "target", "gold", "answer", "y", "sentiment"),
    *("rating", "stars", "score", "intent", "topic", "emotion", "polarity"),
)
TEXTS = (
    *("text", "sentence", "review", "body", "content", "message", "comment", "question"),
    *("document", "input", "utterance", "tweet", "headline", "description", "prompt"),
)
"""Usual names of the columns, of which one alone is taken at its word."""

NOTHING = ("", "nan", "NaN", "#N/A")
"""Texts by which programs write that a cell holds nothing. "NA" and "none" may be meant."""

Cells = Mapping[str, Sequence[Any]]


def columns(parts: Sequence[Rows]) -> dict[str, list[Any]]:
    """The columns that all parts have, with the cells of all of them."""
    common = [name for name in parts[0].columns if all(name in part.columns for part in parts)]
    return {name: [cell for part in parts for cell in part.columns[name]] for name in common}


def named(key: str, name: str, parts: Sequence[Rows]) -> str:
    """A column that a key names; UserError with the columns of a file that does not have it."""
    for rows in parts:
        if name not in rows.columns:
            reason = unknown("column", name, rows.columns)
            raise UserError(f"{key} is {shown(name)}: {reason} ({rows.places[0][0]})")
    return name


def label_column(cells: Cells, taken: Iterable[str], file: str) -> str:
    """The column of the label: one of a usual name, or the only one of few, repeated values.

    taken: columns that are known to be something else. UserError if it is none or several.
    """
    free = [name for name in cells if name not in set(taken)]
    known = _known(free, LABELS)
    few = [name for name in free if 2 <= len(_different(cells[name])) <= len(cells[name]) / 5]
    found = known or [name for name in few if len(_different(cells[name])) <= MOST]
    return _only("label", found, cells, file)


def text_column(cells: Cells, taken: Iterable[str], file: str) -> str:
    """The column of the text: one of a usual name, or the only one of phrases."""
    free = [name for name in cells if name not in set(taken)]
    known = _known(free, TEXTS)
    return _only("text", known or [n for n in free if _phrases(cells[n])], cells, file)


def _known(free: Sequence[str], usual: Sequence[str]) -> list[str]:
    """The columns of usual names: the one of the most usual name alone, if there is one."""
    known = [name for name in free if name.casefold() in usual]
    return [name for name in known if name.casefold() == usual[0]] or known


def _only(what: str, found: Sequence[str], cells: Cells, file: str) -> str:
    if len(found) == 1:
        return found[0]
    listed = ", ".join(list(cells)[:12]) + (", …" if len(cells) > 12 else "")
    may_be = f" may be {' or '.join(found[:5])}" if found else " is none that can be told by itself"
    raise UserError(
        f"{file}: the column of the {what}{may_be}: say task.{what}=COLUMN (the columns are "
        f"{listed})"
    )


def _different(cells: Sequence[Any]) -> set[str]:
    return {str(cell).strip() for cell in cells}


def _phrases(cells: Sequence[Any]) -> bool:
    """Whether cells are texts, most of them different and of several words."""
    filled = [cell for cell in cells if not missing(cell)]
    if not filled or not all(isinstance(cell, str) for cell in filled):
        return False
    words = sum(len(cell.split()) for cell in filled)
    return len({*filled}) > len(filled) / 2 and words >= 2 * len(filled)


def missing(cell: Any) -> bool:
    """Whether a cell holds nothing: null, NaN, or a text that is empty or says so.

    >>> missing(float("nan")), missing(" "), missing(0)
    (True, True, False)
    """
    if isinstance(cell, float):
        return isnan(cell)
    return cell is None or (isinstance(cell, str) and cell.strip() in NOTHING)


def check_filled(parts: Sequence[Rows], wanted: Iterable[str]) -> None:
    """Raise UserError for the first of these columns in which cells hold nothing."""
    for name in wanted:
        empty = [
            rows.where(index)
            for rows in parts
            for index, cell in enumerate(rows.columns[name])
            if missing(cell)
        ]
        if empty:
            many = f"{len(empty)} rows have" if len(empty) > 1 else "a row has"
            first = f", the first is {empty[0]}" if len(empty) > 1 else f", {empty[0]}"
            raise UserError(f"{many} nothing in column '{name}'{first}: fill it in or take it out")
