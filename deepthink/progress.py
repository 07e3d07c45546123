"""Events of long work, for whoever shows them; the terminal's listener is in `app`."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Watcher:
    """Receives the events of a job. This base class ignores them."""

    def stage(self, text: str) -> None:
        """A stage begins."""

    def tell(self, text: str) -> None:
        """A line that stays in the output."""

    def detail(self, text: str) -> None:
        """A line for those who want to know more, such as the device or what a cache held."""

    def start(self, total: int) -> None:
        """The job begins, and will score `total` queries, each once for every scored step."""

    def advance(self, readings: int) -> None:
        """So many more queries were scored."""

    def step(self, t: int, split: str, accuracy: float) -> None:
        """The accuracy of a split after t iterations is known, as a fraction."""

    @contextmanager
    def aside(self, text: str, total: int) -> Iterator[Callable[[int], object]]:
        """Other work of `total` prompts. Call what is yielded with how many more are done."""
        yield lambda _: None
