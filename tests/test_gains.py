"""Gains of a memory's slots, against softmaxes with added biases in the models' own code."""

import math
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
import torch
from slow_slots import OTHERS, TOLERANCE, ZOO, expected, zoo
from test_blocked_attention import drawn, packed
from test_cuda_attention import Kernels, exactly, kernels  # noqa: F401
from test_cuda_attention import drawn as drawn_for_cuda
from tiny_models import VOCABULARY, tiny
from torch import Tensor

from deepthink import score, think
from deepthink.engine import blocked_attention, cuda_attention
from deepthink.engine.attention import merge, over_itself, over_memory
from deepthink.engine.demonstrations import Demonstrations
from deepthink.engine.generation import continuations
from deepthink.engine.layout import Layout, single
from deepthink.engine.memory import Memory
from deepthink.engine.refinements import gain, iterate
from deepthink.engine.routing import routed
from deepthink.engine.slots import runs_of
from deepthink.engine.thinking import refined
from deepthink.errors import UserError

SHOTS = [(7 * i * i + 3 * i + 5) % VOCABULARY for i in range(17)]
QUERIES = [[9, 4, 33, 8], [9, 4, 60], [9, 4, 2, 2, 2]]  # which begin alike
CANDIDATES = [[[3, 5, 8], [3, 9], [7]], [[11], [12, 13]], [[1, 2]]]
KINDS = {
    "uniform": [-0.7] * 17,
    "first": [math.log(4.0), *[0.0] * 16],
    "runs": [*[1.5] * 5, *[-2.0] * 12],
    "each": [0.3 * (-1) ** i * i for i in range(17)],
}


def factors(memory: Memory) -> list[tuple[int, float]]:
    """By what the weights of how many slots in a row are multiplied."""
    return [(size, round(math.exp(gain), 5)) for size, gain in memory.runs]


def weighed(memory: Memory, gains: list[float]) -> Memory:
    return replace(memory, gains=torch.tensor(gains))


def flat(rows: list[list[float]]) -> list[float]:
    return [number for row in rows for number in row]


def apart(ours: list[list[float]], theirs: list[list[float]]) -> float:
    return max(abs(a - b) for a, b in zip(flat(ours), flat(theirs), strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ZOO)
def test_gains_are_biases_of_the_scores(name: str, kind: str) -> None:
    model = zoo(name)
    (memory,) = think(model, SHOTS, iterations=1)
    gains = torch.tensor(KINDS[kind]).tolist()
    ours = score(model, weighed(memory, gains), QUERIES, CANDIDATES)
    theirs = [
        [expected(model, name, [SHOTS], gains, query, answer) for answer in row]
        for query, row in zip(QUERIES, CANDIDATES, strict=True)
    ]
    assert apart(ours, theirs) < TOLERANCE.get(name, 1e-9)
    if (name, kind) != ("mistral", "first"):  # no layer's window reaches from there to a query
        assert apart(ours, score(model, memory, QUERIES, CANDIDATES)) > 1e-2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma3"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gains_are_the_same_in_every_precision(name: str, kind: str, dtype: torch.dtype) -> None:
    """Float32 takes the kernel for CPUs, bfloat16 PyTorch's; the memory is the same in both."""
    wide, model = zoo(name, dtype).double(), zoo(name, dtype)
    (memory,) = think(model, SHOTS, iterations=1)
    memory = weighed(memory.to(dtype), KINDS[kind])
    ours = score(model, memory, QUERIES, CANDIDATES)
    theirs = score(wide, memory.to(torch.float64), QUERIES, CANDIDATES)
    without = score(model, replace(memory, gains=None), QUERIES, CANDIDATES)
    rounding = 2e-3 if dtype == torch.float32 else 1.5
    assert apart(ours, theirs) < rounding
    assert apart(without, theirs) > apart(ours, theirs)


@pytest.mark.parametrize("name", ["gpt2", "gpt_neo", "mistral", "gemma3"])
def test_the_models_own_code_and_the_decoders_weigh_alike(name: str) -> None:
    model = zoo(name)
    (memory,) = think(model, SHOTS, iterations=1)
    memory = weighed(memory, KINDS["runs"])
    rows = torch.tensor([4])
    ids, places = [9, 4, 33, 8, 2], single(5, model.device)
    with routed(model) as forward:
        by_routing = forward.states(ids, places, memory, memory.begin, rows)
    logs = by_routing @ model.get_output_embeddings().weight.double().T
    ours = score(model, memory, [ids], [[[3], [5]]])[0]
    theirs = logs.log_softmax(-1)[0, [3, 5]].tolist()
    assert apart([ours], [theirs]) < 1e-4


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["gpt2", "gpt_neo", "llama", "gemma3"])
def test_gains_of_zero_change_no_bit(name: str, dtype: torch.dtype) -> None:
    model = zoo(name, dtype)
    (memory,) = think(model, SHOTS, iterations=1)
    with_zeros = weighed(memory, [0.0] * 17)
    assert score(model, with_zeros, QUERIES, CANDIDATES) == score(
        model, memory, QUERIES, CANDIDATES
    )


