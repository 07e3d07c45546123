"""What calibrations ask a model besides the rows, and from what they make it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from deepthink.config.templates import Template
from deepthink.errors import UserError, shown


@dataclass(frozen=True)
class Instance:
    """A text that takes the place of a whole instance: from the first column to the last."""

    text: str


@dataclass(frozen=True)
class Alone:
    """A whole query that stands alone: not in the template, and without demonstrations."""

    query: str


Text = str | Instance | Alone
"""What a calibration asks. A plain string stands in every column of the template, or is a text of
the pool, which stands there as it is."""


@dataclass(frozen=True)
class Corpus(Sequence[str]):
    r"""The texts of a pool, as a sequence, with the template that they are written in.

    >>> corpus = Corpus(("it rains, it is wet",), Template.parse("{a}, {b}? Yes or no:"))
    >>> corpus[0], corpus.columns
    ('it rains, it is wet', {'a': ['it rains'], 'b': ['it is wet']})
    >>> corpus.instance({"a": "x", "b": "y"})
    Instance(text='x, y')
    """

    texts: tuple[str, ...]
    template: Template

    def __len__(self) -> int:
        return len(self.texts)

    def __getitem__(self, index: Any) -> Any:
        return self.texts[index]

    @property
    def columns(self) -> dict[str, list[str]]:
        """The texts of each column of the template."""
        cells = [self.template.cells(text) for text in self.texts]
        return {name: [row[name] for row in cells] for name in self.template.columns}

    def instance(self, cells: dict[str, str]) -> Instance:
        """An instance with these texts in its columns."""
        return Instance(self.template.instance(cells))

    def written(self, text: str | Instance) -> str:
        """A text as that of an example."""
        if isinstance(text, Instance):
            return text.text
        return text if text in self.texts else self.template.everywhere(text)


def checked(name: str, asked: object) -> tuple[Text, ...]:
    """What the calibration `name` asks; UserError if it is no list of texts."""
    listed = isinstance(asked, Iterable) and not isinstance(asked, str)
    texts = tuple(asked) if isinstance(asked, Iterable) and listed else ()
    if not listed or not all(isinstance(text, str | Instance | Alone) for text in texts):
        raise UserError(
            f"texts of calibration {name} must return a list of texts, not {shown(asked)}"
        )
    return texts
