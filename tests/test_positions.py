"""Where present tokens stand: rotated positions by hand, the mean of readings, what is refused."""

from itertools import islice
from typing import Any

import pytest
import torch
from tiny_models import CONFIGS, SMALL, VOCABULARY, made_from, tiny
from transformers import (
    CohereConfig,
    Gemma3TextConfig,
    GPTNeoXConfig,
    LlamaConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
    SmolLM3Config,
)

from deepthink import think
from deepthink.config.overrides import compose
from deepthink.engine import reference, rotation
from deepthink.engine.demonstrations import Demonstrations
from deepthink.engine.layout import single
from deepthink.engine.memory import Memory
from deepthink.engine.refinements import average, iterate
from deepthink.engine.support import iterated
from deepthink.errors import UserError
from deepthink.settings import POSITIONS

IDS = [(7 * i * i + 3 * i + 5) % VOCABULARY for i in range(23)]
KINDS = ["sliding_attention", "full_attention"]
ROTARY: dict[str, PreTrainedConfig] = {
    "llama": CONFIGS["llama"],
    "gpt_neox": CONFIGS["gpt_neox"],
    "gpt_neox, a quarter": GPTNeoXConfig(
        **{**SMALL, "num_key_value_heads": 4, "hidden_size": 64},
        rope_parameters={
            "rope_type": "default",
            "rope_theta": 10_000.0,
            "partial_rotary_factor": 0.25,
        },
    ),
    "qwen2": Qwen2Config(**SMALL),
    "qwen3": Qwen3Config(**SMALL, head_dim=8),
    "mistral, a window": MistralConfig(**SMALL, sliding_window=6),
    "gemma3, two bases": Gemma3TextConfig(**SMALL, head_dim=8, layer_types=KINDS),
    "yarn, whose factors are scaled": LlamaConfig(
        **SMALL,
        rope_parameters={
            "rope_type": "yarn",
            "rope_theta": 100.0,
            "factor": 4.0,
            "original_max_position_embeddings": 64,
        },
    ),
}


