"""Scores of prompts after a memory and their price, whichever of query and candidate is scored."""

from transformers import PreTrainedModel

from deepthink.engine.channel import score_texts
from deepthink.engine.flops import Costs, channel_flops, scoring_flops
from deepthink.engine.memory import Memory
from deepthink.engine.scoring import Progress, score
from deepthink.engine.token_budget import TokenBudget
from deepthink.tasks.prompts import Encoded


def scored(
    model: PreTrainedModel,
    memory: Memory | None,
    encoded: Encoded,
    answer_score: str,
    budget: TokenBudget,
    progress: Progress | None = None,
) -> list[list[float]]:
    """A row for each query with a score for each of its candidates.

    The score is that of the candidate behind the query, or, in the noisy channel, of the query's
    text behind the candidate. Further arguments and errors are those of `deepthink.score`.
    """
    how = answer_score, budget, progress
    if encoded.direction == "channel":
        return score_texts(model, memory, encoded.queries, encoded.candidates[0], *how)
    return score(model, memory, encoded.queries, encoded.candidates, *how)


def scored_flops(costs: Costs, encoded: Encoded) -> int:
    """The operations of `scored` behind the demonstrations."""
    length = len(encoded.demonstrations)
    if encoded.direction == "channel":
        return channel_flops(costs, length, encoded.queries, encoded.candidates[0])
    return scoring_flops(costs, length, encoded.queries, encoded.candidates)
