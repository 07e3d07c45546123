"""How the demonstrations are read again at t ≥ 2: where the present tokens stand."""

from collections.abc import Callable
from dataclasses import replace

import torch

from deepthink.engine import rotation
from deepthink.engine.demonstrations import Demonstrations
from deepthink.engine.memory import Memory
from deepthink.errors import unknown
from deepthink.settings import POSITIONS


def reader(
    shown: Demonstrations, positions: str, dtype: torch.dtype | None = None
) -> Callable[[Memory], Memory]:
    """A function from K̃_{t-1}, Ṽ_{t-1} to K_t, V_t, which may be blended with them (Eq. 3).

    positions: "continued", the present tokens stand after the history, L … 2L-1; "aligned", with
        it, 0 … L-1; "rotated", after it, and their keys are then rotated back by L positions, so
        that slot and present key have one rotation.
    dtype: of what is read, as in `Demonstrations.read`.

    Raises:
        UserError: positions of another name, or "rotated" for a model whose keys cannot be rotated
            back, see `rotation.check`.

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> config = LlamaConfig(num_hidden_layers=1, num_attention_heads=2, hidden_size=8,
    ...                      intermediate_size=8, vocab_size=11)
    >>> shown = Demonstrations(LlamaForCausalLM(config).eval(), [5, 6, 7])
    >>> memory = shown.read()
    >>> aligned, rotated = (reader(shown, name)(memory) for name in ("aligned", "rotated"))
    >>> torch.allclose(aligned.keys[0], rotated.keys[0])  # in the first layer, only there
    True
    """
    if positions not in POSITIONS:
        raise unknown("value of positions", positions, POSITIONS)
    start = 0 if positions == "aligned" else shown.begin
    if positions == "rotated":
        rotation.check(shown.model)

    def read(memory: Memory) -> Memory:
        present = shown.read(memory, start, dtype)
        if positions != "rotated":
            return present
        return replace(present, keys=rotation.moved(shown.model, present.keys, start, 0))

    return read
