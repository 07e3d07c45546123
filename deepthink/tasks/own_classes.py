"""The classes of a label column, found in its cells, and the words for them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deepthink.config.tasks import as_typed, same
from deepthink.errors import UserError, shown, unknown
from deepthink.tasks.rows import Rows

MOST = 100
"""The most classes. A column of more values is taken for numbers or texts."""


@dataclass(frozen=True)
class Label:
    """The classes of a label column: their raw values in order, and a word for each."""

    values: list[Any]
    words: list[str]


def classes(
    parts: Sequence[Rows], column: str, wanted: list[str] | dict[str, str] | None, file: str
) -> Label:
    """The classes of a column, in the order of numbers, or of the alphabet.

    Every cell holds something. A column whose classes have names in the file keeps their order.

    wanted: a word for each class in order, or class → word; see `OwnSpec.labels`.

    Raises:
        UserError: there are fewer than two classes, or so many that they are none, or one with a
            single row, or the words do not fit them.
    """
    where = f"column '{column}' of {file}"
    names = parts[0].names.get(column, ())
    counts = Counter(_plain(cell, names, where) for part in parts for cell in part.columns[column])
    values = _values(counts, where)
    if names:
        values.sort(key=names.index)
    words = [_word(value) for value in values]
    _check(words, counts, where)
    _check_rows(values, counts, parts, column)
    if isinstance(wanted, list):
        if len(wanted) != len(values):
            raise UserError(
                f"task.labels has {len(wanted)} words, but {where} has {len(values)} classes "
                f"({', '.join(words[:12])}): write a word for each, in this order"
            )
        return Label(values, wanted)
    given = dict(zip(words, words, strict=True))
    for name, word in (wanted or {}).items():
        match = [known for known in words if known == name or as_typed(known) == as_typed(name)]
        if not match:
            raise unknown(f"class in task.labels ({where})", name, words)
        given[match[0]] = word
    return Label(values, list(given.values()))


def _plain(cell: Any, names: Sequence[str], where: str) -> Any:
    """A cell as a class: a text without the space around it, and the name of a number with names.

    UserError for what is no class.
    """
    if names and isinstance(cell, int) and 0 <= cell < len(names):
        return names[cell]
    if names or not isinstance(cell, str | int | float):
        raise UserError(f"{where} holds {shown(cell)}, which is no class")
    return cell.strip() if isinstance(cell, str) else cell


def _values(counts: Mapping[Any, int], where: str) -> list[Any]:
    """The different classes in order; UserError for as many as numbers or texts have."""
    rows = sum(counts.values())
    if len(counts) > MOST or len(counts) > rows / 2:
        some = ", ".join(shown(cell) for cell in list(counts)[:3])
        raise UserError(
            f"{where} has {len(counts)} different values in {rows} rows ({some}, …), which are no "
            "classes: name another column with task.label, or put the values into a few classes"
        )
    values: list[Any] = []
    for cell in counts:
        if not any(same(cell, value) for value in values):
            values.append(cell)
    return sorted(values, key=_order)


def _order(value: Any) -> tuple[int, float, str]:
    typed = as_typed(value)
    if isinstance(typed, int | float):
        return 0, float(typed), ""
    return 1, 0.0, str(value).casefold()


def _word(value: Any) -> str:
    """A class as a word: 1.0, which a missing cell elsewhere makes of 1, is 1."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _check(words: Sequence[str], counts: Mapping[Any, int], where: str) -> None:
    """Raise UserError for a single class, and for two that differ in capitals or spaces only."""
    if len(words) < 2:
        raise UserError(
            f"{where} has {shown(words[0])} in all {sum(counts.values())} rows: a task needs two "
            "classes at least"
        )
    seen: dict[str, str] = {}
    for word in words:
        folded = " ".join(word.casefold().split())
        if (other := seen.setdefault(folded, word)) != word:
            raise UserError(
                f"{where} has {shown(other)} and {shown(word)}, which differ in capitals or spaces "
                "only: write one class in one way"
            )


def _check_rows(
    values: Sequence[Any], counts: Mapping[Any, int], parts: Sequence[Rows], column: str
) -> None:
    """Raise UserError for a class of a single row: no other row could be its demonstration."""
    for value in values:
        if sum(count for cell, count in counts.items() if same(cell, value)) > 1:
            continue
        found = (
            part.where(index)
            for part in parts
            for index, cell in enumerate(part.columns[column])
            if same(_plain(cell, part.names.get(column, ()), column), value)
        )
        raise UserError(
            f"the class {shown(value)} of column '{column}' has one row, {next(found)}: is it "
            "written as meant? Take the row out, or add others of its class"
        )
