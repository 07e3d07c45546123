"""The commands `deepthink NAME …` other than jobs: one file each, whose `main` takes the words."""

from collections.abc import Sequence
from importlib import import_module

from deepthink.app import streams

NAMES = (
    *("paper", "tables", "site", "plan", "prefetch", "show", "compare", "check", "export"),
    *("caches", "failures"),
)


def run(name: str, words: Sequence[str]) -> None:
    """Run the command of this name; an error that a user can cause ends the process in one line.

    Raises:
        SystemExit: with exit code 1, after such an error.
    """

    def main() -> None:
        command = import_module(f"{__name__}.{name}")  # slow, and may be interrupted
        command.main(words)

    streams.script(main)
