"""How running jobs are watched: a bar in a terminal, lines in a log, nothing if that is wanted."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from deepthink.app import terminal
from deepthink.app.log_lines import LogWatcher
from deepthink.progress import Watcher, every_second

_WIDE = 72
"""Columns of a terminal that shows the bar and the time passed beside the words and numbers."""


class _Fitting:
    """Two texts, of which the first is shortened in its middle until both fit the line."""

    def __init__(self, name: str, news: str) -> None:
        self.name, self.news = name, news

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = options.max_width - len(self.news) - 1
        name = shortened(self.name, room if self.news and room >= 8 else options.max_width)
        text = f"{name} {self.news}" if self.news and room >= 8 else name
        yield Text(text, no_wrap=True, overflow="ellipsis")

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(8, max(8, min(options.max_width, len(self.name) + len(self.news) + 1)))


def shortened(text: str, width: int) -> str:
    """A text of at most `width` characters, which keeps its beginning and its end.

    >>> shortened("mmlu/high_school_government_and_politics: 5 demonstrations", 30)
    'mmlu/high_school…emonstrations'
    """
    if len(text) <= width:
        return text
    end = max(0, (width - 1) * 9 // 20)
    return f"{text[: max(0, width - 1 - end)]}…{text[len(text) - end :] if end else ''}"


class _Words(ProgressColumn):
    """What is done, with the newest accuracies. It takes the room that the numbers leave."""

    def __init__(self) -> None:
        super().__init__(Column(ratio=1, no_wrap=True))

    def render(self, task: Task) -> _Fitting:
        return _Fitting(task.description, task.fields.get("news", ""))


class ProgressWatcher(Watcher):
    """A progress bar over all queries to score, with the newest accuracies of the running job.

    place: where in a sweep the job stands; empty outside sweeps. verbose: details are printed too.
    """

    def __init__(self, bar: Progress, place: str = "", verbose: bool = False) -> None:
        self._bar, self._verbose = bar, verbose
        self._place = f"{place}: " if place else ""
        self._task = bar.add_task(f"{self._place}starting", total=None, news="")
        self._latest: dict[str, str] = {}

    def stage(self, text: str) -> None:
        """Name the stage."""
        self._latest.clear()
        self._bar.update(self._task, description=f"{self._place}{text}", news="")
        self.detail(text)

    def tell(self, text: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(text, highlight=False, soft_wrap=True)

    def detail(self, text: str) -> None:
        """Print the line above the bar, if everything is printed."""
        if self._verbose:
            self.tell(text)

    def start(self, total: int) -> None:
        """Set the length of the bar."""
        self._bar.update(self._task, total=total)

    def advance(self, readings: int) -> None:
        """Move the bar by so many queries."""
        self._bar.advance(self._task, readings)

    def step(self, t: int, split: str, accuracy: float) -> None:
        """Show an accuracy as soon as it is known."""
        self._latest[split] = f"{split} {accuracy:.1%}"
        self._bar.update(self._task, news=f"t={t} {', '.join(self._latest.values())}")

    @contextmanager
    def aside(self, text: str, total: int) -> Iterator[Callable[[int], object]]:
        """Show a second bar while the block runs."""
        task = self._bar.add_task(f"  {text}", total=total)
        try:
            yield lambda readings: self._bar.advance(task, readings)
        finally:
            self._bar.remove_task(task)


@contextmanager
def watching(
    console: Console, verbosity: str = "normal", place: str = "", unit: str = "queries"
) -> Iterator[Watcher]:
    """A watcher that writes on `console` while jobs run.

    In a terminal it is a bar, which is removed at the end. Elsewhere it is a line now and then, see
    `log_lines`. verbosity: "quiet" shows neither, "verbose" shows every stage and detail besides.
    """
    verbose = verbosity == "verbose"
    if verbosity == "quiet":
        yield Watcher()
    elif terminal.interactive(console):
        with Progress(*columns(console.width), console=console, transient=True, expand=True) as bar:
            yield ProgressWatcher(bar, place, verbose)
    else:
        log = LogWatcher(
            lambda line: console.print(line, highlight=False, soft_wrap=True),
            place, unit, verbose,
        )  # fmt: skip
        with every_second(log.beat):
            yield log


def columns(width: int) -> tuple[ProgressColumn, ...]:
    """The columns of a bar in a terminal of this width, in characters."""
    if width < _WIDE:
        return _Words(), MofNCompleteColumn(), TimeRemainingColumn()
    bar = BarColumn(bar_width=12)
    return _Words(), bar, MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn()
