"""Stored records as arrays, found by what their job asked for."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from deepthink.config.job import Config
from deepthink.store import curves, records
from deepthink.store.identity import Identity, digest, family
from deepthink.store.schema import Record
from deepthink.store.settings import Settings

Array = np.ndarray
Draw = tuple[int, int]
"""seed and order."""


@dataclass(frozen=True, order=True)
class Scale:
    """On how much a job was run: test, dev and pool rows (-1: all), and the model's dtype.

    other: empty for the data and the model that most runs of a task have; else what tells apart
        those that are not: see `Runs`.
    """

    test: int
    dev: int
    pool: int
    dtype: str
    other: str = ""

    @classmethod
    def of(cls, config: Config | Settings, dtype: str, other: str = "") -> "Scale":
        """Of a job's config, or what a record has of it."""
        sizes = (config.test_size, config.dev_size, config.pool_size)
        test, dev, pool = (-1 if size is None else size for size in sizes)
        return cls(test, dev, pool, dtype, other)

    @property
    def whole(self) -> bool:
        """Whether every row was used."""
        return max(self.test, self.dev, self.pool) < 0

    @property
    def rank(self) -> tuple[object, ...]:
        """The largest scale first, those of other data or another model last."""
        sizes = (self.test, self.dev, self.pool)
        return bool(self.other), [(size >= 0, -size) for size in sizes], self.dtype, self.other

    def __str__(self) -> str:
        parts = ["all test rows" if self.test < 0 else f"{self.test} test rows"]
        if self.dev >= 0:
            parts.append(f"{self.dev} dev rows" if self.dev else "no dev rows")
        if self.pool >= 0:
            parts.append(f"a pool of {self.pool}")
        return ", ".join([*parts, self.dtype, *filter(None, [self.other])])


@dataclass(frozen=True)
class Family:
    """What the runs of one number have in common: `family` at t = 1, and at any later t."""

    plain: str
    thought: str

    @classmethod
    def of(cls, key: Identity) -> "Family":
        """From a job's identity."""
        return cls(digest(family(key, thinking=False)), digest(family(key)))


@dataclass(frozen=True)
class Run:
    """A finished job.

    path: relative to the folder of results. other: as in `Scale`. folder: that folder, None for a
    run that lies in none.
    """

    path: Path
    record: Record
    other: str = ""
    folder: Path | None = None

    @property
    def model(self) -> str:
        """The model's name."""
        return self.record.config.model.name

    @property
    def task(self) -> str:
        """The task's name, of a suite's member suite/member."""
        return self.record.config.task.name

    @property
    def suite(self) -> str:
        """The suite a member belongs to; of any other task itself."""
        return self.task.partition("/")[0]

    @cached_property
    def scale(self) -> Scale:
        """On how much it was run."""
        return Scale.of(self.record.config, self.record.identity.model.dtype, self.other)

    @cached_property
    def family(self) -> Family:
        """What it has in common with other runs of its number."""
        return Family.of(self.record.identity)

    @property
    def overlap(self) -> str:
        """What became of pool rows whose text is a test or dev row's: "drop" or "keep"."""
        return self.record.config.pool.overlap

    @property
    def draw(self) -> Draw:
        """Seed and order."""
        return self.record.identity.seed, self.record.identity.order

    @property
    def iterations(self) -> int:
        """T."""
        return self.record.config.method.iterations

    @cached_property
    def steps(self) -> tuple[int, ...]:
        """The iterations after which test was scored."""
        return tuple(point.step for point in curves.of_split(self.record.curve, "test"))

    @cached_property
    def maker(self) -> str:
        """The model behind its name, whatever its dtype: what all runs of a table share."""
        model = self.record.identity.model.stored()
        return digest({name: value for name, value in model.items() if name != "dtype"})

    @cached_property
    def examples(self) -> str:
        """The data behind the task's name and their answers: what all runs of a column share."""
        return digest([self.record.identity.task.data, self.record.gold.test])

    @property
    def source(self) -> str:
        """Where its data came from."""
        data = self.record.data
        return digest([self.record.config.data_root, data.repository, data.commit, self.overlap])

    @property
    def has_dev(self) -> bool:
        """Whether dev was scored too."""
        return bool(curves.of_split(self.record.curve, "dev"))

    def correct(self, step: int, split: str = "test") -> Array:
        """[I] of 0 and 1: which examples were right after t = step."""
        predicted = curves.at_step(self.record.curve, split, step).predicted
        pairs = zip(self.record.gold.of(split), predicted.split(), strict=True)
        return np.array([label == answer for label, answer in pairs], dtype=np.int8)


