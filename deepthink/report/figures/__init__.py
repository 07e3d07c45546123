"""The paper's figures and this study's own, from stored runs alone.

Bands and bars are 95 % intervals. Each drawing takes one subject and returns None if nothing was
run.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from matplotlib import figure

from deepthink.report.figures import demonstrations, iterations, methods
from deepthink.report.figures.style import style
from deepthink.report.measurements import Subject, subjects
from deepthink.report.runs import Runs
from deepthink.store.identity import digest


@dataclass(frozen=True)
class Figure:
    """A figure, the experiment whose subjects it is drawn for, and the function that draws it.

    section: the part of the page that shows it; empty for the part on figures.
    """

    name: str
    experiment: str
    draw: Callable[[Subject], figure.Figure | None]
    section: str = ""


FIGURES = (
    Figure("thinking", "table1", methods.thinking, section="thinking"),
    Figure("figure3", "figure3", methods.by_category),
    Figure("figure4", "figure4", demonstrations.counts),
    Figure("figure5", "figure5_seeds", demonstrations.spread),
    Figure("figure6", "figure6", iterations.step_sizes),
    Figure("positions", "positions", iterations.positions, section="positions"),
    Figure("compute", "table1", methods.compute),
    Figure("drift", "positions", iterations.drift),
)


@dataclass(frozen=True)
class Drawn:
    """A figure that was drawn, and the subject that it shows."""

    figure: Figure
    subject: Subject

    @property
    def file(self) -> str:
        """The name of its files without an ending. No two drawings have the same."""
        scale = self.subject.scale
        sizes = (scale.test, scale.dev, scale.pool)
        rows = [] if scale.whole else ["all" if size < 0 else str(size) for size in sizes]
        other = re.findall(r"\w+", scale.other)
        model = _file_name(self.subject.model)
        return "-".join([self.figure.name, model, *rows, scale.dtype, *other])


def _file_name(model: str) -> str:
    """A model's name as part of a file's."""
    plain = re.sub(r"[^\w.-]", "-", model)
    return plain if plain == model else f"{plain}-{digest(model)[:8]}"


def every(runs: Runs, stage: Callable[[str], object]) -> Iterator[tuple[Drawn, figure.Figure]]:
    """All figures that have anything to show. stage: called with the name of what comes next."""
    for each in FIGURES:
        for subject in subjects(runs, each.experiment):
            stage(f"{each.name}: {subject.model}")
            with style():
                if (drawing := each.draw(subject)) is not None:
                    yield Drawn(each, subject), drawing
