"""Figures and tables in words, as the documentation has them."""

import textwrap
from collections.abc import Sequence

WIDTH = 104


def seconds(value: float) -> str:
    """Whole seconds from ten on."""
    return f"{value:.0f} s" if value >= 10 else f"{value:.1f} s"


def percent(share: float) -> str:
    """A share in whole percent."""
    return f"{100 * share:.0f} %"


def tiny(value: float) -> str:
    """A small number in few letters: 7.2e-5."""
    return f"{value:.1e}".replace("e-0", "e-").replace(".0e", "e")


def listed(words: Sequence[str]) -> str:
    """Words with commas and a last "and"."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(("| " + " | ".join(line) + " |").replace("|  |", "| |") for line in lines)


def wrapped(text: str) -> str:
    """A paragraph, broken into lines."""
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)
