"""Refinements: gradients by finite differences, Eq. 2-5 by the old loop, and what is refused."""

import inspect
import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from tiny_models import CONFIGS, SMALL, VOCABULARY, tiny
from transformers import (
    AutoModelForCausalLM,
    Gemma3TextConfig,
    MistralConfig,
    PreTrainedConfig,
    PreTrainedModel,
)

from deepthink import score, think
from deepthink.config.overrides import compose
from deepthink.engine import reference
from deepthink.engine.attention import attend, attend_plainly
from deepthink.engine.demonstrations import Demonstrations
from deepthink.engine.flops import Costs
from deepthink.engine.layout import single
from deepthink.engine.memory import Memory
from deepthink.engine.prepack import PackedLinear, prepack
from deepthink.engine.refinements import iterate
from deepthink.engine.support import iterated
from deepthink.engine.thinking import refined
from deepthink.errors import UserError
from deepthink.settings import THINKING

ROOT = Path(__file__).resolve().parent.parent
IDS = [(7 * i * i + 3 * i + 5) % VOCABULARY for i in range(23)]
SPANS = (range(1, 8), range(8, 15), range(15, 23))
ANSWERS = (range(6, 8), range(14, 15), range(20, 23))
MODELS = [*CONFIGS, "sliding window", "sliding and global layers"]


def made(name: str, dtype: torch.dtype = torch.float64) -> PreTrainedModel:
    """A tiny model; its layers with a window of 6 see little of a memory of 23 slots."""
    if name in CONFIGS:
        return tiny(name, dtype)
    config: PreTrainedConfig = MistralConfig(**SMALL, sliding_window=6)
    if name == "sliding and global layers":
        kinds = ["sliding_attention", "full_attention"]
        config = Gemma3TextConfig(**SMALL, head_dim=8, sliding_window=6, layer_types=kinds)
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(config).to(dtype).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(6)
    return model


def shown(model: PreTrainedModel, **options: Any) -> Demonstrations:
    return Demonstrations(model, IDS, **{"spans": SPANS, "answers": ANSWERS, **options})


# a differentiable forward


def exact(name: str) -> PreTrainedModel:
    """A model that computes all in float64: some norms are in float32 whatever the model's dtype.

    Differences of 10⁻⁵ would be lost in their rounding.
    """
    model = made(name)
    for module in model.modules():
        if type(module).__name__.endswith("RMSNorm"):
            module.forward = partial(norm, module, 1.0 if "Gemma" in type(module).__name__ else 0.0)
    return model


def norm(module: torch.nn.Module, offset: float, x: torch.Tensor) -> torch.Tensor:
    name = "variance_epsilon" if hasattr(module, "variance_epsilon") else "eps"
    epsilon: float = getattr(module, name)
    return (
        x
        * (x.square().mean(-1, keepdim=True) + epsilon).rsqrt()
        * (offset + module.get_parameter("weight"))
    )


def directions(memory: Memory) -> list[Memory]:
    """For the keys of each layer, then for the values of each: a random step through them alone."""
    torch.manual_seed(1)
    still = [torch.zeros_like(tensor) for tensor in memory.tensors]
    layers = len(memory.keys)
    steps = []
    for place, tensor in enumerate(memory.tensors):
        moved = [*still]
        moved[place] = torch.randn_like(tensor)
        steps.append(Memory(tuple(moved[:layers]), tuple(moved[layers:]), 1))
    return steps


def slope(
    function: Callable[[Memory], torch.Tensor],
    memory: Memory,
    direction: Memory,
    size: float = 1e-5,
) -> float:
    """A derivative by central differences."""
    with torch.no_grad():
        ahead, behind = (function(memory.plus(direction, s)).item() for s in (size, -size))
    return (ahead - behind) / (2 * size)


def dot(a: Memory, b: Memory) -> float:
    return sum((x * y).sum().item() for x, y in zip(a.tensors, b.tensors, strict=True))


