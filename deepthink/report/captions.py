"""How a page shows figures: the image, and below it what a reader should know."""

from collections.abc import Iterator, Sequence

from deepthink.report import prose
from deepthink.report.figures import Drawn
from deepthink.report.measurements import Subject
from deepthink.report.render import escaped


def image(drawn: Drawn) -> str:
    """An image as Markdown, and its caption in italics."""
    shown = f"![{escaped(drawn.alt)}](figures/{drawn.file}.png)"
    return f"{shown}\n\n*{escaped(drawn.caption)}*\n"


def images(section: str, drawn: Sequence[Drawn], subject: Subject) -> Iterator[str]:
    """The figures of a subject that this section of the page shows."""
    for each in drawn:
        if each.figure.section == section and each.subject == subject:
            yield image(each)


def every(drawn: Sequence[Drawn]) -> str:
    """The caption of every figure, for whoever puts figures on a page of their own."""
    entries = (f"## {each.file}\n\n{escaped(each.caption)}\n" for each in drawn)
    return "\n".join([f"# Captions\n\n{prose.CAPTIONS}", *entries])
