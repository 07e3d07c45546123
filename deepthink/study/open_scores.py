"""The scores of an open task after one step: its references', and the answers that were written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from deepthink.config.open_tasks import OpenSpec
from deepthink.store.open_points import OpenPoint
from deepthink.structures import Example
from deepthink.study.prompting import Prompts
from deepthink.tasks.written_answers import WAYS, Judged, judged


@dataclass(frozen=True)
class _Reference:
    """A reference answer of a question: log p in nats, of all tokens and of the final answer."""

    log_p: float
    tokens: int
    final: float | None


class OpenScores:
    """The scores of all questions after one step. Each group adds those of its questions."""

    def __init__(self, examples: Sequence[Example], spec: OpenSpec) -> None:
        self._examples = examples
        self._spec = spec
        self._rows: list[list[_Reference]] = [[]] * len(examples)
        self._written: list[str | None] = [None] * len(examples)

    def add(self, group: Prompts, rows: Sequence[Sequence[float]]) -> None:
        """Add a group's scores, which are those of `group.asked`."""
        for at, (place, row) in enumerate(zip(group.queries, rows, strict=True)):
            lengths = [len(ids) for ids in group.encoded.candidates[at]]
            whole, before = row[: len(lengths)], row[len(lengths) :]
            finals: list[float | None] = [None] * len(lengths)
            if before:
                finals = [log - rest for log, rest in zip(whole, before, strict=True)]
            parts = zip(whole, lengths, finals, strict=True)
            self._rows[place] = [_Reference(*part) for part in parts]

    def keep(self, group: Prompts, answers: Sequence[str]) -> None:
        """Keep the answers that were written to a group's questions."""
        for place, answer in zip(group.queries, answers, strict=True):
            self._written[place] = answer

    @cached_property
    def _judged(self) -> Judged | None:
        """What the written answers are worth; None unless every question has one."""
        written = [answer for answer in self._written if answer is not None]
        if len(written) < len(self._examples):
            return None
        return judged(written, self._examples, self._spec)

    @property
    def complete(self) -> bool:
        """Whether every question has its scores."""
        return all(self._rows)

    def point(self, step: int) -> OpenPoint:
        """The point of the curve after this step."""
        per_token = [np.mean([r.log_p / r.tokens for r in row]) for row in self._rows]
        finals = [
            np.mean([r.final for r in row if r.final is not None])
            for row in self._rows
            if row[0].final is not None
        ]
        return OpenPoint(
            step=step,
            count=len(self._rows),
            log_p=float(np.mean(per_token)),
            final_log_p=float(np.mean(finals)) if finals else None,
            metrics=self._judged.metrics if self._judged else None,
        )

    def tables(self, step: int) -> list[pd.DataFrame]:
        """One row per question and reference, as `deepthink.store.scores` has them."""
        numbers = [len(row) for row in self._rows]
        flat = [reference for row in self._rows for reference in row]
        columns: Mapping[str, object] = {
            "step": np.int16(step),
            "split": pd.Categorical(["test"] * len(flat), categories=["dev", "test"]),
            "query": np.repeat(np.arange(len(numbers), dtype=np.int32), numbers),
            "candidate": np.concatenate([np.arange(n, dtype=np.int16) for n in numbers]),
            "label": np.int16(0),
            "score": np.array([reference.log_p for reference in flat]),
            "tokens": np.array([reference.tokens for reference in flat], dtype=np.int32),
        }
        table = pd.DataFrame(columns)
        if flat[0].final is not None:
            table["final"] = np.array([reference.final for reference in flat], dtype=np.float64)
        for name, values in self._of_questions().items():
            table[name] = pd.Series(np.repeat(np.array(values, dtype=object), numbers))
        return [table]

    def _of_questions(self) -> dict[str, Sequence[object]]:
        """Further columns, with a value for each question: its written answer, and what it holds.

        All steps of a job have them where answers are written after any.
        """
        if self._spec.generate == "none":
            return {}
        nothing: list[object] = [None] * len(self._examples)
        columns: dict[str, Sequence[object]] = {"written": self._written}
        for way in WAYS if self._spec.metric == "exact_match" else ():
            found = self._judged
            columns[way] = found.extracted[way] if found else nothing
            columns[f"{way}_correct"] = found.correct[way] if found else nothing
        return columns
