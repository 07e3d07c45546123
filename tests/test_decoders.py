"""Decoders made of a model's modules, against the model's own code."""

import random
from collections.abc import Callable
from typing import Any

import pytest
import torch
from tiny_models import CONFIGS, SMALL, VOCABULARY, made_from, tiny
from transformers import (
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    PreTrainedModel,
    Qwen2Config,
)

from deepthink import score, think
from deepthink.engine.decoders.families import decoder_of, is_plain
from deepthink.engine.layout import single
from deepthink.engine.packing import layout, pack
from deepthink.engine.prepack import prepack
from deepthink.engine.routing import routed
from deepthink.engine.support import iterated
from deepthink.errors import UserError

KINDS = ["sliding_attention", "full_attention"]
CONFIGURATIONS = {
    **CONFIGS,
    "gpt2, scaled by layer": GPT2Config(
        n_layer=2, n_head=4, n_embd=32, vocab_size=VOCABULARY, scale_attn_by_inverse_layer_idx=True
    ),
    "gpt2, other activation": GPT2Config(
        n_layer=2, n_head=4, n_embd=32, vocab_size=VOCABULARY, activation_function="relu"
    ),
    "gpt_neox, one after the other": GPTNeoXConfig(**SMALL, use_parallel_residual=False),
    "llama, biases and wide heads": LlamaConfig(
        **SMALL, attention_bias=True, mlp_bias=True, head_dim=16, hidden_act="gelu_pytorch_tanh"
    ),
    "llama, linear positions": LlamaConfig(
        **SMALL, rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 10000.0}
    ),
    "gemma3": Gemma3TextConfig(**SMALL, head_dim=16, sliding_window=6, layer_types=KINDS),
}


def model_of(name: str, dtype: torch.dtype) -> PreTrainedModel:
    """A tiny model whose norms and biases are not the ones it was made with."""
    model = tiny(name, dtype) if name in CONFIGS else made_from(CONFIGURATIONS[name], dtype)
    torch.manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 1:
                weight.add_(torch.randn(weight.shape, dtype=torch.float64).to(dtype), alpha=0.3)
    return model.requires_grad_(False)


def ids(rng: random.Random, length: int) -> list[int]:
    return [rng.randrange(VOCABULARY) for _ in range(length)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_decoder_is_the_model(name: str, dtype: torch.dtype) -> None:
    """Keys, values and states, of sequences and of trees, beside a memory and without one."""
    model = model_of(name, dtype)
    rng = random.Random(0)
    shots, width = ids(rng, 21), {torch.float64: 1e-9, torch.float32: 1e-5}.get(dtype, 0.06)
    group = [pack(ids(rng, n), [ids(rng, 3), ids(rng, 2), ids(rng, 1)]) for n in (2, 9, 5)]
    places, _ = layout(group, model.device)
    tokens = [token for part in group for token in part.tokens]
    rows = torch.tensor([1, 4, len(tokens) - 1])
    (_, memory) = think(model, shots, 2, step_size=0.5)
    decoder = decoder_of(model)
    assert decoder is not None
    packed = prepack(model_of(name, dtype)) if dtype == torch.float32 else model
    prepacked = decoder_of(packed)
    assert prepacked is not None
    for run in (decoder.run, prepacked.run):
        with torch.no_grad(), routed(model) as own:
            for past, start in ((None, 0), (memory.to(dtype), 21)):
                theirs = own.run(tokens, places, past, start, None)
                ours = run(tokens, places, past, start, None)
                assert ours.states is None
                for mine, other in zip(
                    [*ours.keys, *ours.values], [*theirs.keys, *theirs.values], strict=True
                ):
                    assert mine.dtype == other.dtype
                    assert (mine - other).abs().max() <= width * other.abs().max()
                states = own.states(tokens, places, past, start, rows)
                passed = run(tokens, places, past, start, rows).states
                assert passed is not None
                assert (passed - states).abs().max() <= width * states.abs().max()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_memory_of_one_reading_is_a_plain_prompt(name: str, dtype: torch.dtype) -> None:
    """The model's own forward over demonstrations and query, which are longer than its window."""
    model = model_of(name, dtype)
    rng = random.Random(2)
    shots, queries = ids(rng, 21), [ids(rng, n) for n in (3, 12, 8)]
    (memory,) = think(model, shots, 1)
    scores = score(model, memory, queries, [[[7], [8, 9]]] * len(queries))
    for query, (one, two) in zip(queries, scores, strict=True):
        prompt = torch.tensor([[*shots, *query, 8]])
        with torch.no_grad():
            logs = model(prompt).logits[0, -2:].log_softmax(-1)
        close = 1e-9 if dtype == torch.float64 and "neo" not in name else 2e-5
        assert one == pytest.approx(logs[0, 7].item(), abs=close)
        assert two == pytest.approx((logs[0, 8] + logs[1, 9]).item(), abs=close)


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_known_families_are_run_as_decoders(name: str) -> None:
    model = model_of(name, torch.float32)
    with iterated(model) as forward, pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(model), "forward", lambda *_, **__: pytest.fail("its own code"))
        forward.read([1, 2], single(2, model.device), None, 0)


