"""What a calibration may know, and how it is applied to the scores of one step."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deepthink.errors import UserError, shown
from deepthink.plugins import CALIBRATIONS
from deepthink.structures import Example
from deepthink.study.texts import Corpus, Text, checked

Array = np.ndarray
Rows = Sequence[Sequence[float]]
"""One row of scores for each query, as long as the query has candidates."""


@dataclass(frozen=True)
class Ask:
    """What a calibration may know besides the scores of a split. All of it is of the same memory.

    name: the calibration's name. split: "dev" or "test". common: whether all queries have the same
    candidates, so that a column of the scores always means the same answer. dev: [R, C] float64,
    the scores of the R dev rows; None without dev rows. answers: [Q, C] float64 for each text of
    the calibration, the scores of the same candidates if this text takes the place of the instance.
    It has a row for each query, since each query may have demonstrations of its own. texts: the
    texts in their order, of which several may be the same.

    >>> answers = {"N/A": np.array([[-1.0, -2.0]])}
    >>> ask = Ask("mine", "test", common=True, answers=answers, texts=("N/A",))
    >>> ask(["N/A"]).shape, ask.all.shape
    ((1, 1, 2), (1, 1, 2))
    """

    name: str
    split: str
    common: bool
    dev: Array | None = None
    answers: Mapping[Text, Array] = field(default_factory=dict)
    texts: tuple[Text, ...] = ()

    @property
    def all(self) -> Array:
        """[Q, n, C] float64, the scores of all n texts in their order; UserError without any."""
        return self(self.texts)

    def __call__(self, texts: Sequence[Text]) -> Array:
        """[Q, n, C] float64, the scores of these n texts; UserError for a text that has none."""
        if isinstance(texts, str) or len(texts) == 0:
            raise UserError(
                f"calibration {self.name} asks about {texts!r}: it must ask about a list of texts"
            )
        missing = [text for text in texts if text not in self.answers]
        if missing:
            raise UserError(
                f"calibration {self.name} asks about {missing[0]!r}, which was not scored: its "
                "texts(pool, rng) must return every text that it asks about"
            )
        return np.stack([self.answers[text] for text in texts], axis=1)

    def need_common_candidates(self) -> None:
        """Raise UserError if the queries differ in their candidates."""
        _check_common(self.name, self.common)

    def dev_scores(self) -> Array:
        """[R, C] float64, the scores of the dev rows; UserError without dev rows."""
        if self.dev is None:
            raise UserError(
                f"calibration {self.name} needs dev rows: leave out dev_size=0, or take another "
                "calibration where the demonstrations are given and there are no dev rows"
            )
        return self.dev


@dataclass(frozen=True)
class Calibration:
    """A calibration with its options bound, and the texts that it asks about.

    >>> Calibration.of({"name": "none"}).corrected({"test": [[-1.0, -2.0]]}, common=True)
    {'test': [[-1.0, -2.0]]}
    """

    name: str
    calibrate: Callable[[Array, Ask], Array]
    texts: tuple[Text, ...] = ()

    @classmethod
    def of(
        cls,
        named: Mapping[str, Any],
        plugins: str | None = None,
        corpus: Corpus | None = None,
        seed: int = 0,
    ) -> "Calibration":
        """The calibration that a config names.

        corpus: the texts of the pool's examples, from which a calibration may make its texts. None
            leaves its texts out, where their scores are known or not needed.

        Raises:
            UserError: as `plugins.Kind.load`, or the file's `texts` did not return texts.
        """
        name = named["name"]
        calibrate = CALIBRATIONS.load(named, plugins)
        texts = CALIBRATIONS.part("texts", named, plugins)
        if corpus is None or texts is None:
            return cls(name, calibrate)
        return cls(name, calibrate, checked(name, texts(corpus, np.random.default_rng([seed, 1]))))

    def check(self, scored: Sequence[Example]) -> None:
        """Raise UserError if it has texts, and the scored examples differ in their candidates."""
        if self.texts:
            _check_common(self.name, common_candidates(scored))

    def corrected(
        self,
        rows: Mapping[str, Rows],
        common: bool,
        answers: Mapping[str, Array] | None = None,
    ) -> dict[str, list[list[float]]]:
        """The corrected scores of every split after one step.

        rows: split → its queries' scores. common: as in `Ask`. answers: split → [Q, n, C] float64,
        the scores of the calibration's n texts.

        Raises:
            UserError: the calibration did not return a number for every candidate, or needs what
                this job does not have.
        """
        scores = {split: _padded(part) for split, part in rows.items()}
        corrected = {}
        for split, part in rows.items():
            of_texts = answers[split].swapaxes(0, 1) if answers else np.empty(0)
            of_texts.setflags(write=False)
            by_text = dict(zip(self.texts, of_texts, strict=True)) if answers else {}
            ask = Ask(self.name, split, common, scores.get("dev"), by_text, self.texts)
            corrected[split] = self._checked(ask, scores[split], part)
        return corrected

    def _checked(self, ask: Ask, scores: Array, rows: Rows) -> list[list[float]]:
        result = self._called(ask, scores)
        if result.shape != scores.shape:
            raise UserError(
                f"calibration {self.name} returned scores of shape {result.shape} for "
                f"{scores.shape}: it must return one number per candidate"
            )
        trimmed = [line[: len(row)] for line, row in zip(result, rows, strict=True)]
        if not all(np.isfinite(line.max()) for line in trimmed):  # NaN is its row's maximum
            raise UserError(
                f"calibration {self.name} returned NaN or infinity, or -infinity for all "
                "candidates of a query: it must leave a highest number"
            )
        return [line.tolist() for line in trimmed]

    def _called(self, ask: Ask, scores: Array) -> Array:
        """What the calibration returns, as real numbers; UserError if it holds others."""
        result = self.calibrate(scores.copy(), ask)
        try:
            return np.asarray(result).astype(np.float64, casting="same_kind")
        except (TypeError, ValueError, RuntimeError) as error:
            raise UserError(
                f"calibration {self.name} returned {shown(result)}: it must return an array of "
                "numbers"
            ) from error


def common_candidates(examples: Sequence[Example]) -> bool:
    """Whether all examples have the same candidates."""
    return len({example.candidates for example in examples}) == 1


def _check_common(name: str, common: bool) -> None:
    if not common:
        raise UserError(
            f"calibration {name} compares label words, but the rows of this task have answers of "
            "their own: leave out calibration"
        )


def _padded(rows: Rows) -> Array:
    """[Q, C] float64, with -inf where a query has fewer than C candidates."""
    padded = np.full((len(rows), max(map(len, rows))), -np.inf)
    for line, row in zip(padded, rows, strict=True):
        line[: len(row)] = row
    padded.setflags(write=False)  # both splits see the dev scores
    return padded
