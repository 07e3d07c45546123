"""Raw values of a label column as classes: by number, by name, or as the text that they are."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from deepthink.config.tasks import as_typed, same
from deepthink.errors import UserError


@dataclass(frozen=True)
class Classes:
    """The classes of a label column, in the order of the task's label words.

    written: what the config calls the classes, which are raw values, or names where the column has
    `names`.

    >>> Classes((-1, 1)).index(1), Classes((-1, 1)).index(0)
    (1, None)
    >>> Classes(("neg", "pos"), names=("neg", "pos")).index(1)
    1
    """

    written: tuple[Any, ...]
    names: tuple[str, ...] = ()
    _known: dict[tuple[type, Any], int | None] = field(default_factory=dict, compare=False)

    def index(self, value: Any) -> int | None:
        """The class of a raw value; None where it is none of them."""
        try:
            key = (type(value), value)
            if key not in self._known:
                self._known[key] = self._find(value)
            return self._known[key]
        except TypeError:  # a list is no label
            return None

    def _find(self, value: Any) -> int | None:
        number = _number(value, self.names)
        classes = [_number(written, self.names) for written in self.written]
        return next((i for i, other in enumerate(classes) if same(number, other)), None)

    def called(self) -> list[str | None]:
        """The name of each class in the data or the config; None where it has only a number."""
        numbers = [_number(written, self.names) for written in self.written]
        if self.names:
            return [self.names[number] for number in numbers]
        return [written if isinstance(written, str) else None for written in self.written]


def classes_of(
    written: Sequence[Any], names: Sequence[str], words: Sequence[str], column: str
) -> Classes:
    """The classes of a column, checked against its names and against the task's label words.

    Raises:
        UserError: the column lacks a class, or the classes are in another order than the words.
    """
    classes = Classes(tuple(written), tuple(names))
    for value in written if names else ():
        number = _number(value, classes.names)
        if isinstance(number, str) or number not in range(len(names)):
            raise UserError(
                f"classes has {value!r}, but column '{column}' has the classes {_listed(names)}"
            )
        if not isinstance(value, str) and str(value) in names and names.index(str(value)) != number:
            raise UserError(
                f"classes has {value!r}, but column '{column}' has the classes {_listed(names)}: "
                "is it the number or the name? Write the names, in quotation marks"
            )
    called = classes.called()
    for index, word in enumerate(words):
        meant = _meant(word, called)
        if meant and index not in meant:
            raise UserError(
                f"'{word}' is word {index + 1} of task.labels, but class {index + 1} of "
                f"'{column}' is '{called[index]}' and class {meant[0] + 1} '{called[meant[0]]}': "
                "put the classes in the order of the words"
            )
    return classes


def _meant(word: str, called: Sequence[str | None]) -> list[int]:
    """The classes whose name a label word is; if there is none, those it shortens ("pos")."""
    sought = word.strip().casefold()
    folded = [(name or "").strip().casefold() for name in called]
    full = [index for index, name in enumerate(folded) if name == sought]
    short = [
        index
        for index, name in enumerate(folded)
        if min(len(name), len(sought)) > 2 and (name.startswith(sought) or sought.startswith(name))
    ]
    return full or short


def _number(value: Any, names: tuple[str, ...]) -> Any:
    """The number of a class that is given by its name; any other value as it is."""
    if not names or not isinstance(value, str):
        return value
    word = value.strip()
    if word in names:
        return names.index(word)
    folded = [name.casefold() for name in names]
    if folded.count(word.casefold()) == 1:
        return folded.index(word.casefold())
    plain = as_typed(word)
    return int(plain) if isinstance(plain, float) and plain.is_integer() else value


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"{number} {name}" for number, name in enumerate(names))
