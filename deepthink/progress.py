"""What long work tells about its progress; the terminal's listener stands in `display`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class Watcher:
    """Told how a job advances; this one looks away."""

    def stage(self, text: str) -> None:
        """A stage begins."""

    def tell(self, text: str) -> None:
        """Something a reader of the output should know; it stays."""

    def start(self, total: int) -> None:
        """`total` query readings lie ahead."""

    def advance(self, readings: int) -> None:
        """So many more queries were read."""

    def step(self, point: dict[str, Any]) -> None:
        """A point of the curve is known."""

    @contextmanager
    def aside(self, text: str, total: int) -> Iterator[Callable[[int], object]]:
        """Work of another kind: `total` readings, told through the function this yields."""
        yield lambda _: None
