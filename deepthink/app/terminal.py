"""The terminal that jobs are shown in, and the tables drawn there."""

from rich import box
from rich.console import Console
from rich.table import Table

from deepthink.app import streams


class _Console(Console):
    """One whose reader may leave, as `| head -1` does: what it shows ends, the work goes on."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        streams.abandon()


def console() -> Console:
    """The terminal, or a page wide enough for every table where the output is no terminal."""
    terminal = _Console(markup=False)
    return terminal if terminal.is_terminal else _Console(width=118, markup=False)


def plain_table(*headings: str) -> Table:
    """A table of a column of words and columns of numbers."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for heading in headings:
        words = heading in ("member", "average", "stage")
        table.add_column(heading, justify="left" if words else "right", no_wrap=True)
    return table