def losses(demonstrations: Demonstrations) -> dict[str, Callable[[Memory], torch.Tensor]]:
    """The loss in every form: plainly, in one sequence and in several, with slots hidden."""
    torch.manual_seed(2)
    hidden = torch.rand(len(IDS), len(IDS)) < 0.5
    hidden[3] = True  # a token that sees no slot
    return {
        "plain": demonstrations.loss,
        "hidden": partial(demonstrations.loss, hide=hidden),
        "left out": partial(
            demonstrations.loss,
            hide=demonstrations.leave_one_out,
            targets=demonstrations.answers,
            apart=True,
        ),
    }


@pytest.mark.parametrize("form", ["plain", "hidden", "left out"])
@pytest.mark.parametrize("name", MODELS)
def test_gradients_are_those_of_finite_differences(name: str, form: str) -> None:
    demonstrations = shown(exact(name))
    loss = losses(demonstrations)[form]
    memory = demonstrations.read()
    leaves = memory.leaves()
    gradient = leaves.gradient(loss(leaves))
    for direction in directions(memory):
        expected = slope(loss, memory, direction)
        assert dot(gradient, direction) == pytest.approx(expected, rel=1e-5, abs=1e-7)
        assert abs(expected) > 1e-6


@pytest.mark.parametrize("name", MODELS)
def test_a_reading_beside_a_memory_has_a_gradient(name: str) -> None:
    demonstrations = shown(exact(name))

    def size(memory: Memory) -> torch.Tensor:
        states = demonstrations.read(memory, start=23).tensors
        return sum((x.square().sum() for x in states), torch.zeros((), dtype=torch.float64))

    memory = demonstrations.read()
    leaves = memory.leaves()
    # what is read in a layer depends on the memory of the layers below, so on the last's not at all
    gradient = torch.autograd.grad(size(leaves), leaves.tensors, allow_unused=True)
    layers = len(memory.keys)
    for place, direction in enumerate(directions(memory)):
        expected = slope(size, memory, direction)
        if place % layers == layers - 1:
            assert gradient[place] is None
            assert expected == 0
        else:
            along = (gradient[place] * direction.tensors[place]).sum().item()
            assert along == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", ["gpt2", "opt-350m", "gpt_neo", "gpt_neox", "llama"])
def test_gradients_go_through_packed_layers(name: str) -> None:
    model, packed = made(name, torch.float32), prepack(made(name, torch.float32))
    assert any(isinstance(module, PackedLinear) for module in packed.modules())
    gradients = []
    for each in (model.double(), packed):
        leaves = shown(each).read(dtype=torch.float64).leaves()
        gradients.append(leaves.gradient(shown(each).loss(leaves)))
    exact, ours = gradients
    for a, b in zip(exact.tensors, ours.tensors, strict=True):
        assert (a - b).norm() <= 2e-3 * a.norm()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", MODELS)
def test_gradients_on_a_gpu_are_those_of_the_cpu(name: str) -> None:
    gradients = []
    for device, dtype in (("cpu", torch.float64), ("cuda", torch.float32)):
        model = made(name, dtype)
        torch.nn.Module.to(model, device)
        demonstrations = shown(model)
        leaves = demonstrations.read().leaves()
        loss = losses(demonstrations)["left out"](leaves)
        gradients.append(leaves.gradient(loss))
    for a, b in zip(*(gradient.tensors for gradient in gradients), strict=True):
        assert (a - b.cpu()).norm() <= 2e-3 * a.norm()


def test_a_gradient_of_a_packed_layer_is_its_weights() -> None:
    torch.manual_seed(0)
    plain = torch.nn.Linear(5, 3)
    packed = PackedLinear(plain.weight, plain.bias)
    x, y = (torch.randn(2, 5, generator=torch.Generator().manual_seed(1)) for _ in range(2))
    for layer, inputs in ((plain, x.requires_grad_()), (packed, y.requires_grad_())):
        layer(inputs).square().sum().backward()
    torch.testing.assert_close(x.grad, y.grad)