def subclassed(model: PreTrainedModel) -> None:
    model.__class__ = type("Mine", (type(model),), {})


def hooked(model: PreTrainedModel) -> None:
    model.get_submodule("model.layers.0.mlp").register_forward_hook(lambda *_: None)


def hooked_before(model: PreTrainedModel) -> None:
    model.get_submodule("model.norm").register_forward_pre_hook(lambda *_: None)


def replaced(model: PreTrainedModel) -> None:
    layer = model.get_submodule("model.layers.1")
    layer.__dict__["forward"] = type(layer).forward.__get__(layer)


@pytest.mark.parametrize("alter", [subclassed, hooked, hooked_before, replaced])
def test_a_model_that_does_more_runs_in_its_own_code(
    alter: Callable[[PreTrainedModel], None],
) -> None:
    model = tiny("llama")
    assert decoder_of(model) is not None
    alter(model)
    assert decoder_of(model) is None


def test_what_a_hook_changes_changes_the_scores() -> None:
    model = tiny("llama")
    before = score(model, None, [[3, 4]], [[[5], [6]]])
    model.get_submodule("model.layers.0.mlp").register_forward_hook(lambda _m, _i, out: 2 * out)
    assert score(model, None, [[3, 4]], [[[5], [6]]]) != before


@pytest.mark.parametrize("place", ["lm_head", ""])
def test_a_hook_behind_the_states_changes_the_scores(place: str) -> None:
    """Of the output layer, or of the whole model: what it makes of the logits is scored."""
    model = tiny("llama", torch.float32)

    def bent(_module: object, _inputs: object, out: Any) -> Any:
        if place:
            return 2 * out
        out.logits = 2 * out.logits
        return out

    model.get_submodule(place).register_forward_hook(bent)
    with torch.no_grad():
        logs = model(torch.tensor([[3, 4]])).logits[0, -1].log_softmax(-1)
    assert score(model, None, [[3, 4]], [[[5], [6]]])[0] == pytest.approx(
        logs[[5, 6]].tolist(), abs=1e-4
    )


def test_other_families_and_capped_logits_are_left_to_their_own_code() -> None:
    assert decoder_of(made_from(Qwen2Config(**SMALL))) is None
    capped = made_from(Gemma3TextConfig(**SMALL, head_dim=16, final_logit_softcapping=3.0))
    assert not is_plain(capped)
    assert decoder_of(capped) is None
    with torch.no_grad():
        logits = capped(torch.tensor([[3, 4]])).logits[0, -1]
    expected = logits.log_softmax(-1)[[5, 6]].tolist()
    assert score(capped, None, [[3, 4]], [[[5], [6]]])[0] == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", ["gpt2", "opt", "gpt_neo"])
def test_prompts_beyond_the_learnt_positions_are_refused(name: str) -> None:
    """Before a device is asked for a position that it does not have."""
    model = tiny(name)
    known = model.config.max_position_embeddings
    list(think(model, [1] * (known // 2), 2))
    with pytest.raises(UserError, match=f"{known + 2} positions"):
        list(think(model, [1] * (known // 2 + 1), 2))
