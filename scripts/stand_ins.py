"""Small random models under the hub's ids of the paper's fourteen, and made-up rows of its tasks.

    python scripts/stand_ins.py OUT
    python scripts/stand_ins.py OUT --models opt-350m,gpt2-large

OUT/hub is a cache of the hub, as HF_HUB_CACHE names it, and OUT/data a folder for data_root. A
stand-in has the architecture, the options, the tokenizer, the dtype and the names of files and
tensors that the hub has, as far as they matter to whoever loads it, but two layers and random
weights. A job that runs on it, offline, will run on the real model. Its accuracy means nothing.
"""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha1, sha256
from io import BytesIO
from pathlib import Path
from typing import Any

import made_rows
import stand_in_tokenizers as tokenizers
import torch
from safetensors.torch import save
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM

from deepthink.app import streams
from deepthink.config.models import named_model
from deepthink.errors import unknown

WIDTH, HEADS, LAYERS = 32, 4, 2
SPREAD = 6
"""By how much random weights are larger than usual, so that attention and answers differ."""

Config = dict[str, Any]
Tensors = dict[str, Tensor]


def gpt2(**about: Any) -> Config:
    """GPT-2's config, with 1,024 learned positions and one table of words at both ends."""
    sizes = {
        "n_embd": WIDTH,
        "n_head": HEADS,
        "n_layer": LAYERS,
        "n_positions": 1024,
        "n_ctx": 1024,
    }
    ends = {"bos_token_id": 50256, "eos_token_id": 50256}
    return {"model_type": "gpt2", "vocab_size": 50257, **sizes, **ends, **about}