@pytest.mark.parametrize("name", ["gpt2", "gpt_neo", "llama", "mistral", "gemma3"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_without_weight_a_memory_leaves_the_query_alone_at_its_position(
    name: str, dtype: torch.dtype
) -> None:
    model = zoo(name, dtype)
    (memory,) = think(model, SHOTS, iterations=1)
    ours = score(model, weighed(memory, [-1e9] * 17), QUERIES, CANDIDATES)
    with torch.no_grad():
        for query, row, found in zip(QUERIES, CANDIDATES, ours, strict=True):
            for answer, number in zip(row, found, strict=True):
                ids = torch.tensor([[*query, *answer]])
                at = torch.arange(17, 17 + ids.shape[1])[None]
                logs = model(ids, position_ids=at).logits[0].log_softmax(-1)
                places = range(len(query) - 1, ids.shape[1] - 1)
                alone = sum(logs[p, t].item() for p, t in zip(places, answer, strict=True))
                assert abs(number - alone) < (2e-3 if dtype == torch.float32 else 1e-4)


# the kernels


def with_gains(layout: Layout, gains: Tensor) -> Layout:
    return replace(layout, gains=runs_of(gains))


def by_bias(
    q: Tensor, k: Tensor, v: Tensor, past: tuple[Tensor, Tensor], layout: Layout, gains: Tensor
) -> Tensor:
    """One softmax in float64 over slots with their gains and a token's own sequence."""
    length = past[0].shape[1]
    bias = torch.full((q.shape[1], length + q.shape[1]), -math.inf, dtype=torch.float64)
    bias[:, :length] = gains.double()
    if layout.slots is not None:
        bias[:, :length].masked_fill_(~layout.slots, -math.inf)
    first = 0
    for row, size in enumerate(layout.lengths):
        for i, j in product(range(size), range(size)):
            if j <= i if layout.tree is None else bool(layout.tree[row, 0, i, j]):
                bias[first + i, length + first + j] = 0.0
        first += size
    keys, values = (torch.cat(pair, dim=1) for pair in zip(past, (k, v), strict=True))
    return exactly(q, keys, values, 0.3, bias)[0]


GAINS = {
    "uniform": torch.full((30,), -1.25),
    "two runs": torch.cat([torch.full((10,), 2.0), torch.full((20,), -0.5)]),
    "each": torch.linspace(-3, 3, 30),
    "first": torch.cat([torch.tensor([3.0]), torch.zeros(29)]),
    "nothing": torch.full((30,), -1e9),
}


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("kind", GAINS)
@pytest.mark.parametrize("lengths", [(5, 5, 5), (2, 7, 19), (40, 100), (300,)])
@pytest.mark.parametrize("form", ["chains", "trees"])
def test_every_kernel_of_a_cpu_adds_them(
    form: str, lengths: tuple[int, ...], kind: str, hidden: bool
) -> None:
    places = packed(form, lengths)
    tokens = len(places.depths)
    q, k, v, past = drawn(tokens, 30)
    assert past is not None
    if hidden:
        places = replace(places, slots=torch.rand(tokens, 30) > 0.5)
    layout = with_gains(places, GAINS[kind])
    right = by_bias(q, k, v, past, layout, GAINS[kind])
    blocked = blocked_attention.attended(q, k, v, past, 0.3, None, layout)
    assert (blocked - right).abs().max() < 3e-6
    plain = merge(over_memory(q, *past, 0.3, None, layout), over_itself(q, k, v, 0.3, None, layout))
    assert (plain - right).abs().max() < 3e-6


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("kind", GAINS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_the_kernels_of_a_gpu_add_them(
    kernels: Kernels,  # noqa: F811
    dtype: torch.dtype,
    kind: str,
    hidden: bool,
) -> None:
    places = packed("chains", (2, 7, 19))
    tokens = len(places.depths)
    if hidden:
        places = replace(places, slots=torch.rand(tokens, 30) > 0.5)
    layout = with_gains(places, GAINS[kind])
    q, k, v, past = drawn_for_cuda(layout, 6, 2, 20, 30, dtype)
    assert past is not None
    out = cuda_attention.attended(q, k, v, past, 0.3, None, layout)
    right = by_bias(q, k, v, past, layout, GAINS[kind])
    assert out.dtype == dtype
    assert (out - right).abs().max() < {torch.float32: 2e-6}.get(dtype, 3e-2)


def test_few_runs_of_gains_keep_flash_attention(kernels: Kernels) -> None:  # noqa: F811
    places = packed("chains", (2, 7, 19))
    for kind, flash, biased in (("uniform", 2, 0), ("two runs", 3, 0), ("each", 1, 1)):
        kernels.flash = kernels.biased = 0
        layout = with_gains(places, GAINS[kind])
        q, k, v, past = drawn_for_cuda(layout, 4, 4, 8, 30, torch.bfloat16)
        cuda_attention.attended(q, k, v, past, 0.3, None, layout)
        assert (kernels.flash, kernels.biased) == (flash, biased)


def test_a_gradient_goes_through_weighed_slots() -> None:
    """Against finite differences, as the gradients of other memories are."""
    model = tiny("gpt2")
    shown = Demonstrations(model, SHOTS)
    memory = weighed(shown.read(), KINDS["runs"])
    leaves = memory.leaves()
    assert leaves.runs == memory.runs
    gradient = leaves.gradient(shown.loss(leaves))
    assert gradient.runs == memory.runs
    torch.manual_seed(1)
    step = memory._map(torch.randn_like)
    ahead, behind = (shown.loss(memory.plus(step, size)).item() for size in (1e-6, -1e-6))
    slope = sum((a * b).sum().item() for a, b in zip(gradient.tensors, step.tensors, strict=True))
    assert abs((ahead - behind) / 2e-6 - slope) < 1e-5 * max(1.0, abs(slope))


# what a memory keeps


def ones(slots: int, number: float = 1.0) -> tuple[Tensor, ...]:
    return (torch.full((2, slots, 4), number),)


def test_every_function_of_a_memory_keeps_its_gains() -> None:
    gains = torch.tensor([0.5, -1.0, -1.0])
    memory = Memory(ones(3), ones(3, 2.0), 1, gains=gains, groups=(1, 2))
    same = [
        memory.times(2.0),
        memory.plus(memory),
        memory.minus(memory),
        memory.to(torch.float64),
        memory.copy(),
        memory.detached(),
        memory.leaves(),
        memory.leaves().detached(),
    ]
    assert all(each.runs == memory.runs and each.groups == (1, 2) for each in same)
    assert all(each.begin == 2 and each.length == 3 for each in same)
    longer = memory.extended(ones(2), ones(2))
    assert longer.gains is not None and longer.gains.tolist() == [0.5, -1, -1, 0, 0]
    assert (longer.length, longer.begin, longer.groups) == (5, 4, (1, 2))
    assert "2 groups, gains -1 to 0.5" in repr(memory)
    assert memory.drift(memory) == {"keys": [0.0], "values": [0.0]}


def test_slots_that_weigh_or_stand_otherwise_are_not_added() -> None:
    plain = Memory(ones(3), ones(3), 1)
    zeros = replace(plain, gains=torch.zeros(3))
    assert plain.plus(zeros).runs == ()
    others = [replace(plain, gains=torch.ones(3)), replace(plain, groups=(1, 2))]
    for other in others:
        with pytest.raises(UserError, match="other gains or groups"):
            plain.plus(other)
        with pytest.raises(UserError, match="other gains or groups"):
            other.minus(plain)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"gains": torch.zeros(2)}, "a tensor of 3 numbers"),
        ({"gains": [0.0, 0.0, 0.0]}, "a tensor of 3 numbers"),
        ({"gains": torch.zeros(3, requires_grad=True)}, "no gradient"),
        ({"gains": torch.tensor([0.0, -math.inf, 0.0])}, "finite"),
        ({"gains": torch.tensor([0.0, math.nan, 0.0])}, "finite"),
        ({"groups": (2, 2)}, "no groups of 2, 2 slots"),
        ({"groups": (0, 3)}, "no groups of 0, 3 slots"),
    ],
)
def test_gains_and_groups_that_are_none_are_refused(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(UserError, match=says):
        Memory(ones(3), ones(3), 1, **wrong)  # type: ignore[arg-type]


def test_a_saved_memory_keeps_gains_and_groups(tmp_path: Path) -> None:
    model = tiny("gpt2", torch.float32)
    shown = Demonstrations(model, SHOTS, sequences=[range(5), range(5, 17)])
    *_, memory = refined(shown, iterate.refine, 2)
    memory.save(tmp_path / "a.safetensors")
    again = Memory.load(tmp_path / "a.safetensors", model)
    assert (again.groups, again.runs, again.step) == ((5, 12), memory.runs, 2)
    assert all(map(torch.equal, again.tensors, memory.tensors))
    *_, weighed_one = refined(Demonstrations(model, SHOTS), gain.refine, 3)
    weighed_one.save(tmp_path / "b.safetensors")
    again = Memory.load(tmp_path / "b.safetensors", model)
    assert again.runs == weighed_one.runs and again.groups == ()
    other = tiny("gpt2", torch.float32)
    torch.nn.init.normal_(next(other.parameters()))
    with pytest.raises(UserError, match="other weights"):
        Memory.load(tmp_path / "a.safetensors", other)


def test_a_memory_without_them_is_written_as_ever(tmp_path: Path) -> None:
    from safetensors import safe_open

    (memory,) = think(tiny("gpt2", torch.float32), SHOTS, iterations=1)
    memory.save(tmp_path / "plain.safetensors")
    with safe_open(tmp_path / "plain.safetensors", framework="pt") as file:
        assert file.metadata()["format version"] == "1"
        assert "groups" not in file.metadata() and "gains" not in file.keys()  # noqa: SIM118


def test_no_cache_and_no_text_is_made_of_weighed_slots() -> None:
    model = tiny("gpt2", torch.float32)
    (memory,) = think(model, SHOTS, iterations=1)
    zeros = weighed(memory, [0.0] * 17)
    assert zeros.cache(model).get_seq_length() == 17
    shown = Demonstrations(model, SHOTS, sequences=[range(5), range(5, 17)])
    for other in (weighed(memory, KINDS["first"]), next(refined(shown, iterate.refine, 1))):
        with pytest.raises(UserError, match="knows no gains and no groups"):
            other.cache(model)
        with pytest.raises(UserError, match="knows no gains and no groups"):
            continuations(model, other, [[5, 6]], pad=0)


# the refinement


def test_gain_yields_the_plain_reading_and_one_weight_after_another() -> None:
    model = tiny("gpt2")
    shown = Demonstrations(model, SHOTS)
    memories = refined(shown, lambda s: gain.refine(s, weights=(0.5, 2.0)), 3)
    first = next(memories)
    read = shown.operations
    half, double = memories
    assert [memory.step for memory in (first, half, double)] == [1, 2, 3]
    assert first.runs == ()
    assert factors(half) == [(17, 0.5)]
    assert factors(double) == [(17, 2.0)]
    assert all(map(torch.equal, first.tensors, double.tensors))
    assert shown.operations == read  # nothing is read again


def test_two_weights_of_a_memory_are_two_copies_of_it() -> None:
    """Twice the weight on every slot is the memory written twice: a softmax knows no difference."""
    model = tiny("gpt2")
    (memory,) = think(model, SHOTS, iterations=1)
    twice = Memory(
        tuple(torch.cat([x, x], 1) for x in memory.keys),
        tuple(torch.cat([x, x], 1) for x in memory.values),
        1,
        groups=(17, 17),
    )
    ours = score(model, weighed(memory, [math.log(2.0)] * 17), QUERIES, CANDIDATES)
    assert apart(ours, score(model, twice, QUERIES, CANDIDATES)) < 1e-6


def test_only_the_first_slot_is_weighed_and_that_of_every_group() -> None:
    model = tiny("gpt2")
    _, memory = refined(
        Demonstrations(model, SHOTS), lambda s: gain.refine(s, (8.0,), slots="first"), 2
    )
    assert factors(memory) == [(1, 8.0), (16, 1.0)]
    shown = Demonstrations(model, SHOTS, sequences=[range(5), range(5, 17)])
    _, memory = refined(shown, lambda s: gain.refine(s, (8.0,), slots="first"), 2)
    assert factors(memory) == [(1, 4.0), (4, 0.5), (1, 4.0), (11, 0.5)]


@pytest.mark.parametrize("weights", [(), (0.0,), (-1.0, 2.0), (math.inf,)])
def test_weights_that_are_none_are_refused(weights: tuple[float, ...]) -> None:
    shown = Demonstrations(tiny("gpt2"), SHOTS)
    with pytest.raises(UserError, match="one positive factor or more"):
        next(gain.refine(shown, weights))


def test_more_iterations_than_weights_are_refused() -> None:
    shown = Demonstrations(tiny("gpt2"), SHOTS)
    with pytest.raises(UserError, match="ends after 7 of 8 iterations"):
        list(refined(shown, gain.refine, 8))


def test_every_architecture_of_the_zoo_is_there() -> None:
    assert set(OTHERS) < set(ZOO) and len(ZOO) == 11
