"""Groups of demonstrations and gains of slots by the model's own code: one forward, one mask.

The groups and a query are one sequence for the model. Its mask of four axes says who sees whom, and
has the gains where a query's tokens see the groups' tokens. No memory, no engine, no log-sum-exp.
"""

import math
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import torch
from tiny_models import CONFIGS, SMALL, VOCABULARY, tiny
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    DynamicCache,
    Gemma3TextConfig,
    GPTNeoConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
)

WINDOW = 6
KINDS = ["sliding_attention", "full_attention"]
OTHERS: dict[str, PreTrainedConfig] = {
    "qwen2": Qwen2Config(**SMALL),
    "qwen3": Qwen3Config(**SMALL, head_dim=8),
    "mistral": MistralConfig(**SMALL, sliding_window=WINDOW),
    "gemma3": Gemma3TextConfig(**SMALL, head_dim=8, sliding_window=WINDOW, layer_types=KINDS),
    # its own code counts a window in tokens of the sequence, across groups: none is cut here
    "gpt_neo, wide": GPTNeoConfig(
        num_layers=2,
        num_heads=4,
        hidden_size=32,
        attention_types=[[["global", "local"], 1]],
        window_size=100,
        max_position_embeddings=128,
        vocab_size=VOCABULARY,
    ),
}
ZOO = [*CONFIGS, *OTHERS]
TOLERANCE = {
    **dict.fromkeys(("llama", "qwen2", "qwen3", "mistral", "gemma3"), 1e-4),
    **dict.fromkeys(("gpt_neo", "gpt_neo, wide"), 1e-5),
}
"""Norms or softmaxes of these are in float32 whatever the dtype is; all else agrees to 1e-9."""


def zoo(name: str, dtype: torch.dtype = torch.float64) -> PreTrainedModel:
    if name in CONFIGS:
        return tiny(name, dtype)
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(OTHERS[name]).to(dtype).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(6)
    return model


def places(groups: Sequence[Sequence[int]], begin: int) -> list[int]:
    """The position of every token of groups that end together, the longest at `begin`."""
    longest = max(map(len, groups))
    return [begin + longest - len(group) + i for group in groups for i in range(len(group))]


def owners(groups: Sequence[Sequence[int]]) -> list[int]:
    return [number for number, group in enumerate(groups) for _ in group]


def forward(
    model: PreTrainedModel, name: str, ids: list[int], positions: list[int], seen: Tensor
) -> Any:
    """The model over one sequence; seen: [N, N] in float64, what is added to the scores."""
    whole = seen[None, None].to(model.dtype)
    at = torch.tensor(positions)
    far = (at[:, None] - at[None]) >= WINDOW
    cut = whole.masked_fill(far, torch.finfo(model.dtype).min)
    masks: dict[str, Any] = {
        "mistral": cut,
        "gemma3": {"full_attention": whole, "sliding_attention": cut},
    }
    with torch.no_grad():
        return model(
            torch.tensor([ids]),
            attention_mask=masks.get(name, whole),
            position_ids=at[None],
            past_key_values=DynamicCache(config=None),
            use_cache=True,
        )


def mask(readers: list[list[int]], visible: list[list[float]]) -> Tensor:
    """[N, N]: 0 where a token sees another of its sequence before it, and what is given between.

    readers: for each sequence its tokens, in order. visible: [N][N], -inf where nothing is seen.
    """
    seen = torch.tensor(visible, dtype=torch.float64)
    for tokens in readers:
        for i in tokens:
            for j in tokens:
                if j <= i:
                    seen[i, j] = 0.0
    return seen.clamp(min=torch.finfo(torch.float64).min)


def expected(
    model: PreTrainedModel,
    name: str,
    groups: Sequence[list[int]],
    gains: Sequence[float],
    query: list[int],
    answer: list[int],
) -> float:
    """Log p of an answer's tokens after a query that sees all groups, with the slots' gains."""
    shots = [token for group in groups for token in group]
    own = [*query, *answer[:-1]]
    length, total = len(shots), len(shots) + len(own)
    begin = max(map(len, groups))
    visible = [[-math.inf] * total for _ in range(length)]
    visible += [[*gains, *[-math.inf] * len(own)] for _ in own]
    ends = [0, *accumulate(map(len, groups))]
    sequences = [list(range(a, b)) for a, b in pairwise(ends)]
    seen = mask([*sequences, list(range(length, total))], visible)
    positions = [*places(groups, 0), *range(begin, begin + len(own))]
    logits = forward(model, name, [*shots, *own], positions, seen).logits[0]
    logs = logits[length + len(query) - 1 :].log_softmax(-1)
    return float(sum(logs[i, token].item() for i, token in enumerate(answer)))


def reread(
    model: PreTrainedModel, name: str, groups: Sequence[list[int]], gain: float, start: int
) -> tuple[list[Tensor], list[Tensor]]:
    """Keys and values of each layer, [G, 2L, D]: the groups, and then they again beside these."""
    shots = [token for group in groups for token in group]
    length = len(shots)
    visible = [[-math.inf] * 2 * length for _ in shots]
    visible += [[gain] * length + [-math.inf] * length for _ in shots]
    ends = [0, *accumulate(map(len, groups))]
    once = [list(range(a, b)) for a, b in pairwise(ends)]
    seen = mask([*once, *([length + i for i in tokens] for tokens in once)], visible)
    positions = [*places(groups, 0), *places(groups, start)]
    cache = forward(model, name, shots * 2, positions, seen).past_key_values
    return [layer.keys[0] for layer in cache.layers], [layer.values[0] for layer in cache.layers]
