"""BM25 (Robertson et al. 1994): for each query the examples that share its rare words."""

import re
from collections.abc import Iterator
from typing import Annotated

import numpy as np
from bm25s import BM25
from pydantic import Field

from deepthink.selection.balance import Selection, check_count
from deepthink.selection.pool import Pool
from deepthink.selection.rules._nearest import nearest_last


def select(
    pool: Pool,
    count: int,
    rng: np.random.Generator,
    k1: Annotated[float, Field(ge=0)],
    b: Annotated[float, Field(ge=0, le=1)],
) -> list[Selection]:
    """For each query the `count` examples of the highest score, the highest next to the query.

    The library bm25s scores the texts alone, in Lucene's variant. With tf the number of times that
    a word of the query stands in an example of |d| words, and df of n examples that hold it:

        Σ_words ln(1 + (n - df + ½) / (df + ½)) · tf / (tf + k1 (1 - b + b |d| / mean |d|))

    A word that the query has twice counts twice. Words are runs of letters and digits in lower
    case, as they are: none is left out or cut to its stem. Of equal scores, as those of 0 of a
    query without a known word, the first in the pool counts as higher. Labels and copies of a query
    are as in `knn`. values: the scores. The choice is the same for all seeds.

    k1, b: the library's defaults are 1.5 and 0.75, which are those of rank-bm25, too.

    Not measured: k1, b.

    Raises:
        UserError: the pool holds fewer examples.
    """
    check_count(len(pool), count)
    return nearest_last(_scores(pool, k1, b), count)


def _scores(pool: Pool, k1: float, b: float) -> Iterator[np.ndarray]:
    """[n] float64 for each query: the score of every example."""
    examples = [words(example.text) for example in pool.examples]
    index = BM25(k1=k1, b=b, method="lucene", dtype="float64")
    if any(examples):
        index.index(examples, show_progress=False)
    for query in pool.queries:
        known = index.get_tokens_ids(words(query)) if any(examples) else []
        yield index.get_scores_from_ids(known) if known else np.zeros(len(examples))


def words(text: str) -> list[str]:
    """The words of a text.

    >>> words("It isn't 2-fold.")
    ['it', 'isn', 't', '2', 'fold']
    """
    return re.findall(r"\w+", text.lower())
