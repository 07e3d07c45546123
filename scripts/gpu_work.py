"""What is measured on a GPU: random weights in models' shapes, token ids of tasks' lengths."""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    PreTrainedConfig,
    PreTrainedModel,
)

import deepthink

BUNDLED = Path(deepthink.__file__).parent / "tasks" / "bundled" / "verdicts"
WORDS = ("bad", "good")

SMOLLM2 = LlamaConfig(
    num_hidden_layers=30,
    num_attention_heads=9,
    num_key_value_heads=3,
    hidden_size=576,
    intermediate_size=1536,
    vocab_size=49152,
    max_position_embeddings=8192,
)

SHAPES: dict[str, PreTrainedConfig] = {
    "gpt2-large": GPT2Config(n_layer=36, n_head=20, n_embd=1280),
    "pythia-1.4b": GPTNeoXConfig(
        num_hidden_layers=24,
        num_attention_heads=16,
        hidden_size=2048,
        intermediate_size=8192,
        vocab_size=50304,
    ),
    "llama2-7b": LlamaConfig(vocab_size=32000, max_position_embeddings=4096),
}

TINY: dict[str, PreTrainedConfig] = {
    "gpt2-large": GPT2Config(
        n_layer=2, n_head=4, n_embd=64, vocab_size=500, bos_token_id=0, eos_token_id=0
    ),
    "pythia-1.4b": GPTNeoXConfig(
        num_hidden_layers=2,
        num_attention_heads=4,
        hidden_size=64,
        intermediate_size=128,
        vocab_size=500,
        max_position_embeddings=1024,
    ),
    "llama2-7b": LlamaConfig(
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        hidden_size=64,
        intermediate_size=128,
        vocab_size=500,
        max_position_embeddings=1024,
    ),
}
"""In place of the shapes where there is no GPU."""


@dataclass(frozen=True)
class Lengths:
    """A task's tokens: of all demonstrations, of a query and of an answer on average.

    candidates: how many answers a query has. shared: whether all queries have the same ones.
    """

    demonstrations: int
    query: int
    candidates: int
    answer: int
    shared: bool
    queries: int


# Means of the published records (results/records), of SmolLM2's tokenizer; AG News with four of its
# eight demonstrations, so that GPT-2's 1,024 positions hold them twice.
TASKS = {
    "sst2": Lengths(271, 29, 2, 1, shared=True, queries=256),
    "agnews": Lengths(257, 62, 4, 1, shared=True, queries=256),
    "mmlu": Lengths(219, 37, 4, 7, shared=False, queries=64),  # college biology
    "bbh": Lengths(226, 94, 5, 7, shared=False, queries=64),  # logical deduction, five objects
}


@dataclass(frozen=True)
class Work:
    """Token ids to think over and to score."""

    demonstrations: list[int]
    queries: list[list[int]]
    candidates: list[list[list[int]]]

    def first(self, queries: int) -> "Work":
        """The same with its first queries only."""
        return Work(self.demonstrations, self.queries[:queries], self.candidates[:queries])


def random_work(lengths: Lengths, vocabulary: int, queries: int) -> Work:
    """Random tokens of a task's lengths; a query has half to one and a half times the mean."""
    rng = random.Random(0)

    def tokens(length: int) -> list[int]:
        return [rng.randrange(4, vocabulary) for _ in range(length)]

    def answers() -> list[list[int]]:
        return [tokens(lengths.answer) for _ in range(lengths.candidates)]

    mean = lengths.query
    texts = [[5, 6, *tokens(rng.randint(mean // 2, mean + mean // 2))] for _ in range(queries)]
    common = answers()
    offered = [common if lengths.shared else answers() for _ in range(queries)]
    return Work(tokens(lengths.demonstrations), texts, offered)


def real_work(folder: Path, queries: int, shots: int = 8) -> Work:
    """The bundled task's prompts by the tokenizer in a model's folder."""
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)

    def rows(name: str) -> list[dict[str, Any]]:
        text = (BUNDLED / f"{name}.jsonl").read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines()]

    def ids(text: str) -> list[int]:
        encoded: list[int] = tokenizer(text, add_special_tokens=False).input_ids
        return encoded

    def prompt(row: dict[str, Any]) -> str:
        return f"Opinion: {row['text']}\nVerdict:"

    shown = "".join(f"{prompt(row)} {WORDS[row['label']]}\n\n" for row in rows("train")[:shots])
    asked = [ids(prompt(row)) for row in rows("test")[:queries]]
    return Work(ids(shown), asked, [[ids(f" {word}") for word in WORDS]] * len(asked))


def random_model(
    config: PreTrainedConfig, device: torch.device, dtype: torch.dtype
) -> PreTrainedModel:
    """A model of random weights, made on the device, frozen and in eval mode."""
    torch.manual_seed(0)
    with torch.device(device):
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=dtype)
    torch.nn.Module.to(model, device)
    model.eval().requires_grad_(False)
    return model


def real_model(folder: Path) -> PreTrainedModel:
    """The model in a folder, in float32 on the CPU, frozen and in eval mode."""
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.eval().requires_grad_(False)
    return model


def folder_of_smollm2() -> Path | None:
    """SmolLM2's converted weights, made if they are not there; None without the whole suite."""
    try:
        from deepthink.config.overrides import compose
        from deepthink.models.converting import converted
        from deepthink.models.resolving import resolve
    except ImportError:  # a bare GPU machine has PyTorch and transformers alone
        return None
    resolved = resolve(compose(["model=smollm2-135m"]).model)
    return Path(converted(resolved.gguf, resolved.name, print)) if resolved.gguf else None


def predictions(scores: Sequence[Sequence[float]]) -> list[int]:
    """The candidate with the highest score of each query."""
    return [max(range(len(row)), key=row.__getitem__) for row in scores]
