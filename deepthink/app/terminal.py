"""The terminal in which results are shown, and the tables in it."""

from collections.abc import Callable
from typing import TextIO

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


def console(file: TextIO | None = None) -> Console:
    """The terminal, or where the output is none, a page that is wide enough for every table.

    file: where it writes; None for the standard output.
    """
    terminal = _Console(file=file, markup=False)
    return terminal if interactive(terminal) else _Console(file=file, width=118, markup=False)


def interactive(console: Console) -> bool:
    """Whether somebody looks at a terminal. A log in colours, as CI may ask for, is none."""
    return console.is_terminal and console.file.isatty() and not console.is_dumb_terminal


WIDE, NARROW = 100, 72
"""Columns of a terminal from which on tables are as in a log, and below which intervals are left
out."""


def plain_table(*headings: str, words: int = 1, width: int = WIDE) -> Table:
    """An empty table. Its first `words` columns hold words, the others numbers.

    headings: line breaks in them are kept in a terminal that is not wide, and are spaces elsewhere.
    width: the terminal's. Where it does not suffice, words are folded and numbers stay whole.
    """
    wide = width >= WIDE
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1 if wide else 0), pad_edge=False)
    for place, heading in enumerate(headings):
        word = place < words
        table.add_column(
            heading.replace("\n", " ") if wide else heading,
            justify="left" if word else "right",
            no_wrap=not word or wide,
            overflow="fold" if word else "ellipsis",
        )
    return table


def show(view: Callable[[], object], console: Console) -> None:
    """Show a result; a display error must not fail jobs whose records are already written."""
    try:
        view()
    except Exception as error:
        said = without_secrets(first_line(error))
        console.print(f"the result is kept but cannot be shown ({said})", markup=False)
