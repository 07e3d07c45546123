"""What `deepthink NAME …` does besides jobs: a file for each name, with the words in `main`."""

from collections.abc import Sequence
from importlib import import_module

from deepthink.app import streams

NAMES = ("tables", "plan", "prefetch")


def run(name: str, words: Sequence[str]) -> None:
    """Run a command; what a user can cause ends the process with one line and exit code 1."""

    def main() -> None:
        import_module(f"{__name__}.{name}").main(words)  # slow, and may be interrupted

    streams.script(main)
