"""What a readout may ask about a memory, and how it is applied to one.

Q  queries    C  candidates    A  anchors    V  vocabulary    d  width of the states
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
from torch import Tensor
from transformers import PreTrainedModel

from deepthink.config.job import Config
from deepthink.engine import query_states
from deepthink.engine.flops import Costs, scoring_flops
from deepthink.engine.memory import Memory
from deepthink.engine.token_budget import TokenBudget
from deepthink.errors import UserError, shown
from deepthink.models.loading import LM
from deepthink.options import plain
from deepthink.plugins import CALIBRATIONS, READOUTS
from deepthink.structures import Splits, Tokens
from deepthink.study.anchors import Rows, anchors
from deepthink.study.asking import scored_flops
from deepthink.study.calibrating import common_candidates
from deepthink.study.prompting import Prompts
from deepthink.study.reuse import Scores
from deepthink.tasks.prediction import gold

Array = np.ndarray


@dataclass(frozen=True)
class Reading:
    """Scores of the candidates of each query, and whatever else the record should hold of them."""

    scores: Any
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Spent:
    """Operations of what was asked: about the queries, and about anything else (anchors)."""

    queries: int = 0
    anchors: int = 0

    def each(self, steps: int) -> "Spent":
        """Those of each of so many steps, which ask for the same.

        >>> Spent(queries=6, anchors=2).each(2)
        Spent(queries=3, anchors=1)
        """
        return Spent(self.queries // steps, self.anchors // steps)


@dataclass(frozen=True)
class Ask:
    """What a readout may ask about one memory, with all rows behind the same demonstrations.

    name: the readout's. memory: the one that is asked about. classes: C, how many label words there
    are. queries: what is to be predicted, of both splits. dev: the dev rows among them, with their
    labels; None if there are none.
    anchors: gives so many labelled rows of the pool, see `deepthink.study.anchors`; fewer where the
    pool has fewer. label_scores: gives the scores of the candidates of `queries` (Eq. 1).
    front: what stands in front of all demonstrations, behind which a zero-shot prompt stands.
    lap: as `provenance.Clock.lap`.
    """

    name: str
    memory: Memory
    classes: int
    queries: Rows
    dev: Rows | None
    anchors: Callable[[int], Rows]
    label_scores: Callable[[], Scores]
    model: PreTrainedModel
    budget: TokenBudget
    front: Tokens = ()
    spent: Spent = field(default_factory=Spent)
    lap: Callable[[str], object] = lambda stage: None

    def states(self, rows: Rows) -> Tensor:
        """[n, d]: the input of the output layer at each row's last token, behind the memory.

        As all states, they are in the model's dtype and on its device.
        """
        with self._behind_memory(rows):
            return query_states.last_states(self.model, self.memory, rows.queries, self.budget)

    def distributions(self, states: Tensor, of: Rows) -> Tensor:
        """[n, V] in float32 or wider: log p of every token after `states` [n, d] of some rows.

        With V = 262,144, some thousand rows fill a gigabyte: ask about parts of them.
        """
        with self._timed(of) as about:
            self._count(about, self._costs.row * len(states))
            return query_states.log_distributions(self.model, states)

    def layers(self, rows: Rows) -> Tensor:
        """[n, layers, d]: what each layer gives on at each row's last token, behind the memory."""
        with self._behind_memory(rows):
            return query_states.layer_states(self.model, self.memory, rows.queries, self.budget)

    def replaced(self, rows: Rows, layer: int, states: Tensor) -> Array:
        """[n, C] float64: scores of the rows' candidates in zero-shot prompts, without the memory.

        What layer `layer`, from 1 on, gives on at each prompt's last token gives way to `states`,
        [n, d] or [d]. UserError if there is no such layer.
        """
        prompts = [[*self.front, *query] for query in rows.queries]
        given = states.expand(len(rows), -1)
        with self._timed(rows) as about:
            self._count(about, scoring_flops(self._costs, 0, prompts, rows.candidates))
            return np.array(
                query_states.scores_replaced(
                    self.model, prompts, rows.candidates, layer, given, self.budget
                )
            )

    def labelled_dev(self) -> Rows:
        """The dev rows with their labels; UserError if there are none behind this memory."""
        if self.dev is None:
            raise UserError(
                f"readout {self.name} chooses by the labels of dev rows, and there are none behind "
                "these demonstrations: set its options, or leave out dev_size=0 and rules that "
                "choose for each query"
            )
        return self.dev

    @property
    def _costs(self) -> Costs:
        return Costs.of(self.model)

    @contextmanager
    def _timed(self, rows: Rows) -> Iterator[Literal["queries", "anchors"]]:
        """What the time is counted for: the queries, or whatever else a readout asks about."""
        self.lap("score")  # what the readout itself computed meanwhile
        yield "queries" if rows is self.queries else "anchors"
        self.lap("score" if rows is self.queries else "anchors")

    @contextmanager
    def _behind_memory(self, rows: Rows) -> Iterator[None]:
        """Count and time what reads rows behind the memory, and computes no logits."""
        with self._timed(rows) as about:
            ends = [query_states.ANY] * len(rows)
            taken = scoring_flops(self._costs, self.memory.length, rows.queries, ends)
            self._count(about, taken - self._costs.row * len(rows))
            yield

    def _count(self, about: Literal["queries", "anchors"], operations: int) -> None:
        setattr(self.spent, about, getattr(self.spent, about) + operations)


