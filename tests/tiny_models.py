"""Tiny, randomly initialised models of the five architectures the paper uses."""

from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPTNeoConfig,
    GPTNeoXConfig,
    LlamaConfig,
    OPTConfig,
    PreTrainedConfig,
    PreTrainedModel,
)

VOCABULARY = 97

SMALL: dict[str, Any] = {
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_size": 32,
    "intermediate_size": 64,
    "vocab_size": VOCABULARY,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
"""Sizes of a tiny model of any other architecture."""

CONFIGS: dict[str, PreTrainedConfig] = {
    "gpt2": GPT2Config(n_layer=3, n_head=4, n_embd=32, n_positions=128, vocab_size=VOCABULARY),
    "opt": OPTConfig(
        num_hidden_layers=3,
        num_attention_heads=4,
        hidden_size=32,
        word_embed_proj_dim=32,
        ffn_dim=64,
        max_position_embeddings=128,
        vocab_size=VOCABULARY,
    ),
    "opt-350m": OPTConfig(
        num_hidden_layers=3,
        num_attention_heads=4,
        hidden_size=32,
        word_embed_proj_dim=16,
        do_layer_norm_before=False,
        ffn_dim=64,
        max_position_embeddings=128,
        vocab_size=VOCABULARY,
    ),
    "gpt_neo": GPTNeoConfig(
        num_layers=4,
        num_heads=4,
        hidden_size=32,
        attention_types=[[["global", "local"], 2]],
        window_size=9,
        max_position_embeddings=128,
        vocab_size=VOCABULARY,
    ),
    "gpt_neox": GPTNeoXConfig(
        num_hidden_layers=3,
        num_attention_heads=4,
        hidden_size=32,
        intermediate_size=64,
        max_position_embeddings=128,
        vocab_size=VOCABULARY,
    ),
    "llama": LlamaConfig(
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        hidden_size=32,
        intermediate_size=64,
        max_position_embeddings=128,
        vocab_size=VOCABULARY,
    ),
}


def tiny(name: str, dtype: torch.dtype = torch.float64) -> PreTrainedModel:
    """A model with fixed random weights, large enough that attention matters."""
    torch.manual_seed(0)
    kwargs = {} if name == "gpt_neo" else {"attn_implementation": "sdpa"}
    model: PreTrainedModel = (
        AutoModelForCausalLM.from_config(CONFIGS[name], **kwargs).to(dtype).eval()
    )
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(6)
    return model


def made_from(config: PreTrainedConfig, dtype: torch.dtype = torch.float64) -> PreTrainedModel:
    """A model with random weights, drawn with seed 0, in evaluation mode."""
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config).to(dtype).eval()
    return model
