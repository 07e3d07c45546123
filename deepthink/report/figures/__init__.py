"""The paper's figures and this study's own, from stored runs alone.

Bands and bars are 95 % intervals. Each drawing takes one subject and returns None if nothing was
run.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from matplotlib import figure

from deepthink.report import further
from deepthink.report.figures import (
    demonstrations,
    front,
    iterations,
    mechanism,
    methods,
    stopping,
    sweeps,
)
from deepthink.report.figures.style import style
from deepthink.report.further_tables import Swept
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
    Figure("stopping", "stopping", stopping.chosen, section="stopping"),
    Figure("compute", "table1", methods.compute),
    Figure("drift", "positions", iterations.drift),
    Figure("mechanism", "mechanism", mechanism.label_bias, section="mechanism"),
    Figure("prices", "rivals", front.prices, section="rivals"),
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


def of_further(
    groups: Sequence[Swept], stage: Callable[[str], object]
) -> Iterator[tuple[Drawn, figure.Figure]]:
    """The curves of every task of these groups, as many figures as there are lines for.

    stage: called with the name of what comes next.
    """
    taken: set[str] = set()
    for group in groups:
        for column, heading in group.columns.items():
            stage(f"{heading}: {group.subject.model}")
            parts = sweeps.parts(group.of_task(column))
            for number, part in enumerate(parts, 1):
                words = ["curves", *re.findall(r"[\w.-]+", heading), *sweeps.swept(part)]
                about = heading
                if len(parts) > 1:
                    words.append(str(number))
                    about += f", part {number} of {len(parts)}"
                drawn = _curves(words, group.subject, about, part)
                if drawn.file.lower() in taken:  # another task's name in the same letters
                    drawn = _curves(
                        [*words, digest([heading, number])[:8]], group.subject, about, part
                    )
                taken.add(drawn.file.lower())
                with style():
                    if (drawing := drawn.figure.draw(group.subject)) is not None:
                        yield drawn, drawing


def _curves(words: Sequence[str], subject: Subject, task: str, lines: sweeps.Lines) -> Drawn:
    """A figure of a task's curves, named by these words."""

    def draw(subject: Subject) -> figure.Figure | None:
        return sweeps.curves(subject, task, lines)

    return Drawn(Figure("-".join(words), "", draw, section=further.NAME), subject)
