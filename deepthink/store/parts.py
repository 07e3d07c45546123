"""Parts of a record: frozen dataclasses that are read strictly and written as they were read."""

from dataclasses import MISSING, dataclass, fields
from typing import Any

from pydantic import ConfigDict, with_config


@with_config(ConfigDict(extra="allow"))
@dataclass(frozen=True, kw_only=True)
class Part:
    """A JSON object of a record, a field for each name that this version knows.

    A field with a default is not written while it has that default. So what was added later leaves
    the bytes of older records, and the digests of older identities, as they were.
    """

    unknown: tuple[tuple[str, Any], ...] = ()
    """Names and values beside the known fields: another version's, kept and written as read."""

    def __post_init__(self) -> None:
        """Move what pydantic read beside the known fields to where it belongs."""
        known = _defaults(type(self))
        if len(vars(self)) > len(known) + 1:
            names = [name for name in vars(self) if name not in known and name != "unknown"]
            vars(self)["unknown"] = tuple((name, vars(self).pop(name)) for name in names)

    def stored(self) -> dict[str, Any]:
        """The JSON object: known fields in their order, then the unknown ones.

        >>> from deepthink.store.curves import Point
        >>> Point(step=1, split="test", correct=3, count=4, predicted="0 1 1 0").stored()
        {'step': 1, 'split': 'test', 'correct': 3, 'count': 4, 'predicted': '0 1 1 0'}
        """
        values = vars(self)
        found = {
            name: plain(values[name])
            for name, default in _defaults(type(self)).items()
            if default is MISSING or values[name] != default
        }
        return found | dict(self.unknown)


_known: dict[type, dict[str, Any]] = {}


def _defaults(kind: type[Part]) -> dict[str, Any]:
    """Each known field's default, MISSING where there is none."""
    if kind not in _known:
        _known[kind] = {f.name: f.default for f in fields(kind) if f.name != "unknown"}
    return _known[kind]


def plain(value: Any) -> Any:
    """A value of a part as JSON has it."""
    if isinstance(value, Part):
        return value.stored()
    if isinstance(value, tuple):
        return [*map(plain, value)]
    return value