class Runs:
    """All runs of a results folder, found by model and setting.

    Runs of one model name, sizes and dtype may still be of several origins: of different weights,
    or of different data behind a task's name. The origin with most runs is the main one (of a
    model's weights over all sizes and dtypes); runs of any other have a scale of their own, so that
    no number and no comparison mixes the two.

    all: the runs that have accuracies. open: those of open tasks. broken: files that do not count,
        by path relative to the folder, and why. folder: None for runs that lie in none.
    """

    def __init__(
        self,
        runs: Iterable[Run],
        broken: Mapping[Path, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        every = _told_apart(runs)
        self.all = tuple(run for run in every if not run.record.open)
        self.open = tuple(run for run in every if run.record.open)
        self.broken = dict(broken or {})
        self.folder = folder
        self._by_setting: dict[tuple[str, str], list[Run]] = {}
        self._by_scale: dict[tuple[str, Scale], list[Run]] = {}
        for run in self.all:
            self._by_setting.setdefault((run.model, run.family.plain), []).append(run)
            self._by_scale.setdefault((run.model, run.scale), []).append(run)

    @classmethod
    def load(cls, results: Path) -> "Runs":
        """Every record under `results` that is whole."""
        stored = records.load_all(results)
        runs = (
            Run(path.relative_to(results), record, folder=results)
            for path, record in stored.records
        )
        broken = {path.relative_to(results): why for path, why in stored.broken.items()}
        return cls(runs, broken, results)

    def only(self, wanted: Callable[[Run], bool]) -> "Runs":
        """The same without the runs of classification tasks that are not wanted."""
        return Runs((*filter(wanted, self.all), *self.open), self.broken, self.folder)

    @property
    def models(self) -> list[str]:
        """Every model that has a record."""
        return sorted({run.model for run in self.all})

    def at(self, model: str, scale: Scale, suite: str) -> list[Run]:
        """The runs of a task or suite by a model on a scale; if it has none, all there are."""
        found = self._by_scale.get((model, scale), [])
        return [run for run in found if run.suite == suite] or found

    def of(
        self, model: str, family: Family, scale: Scale | None = None, step: int = 1
    ) -> list[Run]:
        """Runs of a setting whose test was scored at t = step, whatever their draw and T.

        At t = 1 it does not matter how they were thought over; those that thought as the setting
        does come last.
        """
        found = [
            run
            for run in self._by_setting.get((model, family.plain), [])
            if step in run.steps
            and (scale is None or run.scale == scale)
            and (step == 1 or run.family == family)
        ]
        return sorted(found, key=lambda run: run.family == family)


def _told_apart(runs: Iterable[Run]) -> tuple[Run, ...]:
    """The runs in their order, each with the name of its origin if that is not the main one."""
    every = [replace(run, other="") for run in runs]
    makers: dict[str, list[str]] = {}
    suites: dict[tuple[object, ...], list[Run]] = {}
    for run in every:
        makers.setdefault(run.model, []).append(run.maker)
        suites.setdefault((run.model, run.scale, run.maker, run.suite), []).append(run)
    main = {model: _ranked(names)[0] for model, names in makers.items()}
    data = {place: _other_data(found) for place, found in suites.items()}

    def origin(run: Run) -> str:
        model = "" if run.maker == main[run.model] else f"other model {run.maker[:8]}"
        rows = data[run.model, run.scale, run.maker, run.suite].get((run.task, run.examples), "")
        return ", ".join(filter(None, (model, rows)))

    return tuple(replace(run, other=origin(run)) for run in every)


def _other_data(runs: Sequence[Run]) -> dict[tuple[str, str], str]:
    """Names for the data of a task, or of a suite, that are not the main ones: by task, examples.

    Members of a suite go together by where their data came from.
    """
    sources = _ranked(run.source for run in runs)
    ranks: dict[int, list[tuple[str, str]]] = {}
    for task in dict.fromkeys(run.task for run in runs):
        found = [run for run in runs if run.task == task]
        names = _ranked(run.examples for run in found)
        if task != found[0].suite:
            first: dict[str, int] = {}
            for run in sorted(found, key=lambda run: sources.index(run.source)):
                first.setdefault(run.examples, sources.index(run.source))
            names.sort(key=lambda name: first[name])
        for rank, name in enumerate(names):
            ranks.setdefault(rank, []).append((task, name))
    return {
        one: f"other data {(one[1] if len(ranks[rank]) == 1 else digest(ranks[rank]))[:8]}"
        for rank in ranks
        if rank > 0
        for one in ranks[rank]
    }


def _ranked(names: Iterable[str]) -> list[str]:
    """Each name once: the most frequent first, equals in order."""
    counts = Counter(names)
    return sorted(counts, key=lambda name: (-counts[name], name))


def one_per_draw(runs: Iterable[Run], draws: Iterable[Draw]) -> dict[Draw, Run]:
    """Of runs of one setting and scale, one for each of the draws that has any.

    Numbers of unlike runs are not averaged: only runs that were scored after the same steps, and
    with or without dev alike, are combined. Of several such groups the one with most draws is
    taken, then the one with most steps, then the last.
    """
    wanted = list(draws)
    kinds: dict[tuple[tuple[int, ...], bool], dict[Draw, Run]] = {}
    for run in runs:
        if run.draw in wanted:
            kinds.setdefault((run.steps, run.has_dev), {})[run.draw] = run
    if not kinds:
        return {}
    best = max(kinds, key=lambda kind: (len(kinds[kind]), len(kind[0]), kind))
    return {draw: kinds[best][draw] for draw in wanted if draw in kinds[best]}
