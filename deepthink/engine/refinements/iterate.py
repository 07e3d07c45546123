"""Deep-Thinking's own refinement: the model rereads its demonstrations beside their memory."""

from collections.abc import Iterator

from deepthink.engine.demonstrations import Demonstrations
from deepthink.engine.memory import Memory
from deepthink.settings import THINKING, check_thinking


def refine(
    shown: Demonstrations,
    step_size: float = THINKING.step_size,
    momentum: float = THINKING.momentum,
    positions: str = THINKING.positions,
    memory_dtype: str = THINKING.memory_dtype,
) -> Iterator[Memory]:
    """Move the memory K̃, Ṽ towards what is read beside it (Eq. 2-5).

    At t ≥ 2 the L tokens attend to all of the history and causally to themselves (Eq. 3), then

        g = K_t - K̃_{t-1};   m ← g + βm;   K̃_t = K̃_{t-1} + ηm     (the same for Ṽ)

    which for β = 0 is Eq. 4, K̃_t = ηK_t + (1-η)K̃_{t-1}. The first m is the first g. Options are
    those of `deepthink.think`; UserError for one out of range.

    >>> from itertools import islice
    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11)).eval()
    >>> first, second = islice(refine(Demonstrations(model, [5, 6, 7]), step_size=0.0), 2)
    >>> first.drift(second)
    {'keys': [0.0], 'values': [0.0]}
    """
    check_thinking(THINKING.iterations, step_size, momentum, positions, memory_dtype)
    dtype = shown.model.dtype if memory_dtype == "model" else None
    history = shown.read(dtype=dtype)
    start = shown.begin if positions == "continued" else 0
    velocity: Memory | None = None
    while True:
        yield history
        gradient = shown.read(history, start, dtype).minus(history)
        if velocity is None or momentum == 0:
            velocity = gradient
        else:
            velocity = velocity.times(momentum).plus(gradient)
        history = history.plus(velocity, step_size)
