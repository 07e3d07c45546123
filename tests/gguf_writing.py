"""A tiny GGUF file as llama.cpp keeps one, and what a test may leave out of it or add."""

from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM


def write_gguf(path: Path, without: str = " ", more: Callable[..., object] = id) -> Path:
    """A random LLaMA of two layers with a tokenizer of letters, as llama.cpp keeps it.

    without: what stands in the names of tensors that are left out; more: adds to the file.
    """
    torch.manual_seed(0)
    words = ["<s>", "</s>", *map(chr, range(33, 127)), "Ġ", "Ċ", "ab"]
    config = LlamaConfig(
        num_hidden_layers=2,
        num_attention_heads=2,
        hidden_size=32,
        intermediate_size=32,
        max_position_embeddings=1024,
        vocab_size=len(words),
    )
    file = gguf.GGUFWriter(path, "llama")
    file.add_block_count(2)
    file.add_context_length(1024)
    file.add_embedding_length(32)
    file.add_feed_forward_length(32)
    file.add_head_count(2)
    file.add_head_count_kv(2)
    file.add_layer_norm_rms_eps(1e-6)
    file.add_rope_freq_base(10000.0)
    file.add_vocab_size(len(words))
    file.add_tokenizer_model("gpt2")
    file.add_token_list(words)
    file.add_token_types([3, 3] + [1] * (len(words) - 2))
    file.add_token_merges(["a b"])
    file.add_bos_token_id(0)
    file.add_eos_token_id(1)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 2)
    for key, value in LlamaForCausalLM(config).state_dict().items():
        name, _, ending = key.rpartition(".")
        if without not in key:
            file.add_tensor(f"{names.get_name(name)}.{ending}", np.ascontiguousarray(value.numpy()))
    more(file)
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()
    return path