class Readout:
    """The readout of a job, which is applied to one memory after another.

    spent: the operations of what was asked. notes: those of every scored step and group.
    scored: how often the scores of the candidates were asked for.
    """

    def __init__(
        self,
        lm: LM,
        splits: Splits,
        config: Config,
        budget: TokenBudget,
        lap: Callable[[str], object],
        advance: Callable[[int], object],
    ) -> None:
        self.spent = Spent()
        self.notes: list[dict[str, Any]] = []
        self.scored = 0
        self._name = config.method.readout["name"]
        self._read = READOUTS.load(config.method.readout, config.plugins)
        self._lm, self._splits, self._config = lm, splits, config
        self._budget, self._lap, self._advance = budget, lap, advance
        self._drawn: dict[tuple[tuple[int, ...], int], Rows] = {}

    def rows(self, memory: Memory, group: Prompts, score: Callable[[], Scores]) -> Scores:
        """The scores of a group's queries after a memory.

        score: gives those of Eq. 1, and tells of its progress.
        """
        before = self.scored
        answer = self._read(self._ask(memory, group, score))
        if self.scored == before:
            self._advance(len(group.asked.queries))
        reading = answer if isinstance(answer, Reading) else Reading(answer)
        if reading.notes:
            noted = plain(_listed(dict(reading.notes)), f"notes of readout {self._name}")
            self.notes.append({"step": memory.step, **noted})
        return self._checked(reading.scores, group)

    def _ask(self, memory: Memory, group: Prompts, score: Callable[[], Scores]) -> Ask:
        def counted() -> Scores:
            scores = score()
            self.scored += 1
            self.spent.queries += scored_flops(Costs.of(self._lm.model), group.encoded)
            return scores

        queries = Rows(group.asked.queries, group.asked.candidates)
        return Ask(
            name=self._name,
            memory=memory,
            classes=len(self._splits.test[0].candidates),
            queries=queries,
            dev=self._dev(queries, group),
            anchors=partial(self._anchors, group),
            label_scores=counted,
            model=self._lm.model,
            budget=self._budget,
            front=group.encoded.demonstrations[: group.encoded.spans[0].start],
            spent=self.spent,
            lap=self._lap,
        )

    def _dev(self, queries: Rows, group: Prompts) -> Rows | None:
        """The dev rows among a group's queries."""
        dev = self._splits.dev
        places = [i for i, place in enumerate(group.queries) if place < len(dev)]
        if not places:
            return None
        return Rows(
            [queries.queries[i] for i in places],
            [queries.candidates[i] for i in places],
            np.array([gold(dev[group.queries[i]]) for i in places]),
        )

    def _anchors(self, group: Prompts, count: int) -> Rows:
        """Those of a group, which are encoded once for all steps."""
        key = tuple(group.encoded.demonstrations), count
        if key not in self._drawn:
            self._drawn[key] = anchors(self._lm, group, self._splits, self._config, count)
        return self._drawn[key]

    def _checked(self, scores: Any, group: Prompts) -> Scores:
        """The scores as lists; UserError unless they are one number for each candidate."""
        rows: Scores = _listed(scores)
        sizes = [len(row) for row in group.asked.candidates]
        lists = isinstance(rows, list) and all(isinstance(row, list) for row in rows)
        if not lists or [*map(len, rows)] != sizes:
            raise UserError(
                f"readout {self._name} must return a number for each candidate of each of its "
                f"{len(sizes)} queries, not {shown(scores)}"
            )
        return rows


def check_readout(config: Config, splits: Splits) -> None:
    """Raise UserError for a readout other than `candidates` that cannot do a job.

    It cannot where rows have candidates of their own, or a calibration asks about texts.
    """
    name = config.method.readout["name"]
    if name == "candidates":
        return
    for named in (config.calibration, *({"name": name} for name in config.readings)):
        if CALIBRATIONS.part("texts", named, config.plugins) is not None:
            raise UserError(
                f"readout {name} reads queries alone, and calibration {named['name']} asks about "
                "texts: leave it out, or take batch or batch_dev"
            )
    if not common_candidates((*splits.pool, *splits.dev, *splits.test)):
        raise UserError(
            f"readout {name} compares label words, but the rows of this task have answers of their "
            "own: leave out method.readout"
        )


def _listed(value: Any) -> Any:
    """Arrays and tensors as plain lists, in lists and dicts too."""
    if callable(getattr(value, "tolist", None)):
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: _listed(item) for key, item in value.items()}
    return [*map(_listed, value)] if isinstance(value, list | tuple) else value
