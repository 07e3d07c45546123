"""What the benchmark thinks over and scores: token ids of real tasks, or random ones."""

import os
import random
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import (
    GPT2Config,
    GPTNeoConfig,
    GPTNeoXConfig,
    LlamaConfig,
    OPTConfig,
    PreTrainedConfig,
)

from deepthink.config.job import Config
from deepthink.config.overrides import compose, requested
from deepthink.models.loading import LM
from deepthink.selection.choosing import choose
from deepthink.selection.pool import Pool
from deepthink.tasks import prompts, sources

DEMONSTRATIONS = {"sst2": 8, "trec": 6, "agnews": 4}
QUERIES, SUITE_QUERIES = 64, 16


@dataclass(frozen=True)
class Workload:
    """Token ids to think over and to score."""

    name: str
    demonstrations: list[int]
    queries: list[list[int]]
    candidates: list[list[list[int]]]
    shots: int | None = None


def of_task(name: str, lm: LM, data_root: str | None, queries: int | None = None) -> Workload:
    """A seeded, stratified sample of the task's test queries, and demonstrations of its pool.

    queries: how many; None takes 64, of a suite's member 16.
    """
    count = DEMONSTRATIONS.get(name, "null")
    usual = SUITE_QUERIES if "/" in name else QUERIES
    config = job_of(name, f"demonstrations.count={count}")
    splits = sources.load(config.task, data_root, queries or usual, 0)
    shots = [splits.pool[i] for i in choose(Pool(splits.pool), config)[0].selection.indices]
    encoded = prompts.encode(
        lm.tokenizer,
        config.task.parsed.prompt,
        shots,
        splits.test,
        "apart",
        "error",
        lm.positions,
        delimiter=config.task.delimiter,
    )
    return Workload(name, encoded.demonstrations, encoded.queries, encoded.candidates, len(shots))


def of_random_tokens(name: str, vocabulary: int, queries: int) -> Workload:
    """TREC's lengths: 96 of demonstrations, queries of 8 to 24, six candidates of 1 to 3."""
    rng = random.Random(0)

    def tokens(length: int) -> list[int]:
        return [rng.randrange(4, vocabulary) for _ in range(length)]

    candidates = [tokens(n) for n in (3, 1, 1, 1, 1, 1)]
    texts = [[5, 6, *tokens(rng.randint(6, 22))] for _ in range(queries)]
    return Workload(name, tokens(96), texts, [candidates] * queries)


def families(device: torch.device) -> dict[str, PreTrainedConfig]:
    """Shapes: the smallest published of each family on a CPU, two of the paper's on a GPU."""
    if device.type == "cuda":
        return {
            "gpt2-large": GPT2Config(n_layer=36, n_head=20, n_embd=1280),
            "llama2-7b": LlamaConfig(vocab_size=32000),
        }
    return {
        "gpt2 (124M)": GPT2Config(),
        "opt-125m": OPTConfig(),
        "gpt-neo-125m": GPTNeoConfig(
            num_layers=12, num_heads=12, hidden_size=768, attention_types=[[["global", "local"], 6]]
        ),
        "pythia-160m": GPTNeoXConfig(
            num_hidden_layers=12, num_attention_heads=12, hidden_size=768, intermediate_size=3072
        ),
        "llama (135M, SmolLM2's)": LlamaConfig(
            num_hidden_layers=30,
            num_attention_heads=9,
            num_key_value_heads=3,
            hidden_size=576,
            intermediate_size=1536,
            vocab_size=49152,
        ),
    }


def job_of(name: str, *overrides: str) -> Config:
    """The config of a task, or of a suite's member, "mmlu/virology"."""
    suite, _, member = name.partition("/")
    if member:
        return requested([f"task={suite}", f"task.members=[{member}]", *overrides]).jobs[0]
    return compose([f"task={name}", *overrides])


def default_data_root() -> str | None:
    """$DEEPTHINK_DATA, a folder shared/data beside the checkout, or None for the hub."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return os.environ.get("DEEPTHINK_DATA") or (str(beside) if beside.is_dir() else None)
