"""What a process keeps for its next job, up to a limit."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """Values by key, whose sizes add up to `limit` at most.

    Those that were used longest ago are forgotten first.

    >>> kept: Kept[str] = Kept(limit=3)
    >>> kept.keep("a", "first", size=1)
    >>> kept.keep("b", "second", size=2)
    >>> kept.find("a")
    'first'
    >>> kept.keep("c", "third", size=2)
    >>> kept.find("a"), kept.find("b"), kept.find("c")
    ('first', None, 'third')
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._size = 0
        self._values: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()

    def find(self, key: Hashable) -> Value | None:
        """The value of a key; None if none was kept, or if it is forgotten."""
        if key not in self._values:
            return None
        self._values.move_to_end(key)
        return self._values[key][0]

    def keep(self, key: Hashable, value: Value, size: int) -> None:
        """Keep a value, in the place of the key's last one."""
        _, last = self._values.pop(key, (None, 0))
        self._values[key] = value, size
        self._size += size - last
        while self._size > self._limit:
            _, (_, gone) = self._values.popitem(last=False)
            self._size -= gone
