"""States of queries, read and replaced, against the model's own code on whole prompts."""

from itertools import pairwise

import pytest
import torch
from tiny_models import CONFIGS, tiny
from torch import Tensor
from transformers import PreTrainedModel

from deepthink import score, think
from deepthink.engine.query_states import (
    last_states,
    layer_states,
    layers_of,
    log_distributions,
    scores_replaced,
)
from deepthink.engine.token_budget import TokenBudget
from deepthink.errors import UserError

SHOWN = [5, 6, 7, 8, 9, 10]
QUERIES = [[11, 12, 13], [11, 14], [11, 12, 15, 16], [11, 12]]
ANSWERS = [[[20], [21, 22]], [[20], [23, 24]], [[20], [21, 22]], [[25, 26, 27], [25, 28]]]


def assert_near(found: Tensor, expected: Tensor) -> None:
    """To what is left where GPT-Neo's own code attends in float32."""
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.fixture(params=CONFIGS)
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    return tiny(request.param)


def hidden(model: PreTrainedModel, ids: list[int]) -> tuple[Tensor, Tensor]:
    """[layers, d], what transformers says each layer gives on at the last token, and its logits."""
    kept: list[Tensor] = []
    handles = [
        layer.register_forward_hook(
            lambda _m, _i, out: kept.append((out[0] if isinstance(out, tuple) else out)[0, -1])
        )
        for layer in layers_of(model)
    ]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0, -1]
    for handle in handles:
        handle.remove()
    return torch.stack(kept), logits


@pytest.mark.parametrize("budget", [4, 64])
def test_states_are_those_of_whole_prompts(model: PreTrainedModel, budget: int) -> None:
    (memory,) = think(model, SHOWN, iterations=1)
    expected = [hidden(model, SHOWN + query) for query in QUERIES]
    layers = layer_states(model, memory, QUERIES, TokenBudget(budget))
    assert_near(layers, torch.stack([states for states, _ in expected]))
    states = last_states(model, memory, QUERIES, TokenBudget(budget))
    logs = torch.stack([logits for _, logits in expected]).log_softmax(-1)
    assert_near(log_distributions(model, states), logs)


def test_the_own_state_changes_nothing(model: PreTrainedModel) -> None:
    own = layer_states(model, None, QUERIES, TokenBudget(64))
    expected = torch.tensor(score(model, None, QUERIES, ANSWERS))
    for layer in range(1, len(layers_of(model)) + 1):
        rows = scores_replaced(model, QUERIES, ANSWERS, layer, own[:, layer - 1], TokenBudget(9))
        assert_near(torch.tensor(rows), expected)


def by_hand(
    model: PreTrainedModel, ids: list[int], place: int, layer: int, state: Tensor
) -> Tensor:
    """[N, V] log p of a whole sequence with one state replaced."""

    def hook(_module: object, _given: object, out: Tensor | tuple[Tensor, ...]) -> object:
        (out[0] if isinstance(out, tuple) else out)[0, place] = state
        return out

    handle = layers_of(model)[layer - 1].register_forward_hook(hook)
    with torch.no_grad():
        logs: Tensor = model(input_ids=torch.tensor([ids])).logits[0].log_softmax(-1)
    handle.remove()
    return logs


def test_a_replaced_state_reaches_later_layers_and_the_answer(model: PreTrainedModel) -> None:
    """Against one whole sequence for each candidate, in the model's own code."""
    layers = len(layers_of(model))
    for layer in range(1, layers + 1):
        states = layer_states(model, None, [[30, 31]] * 4, TokenBudget(64))[:, layer - 1] * 2
        rows = scores_replaced(model, QUERIES, ANSWERS, layer, states, TokenBudget(64))
        for query, answers, row in zip(QUERIES, ANSWERS, rows, strict=True):
            for answer, found in zip(answers, row, strict=True):
                logs = by_hand(model, query + answer, len(query) - 1, layer, states[0])
                at = range(len(query) - 1, len(query) + len(answer) - 1)
                expected = sum(logs[i, word] for i, word in zip(at, answer, strict=True))
                assert found == pytest.approx(float(expected), abs=1e-5)


def test_behind_the_last_layer_stand_the_logits_of_the_state_itself() -> None:
    model = tiny("llama")
    states = torch.randn(1, 32, dtype=torch.float64).expand(4, -1)
    rows = scores_replaced(model, QUERIES, [[[20], [21]]] * 4, 3, states, TokenBudget(64))
    with torch.no_grad():
        logs = model.lm_head(model.model.norm(states[:1])).log_softmax(-1)[0]
    assert rows == [pytest.approx([float(logs[20]), float(logs[21])])] * 4
    assert all(a == pytest.approx(b) for a, b in pairwise(rows))


def test_nothing_is_left_in_the_model() -> None:
    model = tiny("gpt2")
    before = score(model, None, QUERIES, ANSWERS)
    layer_states(model, None, QUERIES, TokenBudget(64))
    assert not any(layer._forward_hooks for layer in layers_of(model))
    assert score(model, None, QUERIES, ANSWERS) == before


def test_a_layer_that_does_not_exist_is_told() -> None:
    model = tiny("gpt2")
    for layer in (0, 4):
        with pytest.raises(UserError, match=f"no layer {layer}: GPT2LMHeadModel has layers 1 to 3"):
            scores_replaced(model, [[5]], [[[6]]], layer, torch.zeros(1, 32), TokenBudget(64))
