"""The paper's figures and this study's own, from stored runs alone.

Bands and bars are 95 % intervals. Each drawing takes one subject and returns None if nothing was
run. A figure has no title of its own: what it shows stands in the caption, and panels have names.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure as MadeFigure

from deepthink.report import experiments, further
from deepthink.report.figures import (
    demonstrations,
    front,
    iterations,
    mechanism,
    methods,
    stopping,
    sweeps,
)
from deepthink.report.figures.style import Picture, style
from deepthink.report.further_tables import Swept
from deepthink.report.measurements import Subject, subjects
from deepthink.report.runs import Family, Runs
from deepthink.store.identity import digest


@dataclass(frozen=True)
class Figure:
    """A figure, the experiment whose subjects it is drawn for, and the function that draws it.

    section: the part of the page that shows it; empty for the part on figures. ways: how many of
        the ways that the experiment sets beside each other must have been run. A ladder of one
        step, or one method without another, shows nothing.
    """

    name: str
    experiment: str
    draw: Callable[[Subject], Picture | None]
    section: str = ""
    ways: int = 1

    def shows(self, subject: Subject) -> bool:
        """Whether enough was run of this subject. Ways with the same runs count as one."""
        run: dict[tuple[str, ...], set[Family]] = {}
        for setting in experiments.settings(self.experiment):
            way = tuple(value for axis, value in setting.axes.items() if axis != "task")
            run.setdefault(way, set()).update(filter(subject.has, setting.families))
        return len({frozenset(families) for families in run.values() if families}) >= self.ways


FIGURES = (
    Figure("thinking", "table1", methods.thinking, section="thinking", ways=2),
    Figure("figure3", "figure3", methods.by_category),
    Figure("figure4", "figure4", demonstrations.counts, ways=2),
    Figure("figure5", "figure5_seeds", demonstrations.spread),
    Figure("figure6", "figure6", iterations.step_sizes, ways=2),
    Figure("positions", "positions", iterations.positions, section="positions", ways=2),
    Figure("stopping", "stopping", stopping.chosen, section="stopping"),
    Figure("compute", "table1", front.choices, ways=2),
    Figure("drift", "positions", iterations.drift, ways=2),
    Figure("mechanism", "mechanism", mechanism.label_bias, section="mechanism"),
    Figure("prices", "rivals", front.prices, section="rivals", ways=2),
)


@dataclass(frozen=True)
class Drawn:
    """A figure that was drawn, the subject that it shows, and what a reader is told of it.

    title: what it shows, in a few words. text: the rest of the caption.
    """

    figure: Figure
    subject: Subject
    title: str
    text: str

    @property
    def alt(self) -> str:
        """What stands for the image where it is not seen."""
        return f"{self.title}, {self.subject.model}"

    @property
    def caption(self) -> str:
        """The title, the model and its scale, and the sentences on marks and on what is seen."""
        return f"{self.title} ({self.subject}). {self.text}"

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


def every(runs: Runs, stage: Callable[[str], object]) -> Iterator[tuple[Drawn, MadeFigure]]:
    """All figures that have anything to show. stage: called with the name of what comes next."""
    for each in FIGURES:
        for subject in filter(each.shows, subjects(runs, each.experiment)):
            stage(f"{each.name}: {subject.model}")
            with style():
                if (picture := each.draw(subject)) is not None:
                    yield Drawn(each, subject, picture.title, picture.text), picture.figure


def of_further(
    groups: Sequence[Swept], stage: Callable[[str], object]
) -> Iterator[tuple[Drawn, MadeFigure]]:
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
                with style():
                    picture = sweeps.curves(about, part)
                    drawn = _curves(words, group.subject, picture)
                    if drawn.file.lower() in taken:  # another task's name in the same letters
                        words.append(digest([heading, number])[:8])
                        drawn = _curves(words, group.subject, picture)
                    taken.add(drawn.file.lower())
                    yield drawn, picture.figure


def _curves(words: Sequence[str], subject: Subject, picture: Picture) -> Drawn:
    """The figure of a task's curves, named by these words."""
    figure = Figure("-".join(words), "", lambda _: picture, section=further.NAME)
    return Drawn(figure, subject, picture.title, picture.text)