@pytest.mark.parametrize("masked", ["not", "causal", "mask"])
def test_attention_and_its_log_sum_exp_have_gradients(masked: str) -> None:
    torch.manual_seed(0)
    mask = torch.rand(1, 1, 5, 5) > 0.5 if masked == "mask" else None
    if mask is not None:
        mask[..., 2, :] = False
    drawn = torch.randn(3, 1, 2, 5, 4, dtype=torch.float64)
    inputs = [x.clone().requires_grad_() for x in drawn.unbind()]

    def both(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        out, total = attend(query, key, value, 0.3, mask, masked == "causal")
        return out, total.clamp(min=-100)  # differences need finite numbers

    assert torch.autograd.gradcheck(both, inputs)


def test_a_row_that_sees_nothing_is_the_same_in_the_fused_kernel() -> None:
    query, key, value = torch.randn(3, 1, 2, 4, 8, dtype=torch.float64)
    mask = torch.tensor([[True] * 4, [False] * 4, [True] * 4, [False, True] * 2])
    for ours, plain in zip(
        attend(query, key, value, 0.3, mask[None, None], False),
        attend_plainly(query, key, value, 0.3, mask[None, None], False),
        strict=True,
    ):
        torch.testing.assert_close(ours, plain, rtol=0, atol=1e-12)


def test_no_graph_and_no_gradient_is_kept_for_the_weights() -> None:
    model = made("llama")
    demonstrations = shown(model)
    leaves = demonstrations.read().leaves()
    demonstrations.loss(leaves).backward()
    assert all(weight.grad is None and weight.requires_grad for weight in model.parameters())
    assert all(tensor.grad is not None for tensor in leaves.tensors)
    with iterated(model) as forward:
        keys, _ = forward.read(IDS, single(len(IDS), model.device), leaves, 23)
    assert not any(tensor.requires_grad for tensor in keys)
    with torch.no_grad():
        assert not demonstrations.loss(leaves).requires_grad
        assert not demonstrations.read(leaves).requires_grad


def test_a_gradient_that_would_be_missing_is_an_error() -> None:
    demonstrations = shown(made("gpt2"))
    leaves = demonstrations.read().leaves()
    with pytest.raises(RuntimeError):
        leaves.gradient(leaves.keys[0].sum())


# the loss


def plain_loss(
    model: PreTrainedModel,
    memory: Memory,
    prompts: list[list[int]],
    hidden: list[torch.Tensor],
    wanted: list[tuple[int, int]],
    start: int,
) -> float:
    """Token by token in the stock model: each prefix after a cache of the slots that it sees."""
    total = 0.0
    for prompt, position in wanted:
        fed = prompts[prompt][:position]
        keep = ~hidden[prompt]
        cache = [
            (k[None][:, :, keep], v[None][:, :, keep])
            for k, v in zip(memory.keys, memory.values, strict=True)
        ]
        from transformers import DynamicCache

        with torch.no_grad():
            logits = model(
                torch.tensor([fed]),
                position_ids=torch.arange(start, start + len(fed))[None],
                attention_mask=torch.ones(1, int(keep.sum()) + len(fed), dtype=torch.long),
                past_key_values=DynamicCache(cache),
            ).logits[0, -1]
        total -= logits.log_softmax(-1)[prompts[prompt][position]].item()
    return total / len(wanted)


@pytest.mark.parametrize("name", [n for n in CONFIGS if n != "gpt_neo"])
def test_the_left_out_loss_is_the_stock_models_over_a_shorter_cache(name: str) -> None:
    model = made(name)
    demonstrations = shown(model)
    memory = demonstrations.read()
    prompts = [[IDS[i] for i in span] for span in SPANS]
    hidden = [torch.tensor([i in span for i in range(23)]) for span in SPANS]
    wanted = [(n, i - SPANS[n].start) for n, answer in enumerate(ANSWERS) for i in answer]
    ours = demonstrations.loss(
        memory, demonstrations.leave_one_out, demonstrations.answers, apart=True
    )
    expected = plain_loss(model, memory, prompts, hidden, wanted, start=23)
    assert ours.item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_plain_loss_is_minus_the_mean_score_of_every_token(name: str) -> None:
    model = made(name)
    demonstrations = shown(model)
    *_, memory = think(model, IDS, 3, step_size=0.1)
    rows = score(model, memory, [IDS[:i] for i in range(1, 23)], [[[token]] for token in IDS[1:]])
    expected = -sum(row[0] for row in rows) / 22
    assert demonstrations.loss(memory).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", MODELS)
def test_without_slots_it_is_the_loss_of_the_tokens_alone(name: str) -> None:
    """Where all slots are hidden, the memory cannot matter: positions apart, it is zero-shot."""
    model = made(name)
    demonstrations = shown(model)
    memory = demonstrations.read()
    nothing = torch.ones(23, 23, dtype=torch.bool)
    ours = demonstrations.loss(memory, nothing, start=0)
    rows = score(model, None, [IDS[:i] for i in range(1, 23)], [[[token]] for token in IDS[1:]])
    assert ours.item() == pytest.approx(-sum(row[0] for row in rows) / 22, rel=1e-9)
    assert ours == demonstrations.loss(memory.times(3.0), nothing, start=0)


@pytest.mark.parametrize("name", MODELS)
def test_hidden_slots_do_not_matter_and_others_do(name: str) -> None:
    demonstrations = shown(made(name))
    memory = demonstrations.read()
    hide = torch.zeros(23, 23, dtype=torch.bool)
    hide[:, 18:21] = True
    noise = Memory(
        tuple(torch.randn_like(k) for k in memory.keys),
        tuple(torch.randn_like(v) for v in memory.values),
        1,
    )
    at = hide[0][None, :, None]
    replaced = memory.plus(noise.minus(memory)._map(lambda x: x * at))
    assert demonstrations.loss(memory, hide) == demonstrations.loss(replaced, hide)
    assert demonstrations.loss(memory, ~hide) != demonstrations.loss(replaced, ~hide)


def test_copies_of_a_demonstration_are_left_out_together() -> None:
    ids = [1, 5, 6, 7, 8, 5, 6, 7, 8]
    spans = [range(1, 3), range(3, 5), range(5, 7), range(7, 9)]
    own = Demonstrations(made("gpt2"), ids, spans).leave_one_out
    assert own[1].nonzero().flatten().tolist() == [1, 2, 5, 6]
    assert own[8].nonzero().flatten().tolist() == [3, 4, 7, 8]
    assert not own[0].any()


def test_a_loss_in_half_precision_is_that_of_logits_in_float32() -> None:
    model = made("llama", torch.bfloat16)
    demonstrations = shown(model)
    memory = demonstrations.read()
    loss = demonstrations.loss(memory)
    rows = score(model, memory, [IDS[:i] for i in range(1, 23)], [[[token]] for token in IDS[1:]])
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(-sum(row[0] for row in rows) / 22, rel=2e-2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"hide": torch.ones(23, 22, dtype=torch.bool)}, "hide must be a tensor of 23 × 23"),
        ({"hide": torch.ones(23, 23)}, "hide must be a tensor of 23 × 23 booleans"),
        ({"targets": torch.ones(23, dtype=torch.bool)}, "token 0 is a target, but no token"),
        ({"targets": torch.zeros(23, dtype=torch.bool)}, "no token of the demonstrations is"),
        (
            {"targets": torch.arange(23) == 8, "apart": True},
            "token 8 is a target, but no token of its sequence",
        ),
    ],
)
def test_a_loss_of_nothing_is_refused_in_one_line(options: dict[str, Any], said: str) -> None:
    demonstrations = shown(made("gpt2"))
    with pytest.raises(UserError, match=said):
        demonstrations.loss(demonstrations.read(), **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"spans": [range(3, 6), range(5, 9)]}, "spans must be ranges of tokens, one after"),
        ({"spans": [range(4, 4)]}, "spans must be ranges"),
        ({"spans": [(1, 4)]}, "spans must be ranges"),
        ({"answers": [range(20, 24)]}, "answers reach to token 24, but the demonstrations have 23"),
    ],
)
def test_spans_that_are_none_are_refused_in_one_line(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        shown(made("gpt2"), **options)


def test_what_is_not_known_of_the_demonstrations_is_said() -> None:
    demonstrations = Demonstrations(made("gpt2"), IDS)
    for name in ("span_of", "leave_one_out", "answers"):
        with pytest.raises(UserError, match="not known"):
            getattr(demonstrations, name)
    with pytest.raises(UserError, match="not known"):
        demonstrations.loss(demonstrations.read(), apart=True)


# operations


def test_what_is_read_is_counted() -> None:
    model = made("gpt2")
    costs, demonstrations, counted = Costs.of(model), shown(model), []
    for _ in refined(demonstrations, iterate.refine, 3):
        counted.append(demonstrations.operations)
    plain = 23 * costs.token + 23 * 24 // 2 * costs.key
    later = plain + 23 * 23 * costs.key
    assert [counted[0], *(b - a for a, b in pairwise(counted))] == [plain, later, later]


def test_a_loss_counts_what_must_be_fed_and_seen() -> None:
    model = made("gpt2")
    costs, demonstrations = Costs.of(model), shown(model)
    memory = demonstrations.read()
    demonstrations.operations = 0
    settings = (demonstrations.leave_one_out, demonstrations.answers)
    # of 7, 7 and 8 tokens the last is not fed; they see 16, 16 and 15 slots
    tokens, rows = 6 + 6 + 7, 2 + 1 + 3
    keys = 6 * 16 + 21 + 6 * 16 + 21 + 7 * 15 + 28
    demonstrations.loss(memory, *settings, apart=True)
    assert demonstrations.operations == costs.forward(tokens, keys, rows)
    demonstrations.operations = 0
    demonstrations.loss(memory.leaves(), *settings, apart=True)
    assert demonstrations.operations == costs.with_gradient(tokens, keys, rows)
    demonstrations.operations = 0
    demonstrations.loss(memory, targets=torch.arange(23) == 4)
    assert demonstrations.operations == costs.forward(4, 4 * 23 + 10, 1)


# iterate


def old_think(
    model: PreTrainedModel,
    ids: list[int],
    iterations: int,
    step_size: float,
    momentum: float,
    positions: str,
    memory_dtype: str,
) -> Iterator[Memory]:
    """Eq. 2-5 as one loop over lists of tensors, as `think` was before there were refinements."""
    wide = torch.promote_types(model.dtype, torch.float32)
    dtype = wide if memory_dtype == "float32" else model.dtype
    layout = single(len(ids), model.device)
    start = len(ids) if positions == "continued" else 0
    memory, velocity = None, None
    for step in range(1, iterations + 1):
        with iterated(model) as forward:
            present = forward.read(ids, layout, memory, start if memory else 0)
        keys, values = ([x.to(dtype, copy=True) for x in tensors] for tensors in present)
        if memory is not None:
            gradient = [
                [new - old for new, old in zip(*pair, strict=True)]
                for pair in ((keys, memory.keys), (values, memory.values))
            ]
            if velocity is None or momentum == 0:
                velocity = gradient
            else:
                velocity = [
                    [old * momentum + new for old, new in zip(*pair, strict=True)]
                    for pair in zip(velocity, gradient, strict=True)
                ]
            keys, values = (
                [h.add(m, alpha=step_size) for h, m in zip(history, moved, strict=True)]
                for history, moved in zip((memory.keys, memory.values), velocity, strict=True)
            )
        memory = Memory(tuple(keys), tuple(values), step)
        yield memory


@pytest.mark.parametrize("memory_dtype", ["float32", "model"])
@pytest.mark.parametrize("positions", ["continued", "aligned"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("name", MODELS)
def test_iterate_is_the_old_loop_to_the_bit(
    name: str, dtype: torch.dtype, momentum: float, positions: str, memory_dtype: str
) -> None:
    model = made(name, dtype)
    settings = (0.1, momentum, positions, memory_dtype)
    refine = partial(
        iterate.refine,
        step_size=0.1,
        momentum=momentum,
        positions=positions,
        memory_dtype=memory_dtype,
    )
    ways = (
        old_think(model, IDS, 5, *settings),
        think(model, IDS, 5, *settings),
        refined(Demonstrations(model, IDS), refine, 5),
    )
    for old, *new in zip(*ways, strict=True):
        for memory in new:
            assert memory.step == old.step
            assert memory.keys[0].dtype == old.keys[0].dtype
            assert all(map(torch.equal, memory.tensors, old.tensors))


# any refinement


def descend(shown: Demonstrations, rate: float = 0.1) -> Iterator[Memory]:
    """Gradient descent on the memory, each demonstration predicted from the others."""
    memory = shown.read()
    while True:
        yield memory
        leaves = memory.leaves()
        loss = shown.loss(leaves, shown.leave_one_out, shown.answers, apart=True)
        memory = memory.plus(leaves.gradient(loss), -rate)


@pytest.mark.parametrize("name", MODELS)
def test_a_gradient_refinement_lowers_its_loss_at_every_step(name: str) -> None:
    demonstrations = shown(made(name))
    settings = (demonstrations.leave_one_out, demonstrations.answers, True)
    curve = [
        demonstrations.loss(memory, *settings).item()
        for memory in refined(demonstrations, partial(descend, rate=0.01), 5)
    ]
    assert curve == sorted(curve, reverse=True)
    assert curve[-1] < curve[0]


def test_its_first_memory_is_that_of_think_and_none_holds_a_graph() -> None:
    model = made("llama")
    (plain,) = think(model, IDS, 1)
    memories = list(refined(shown(model), descend, 3))
    assert all(map(torch.equal, memories[0].tensors, plain.tensors))
    assert [memory.step for memory in memories] == [1, 2, 3]
    assert not any(memory.requires_grad for memory in memories)


def graphs(shown: Demonstrations) -> Iterator[Memory]:
    """Forgets to detach."""
    memory = shown.read()
    yield memory
    yield memory.leaves().times(2.0)


def test_a_graph_that_a_refinement_forgets_is_cut() -> None:
    *_, last = refined(shown(made("gpt2")), graphs, 2)
    assert all(tensor.grad_fn is None and not tensor.requires_grad for tensor in last.tensors)


def starts_elsewhere(shown: Demonstrations) -> Iterator[Memory]:
    while True:
        yield shown.read().times(1.0001)


def never_reads(shown: Demonstrations) -> Iterator[Memory]:
    yield Memory((torch.zeros(4, 23, 8),) * 3, (torch.zeros(4, 23, 8),) * 3, 1)


def spoils_what_it_read(shown: Demonstrations) -> Iterator[Memory]:
    memory = shown.read()
    memory.keys[0].mul_(2)
    yield memory


def ends(shown: Demonstrations) -> Iterator[Memory]:
    yield shown.read()


def writes(shown: Demonstrations) -> Iterator[Memory]:
    leaves = shown.read().leaves()
    optimiser = torch.optim.SGD(leaves.tensors, lr=0.1)
    while True:
        yield leaves
        optimiser.zero_grad()
        shown.loss(leaves).backward()
        optimiser.step()


def explodes(shown: Demonstrations) -> Iterator[Memory]:
    memory = shown.read()
    yield memory
    yield memory.times(math.inf)


def shrinks(shown: Demonstrations) -> Iterator[Memory]:
    memory = shown.read()
    yield memory
    yield Memory(tuple(k[:, 1:] for k in memory.keys), memory.values, 1)


def yields_scores(shown: Demonstrations) -> Iterator[float]:
    yield 0.5


@pytest.mark.parametrize(
    ("refine", "said"),
    [
        (starts_elsewhere, "must yield the plain reading first"),
        (never_reads, "must yield the plain reading first"),
        (spoils_what_it_read, "must yield the plain reading first"),
        (ends, "ends after 1 of 3 iterations"),
        (writes, "writes into the memory that it yielded at t = 1: yield a copy"),
        (explodes, "at t = 2 a memory that is not finite"),
        (shrinks, "at t = 2 a memory of other layers, heads or slots"),
        (yields_scores, "yields float at t = 1, no Memory"),
    ],
)
def test_a_wrong_refinement_is_named_in_one_line(refine: Callable[..., Any], said: str) -> None:
    with pytest.raises(UserError, match=said) as refused:
        list(refined(shown(made("gpt2")), refine, 3))
    assert str(refused.value).startswith("the refinement test_refinements ")
    assert "\n" not in str(refused.value)


def test_an_optimiser_that_yields_copies_is_a_refinement() -> None:
    def adam(shown: Demonstrations) -> Iterator[Memory]:
        leaves = shown.read().leaves()
        optimiser = torch.optim.AdamW(leaves.tensors, lr=1e-2, weight_decay=0.0)
        while True:
            yield leaves.copy()
            optimiser.zero_grad()
            shown.loss(leaves, shown.leave_one_out).backward()
            optimiser.step()

    demonstrations = shown(made("llama"))
    curve = [
        demonstrations.loss(memory, demonstrations.leave_one_out).item()
        for memory in refined(demonstrations, adam, 4)
    ]
    assert curve == sorted(curve, reverse=True)


def test_iterations_out_of_range_are_refused() -> None:
    with pytest.raises(UserError, match="T must be 1"):
        next(refined(shown(made("gpt2")), iterate.refine, 0))


def test_options_of_iterate_out_of_range_are_refused() -> None:
    with pytest.raises(UserError, match="η must lie between 0 and 1"):
        next(iterate.refine(shown(made("gpt2")), step_size=2.0))


# defaults


def test_the_defaults_of_think_stand_once() -> None:
    """Those of think, of iterate, of the reference and of the config's files are the same."""
    defaults = vars(THINKING)
    for function in (think, iterate.refine, reference.think, refined):
        parameters = inspect.signature(function).parameters
        named = {n: p.default for n, p in parameters.items() if p.default is not p.empty}
        assert named == {name: defaults[name] for name in named}
        assert named or function is reference.think
    thinking = yaml.safe_load((ROOT / "conf/method/_thinking.yaml").read_text())
    iterations = yaml.safe_load((ROOT / "conf/method/deepthink.yaml").read_text())["iterations"]
    of_config = {name: value for name, value in thinking.items() if name in defaults}
    assert of_config | {"iterations": iterations} == defaults
    assert compose([]).method.thinking == defaults
    assert [*inspect.signature(think).parameters][2:] == [*defaults]


def test_the_memory_of_a_refinement_can_be_asked_for_as_many_times_as_wanted() -> None:
    """The same demonstrations, thought over twice."""
    demonstrations = shown(made("gpt2"))
    first, second = (list(islice(refined(demonstrations, descend, 2), 2)) for _ in range(2))
    for a, b in zip(first, second, strict=True):
        assert all(map(torch.equal, a.tensors, b.tensors))
