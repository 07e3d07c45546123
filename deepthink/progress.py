"""What long work tells about its progress; the terminal's listener is in `app.progress_bar`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Watcher:
    """Receives progress events. This base class ignores them."""

    def stage(self, text: str) -> None:
        """A stage begins."""

    def tell(self, text: str) -> None:
        """Something a reader of the output should know; it stays."""

    def start(self, total: int) -> None:
        """`total` query readings lie ahead."""

    def advance(self, readings: int) -> None:
        """So many more queries were read."""

    def step(self, t: int, split: str, accuracy: float) -> None:
        """The accuracy of a split after t iterations is known, as a fraction."""

    @contextmanager
    def aside(self, text: str, total: int) -> Iterator[Callable[[int], object]]:
        """Work of another kind: `total` readings, told through the function this yields."""
        yield lambda _: None
