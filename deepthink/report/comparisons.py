"""Two methods on the same demonstrations and examples: who is ahead, by how much, how surely."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from deepthink.report import experiments, statistics
from deepthink.report.layouts import RULES, TASKS
from deepthink.report.measurements import (
    BY_DEV,
    FIVE,
    ORACLE,
    VANILLA,
    Measured,
    Reading,
    at,
    measure,
    percent,
    scales_of,
    shared,
)
from deepthink.report.runs import Array, Runs, Scale
from deepthink.report.statistics import FEWEST, Estimate

TESTED = (FIVE, BY_DEV)
READINGS = (*TESTED, ORACLE)
"""Fixed t, t by dev, and the upper bound, which is never tested."""


@dataclass(frozen=True)
class Contrast:
    """First less second, in points: by task, then on average over the tasks; None is missing.

    adjusted: p of each task after Holm's correction over the tasks, those of which nothing is known
        counted as undecided, and of the average as it is; None for a reading that is not tested,
        and with fewer than `FEWEST` draws of more.
    """

    label: str
    tasks: tuple[str, ...]
    estimates: tuple[Estimate | None, ...]
    adjusted: tuple[float | None, ...]

    @property
    def average(self) -> Estimate | None:
        """Over all tasks."""
        return self.estimates[-1]

    def ahead(self, task: str) -> int:
        """1 or -1 where the difference is significant after correction, else 0."""
        place = self.tasks.index(task)
        found, p = self.estimates[place], self.adjusted[place]
        if found is None or p is None or p >= 1 - statistics.LEVEL:
            return 0
        return 1 if found.mean > 0 else -1


def contrast(
    label: str,
    firsts: Sequence[Measured],
    seconds: Sequence[Measured],
    tested: bool,
    paired: bool = True,
) -> Contrast:
    """One task after the other, then all if none is missing; each over the draws both have.

    The average is over the draws that both have of every task. paired: whether the same draw means
    related demonstrations.
    """
    tasks = [part.setting.configs[0].task.name.partition("/")[0] for part in firsts]
    pairs = [_paired(a, b) for a, b in zip(firsts, seconds, strict=True)]
    known = [
        tested and pair is not None and len(pair[0][0]) >= min(FEWEST, len(part.wanted))
        for pair, part in zip(pairs, firsts, strict=True)
    ]
    estimates: list[Estimate | None] = [
        _difference(*pair, tested=sure, paired=paired) if pair else None
        for pair, sure in zip(pairs, known, strict=True)
    ]
    if len(pairs) > 1:
        tasks.append("average")
        draws = shared(*firsts, *seconds)
        a, b = (
            [one for part in side for one in part.of_draws(draws)] for side in (firsts, seconds)
        )
        average = _difference(a, b, tested=all(known), paired=paired) if draws else None
        estimates.append(average)
    tested_ps = [None if e is None else e.p for e in estimates[: len(pairs)]]
    adjusted = statistics.holm([1.0 if p is None else p for p in tested_ps])
    kept = [None if p is None else q for p, q in zip(tested_ps, adjusted, strict=True)]
    kept += [None if e is None else e.p for e in estimates[len(pairs) :]]
    return Contrast(label, tuple(tasks), tuple(estimates), tuple(kept))


def _difference(
    first: Sequence[Array], second: Sequence[Array], tested: bool, paired: bool
) -> Estimate:
    """In points; without a p where nothing is tested."""
    found = percent(statistics.average_difference(first, second, paired=paired))
    return found if tested else replace(found, p=None)


def _paired(first: Measured, second: Measured) -> tuple[list[Array], list[Array]] | None:
    """Outcomes of both over the draws they share; they are of one scale, so of the same rows."""
    draws = shared(first, second)
    return (first.of_draws(draws), second.of_draws(draws)) if draws else None


RIVALS = {
    "vanilla": ("table1", {"method": "deepthink_curve"}),
    "repetition": ("repetition", {"method": "repeat"}),
    **{
        label: ("table1", {"method": method})
        for method, label in {**RULES, "lens": "LENS", "best_random": "Random ♣"}.items()
    },
}
"""Who reads demonstrations once, by name: the experiment and the axes of their runs."""
SAME_DEMONSTRATIONS = ("vanilla", "repetition")
"""Rivals that read, of the same seed, what thinking reads; the others choose for themselves."""


def thinking(runs: Runs, model: str, scale: Scale, reading: Reading) -> dict[str, Contrast]:
    """Thinking over random demonstrations (η = 0.01, continued) against each of `RIVALS`.

    The same seed means the same demonstrations for vanilla and repetition; selectors choose theirs.
    """
    found = {}
    mine = [
        measure(
            runs,
            experiments.setting("table1", method="deepthink_curve", task=task),
            model,
            scale,
            reading,
        )
        for task in TASKS
    ]
    for label, (experiment, axes) in RIVALS.items():
        theirs = [
            measure(runs, experiments.setting(experiment, **axes, task=task), model, scale, VANILLA)
            for task in TASKS
        ]
        paired = label in SAME_DEMONSTRATIONS
        found[label] = contrast(label, mine, theirs, reading is not ORACLE, paired)
    return found


PAPERS_STEP_SIZE = "0.01"
STEP_SIZES = (PAPERS_STEP_SIZE, "0.1")
LAST = at(15)


def placed(
    runs: Runs, model: str, scale: Scale, step_size: str, positions: str, reading: Reading
) -> list[Measured]:
    """Thinking with these positions and this η, on every task."""
    axes = {"method.step_size": step_size, "method.positions": positions}
    return [
        measure(runs, experiments.setting("positions", **axes, task=task), model, scale, reading)
        for task in TASKS
    ]


def positions(
    runs: Runs, model: str, scale: Scale, step_size: str, reading: Reading
) -> list[Contrast]:
    """Aligned against continued positions at one η, each against vanilla, and the paper's η too."""

    def read(positions: str, reading: Reading, step_size: str = step_size) -> list[Measured]:
        return placed(runs, model, scale, step_size, positions, reading)

    aligned, continued = read("aligned", reading), read("continued", reading)
    tested = reading is not ORACLE
    found = [
        contrast("aligned − continued", aligned, continued, tested),
        contrast("aligned − vanilla", aligned, read("aligned", VANILLA), tested),
        contrast("continued − vanilla", continued, read("continued", VANILLA), tested),
    ]
    if step_size != PAPERS_STEP_SIZE:
        papers = read("continued", reading, PAPERS_STEP_SIZE)
        label = f"aligned − continued at η = {PAPERS_STEP_SIZE}"
        found.append(contrast(label, aligned, papers, tested))
    return found


def subjects(runs: Runs, experiment: str) -> Iterator[tuple[str, Scale]]:
    """Every model and scale that has a run of an experiment."""
    settings = experiments.settings(experiment)
    for model in runs.models:
        for scale in scales_of(runs, settings, model):
            yield model, scale
