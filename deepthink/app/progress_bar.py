"""A progress bar for running jobs, which is removed when they end."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from deepthink.progress import Watcher


class ProgressWatcher(Watcher):
    """A progress bar over all queries to score, with the newest accuracies of the running job."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("starting", total=None)
        self._latest: dict[str, str] = {}
        self._stage = ""

    def stage(self, text: str) -> None:
        """Name the stage."""
        self._stage = text
        self._latest.clear()
        self._bar.update(self._task, description=text)

    def tell(self, text: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(text, highlight=False, soft_wrap=True)

    def start(self, total: int) -> None:
        """Set the length of the bar."""
        self._bar.update(self._task, total=total)

    def advance(self, readings: int) -> None:
        """Move the bar by so many queries."""
        self._bar.advance(self._task, readings)

    def step(self, t: int, split: str, accuracy: float) -> None:
        """Show an accuracy as soon as it is known."""
        self._latest[split] = f"{split} {accuracy:.1%}"
        shown = ", ".join(self._latest.values())
        self._bar.update(self._task, description=f"{self._stage}: t={t} {shown}")

    @contextmanager
    def aside(self, text: str, total: int) -> Iterator[Callable[[int], object]]:
        """Show a second bar while the block runs."""
        task = self._bar.add_task(f"  {text}", total=total)
        try:
            yield lambda readings: self._bar.advance(task, readings)
        finally:
            self._bar.remove_task(task)


@contextmanager
def watching(console: Console) -> Iterator[Watcher]:
    """A watcher that draws on `console` while jobs run. The bar is removed at the end."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        yield ProgressWatcher(bar)
