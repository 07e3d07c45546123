"""A table's numbers beside the paper's, and the commands that fill those that are missing."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from deepthink.report import chance, experiments
from deepthink.report.chance import Levels
from deepthink.report.experiments import command, merged
from deepthink.report.measurements import Measured, average, shared, sizes
from deepthink.report.runs import Array, Draw
from deepthink.report.statistics import Estimate


@dataclass(frozen=True)
class Cell:
    """One number of a table: of one measurement, or the mean of several.

    paper: the number that the paper prints there, in per cent. None if the paper prints nothing
        there, or does not have the model. context: the paper's number for another model.
    pooled: True averages a suite over all questions, weighing each member by the number of
        questions in its data. False weighs all members the same. within_budget: whether a budget
        gave some part fewer draws than its experiment asks for.
    """

    parts: tuple[Measured, ...]
    paper: float | None = None
    context: float | None = None
    pooled: bool = False
    within_budget: bool = False

    @property
    def wanted(self) -> int:
        """How many draws all parts are to have. What no seed changes has those of all seeds."""
        most = max((part.wanted for part in self.parts), key=len)
        settings = [part.setting for part in self.parts]
        return sum(all(of.reached(draw) in of.draws for of in settings) for draw in most)

    @property
    def seeds(self) -> int:
        """How many draws there are."""
        return len(self.draws)

    @cached_property
    def draws(self) -> list[Draw]:
        """The draws that all parts have."""
        return shared(*self.parts)

    @property
    def complete(self) -> bool:
        """Whether no draw is missing."""
        return not any(part.missing for part in self.parts)

    @cached_property
    def so_far(self) -> Estimate | None:
        """The estimate from the draws that there are, in per cent; None if there are none."""
        return average(self._outcomes, self._weights) if self.draws else None

    @cached_property
    def _outcomes(self) -> list[Array]:
        """Of each task or member, int8 [S, I] over the draws that all parts have."""
        return [task for part in self.parts for task in part.of_draws(self.draws)]

    @property
    def _weights(self) -> list[float] | None:
        return sizes(self.parts[0].setting) if self.pooled else None

    @cached_property
    def _of_tasks(self) -> list[Levels]:
        return chance.of_parts(self.parts)

    @property
    def levels(self) -> Levels | None:
        """Chance and majority, averaged as the cell is; None if a part has no run."""
        return chance.mean(self._of_tasks, self._weights) if self._of_tasks else None

    @cached_property
    def above(self) -> tuple[int, int] | None:
        """How many tasks are above chance, and of how many; None for a single one."""
        if not self.draws or len(self._of_tasks) < 2:
            return None
        return chance.above(self._outcomes, self._of_tasks), len(self._of_tasks)

    @property
    def estimate(self) -> Estimate | None:
        """The estimate, in per cent; None unless every draw is there."""
        return self.so_far if self.complete else None

    @property
    def difference(self) -> float | None:
        """Our number less the paper's, in points."""
        if self.paper is None or self.estimate is None:
            return None
        return self.estimate.mean - self.paper


def fill(parts: Iterable[Measured]) -> list[tuple[str, list[Measured]]]:
    """The commands that run what is missing, each with the parts that it completes.

    The parts are of one experiment and subject. A part that calibrates stored scores is left out,
    since the same runs without calibration name the command.
    """
    alike: dict[tuple[tuple[str, ...], str | None], list[Measured]] = {}
    for part in parts:
        if part.missing and part.reading.calibration is None:
            alike.setdefault((part.how, _scored(part)), []).append(part)
    return [filled for (_, scored), missing in alike.items() for filled in _fill(missing, scored)]


def _scored(part: Measured) -> str | None:
    """After which t the runs of a part were scored, if it is not as its scale has it."""
    usual = experiments.scored_on(part.subject.scale)
    found = {run.record.config.method.scored for runs in part.runs.values() for run in runs}
    other = found.pop() if len(found) == 1 and usual is not None else None
    return None if other == usual else other


def _fill(missing: Sequence[Measured], scored: str | None) -> Iterator[tuple[str, list[Measured]]]:
    """As `fill`, of parts whose further runs need the same words.

    scored: the value of method.scored that they need, if it is not the scale's.
    """
    first = missing[0]
    subject = first.subject
    for swept, draws in merged((part.setting, part.missing) for part in missing):
        values = dict(swept)
        completed = [
            part
            for part in missing
            if part.missing == draws
            and all(value in values[key] for key, value in part.setting.axes.items())
        ]
        line = command(
            first.setting.experiment,
            swept,
            draws,
            subject.model,
            subject.scale,
            first.how,
            scored,
        )
        yield line, completed
