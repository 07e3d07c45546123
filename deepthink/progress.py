"""Events of long work, for whoever shows them; the terminal's listener is in `app`."""

import threading
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


@contextmanager
def every_second(look: Callable[[], object]) -> Iterator[None]:
    """Call `look` every second, on a thread, while the block runs."""
    over = threading.Event()

    def repeat() -> None:
        while not over.wait(1.0):
            look()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
