"""The noisy channel (Min et al., ACL 2022): texts scored behind the parts that name a label.

A part is read once and joins the memory, for all texts. The state at its last token predicts their
first tokens, so that a text of n tokens takes n - 1 in a forward, as a candidate does. What all
parts have in common at their beginning is read once for all of them.
"""

from collections.abc import Sequence

from transformers import PreTrainedModel

from deepthink.engine.given import check_asked, memory_for
from deepthink.engine.memory import Memory
from deepthink.engine.packed_scores import grown, share_beginning
from deepthink.engine.scoring import Progress, Scorer
from deepthink.engine.support import iterated
from deepthink.engine.token_budget import TokenBudget
from deepthink.errors import UserError
from deepthink.structures import Tokens


def score_texts(
    model: PreTrainedModel,
    memory: Memory | None,
    texts: Sequence[Tokens],
    parts: Sequence[Tokens],
    answer_score: str = "sum",
    budget: TokenBudget | None = None,
    progress: Progress | None = None,
) -> list[list[float]]:
    """Score every text behind every part, given the memory of demonstrations written alike.

        score(x, y) = log p(x | K̃, Ṽ, y) = Σ_i log p(x_i | K̃, Ṽ, y, x_1 … x_{i-1})

    Args:
        model: the model the memory was made with, in eval mode.
        memory: from `think`; None scores without demonstrations.
        texts: Q lists of token ids, none empty.
        parts: C lists of token ids, none empty: what stands in front of a text, one for each label.
        answer_score: "sum" of the text's log-probabilities (nats), or their "mean".
        budget: as in `deepthink.score`.
        progress: called with the number of texts just finished.

    Returns:
        Q rows of C numbers; the highest of a row is the prediction.

    Raises:
        UserError: an empty text or part, another answer_score, or as `deepthink.score`.

    Example:
        A model whose output layer is zero gives each of its 8 tokens the probability 1/8:

        >>> import torch
        >>> from transformers import GPT2Config, GPT2LMHeadModel
        >>> config = GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=8)
        >>> model = GPT2LMHeadModel(config).eval()
        >>> _ = torch.nn.init.zeros_(model.lm_head.weight)
        >>> rows = score_texts(model, None, [[4], [5, 6]], [[1], [2, 3]])
        >>> [[round(nats, 4) for nats in row] for row in rows]
        [[-2.0794, -2.0794], [-4.1589, -4.1589]]
    """
    if answer_score not in ("sum", "mean"):
        raise UserError(
            f"answer_score is {answer_score}, but a text's log-probabilities have a sum or a mean: "
            "leave it out"
        )
    check_asked(texts, [parts] * len(texts))
    if not texts:
        return []
    memory = memory_for(model, memory)
    memory = None if memory is None else memory.to(model.dtype)
    scorer = Scorer(model, budget=budget)
    tell = progress or (lambda count: None)
    with iterated(model) as forward:
        memory, rest = share_beginning(forward, memory, parts)
        heads = [grown(forward, memory, part[:-1]) for part in rest]
        tails = [grown(forward, head, part[-1:]) for head, part in zip(heads, rest, strict=True)]
    columns: list[list[float]] = []
    for head, tail, part in zip(heads, tails, rest, strict=True):
        columns.append(_behind(scorer, head, tail, part[-1], texts))
        tell(_share(len(texts), len(columns), len(parts)))
    sizes = [len(text) if answer_score == "mean" else 1 for text in texts]
    rows = zip(*columns, strict=True)
    return [[score / size for score in row] for row, size in zip(rows, sizes, strict=True)]


def _behind(
    scorer: Scorer, head: Memory | None, tail: Memory | None, last: int, texts: Sequence[Tokens]
) -> list[float]:
    """The log-probability of each text behind a part.

    head: the memory of all before the part's last token; tail: with that token, which is `last`.
    """
    firsts = list(dict.fromkeys(text[0] for text in texts))
    (nats,) = scorer.score(head, [[last]], [[[token] for token in firsts]])
    first = dict(zip(firsts, nats, strict=True))
    longer = [text for text in texts if len(text) > 1]
    rest = iter(scorer.score(tail, [text[:1] for text in longer], [[text[1:]] for text in longer]))
    return [first[text[0]] + (next(rest)[0] if len(text) > 1 else 0.0) for text in texts]


def _share(whole: int, done: int, parts: int) -> int:
    """How many of `whole` texts a part finishes, the done-th of so many."""
    return whole * done // parts - whole * (done - 1) // parts
