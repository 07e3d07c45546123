"""A memory in the form of transformers' cache, so that any of its programs can go on from it."""

from torch import Tensor
from transformers import DynamicCache, PreTrainedModel

from deepthink.engine.layout import single
from deepthink.engine.memory import Memory
from deepthink.engine.support import check_model, iterated
from deepthink.errors import UserError


def cache_of(memory: Memory, model: PreTrainedModel, batch: int = 1) -> DynamicCache:
    """As `Memory.cache`.

    >>> import torch
    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> from deepthink import think
    >>> config = GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11)
    >>> model = GPT2LMHeadModel(config).eval()
    >>> (memory,) = think(model, [5, 6, 7], iterations=1)
    >>> cache = cache_of(memory, model, batch=2)
    >>> cache.get_seq_length(), cache.layers[0].keys.shape
    (3, torch.Size([2, 2, 3, 4]))
    """
    if not hasattr(batch, "__index__") or batch < 1:
        raise UserError(f"batch is {batch!r}: it must be a whole number of rows, at least 1")
    check_model(model)
    memory.check_origin(model)
    return filled(fitted(memory, model), model, batch)


def fitted(memory: Memory, model: PreTrainedModel) -> list[tuple[Tensor, Tensor]]:
    """Each layer's keys and values [G, L, D] in the model's dtype, where the model computes them.

    One token is read to see what heads each layer has, and on which device it works.

    Raises:
        UserError: a model that cannot be iterated, or that has other layers or heads, or a memory
            with gains or groups, of which a cache knows nothing.

    >>> import torch
    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11)).eval()
    >>> memory = Memory((torch.ones(2, 3, 4).double(),), (torch.ones(2, 3, 4).double(),), step=1)
    >>> fitted(memory, model)[0][0].dtype
    torch.float32
    """
    if memory.runs or memory.groups:
        raise UserError(
            f"{memory} cannot be put into transformers' cache, which knows no gains and no groups, "
            "so no text can be generated behind it: score reads it"
        )
    with iterated(model) as forward:
        keys, values = forward.read([0], single(1, model.device), None, start=0)
    memory.check_layers(len(keys), type(model).__name__)
    return [
        memory.of_layer(layer, k.to(model.dtype), v.to(model.dtype))
        for layer, (k, v) in enumerate(zip(keys, values, strict=True))
    ]


def filled(layers: list[tuple[Tensor, Tensor]], model: PreTrainedModel, batch: int) -> DynamicCache:
    """A new cache of `batch` rows, each of which holds the same keys and values [G, L, D].

    Layers with a sliding window keep what their window can still reach, and know how long the
    memory is.

    Raises:
        UserError: a model some of whose layers keep a state instead of keys and values.

    >>> import torch
    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11))
    >>> filled([(torch.ones(2, 3, 4), torch.ones(2, 3, 4))], model, batch=5).layers[0].keys.shape
    torch.Size([5, 2, 3, 4])
    """
    empty = DynamicCache(config=model.config)
    if any(empty.is_linear) or (empty.layers and len(empty.layers) != len(layers)):
        raise UserError(
            f"{type(model).__name__} has layers that keep no keys and values of their own: its "
            "memory cannot be put into a cache"
        )
    rows = [tuple(x[None].expand(batch, -1, -1, -1) for x in pair) for pair in layers]
    return DynamicCache(rows, config=model.config)
