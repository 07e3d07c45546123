"""Raw values of a label column as classes: by number, by name, or by the word itself."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from deepthink.config.tasks import as_typed, same
from deepthink.errors import UserError


@dataclass(frozen=True)
class Classes:
    """The classes of a label column, in the order of the task's label words.

    written: what the config calls them: raw values, or names where the column has `names`.
    """

    written: tuple[Any, ...]
    names: tuple[str, ...] = ()
    _known: dict[tuple[type, Any], int | None] = field(default_factory=dict, compare=False)

    def index(self, value: Any) -> int | None:
        """Which class a raw value is, or None."""
        try:
            key = (type(value), value)
            if key not in self._known:
                self._known[key] = self._find(value)
            return self._known[key]
        except TypeError:  # a list, which is no label
            return None

    def _find(self, value: Any) -> int | None:
        found = _number(value, self.names)
        classes = [_number(one, self.names) for one in self.written]
        return next((i for i, one in enumerate(classes) if same(found, one)), None)

    def called(self) -> list[str | None]:
        """What the data or the config call each class; None where it has only a number."""
        numbers = [_number(one, self.names) for one in self.written]
        if self.names:
            return [self.names[number] for number in numbers]
        return [one if isinstance(one, str) else None for one in self.written]


def classes_of(
    written: Sequence[Any], names: Sequence[str], words: Sequence[str], column: str
) -> Classes:
    """The classes of a column, checked against its names and against the task's label words.

    Raises:
        UserError: a class that the column does not have, or one that has another's label word.
    """
    found = Classes(tuple(written), tuple(names))
    for one in written if names else ():
        number = _number(one, found.names)
        if isinstance(number, str) or number not in range(len(names)):
            raise UserError(
                f"classes has {one!r}, but column '{column}' has the classes {_listed(names)}"
            )
        if not isinstance(one, str) and str(one) in names and names.index(str(one)) != number:
            raise UserError(
                f"classes has {one!r}, but column '{column}' has the classes {_listed(names)}: "
                "is it the number or the name? Write the names, in quotation marks"
            )
    called = found.called()
    for index, word in enumerate(words):
        meant = _meant(word, called)
        if meant and index not in meant:
            raise UserError(
                f"'{word}' is word {index + 1} of task.labels, but class {index + 1} of "
                f"'{column}' is '{called[index]}' and class {meant[0] + 1} '{called[meant[0]]}': "
                "put the classes in the order of the words"
            )
    return found


def _meant(word: str, called: Sequence[str | None]) -> list[int]:
    """The classes that a label word names, in full or, if none is, as in "pos" for "positive"."""
    own = word.strip().casefold()
    folded = [(name or "").strip().casefold() for name in called]
    full = [index for index, name in enumerate(folded) if name == own]
    short = [
        index
        for index, name in enumerate(folded)
        if min(len(name), len(own)) > 2 and (name.startswith(own) or own.startswith(name))
    ]
    return full or short


def _number(value: Any, names: tuple[str, ...]) -> Any:
    """A value of a column that names its classes as a number; others as they are."""
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