def made(name: str, dtype: torch.dtype = torch.float64) -> PreTrainedModel:
    model = made_from(ROTARY[name], dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(4)
    return model


def close(ours: Memory, theirs: list[tuple[torch.Tensor, torch.Tensor]], tolerance: float) -> None:
    """Layer by layer, relative to the tensors' lengths."""
    for layer, (keys, values) in enumerate(theirs):
        for a, b in ((ours.keys[layer], keys[0]), (ours.values[layer], values[0])):
            assert (a - b).norm() <= tolerance * b.norm()


@pytest.mark.parametrize("name", ROTARY)
def test_without_a_memory_a_far_reading_rotated_back_is_the_near_one(name: str) -> None:
    model = made(name)
    rotation.check(model)
    with iterated(model) as forward:
        places = single(len(IDS), model.device)
        near, far = (forward.read(IDS, places, None, start)[0] for start in (0, 23))
    back = rotation.moved(model, far, 23, 0)
    for a, b, elsewhere in zip(near, back, far, strict=True):
        assert (a - b).norm() <= 1e-4 * a.norm()
        assert (a - elsewhere).norm() > 0.05 * a.norm()


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("name", [name for name in ROTARY if "window" not in name])
def test_rotated_positions_are_those_of_the_slow_program(name: str, momentum: float) -> None:
    """The reference turns keys by the angle of L positions, the engine by a quotient."""
    model = made(name)
    ours = think(model, IDS, 3, 0.3, momentum, positions="rotated")
    theirs = reference.think(model, IDS, 3, 0.3, momentum, positions="rotated")
    for memory, layers in zip(ours, theirs, strict=True):
        close(memory, layers, 2e-5)


@pytest.mark.parametrize("name", ROTARY)
def test_the_three_kinds_of_positions_are_three(name: str) -> None:
    model = made(name)
    ends = {kind: [*think(model, IDS, 3, 0.3, positions=kind)][-1] for kind in POSITIONS}
    for kind, other in (("rotated", "aligned"), ("rotated", "continued"), ("aligned", "continued")):
        apart = ends[kind].drift(ends[other])
        assert max(apart["keys"]) > 1e-3
        assert max(apart["values"]) > 1e-3


def test_rotated_has_the_keys_of_aligned_in_the_first_layer_and_the_values_of_continued() -> None:
    """Keys of the first layer depend on the tokens and on where they stand alone."""
    model = made("llama")
    _, aligned = think(model, IDS, 2, 1.0, positions="aligned")
    _, rotated = think(model, IDS, 2, 1.0, positions="rotated")
    _, continued = think(model, IDS, 2, 1.0, positions="continued")
    apart, far = rotated.drift(aligned), rotated.drift(continued)
    assert apart["keys"][0] < 1e-5 < 0.01 < apart["keys"][1]
    # only the keys are turned, so that the values are those of continued positions
    assert far["values"] == [0.0] * len(far["values"])
    assert far["keys"][0] > 0.05


@pytest.mark.parametrize("positions", POSITIONS)
def test_average_is_the_mean_of_the_readings_so_far(positions: str) -> None:
    model = made("llama")
    shown = Demonstrations(model, IDS)
    readings: list[Memory] = []
    for memory in islice(average.refine(shown, positions), 5):
        present = shown.read(memory, 0 if positions == "aligned" else 23)
        if not readings:
            readings.append(memory)
        mean = readings[0]
        for reading in readings[1:]:
            mean = mean.plus(reading)
        for a, b in zip(memory.tensors, mean.times(1 / len(readings)).tensors, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)
        if positions == "rotated":
            back = rotation.moved(model, present.keys, 23, 0)
            present = Memory(back, present.values, 1)
        readings.append(present)


def test_the_second_mean_is_half_a_step_of_iterate() -> None:
    shown = Demonstrations(made("gpt_neox"), IDS)
    _, mean = islice(average.refine(shown), 2)
    _, half = islice(iterate.refine(shown, step_size=0.5), 2)
    assert all(map(torch.equal, mean.tensors, half.tensors))


@pytest.mark.parametrize("memory_dtype", ["float32", "model"])
def test_a_model_in_half_precision_is_rotated_back_too(memory_dtype: str) -> None:
    model = made("llama", torch.bfloat16)
    settings: dict[str, Any] = {"memory_dtype": memory_dtype, "positions": "rotated"}
    _, second = think(model, IDS, 2, 1.0, **settings)
    _, exact = think(made("llama"), IDS, 2, 1.0, positions="rotated")
    assert second.keys[0].dtype == (torch.bfloat16 if memory_dtype == "model" else torch.float32)
    first = second.keys[0].double()
    assert (first - exact.keys[0]).norm() < 0.02 * exact.keys[0].norm()


@pytest.mark.parametrize("refine", [iterate.refine, average.refine])
@pytest.mark.parametrize("name", ["gpt2", "opt", "gpt_neo"])
def test_learnt_positions_are_refused_in_one_line(name: str, refine: Any) -> None:
    shown = Demonstrations(tiny(name), IDS)
    with pytest.raises(UserError, match=r"has no rotary positions: .* to continued or aligned"):
        next(refine(shown, positions="rotated"))


@pytest.mark.parametrize(
    "config",
    [
        CohereConfig(**SMALL),  # turns neighbouring dimensions
        SmolLM3Config(**SMALL, no_rope_layers=[1, 0]),  # has a layer that turns nothing
    ],
)
def test_keys_that_are_rotated_otherwise_are_refused_in_one_line(config: PreTrainedConfig) -> None:
    model = made_from(config)
    before = [weight.clone() for weight in model.parameters()]
    with pytest.raises(UserError, match="rotates its keys in a way that cannot be undone"):
        next(iterate.refine(Demonstrations(model, IDS), positions="rotated"))
    assert all(map(torch.equal, before, model.parameters()))


@pytest.mark.parametrize("name", ["aligned", "rotated", "authors", "average"])
def test_the_methods_differ_from_deepthink_by_what_they_are_named_after(name: str) -> None:
    method, usual = compose([f"method={name}"]).method, compose(["method=deepthink"]).method
    assert (method.selector, method.iterations) == (usual.selector, 15)
    thinking = (method.step_size, method.momentum, method.positions)
    assert (
        thinking
        == {
            "aligned": (0.1, 0.0, "aligned"),
            "rotated": (0.1, 0.0, "rotated"),
            "authors": (0.01, 0.9, "continued"),
            "average": (0.01, 0.0, "continued"),
        }[name]
    )
    assert method.refinement == {"name": "average" if name == "average" else "iterate"}
