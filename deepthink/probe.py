"""Does a model, seen through iterated attention, compute what its own code computes?"""

import torch
from transformers import PreTrainedModel

from deepthink.attention import PROVEN
from deepthink.errors import UserError
from deepthink.scoring import score
from deepthink.thinking import think

_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3}
_HALF_TOLERANCE = 0.1


@torch.no_grad()
def check_iterable(model: PreTrainedModel) -> None:
    """Refuse an architecture outside the proven five whose log-probabilities come out different.

    A prompt of four tokens is scored once plainly and once as three remembered tokens and a query.
    Catches what no interface announces: alibi biases, soft-capped or mixed-in attention.

    Raises:
        UserError: with the reason.
    """
    if model.config.model_type in PROVEN:
        return
    ids = [5, 7, 11, 13]
    answer = 17
    name = type(model).__name__
    try:
        (memory,) = think(model, ids[:3], iterations=1)
        ((ours,),) = score(model, memory, [ids[3:]], [[[answer]]])
    except (TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise UserError(
            f"{name} cannot be iterated: its forward does not take packed tokens "
            f"({str(error).splitlines()[0]})"
        ) from error
    logits = model(torch.tensor([ids], device=model.device), use_cache=False).logits[0, -1]
    theirs = logits.to(torch.promote_types(logits.dtype, torch.float32)).log_softmax(-1)[answer]
    if abs(ours - theirs.item()) > _TOLERANCE.get(model.dtype, _HALF_TOLERANCE):
        raise UserError(
            f"{name} cannot be iterated: a probe token's log-probability is {ours:.4f} through "
            f"iterated attention and {theirs.item():.4f} in the model's own code"
        )
