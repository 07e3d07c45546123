"""The likelihood of each candidate behind the memory and the query (Eq. 1): the paper's own."""

from collections.abc import Sequence

from deepthink.study.reading_out import Ask


def read(ask: Ask) -> Sequence[Sequence[float]]:
    """The scores of the candidates of every query, see `deepthink.score`."""
    return ask.label_scores()