def gpt_neo() -> Config:
    """GPT-Neo's: every second layer sees the last 256 tokens only."""
    sizes = {"hidden_size": WIDTH, "num_heads": HEADS, "num_layers": LAYERS, "window_size": 256}
    return {
        **{"model_type": "gpt_neo", "vocab_size": 50257, "max_position_embeddings": 2048},
        **{"attention_types": [[["global", "local"], LAYERS // 2]], **sizes},
        **{"bos_token_id": 50256, "eos_token_id": 50256},
    }


def opt(**about: Any) -> Config:
    """OPT's: learned positions from 2 on, and half precision in its files."""
    sizes = {"hidden_size": WIDTH, "num_attention_heads": HEADS, "num_hidden_layers": LAYERS}
    ends = {"bos_token_id": 2, "eos_token_id": 2, "pad_token_id": 1}
    return {
        **{"model_type": "opt", "vocab_size": 50272, "max_position_embeddings": 2048},
        **{"word_embed_proj_dim": WIDTH, "ffn_dim": 4 * WIDTH, "do_layer_norm_before": True},
        **{**sizes, **ends, "prefix": "</s>", "torch_dtype": "float16", **about},
    }


def neox(vocabulary: int) -> Config:
    """Pythia's: attention and MLP side by side, a quarter of each head rotated, two word tables."""
    sizes = {"hidden_size": WIDTH, "num_attention_heads": HEADS, "num_hidden_layers": LAYERS}
    return {
        **{"model_type": "gpt_neox", "vocab_size": vocabulary, "max_position_embeddings": 2048},
        **{"intermediate_size": 4 * WIDTH, "rotary_pct": 0.25, "use_parallel_residual": True},
        **{**sizes, "tie_word_embeddings": False, "torch_dtype": "float16"},
        **{"bos_token_id": 0, "eos_token_id": 0},
    }


def llama() -> Config:
    """LLaMA 2's: rotated heads with keys of their own each, and two word tables."""
    sizes = {"hidden_size": WIDTH, "num_attention_heads": HEADS, "num_hidden_layers": LAYERS}
    return {
        **{"model_type": "llama", "vocab_size": 32000, "max_position_embeddings": 4096},
        **{"intermediate_size": 2 * WIDTH, "num_key_value_heads": HEADS, "rms_norm_eps": 1e-5},
        **{**sizes, "tie_word_embeddings": False, "torch_dtype": "float16"},
        **{"bos_token_id": 1, "eos_token_id": 2},
    }


CONFIGS: Mapping[str, Config] = {
    "gpt2-medium": gpt2(),
    "gpt2-large": gpt2(),
    "gpt2-xl": gpt2(),
    "gpt-neo-2.7b": gpt_neo(),
    "opt-125m": opt(),
    "opt-350m": opt(word_embed_proj_dim=WIDTH // 2, do_layer_norm_before=False),
    "opt-2.7b": opt(),
    "pythia-70m": neox(50304),
    "pythia-410m": neox(50304),
    "pythia-1.4b": neox(50304),
    "pythia-6.9b": neox(50432),
    "pythia-12b": neox(50688),
    "llama2-7b": llama(),
    "llama2-13b": llama(),
}
ARCHITECTURES = {
    "gpt2": "GPT2LMHeadModel",
    "gpt_neo": "GPTNeoForCausalLM",
    "opt": "OPTForCausalLM",
    "gpt_neox": "GPTNeoXForCausalLM",
    "llama": "LlamaForCausalLM",
}
PARTS = {"pythia-6.9b": 2, "pythia-12b": 3, "llama2-7b": 2, "llama2-13b": 3}
"""How many files the weights are divided into; one where a model is not named."""


def as_gpt2(tensors: Tensors) -> Tensors:
    """GPT-2's names, which lack the first part, and a mask in every layer."""
    mask = torch.tril(torch.ones(1024, 1024))[None, None]
    named = {name.removeprefix("transformer."): tensor for name, tensor in tensors.items()}
    return {**_tied(named), **{f"h.{at}.attn.bias": mask.clone() for at in range(LAYERS)}}


def as_gpt_neo(tensors: Tensors) -> Tensors:
    """GPT-Neo's names, with masks."""
    mask = torch.tril(torch.ones(2048, 2048, dtype=torch.uint8))[None, None]
    beside = {"bias": mask, "masked_bias": torch.tensor(-1e9)}
    places = [f"transformer.h.{at}.attn.attention" for at in range(LAYERS)]
    return {**_tied(tensors), **_beside(places, beside)}


def as_neox(tensors: Tensors) -> Tensors:
    """Pythia's names, with masks and frequencies, and the output's table under its old name."""
    named = {name.replace("lm_head.", "embed_out."): tensor for name, tensor in tensors.items()}
    mask = torch.tril(torch.ones(2048, 2048, dtype=torch.uint8))[None, None]
    frequencies = 10000 ** -(torch.arange(0, 2, 2) / 2)
    beside = {"bias": mask, "masked_bias": torch.tensor(-1e9), "rotary_emb.inv_freq": frequencies}
    return {**named, **_beside([f"gpt_neox.layers.{at}.attention" for at in range(LAYERS)], beside)}


AS_STORED: Mapping[str, Callable[[Tensors], Tensors]] = {
    "gpt2": as_gpt2,
    "gpt_neo": as_gpt_neo,
    "gpt_neox": as_neox,
}
"""How older versions of transformers stored these families, which the hub still has."""


def _tied(tensors: Tensors) -> Tensors:
    return {name: tensor for name, tensor in tensors.items() if not name.startswith("lm_head")}


def _beside(places: Sequence[str], tensors: Tensors) -> Tensors:
    return {f"{at}.{name}": tensor.clone() for at in places for name, tensor in tensors.items()}


def weights(config: Config, seed: int) -> Tensors:
    """Random weights under the names and in the dtype that the hub has."""
    torch.manual_seed(seed)
    model: Any = AutoModelForCausalLM.from_config(AutoConfig.for_model(**config))
    dtype = getattr(torch, config.get("torch_dtype", "float32"))
    tensors: Tensors = {
        name: (tensor * SPREAD if tensor.ndim > 1 else tensor).to(dtype).contiguous()
        for name, tensor in model.state_dict().items()
    }
    as_stored = AS_STORED.get(config["model_type"])
    return tensors if as_stored is None else as_stored(tensors)


def weight_files(tensors: Tensors, family: str, parts: int) -> dict[str, bytes]:
    """The files that hold the weights; OPT's are pickled, as most of its repositories have them."""
    if family == "opt":
        held = BytesIO()
        torch.save(tensors, held)
        return {"pytorch_model.bin": held.getvalue()}
    if parts == 1:
        return {"model.safetensors": save(tensors, {"format": "pt"})}
    files: dict[str, bytes] = {}
    places: dict[str, str] = {}
    for at in range(parts):
        name = f"model-{at + 1:05d}-of-{parts:05d}.safetensors"
        part = dict([*tensors.items()][at::parts])
        places |= dict.fromkeys(part, name)
        files[name] = save(part, {"format": "pt"})
    index = {"metadata": {"total_size": sum(map(len, files.values()))}, "weight_map": places}
    return {**files, "model.safetensors.index.json": json.dumps(index, indent=2).encode()}


def files_of(model: str) -> dict[str, bytes]:
    """Every file of a model's repository, by its name."""
    config = CONFIGS[model]
    family = config["model_type"]
    about = {"architectures": [ARCHITECTURES[family]], **config}
    tensors = weights(config, seed=sorted(CONFIGS).index(model))
    words = {name: text.encode() for name, text in tokenizers.FILES[family]().items()}
    described = json.dumps(about, indent=2).encode()
    return {"config.json": described, **words, **weight_files(tensors, family, PARTS.get(model, 1))}


def store(cache: Path, repository: str, files: Mapping[str, bytes]) -> None:
    """Write a repository into a cache of the hub, as the hub's client does after a download."""
    folder = cache / f"models--{repository.replace('/', '--')}"
    commit = sha1(b"".join(files[name] for name in sorted(files))).hexdigest()
    snapshot = folder / "snapshots" / commit
    for place in (folder / "blobs", folder / "refs", snapshot):
        place.mkdir(parents=True, exist_ok=True)
    for name, held in files.items():
        large = name.endswith((".safetensors", ".bin"))
        whole = sha256(held) if large else sha1(b"blob %d\0" % len(held) + held)
        blob = folder / "blobs" / whole.hexdigest()
        blob.write_bytes(held)
        (snapshot / name).unlink(missing_ok=True)
        (snapshot / name).symlink_to(Path("../../blobs") / blob.name)
    (folder / "refs" / "main").write_text(commit)


def make(out: Path, models: Sequence[str] = tuple(CONFIGS)) -> None:
    """Write the cache and the rows; UserError for a model that has no stand-in."""
    for model in models:
        if model not in CONFIGS:
            raise unknown("model", model, CONFIGS)
        store(out / "hub", str(named_model(model)["hub_id"]), files_of(model))
    made_rows.write(out / "data")


def main() -> None:
    """Make the folder that the command line names, and print what is in it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, help="the folder to make")
    parser.add_argument("--models", help="some of the fourteen, with commas; default: all")
    options = parser.parse_args()
    models = options.models.split(",") if options.models else [*CONFIGS]
    make(options.out, models)
    for reason in tokenizers.reasons():
        print(reason)
    print(f"{len(models)} models in {options.out / 'hub'}, rows in {options.out / 'data'}")
    print("  export HF_HUB_OFFLINE=1", f"HF_HUB_CACHE={(options.out / 'hub').absolute()}")


if __name__ == "__main__":
    streams.script(main)
