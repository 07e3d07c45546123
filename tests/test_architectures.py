"""Models beyond the proven five: they work, or are refused in one clear line."""

import pytest
import torch
from tiny_models import SMALL, VOCABULARY, made_from, tiny
from transformers import (
    BloomConfig,
    Gemma2Config,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
)

from deepthink import score, think
from deepthink.engine import reference
from deepthink.engine.forward import Forward
from deepthink.engine.layout import Layout
from deepthink.engine.memory import Memory
from deepthink.engine.prepack import PackedLinear, prepack
from deepthink.engine.support import iterated
from deepthink.errors import UserError


def check_iterable(model: PreTrainedModel) -> None:
    with iterated(model):
        pass


def test_other_dispatching_architectures_work() -> None:
    check_iterable(made_from(Qwen2Config(**SMALL)))


def test_a_sliding_window_is_respected() -> None:
    model = made_from(MistralConfig(**SMALL, sliding_window=6))
    check_iterable(model)
    shots, queries = list(range(3, 20)), [[4, 5, 6, 7, 8, 9, 10, 11], [4, 9]]
    candidates = [[[3, 4, 5], [3, 6], [7]], [[5], [6]]]
    *_, memory = think(model, shots, 1)
    scores = score(model, memory, queries, candidates)
    for query, row, answers in zip(queries, scores, candidates, strict=True):
        for answer, found in zip(answers, row, strict=True):
            prompt = torch.tensor([[*shots, *query, *answer]])
            with torch.no_grad():
                logs = model(prompt).logits[0].log_softmax(-1)
            begin = prompt.shape[1] - len(answer) - 1
            expected = sum(logs[begin + i, t].item() for i, t in enumerate(answer))
            assert abs(found - expected) < 1e-9


@pytest.mark.parametrize(
    "config",
    [
        MambaConfig(num_hidden_layers=2, hidden_size=32, vocab_size=VOCABULARY),
        BloomConfig(n_layer=2, n_head=4, hidden_size=32, vocab_size=VOCABULARY),
        Gemma2Config(**SMALL, head_dim=8),
    ],
    ids=lambda config: config.model_type,
)
def test_what_cannot_be_iterated_is_refused_in_one_line(config: PreTrainedConfig) -> None:
    with pytest.raises(UserError) as refused:
        check_iterable(made_from(config))
    assert "\n" not in str(refused.value)


def test_a_probe_that_comes_out_different_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    states = Forward.states

    def astray(
        self: Forward,
        tokens: list[int],
        layout: Layout,
        memory: Memory | None,
        start: int,
        rows: torch.Tensor,
    ) -> torch.Tensor:
        return states(self, tokens, layout, memory, 2 * start, rows)

    monkeypatch.setattr(Forward, "states", astray)
    with pytest.raises(UserError, match="apart"):
        check_iterable(made_from(Qwen2Config(**SMALL)))


def test_logits_that_are_not_made_of_the_states_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As if the model scaled its logits where nobody sees it."""
    logs = Forward.log_probabilities
    monkeypatch.setattr(Forward, "log_probabilities", lambda *args: 2 * logs(*args))
    with pytest.raises(UserError, match="log-probabilities"):
        check_iterable(made_from(Qwen2Config(**SMALL)))


def test_rotary_positions_that_depend_on_the_length_are_refused() -> None:
    config = LlamaConfig(**SMALL, rope_parameters={"rope_type": "dynamic", "factor": 2.0})
    with pytest.raises(UserError, match="dynamic"):
        check_iterable(made_from(config))


def test_training_mode_is_refused() -> None:
    with pytest.raises(UserError, match="eval"):
        next(think(tiny("gpt2").train(), [1, 2, 3]))


@pytest.mark.parametrize("architecture", ["gpt2", "opt-350m", "gpt_neo", "gpt_neox", "llama"])
def test_prepacked_layers_compute_the_same(architecture: str) -> None:
    model, packed = (tiny(architecture, torch.float32) for _ in range(2))
    assert prepack(packed) is packed
    assert any(isinstance(module, PackedLinear) for module in packed.modules())
    prompt = torch.arange(1, 30)[None]
    with torch.no_grad():
        torch.testing.assert_close(
            model(prompt).logits, packed(prompt).logits, rtol=1e-4, atol=1e-4
        )


def test_prepack_leaves_other_dtypes_alone() -> None:
    model = prepack(tiny("gpt2"))
    assert not any(isinstance(module, PackedLinear) for module in model.modules())


def test_the_reference_keeps_the_plain_gate() -> None:
    """Eq. 4 by hand on the reference itself: K̃_2 = ηK_2 + (1-η)K̃_1 with K_2 from a cached pass."""
    model, shots, step_size = tiny("gpt2"), [3, 1, 4, 1, 5], 0.25
    first, second = reference.think(model, shots, 2, step_size)
    _, full = reference.think(model, shots, 2, 1.0)
    for (old, _), (mixed, _), (present, _) in zip(first, second, full, strict=True):
        expected = step_size * present + (1 - step_size) * old
        torch.testing.assert_close(mixed, expected, rtol=0, atol=1e-12)
