"""Domain-context calibration (Fei et al., ACL 2023): no label should be likely for random words."""

import numpy as np

from deepthink.errors import UserError
from deepthink.study.calibrating import Array, Ask
from deepthink.study.calibrations._bias import without_prior
from deepthink.study.texts import Corpus, Instance

TEXTS = 20
"""How many random texts there are, as in the authors' program."""


def texts(pool: Corpus, rng: np.random.Generator) -> list[Instance]:
    """Texts of words drawn uniformly from the pool, as many as a text of it has on average.

    Each column of the template has words of its own column, lower-cased. It has ⌊mean⌋ + 1 of them
    and " ." at its end, as in the authors' program. That program draws from the test texts, this
    from the pool alone.

    Raises:
        UserError: the pool has no words.
    """
    words = {name: [text.lower().split() for text in cells] for name, cells in pool.columns.items()}
    if not any(text for cells in words.values() for text in cells):
        raise UserError("calibration domain draws words from the pool, whose texts have none")
    return [
        pool.instance({name: _drawn(cells, rng) for name, cells in words.items()})
        for _ in range(TEXTS)
    ]


def calibrate(scores: Array, ask: Ask) -> Array:
    """Log p_iy - log q_y, with q the mean of P(y) over the random texts, normalised.

    Raises:
        UserError: the rows differ in their candidates.

    >>> answers = {Instance("a tea ."): np.log([[0.8, 0.2]])}
    >>> ask = Ask("domain", "test", common=True, answers=answers, texts=tuple(answers))
    >>> calibrate(np.log([[0.6, 0.4]]), ask).argmax(axis=1).tolist()
    [1]
    """
    ask.need_common_candidates()
    return without_prior(scores, ask.all)


def _drawn(texts: list[list[str]], rng: np.random.Generator) -> str:
    """Random words of one column; empty where it has none."""
    words = [word for text in texts for word in text]
    if not words:
        return ""
    size = int(np.mean([len(text) for text in texts])) + 1
    return " ".join([*rng.choice(words, size), "."])
