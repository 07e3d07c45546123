"""Domain-conditional PMI (Holtzman et al., EMNLP 2021): how much the instance says for a label."""

import numpy as np

from deepthink.errors import UserError, shown
from deepthink.study.calibrating import Array, Ask
from deepthink.study.texts import Alone, Corpus

_CLOSING = " \t\r\n\"'”’»)]}.,;:!?…。，；：！？」』）"
"""What may end the sentence of the instance, and so does not begin the premise."""


def texts(pool: Corpus, rng: np.random.Generator) -> list[Alone]:
    r"""The domain premise: what stands between an instance and its answer in the template.

    It is asked without demonstrations, as in the authors' program, also where these stand in front
    of an instance. What ends the instance's own sentence is left out, if anything else is left.

    Raises:
        UserError: nothing stands there.

    >>> from deepthink.config.templates import Template
    >>> corpus = Corpus((), Template.parse("Review: {text}\nSentiment:"))
    >>> texts(corpus, np.random.default_rng(0))
    [Alone(query='Sentiment:')]
    """
    after = pool.template.after.lstrip()
    premise = after.lstrip(_CLOSING) or after
    if not premise:
        raise UserError(
            f"calibration pmi asks about the words behind the text, and the template "
            f"{shown(pool.template.plain)} has none there: take another calibration"
        )
    return [Alone(premise)]


def calibrate(scores: Array, ask: Ask) -> Array:
    """Log P(y | demonstrations, x_i) - log P(y | premise).

    Raises:
        UserError: the rows differ in their candidates.

    >>> answers = {Alone("So:"): np.log([[0.8, 0.2]])}
    >>> ask = Ask("pmi", "test", common=True, answers=answers, texts=tuple(answers))
    >>> calibrate(np.log([[0.6, 0.4]]), ask).argmax(axis=1).tolist()
    [1]
    """
    ask.need_common_candidates()
    return np.asarray(scores - ask.all[:, 0])
