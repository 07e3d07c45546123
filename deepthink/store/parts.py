"""Parts of a record: frozen dataclasses that are parsed strictly and written back unchanged."""

from dataclasses import MISSING, dataclass, fields
from typing import Any

from pydantic import ConfigDict, with_config


@with_config(ConfigDict(extra="allow"))
@dataclass(frozen=True, kw_only=True)
class Part:
    """A JSON object of a record, with a field for each name that this version knows.

    A field that has its default is not written. So a field that was added later changes neither the
    bytes of older records nor the digests of older identities.
    """

    unknown: tuple[tuple[str, Any], ...] = ()
    """Names and values of another version. They are kept, and written as they were read."""

    def __post_init__(self) -> None:
        """Move what pydantic read besides the known fields to `unknown`."""
        known = _defaults(type(self))
        if len(vars(self)) > len(known) + 1:
            names = [name for name in vars(self) if name not in known and name != "unknown"]
            vars(self)["unknown"] = tuple((name, vars(self).pop(name)) for name in names)

    def stored(self) -> dict[str, Any]:
        """The JSON object: the known fields in their order, then the unknown ones.

        >>> from deepthink.store.curves import Point
        >>> Point(step=1, split="test", correct=3, count=4, predicted="0 1 1 0").stored()
        {'step': 1, 'split': 'test', 'correct': 3, 'count': 4, 'predicted': '0 1 1 0'}
        """
        values = vars(self)
        known = {
            name: plain(values[name])
            for name, default in _defaults(type(self)).items()
            if default is MISSING or values[name] != default
        }
        return known | dict(self.unknown)


_known: dict[type, dict[str, Any]] = {}


def _defaults(kind: type[Part]) -> dict[str, Any]:
    """Each known field's default, or MISSING."""
    if kind not in _known:
        _known[kind] = {f.name: f.default for f in fields(kind) if f.name != "unknown"}
    return _known[kind]


def plain(value: Any) -> Any:
    """A value of a part as JSON has it: parts as objects, tuples as lists.

    >>> plain((1, 2))
    [1, 2]
    """
    if isinstance(value, Part):
        return value.stored()
    if isinstance(value, tuple):
        return [*map(plain, value)]
    return value
