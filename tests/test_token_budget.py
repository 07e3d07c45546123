"""How many tokens a forward may carry: by the device, and on a GPU by its free memory."""

import pytest
import torch
from tiny_models import tiny
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedModel

from deepthink import score, think
from deepthink.engine import token_budget
from deepthink.engine.token_budget import TokenBudget, bytes_per_token

GIB = 2**30


@pytest.fixture(scope="module")
def llama2_7b() -> PreTrainedModel:
    with torch.device("meta"):
        config = LlamaConfig(vocab_size=32000)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    return model


def on_a_gpu(monkeypatch: pytest.MonkeyPatch, model: PreTrainedModel, free: int) -> TokenBudget:
    """The budget of a model that says it is on a GPU with so many free bytes."""
    monkeypatch.setattr(type(model), "device", torch.device("cuda", 0))
    monkeypatch.setattr(token_budget, "_free_bytes", lambda device: free)
    return TokenBudget.of(model)


def test_a_cpu_has_a_budget_of_its_own(llama2_7b: PreTrainedModel) -> None:
    assert TokenBudget.of(tiny("gpt2")).tokens == token_budget.ON_A_CPU


def test_a_token_is_counted_by_the_widths_of_its_layers(llama2_7b: PreTrainedModel) -> None:
    assert bytes_per_token(llama2_7b) == 2 * (16 * 4096 + 4 * 11008)


@pytest.mark.parametrize(
    ("free", "tokens"),
    [
        (60 * GIB, 16_384),  # bounded by what gains nothing more
        (2 * GIB, 4096),  # three quarters, less 250 MiB of logits, of 214 KiB a token: 6,337
        (GIB // 2, 512),
        (1, 256),
    ],
)
def test_a_gpus_free_memory_bounds_the_budget(
    monkeypatch: pytest.MonkeyPatch, llama2_7b: PreTrainedModel, free: int, tokens: int
) -> None:
    assert on_a_gpu(monkeypatch, llama2_7b, free).tokens == tokens


def test_budgets_do_not_follow_every_byte(
    monkeypatch: pytest.MonkeyPatch, llama2_7b: PreTrainedModel
) -> None:
    """What else a GPU holds by chance does not change the batches, and so not the rounding."""
    budgets = {on_a_gpu(monkeypatch, llama2_7b, 2 * GIB + n * 2**20).tokens for n in range(100)}
    assert len(budgets) == 1


@pytest.mark.parametrize("tokens", [1, 7, 40, 10_000])
def test_scores_do_not_depend_on_the_budget(tokens: int) -> None:
    model = tiny("llama")
    (memory,) = think(model, [5, 6, 7], 1)
    queries = [[1 + n % 5, *range(2, 3 + n)] for n in range(9)]
    candidates = [[[3, 4], [3, 5, 6], [7]]] * len(queries)
    whole = score(model, memory, queries, candidates)
    parts = score(model, memory, queries, candidates, budget=TokenBudget(tokens))
    for a, b in zip(whole, parts, strict=True):
        assert a == pytest.approx(b, abs=1e-12)
