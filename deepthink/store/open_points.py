"""One point of the curve of an open task: how likely the references are, and written answers."""

from dataclasses import dataclass

from pydantic import StrictFloat, StrictInt

from deepthink.store.parts import Part


@dataclass(frozen=True, kw_only=True)
class OpenPoint(Part):
    """The test questions of an open task after an iteration.

    >>> OpenPoint(step=1, count=20, log_p=-1.25).stored()
    {'step': 1, 'count': 20, 'log_p': -1.25}
    """

    step: StrictInt
    """t: after how many readings of the demonstrations; 1 is plain in-context learning."""
    count: StrictInt
    """The number of questions."""
    log_p: StrictFloat
    """The log-probability per token of a reference answer, in nats, given the question and the
    reference's earlier tokens: the mean over a question's references, then over the questions."""
    final_log_p: StrictFloat | None = None
    """The log-probability of the final answer, all of its tokens together, in nats, given the
    question and the rest of the reference; the mean as above. Only tasks whose references have
    final answers have it."""
    metrics: dict[str, StrictFloat] | None = None
    """How good the written answers are: "strict" and "flexible" exact match as fractions, or "bleu"
    and "chrf" from 0 to 100. It is left out where no answers were written."""
