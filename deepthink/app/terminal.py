"""The terminal in which results are shown, and the tables in it."""

from collections.abc import Callable

from rich import box
from rich.console import Console
from rich.table import Table

from deepthink.app import streams
from deepthink.errors import first_line
from deepthink.redaction import without_secrets


class _Console(Console):
    """A console that prints no more once its reader has closed the pipe (`| head -1`)."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        streams.abandon()


def console() -> Console:
    """The terminal, or where the output is none, a page that is wide enough for every table."""
    terminal = _Console(markup=False)
    return terminal if terminal.is_terminal else _Console(width=118, markup=False)


def plain_table(*headings: str, words: int = 1) -> Table:
    """An empty table. Its first `words` columns hold words, the others numbers."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for place, heading in enumerate(headings):
        table.add_column(heading, justify="left" if place < words else "right", no_wrap=True)
    return table


def show(view: Callable[[], object], console: Console) -> None:
    """Show a result; a display error must not fail jobs whose records are already written."""
    try:
        view()
    except Exception as error:
        said = without_secrets(first_line(error))
        console.print(f"the result is kept but cannot be shown ({said})", markup=False)
