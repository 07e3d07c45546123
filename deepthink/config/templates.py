"""Templates: the text of a query with columns in braces, such as "{premise} Is it so? {claim}"."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from deepthink.errors import UserError, shown

TEXT = "text"
"""The name that stands for the column of the text, whatever a source calls that column."""

_PART = re.compile(r"\{\{|\}\}|\{([^{}]*[^{}\s][^{}]*)\}")


@dataclass(frozen=True)
class Template:
    r"""A template, taken apart before its first and behind its last column.

    What stands from the first to the last column, once it is filled, is the text of an example.

    before, after: what stands around this text.
    columns: the columns in the order of the template; a column may stand there several times.
    between: what stands between each column and the next, so one text less than there are columns.

    >>> template = Template.parse("If {a},\nthen {b}? Yes or no:")
    >>> template.columns, template.between
    (('a', 'b'), (',\nthen ',))
    >>> template.instance({"a": "it rains", "b": "it is wet"})
    'it rains,\nthen it is wet'
    >>> template.prompt
    'If {text}? Yes or no:'
    """

    before: str
    columns: tuple[str, ...]
    between: tuple[str, ...]
    after: str

    @classmethod
    def parse(cls, written: str) -> "Template":
        """The template of a config.

        A name in single braces is a column; `{{` and `}}` are braces. A single brace around no name
        stands for itself.

        Raises:
            UserError: it has no column, or no words after the last one.
        """
        columns: list[str] = []
        around = [""]
        end = 0
        for part in _PART.finditer(written):
            around[-1] += written[end : part.start()]
            end = part.end()
            if part[1] is None:
                around[-1] += part[0][0]
            else:
                columns.append(part[1])
                around.append("")
        around[-1] += written[end:]
        if not columns or not around[-1]:
            raise UserError(
                f"task.template {shown(written)} needs {{text}}, or other columns in braces, and "
                "words after the last of them"
            )
        if any("{text}" in part for part in (around[0], around[-1])):
            raise UserError(
                f"task.template {shown(written)} has {{{{text}}}}, but a prompt cannot show the "
                "word text in braces: write it otherwise"
            )
        return cls(around[0], tuple(columns), tuple(around[1:-1]), around[-1])

    @property
    def prompt(self) -> str:
        """What `deepthink.encode` takes: the words around an example's text, and {text} for it."""
        return f"{self.before}{{text}}{self.after}"

    @property
    def plain(self) -> str:
        """The template with columns in single braces and all other braces as prompts show them."""
        columns = [f"{{{name}}}" for name in self.columns]
        middle = columns[0] + "".join(map("".join, zip(self.between, columns[1:], strict=True)))
        return self.before + middle + self.after

    def instance(self, cells: Mapping[str, str]) -> str:
        """The text of an example, from the texts of its columns."""
        first, *others = (cells[name] for name in self.columns)
        return first + "".join(map("".join, zip(self.between, others, strict=True)))

    def cells(self, instance: str) -> dict[str, str]:
        """The texts of the columns, from the text of an example: cut at what stands between them.

        A text that holds what stands between two columns is cut there.

        >>> Template.parse("{a} and {b}:").cells("tea and cake")
        {'a': 'tea', 'b': 'cake'}
        """
        cells, rest = [], instance
        for words in self.between:
            end = rest.find(words)
            cell, rest = (rest, "") if end < 0 else (rest[:end], rest[end + len(words) :])
            cells.append(cell)
        return dict(zip(self.columns, [*cells, rest], strict=True))

    def everywhere(self, text: str) -> str:
        """The text of an example all of whose columns hold one text, such as "N/A"."""
        return self.instance(dict.fromkeys(self.columns, text))
