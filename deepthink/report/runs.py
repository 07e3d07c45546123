"""Stored records as arrays, found by what their job asked for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from deepthink import readings, records
from deepthink.errors import UserError

Array = np.ndarray
Draw = tuple[int, int]
"""seed and order."""


@dataclass(frozen=True, order=True)
class Scale:
    """On how much a job was run: test, dev and pool rows (-1: all), and the model's dtype."""

    test: int
    dev: int
    pool: int
    dtype: str

    @classmethod
    def of(cls, config: Mapping[str, Any], dtype: str) -> "Scale":
        """From a resolved config."""
        names = ("test_size", "dev_size", "pool_size")
        test, dev, pool = (-1 if config[name] is None else config[name] for name in names)
        return cls(test, dev, pool, dtype)

    @property
    def whole(self) -> bool:
        """Whether every row was used."""
        return max(self.test, self.dev, self.pool) < 0

    def __str__(self) -> str:
        parts = ["all test rows" if self.test < 0 else f"{self.test} test rows"]
        if self.dev >= 0:
            parts.append(f"{self.dev} dev rows" if self.dev else "no dev rows")
        if self.pool >= 0:
            parts.append(f"a pool of {self.pool}")
        return ", ".join([*parts, self.dtype])


@dataclass(frozen=True)
class Run:
    """A finished job. `path` is relative to the folder of results."""

    path: Path
    record: records.Record

    @property
    def model(self) -> str:
        """The model's name."""
        return str(self.record["config"]["model"]["name"])

    @property
    def task(self) -> str:
        """The task's name, of a suite's member suite/member."""
        return str(self.record["config"]["task"]["name"])

    @cached_property
    def scale(self) -> Scale:
        """On how much it was run."""
        return Scale.of(self.record["config"], self.record["identity"]["model"]["dtype"])

    @property
    def draw(self) -> Draw:
        """Seed and order."""
        return self.record["identity"]["seed"], self.record["identity"]["order"]

    @property
    def iterations(self) -> int:
        """T."""
        return int(self.record["config"]["method"]["iterations"])

    @cached_property
    def steps(self) -> tuple[int, ...]:
        """The iterations after which test was scored."""
        return tuple(point["step"] for point in readings.of_split(self.record["curve"], "test"))

    @property
    def origin(self) -> tuple[object, ...]:
        """What runs of one number share: the protocol, the data and the model behind its name."""
        identity = self.record["identity"]
        return identity["protocol"], identity["task"]["data"], identity["model"]

    @property
    def examples(self) -> tuple[str, str]:
        """What tells the test examples from others: the data they are of, and their answers."""
        return self.record["identity"]["task"]["data"], self.record["gold"]["test"]

    @property
    def has_dev(self) -> bool:
        """Whether dev was scored too."""
        return bool(readings.of_split(self.record["curve"], "dev"))

    def correct(self, step: int, split: str = "test") -> Array:
        """[I] of 0 and 1: which examples were right after t = step."""
        predicted = readings.at_step(self.record["curve"], split, step)["predicted"]
        gold = self.record["gold"][split]
        pairs = zip(gold.split(), predicted.split(), strict=True)
        return np.array([label == answer for label, answer in pairs], dtype=np.int8)


def demonstrations_key(config: Mapping[str, Any]) -> str:
    """What decides demonstrations, prompts and scores of plain in-context learning, draw aside."""
    task, method = config["task"], config["method"]
    return records.digest(
        {
            "task": [task[name] for name in ("name", "version", "template", "labels", "answer")],
            "selector": {"name": "given"} if task["given"] else method["selector"],
            "copies": method["copies"],
            "count": config["demonstrations"]["count"] or task["demonstrations"],
            "labels": config["demonstrations"]["labels"],
            "prompt": config["prompt"],
            "answer_score": config["answer_score"],
        }
    )


def thinking_key(config: Mapping[str, Any]) -> str:
    """How the demonstrations are thought over, T aside."""
    names = ("step_size", "momentum", "positions", "memory_dtype")
    return records.digest({name: config["method"][name] for name in names})


class Runs:
    """All runs of a results folder, found by model and setting.

    broken: files that do not count, by path relative to the folder, and why.
    """

    def __init__(self, runs: Iterable[Run], broken: Mapping[Path, str] | None = None) -> None:
        self.all = tuple(runs)
        self.broken = dict(broken or {})
        self._by_setting: dict[tuple[str, str], list[Run]] = {}
        for run in self.all:
            key = (run.model, demonstrations_key(run.record["config"]))
            self._by_setting.setdefault(key, []).append(run)

    @classmethod
    def load(cls, results: Path) -> "Runs":
        """Every record under `results` that is whole."""
        stored = records.load_all(results)
        runs = (Run(path.relative_to(results), record) for path, record in stored.records)
        return cls(runs, {path.relative_to(results): why for path, why in stored.broken.items()})

    @property
    def models(self) -> list[str]:
        """Every model that has a record."""
        return sorted({run.model for run in self.all})

    def data_root(self, model: str, scale: Scale) -> str | None:
        """The folder a model's data came from on a scale; None: the hub, or not one folder."""
        roots = {
            run.record["config"]["data_root"]
            for run in self.all
            if run.model == model and run.scale == scale
        }
        return roots.pop() if len(roots) == 1 else None

    def of(
        self, model: str, config: Mapping[str, Any], scale: Scale | None = None, step: int = 1
    ) -> list[Run]:
        """Runs of a setting whose test was scored at t = step, whatever their draw and T.

        config: resolved; its model, sizes and draw do not matter, and of t = 1 nor does thinking.
        """
        found = self._by_setting.get((model, demonstrations_key(config)), [])
        return [
            run
            for run in found
            if step in run.steps
            and (scale is None or run.scale == scale)
            and (step == 1 or thinking_key(run.record["config"]) == thinking_key(config))
        ]


def one_per_draw(runs: Iterable[Run], draws: Iterable[Draw]) -> dict[Draw, Run]:
    """Of runs of one setting and scale, one for each of the draws that has any.

    All are of one kind, that of the same scored steps and dev set which covers most draws, then has
    most steps: numbers of unlike runs are not averaged. UserError where their model, protocol or
    data differ.
    """
    wanted = list(draws)
    kinds: dict[tuple[tuple[int, ...], bool], list[Run]] = {}
    for run in runs:
        if run.draw in wanted:
            kinds.setdefault((run.steps, run.has_dev), []).append(run)
    if not kinds:
        return {}
    best = max(kinds, key=lambda kind: (len({r.draw for r in kinds[kind]}), len(kind[0]), kind))
    first, *others = kinds[best]
    for other in others:
        if first.origin != other.origin:
            raise UserError(
                f"{first.path} and {other.path} belong to one number, but were made from different "
                "data, of another model of that name or by a different protocol: remove one of them"
            )
    found = {run.draw: run for run in kinds[best]}
    return {draw: found[draw] for draw in wanted if draw in found}
