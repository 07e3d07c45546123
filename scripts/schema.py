"""Write docs/records-schema.md, the fields of a record, from the dataclasses of deepthink/store.

    python scripts/schema.py

The types are those of the dataclasses, and the meanings are the docstrings below their fields. The
same dataclasses give the same text.
"""

import ast
import inspect
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from deepthink.files import atomically
from deepthink.store import schema

PAGE = Path(__file__).resolve().parent.parent / "docs" / "records-schema.md"
NOT_WRITTEN = ("unknown", "whole")
"""Fields that hold what has no fixed name in the file."""

INTRODUCTION = """# The fields of a record

Written by `scripts/schema.py` from the dataclasses of `deepthink/store`.

A record is a JSON object, `results/records/…-<id>.json`. The tables list its fields in the order
of the file. A field with a default is not in the file while it has that default. Fields that a
version does not know are kept where a record is read, and written again behind the known ones. A
record that lacks a field without a default, or holds a value of another type, is not read.
"""

JSON = {
    int: "integer",
    float: "number",
    str: "string",
    bool: "boolean",
    NoneType: "null",
    Any: "any",
}


def page() -> str:
    """The whole page; KeyError for a field that no docstring explains."""
    return "\n".join([INTRODUCTION, *map(_section, _parts(schema.Record))])


def _parts(kind: type) -> list[type]:
    """A part and every part that lies in it, each once, in the order of the file."""
    parts = {kind: None}
    for hint in get_type_hints(kind).values():
        for inner in _classes(hint):
            parts.update(dict.fromkeys(_parts(inner)))
    return [*parts]


def _classes(hint: Any) -> Iterator[type]:
    """The parts in a type."""
    if is_dataclass(hint):
        yield hint  # type: ignore[misc]
    for inner in get_args(hint):
        yield from _classes(inner)


def _section(kind: type) -> str:
    about = inspect.cleandoc(kind.__doc__ or "").partition("\n\nRaises:")[0]
    rows = [
        (f"`{field.name}`", _type(hint), _meaning(kind, field.name, hint) + _default(field.default))
        for field in fields(kind)
        if field.name not in NOT_WRITTEN
        for hint in [get_type_hints(kind)[field.name]]
    ]
    if kind is schema.Record:
        rows.append(("`checksum`", "string", "SHA-256 of the canonical JSON of all other fields."))
    table = [("field", "type", "meaning"), ("---", "---", "---"), *rows]
    return "\n".join([f"## {kind.__name__}\n", f"{about}\n", *map(_line, table), ""])


def _line(cells: tuple[str, str, str]) -> str:
    return f"| {' | '.join(cells)} |"


def _type(hint: Any) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        return f"[{hint.__name__}](#{hint.__name__.lower()})"  # type: ignore[union-attr]
    if origin is Literal:
        return " or ".join(f'"{value}"' for value in inner)
    if origin is tuple:
        several = get_origin(inner[0]) in (Union, UnionType)
        return f"list of ({_type(inner[0])})" if several else f"list of {_type(inner[0])}"
    if origin is dict:
        return f"object of {_type(inner[1])}"
    if origin in (Union, UnionType):
        return " or ".join(map(_type, inner))
    return JSON[hint]


def _meaning(kind: type, name: str, hint: Any) -> str:
    text = _docstrings(kind).get(name)
    if text is None:
        (part,) = _classes(hint)
        text = inspect.cleandoc(part.__doc__ or "").partition("\n")[0]
    return " ".join(text.split())


def _docstrings(kind: type) -> dict[str, str]:
    """The text below each field of a class."""
    (tree,) = ast.parse(inspect.getsource(kind)).body
    assert isinstance(tree, ast.ClassDef)
    return {
        ast.unparse(field.target): ast.literal_eval(text.value)
        for field, text in zip(tree.body, tree.body[1:], strict=False)
        if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr)
    }


def _default(value: Any) -> str:
    if value is MISSING:
        return ""
    return f" Default: {'null' if value is None else repr(value)}.".replace("'", '"')


def main() -> None:
    """Write the page."""
    text = page()
    atomically(PAGE, lambda file: file.write_text(text, encoding="utf-8"))


if __name__ == "__main__":
    main()
