"""The plain mean of all readings so far: is Eq. 4 more than averaging?"""

from collections.abc import Iterator
from itertools import count

from deepthink.engine.demonstrations import Demonstrations
from deepthink.engine.memory import Memory
from deepthink.engine.refinements._rereading import reader
from deepthink.settings import THINKING


def refine(shown: Demonstrations, positions: str = THINKING.positions) -> Iterator[Memory]:
    """Yield the mean of the first t readings, which is Eq. 4 with η = 1/t.

        K̃_t = 1/t Σ_{s ≤ t} K_s,    K_s read beside K̃_{s-1}     (the same for Ṽ)

    positions: as those of `deepthink.think`; UserError for another name.

    >>> from itertools import islice
    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11)).eval()
    >>> shown = Demonstrations(model, [5, 6, 7])
    >>> first, second = islice(refine(shown), 2)
    >>> mean = first.plus(shown.read(first, start=3)).times(0.5)
    >>> max(second.drift(mean)["values"]) < 1e-6
    True
    """
    read = reader(shown, positions)
    memory = shown.read()
    for step in count(2):
        yield memory
        memory = memory.plus(read(memory).minus(memory), 1 / step)
