"""Attention on a CUDA device, as far as a machine without one can tell.

Stand-ins take the place of the two kernels. They have the kernels' arguments, refuse what those
refuse, and compute by definition in float64.
"""

import inspect
import math
from dataclasses import dataclass, replace
from itertools import pairwise, product
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.attention import varlen

from deepthink.engine import cuda_attention
from deepthink.engine.layout import Layout, single
from deepthink.engine.packing import layout as packed_layout
from deepthink.engine.packing import pack
from deepthink.errors import UserError

CPU = torch.device("cpu")
HALF = (torch.float16, torch.bfloat16)
ROUNDING = {torch.float32: 2e-6, torch.float16: 4e-3, torch.bfloat16: 3e-2}


@dataclass
class Kernels:
    """Stand-ins for the two kernels, which count how often each was called."""

    flash: int = 0
    biased: int = 0

    def varlen_attn(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        cu_seq_q: Tensor,
        cu_seq_k: Tensor,
        max_q: int,
        max_k: int,
        *,
        return_aux: varlen.AuxRequest | None = None,
        scale: float | None = None,
        window_size: tuple[int, int] = (-1, -1),
        enable_gqa: bool = False,
        num_splits: int | None = None,
    ) -> tuple[Tensor, Tensor]:
        self.flash += 1
        for tensor in (query, key, value):
            assert tensor.dtype == query.dtype and tensor.dtype in HALF
            assert tensor.dim() == 3 and tensor.stride(-1) == 1
            assert tensor.shape[-1] % 8 == 0 and tensor.shape[-1] <= 256
        assert key.shape == value.shape
        assert query.shape[1] == key.shape[1] or (enable_gqa and query.shape[1] % key.shape[1] == 0)
        for offsets, tokens, longest in ((cu_seq_q, query, max_q), (cu_seq_k, key, max_k)):
            assert offsets.dtype == torch.int32 and offsets.is_contiguous()
            begins = offsets.tolist()
            assert begins[0] == 0 and begins[-1] == len(tokens)
            assert max(end - begin for begin, end in pairwise(begins)) == longest
        assert cu_seq_q.shape == cu_seq_k.shape
        assert num_splits == 1 and return_aux is not None and return_aux.lse
        out, total = torch.zeros_like(query), torch.full(query.shape[:2], math.nan).T.contiguous()
        left, right = window_size
        for q, k in zip(pairwise(cu_seq_q.tolist()), pairwise(cu_seq_k.tolist()), strict=True):
            rows = torch.arange(q[1] - q[0])[:, None] + (k[1] - k[0]) - (q[1] - q[0])
            columns = torch.arange(k[1] - k[0])
            seen = torch.ones(len(rows), len(columns), dtype=torch.bool)
            if left >= 0:
                seen &= columns >= rows - left
            if right >= 0:
                seen &= columns <= rows + right
            rows_of, keys_of = slice(*q), slice(*k)
            part, lse = exactly(
                query[rows_of].transpose(0, 1),
                key[keys_of].transpose(0, 1),
                value[keys_of].transpose(0, 1),
                scale,
                as_bias(seen),
            )
            out[rows_of] = part.transpose(0, 1).to(out.dtype)
            total[:, rows_of] = lse.float()
        return out, total

    def efficient(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_bias: Tensor | None,
        compute_log_sumexp: bool,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        *,
        scale: float | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        self.biased += 1
        aligned = 16 // query.element_size()
        for tensor in (query, key, value):
            assert tensor.dtype == query.dtype and tensor.dtype in (*HALF, torch.float32)
            assert tensor.dim() == 4 and tensor.stride(-1) == 1
            assert tensor.shape[:2] == query.shape[:2]  # it does not group heads
            assert tensor.shape[-1] % aligned == 0
            assert all(step % aligned == 0 for step in tensor.stride()[:-1])
            assert tensor.data_ptr() % 16 == 0
        assert key.shape == value.shape and compute_log_sumexp and dropout_p == 0
        rows, columns = query.shape[-2], key.shape[-2]
        bias = torch.zeros(rows, columns, dtype=torch.float64)
        if attn_bias is not None:
            assert not is_causal and attn_bias.dtype == query.dtype
            assert attn_bias.shape == (*query.shape[:2], rows, columns)
            assert attn_bias.stride(-1) == 1 and attn_bias.data_ptr() % 16 == 0
            assert all(step % aligned == 0 for step in attn_bias.stride()[:-1])
            bias = attn_bias.double()
        if is_causal:
            bias.masked_fill_(torch.ones(rows, columns, dtype=torch.bool).triu(1), -math.inf)
        out, lse = exactly(query, key, value, scale, bias)
        total = torch.full((*query.shape[:2], math.ceil(rows / 32) * 32), math.inf)
        total[..., :rows] = lse
        # as the kernel lays it out: [B, M, H, D], and 0 / 0 where a row sees nothing
        shaped = out.to(query.dtype).transpose(1, 2).contiguous().transpose(1, 2)
        return shaped, total, torch.zeros(()), torch.zeros(())


def as_bias(seen: Tensor) -> Tensor:
    return torch.zeros(seen.shape, dtype=torch.float64).masked_fill(~seen, -math.inf)


def exactly(
    query: Tensor, key: Tensor, value: Tensor, scale: float | None, bias: Tensor
) -> tuple[Tensor, Tensor]:
    """Attention and its log-sum-exp in float64; key heads are repeated for their query heads."""
    assert scale is not None
    query, key, value = query.double(), key.double(), value.double()
    key, value = (x.repeat_interleave(query.shape[-3] // x.shape[-3], dim=-3) for x in (key, value))
    scores = query @ key.mT * scale + bias
    return scores.softmax(-1) @ value, scores.logsumexp(-1)


def by_definition(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    past: tuple[Tensor, Tensor] | None,
    scale: float,
    window: int | None,
    layout: Layout,
) -> Tensor:
    """One softmax for each token, over the slots and the tokens that it sees: a loop over pairs."""
    length = 0 if past is None else past[0].shape[1]
    if past is not None:
        k, v = torch.cat([past[0], k], dim=1), torch.cat([past[1], v], dim=1)
    begins = [sum(layout.lengths[:i]) for i in range(len(layout.lengths))]
    seen = torch.zeros(q.shape[1], k.shape[1], dtype=torch.bool)
    depths = layout.depths.tolist()
    for row, (begin, size) in enumerate(zip(begins, layout.lengths, strict=True)):
        for i, j in product(range(size), range(size)):
            sees = i >= j if layout.tree is None else bool(layout.tree[row, 0, i, j])
            near = window is None or depths[begin + i] - depths[begin + j] < window
            seen[begin + i, length + begin + j] = sees and near
    for i, slot in product(range(q.shape[1]), range(length)):
        sees = layout.slots is None or bool(layout.slots[i, slot])
        near = window is None or length + depths[i] - slot < window
        seen[i, slot] = sees and near
    return exactly(q, k, v, scale, as_bias(seen))[0]


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Kernels:
    made = Kernels()
    monkeypatch.setattr(cuda_attention, "_packed", made.varlen_attn)
    monkeypatch.setattr(cuda_attention, "_efficient", made.efficient)
    monkeypatch.setattr(cuda_attention, "_has_flash", lambda device: True)
    return made


def chains() -> Layout:
    return packed_layout([pack(range(n), []) for n in (3, 9, 1, 6)], CPU)[0]


def trees() -> Layout:
    """Queries whose candidates branch off, of which one is a chain."""
    candidates = [[7, 8, 9, 1], [7, 8, 5], [6, 2, 2, 2, 2, 3], [4]]
    packs = [pack(range(n), candidates) for n in (2, 5)] + [pack([1, 2, 3], [[5]])]
    return packed_layout(packs, CPU)[0]


def hiding() -> Layout:
    """Each of 11 tokens sees some of 7 slots; the third sees none."""
    torch.manual_seed(1)
    slots = torch.rand(11, 7) > 0.5
    slots[2] = False
    return Layout(torch.arange(11), (11,), 10, slots=slots)


LAYOUTS = {
    "chains": chains,
    "trees": trees,
    "one sequence": lambda: single(11, CPU),
    "one token": lambda: single(1, CPU),
    "single tokens": lambda: packed_layout([pack([i], []) for i in range(3)], CPU)[0],
    "hidden slots": hiding,
}


def on(layout: Layout, device: str) -> Layout:
    """The same layout with its tensors on another device."""
    tensors = {
        name: tensor.to(device)
        for name in ("depths", "gather", "scatter", "tree", "slots")
        if (tensor := getattr(layout, name)) is not None
    }
    return replace(layout, **tensors)


def drawn(
    layout: Layout, heads: int, groups: int, width: int, length: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor, tuple[Tensor, Tensor] | None]:
    """Queries, keys and values as models hand them over, and a memory of so many slots."""
    torch.manual_seed(0)
    tokens = len(layout.depths)
    q, k, v = (
        torch.randn(tokens, n, width).to(dtype).transpose(0, 1) for n in (heads, groups, groups)
    )
    past = torch.randn(2, groups, length, width).to(dtype)
    return q, k, v, (past[0], past[1]) if length else None


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("window", [None, 1, 4, 9, 12, 100])
@pytest.mark.parametrize("length", [0, 1, 7])
@pytest.mark.parametrize("name", LAYOUTS)
def test_the_kernels_together_are_one_softmax(
    kernels: Kernels, name: str, length: int, window: int | None, dtype: torch.dtype
) -> None:
    layout = LAYOUTS[name]()
    if layout.slots is not None and length not in (0, 7):
        return
    for heads, groups, width in ((4, 4, 8), (6, 2, 16), (2, 1, 5)):
        given = *drawn(layout, heads, groups, width, length, dtype), 0.4, window
        ours = cuda_attention.attended(*given, layout)
        assert ours.dtype == dtype
        assert ours.shape == given[0].shape
        expected = by_definition(*given, layout)
        torch.testing.assert_close(ours.double(), expected, rtol=0, atol=ROUNDING[dtype])


@pytest.mark.parametrize(
    ("name", "window", "dtype", "flash", "biased"),
    [
        ("chains", None, torch.bfloat16, 2, 0),
        ("chains", 4, torch.float16, 1, 1),  # a window that cuts the memory
        ("chains", 16, torch.float16, 2, 0),  # 7 slots and 9 tokens: it cuts nothing
        ("chains", 15, torch.float16, 1, 1),
        ("trees", None, torch.bfloat16, 1, 1),
        ("hidden slots", None, torch.bfloat16, 1, 1),
        ("chains", None, torch.float32, 0, 2),
    ],
)
def test_flash_attention_is_taken_wherever_it_can_be(
    kernels: Kernels, name: str, window: int | None, dtype: torch.dtype, flash: int, biased: int
) -> None:
    layout = LAYOUTS[name]()
    cuda_attention.attended(*drawn(layout, 4, 2, 16, 7, dtype), 0.4, window, layout)
    assert (kernels.flash, kernels.biased) == (flash, biased)


def test_wide_heads_and_older_gpus_take_the_other_kernel(
    kernels: Kernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    layout = chains()
    given = *drawn(layout, 2, 1, 264, 7, torch.float16), 0.1, None
    expected = by_definition(*given, layout)
    ours = cuda_attention.attended(*given, layout)
    torch.testing.assert_close(ours.double(), expected, rtol=0, atol=4e-3)
    assert (kernels.flash, kernels.biased) == (0, 2)
    monkeypatch.setattr(cuda_attention, "_has_flash", lambda device: False)
    monkeypatch.setattr(cuda_attention, "_is_ampere", lambda device: False)
    cuda_attention.attended(*drawn(layout, 2, 1, 16, 7, torch.float16), 0.1, None, layout)
    assert (kernels.flash, kernels.biased) == (0, 4)
    with pytest.raises(UserError, match="float16 or float32"):
        cuda_attention.attended(*drawn(layout, 2, 1, 16, 7, torch.bfloat16), 0.1, None, layout)


def test_a_query_has_the_same_bits_in_every_batch(kernels: Kernels) -> None:
    """What the kernels promise row by row is not undone by what stands around them."""
    whole = chains()
    q, k, v, past = drawn(whole, 4, 2, 16, 7, torch.bfloat16)
    together = cuda_attention.attended(q, k, v, past, 0.4, None, whole)
    alone = slice(3, 12)
    lonely = single(9, CPU)
    separate = cuda_attention.attended(
        q[:, alone], k[:, alone], v[:, alone], past, 0.4, None, lonely
    )
    assert torch.equal(together[:, alone], separate)


def test_what_a_layout_needs_is_made_once(kernels: Kernels) -> None:
    for make, window, count in ((chains, None, 3), (trees, None, 3), (chains, 3, 3)):
        layout = make()
        given = drawn(layout, 4, 4, 8, 7, torch.bfloat16)
        cuda_attention.attended(*given, 0.4, window, layout)
        made = dict(layout.derived)
        cuda_attention.attended(*given, 0.4, window, layout)
        assert len(made) == count
        assert layout.derived.keys() == made.keys()
        assert all(layout.derived[key] is made[key] for key in made)


@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("name", LAYOUTS)
def test_the_real_kernels_take_these_shapes(
    monkeypatch: pytest.MonkeyPatch, name: str, dtype: torch.dtype
) -> None:
    """On PyTorch's meta device, which knows the operators' shapes and holds no numbers."""
    monkeypatch.setattr(cuda_attention, "_has_flash", lambda device: True)
    here = LAYOUTS[name]()
    layout = on(here, "meta")
    q, k, v, past = drawn(here, 6, 2, 16, 7, dtype)
    assert past is not None
    q, k, v, *moved = (x.to("meta") for x in (q, k, v, *past))
    for window in (None, 4):
        out = cuda_attention.attended(q, k, v, (moved[0], moved[1]), 0.4, window, layout)
        assert (out.shape, out.dtype, out.device.type) == (q.shape, dtype, "meta")


def test_the_stand_ins_have_the_kernels_arguments() -> None:
    real = inspect.signature(varlen.varlen_attn).parameters
    for name, parameter in inspect.signature(Kernels().varlen_attn).parameters.items():
        assert (real[name].kind, real[name].default) == (parameter.kind, parameter.default)
    schema = torch.ops.aten._scaled_dot_product_efficient_attention.default._schema
    ours = inspect.signature(Kernels().efficient).parameters
    assert [argument.name for argument in schema.arguments] == list(ours)
    for argument in schema.arguments:
        given = ours[argument.name]
        assert argument.kwarg_only == (given.kind is inspect.Parameter.KEYWORD_ONLY)
        if argument.has_default_value():
            assert argument.default_value == given.default
    assert cuda_attention._EXACT == {"enable_gqa": True, "num_splits": 1}


def test_the_meta_kernels_have_the_stand_ins_shapes() -> None:
    """The log-sum-exp of packed sequences is [heads, tokens], the other's is padded."""
    q, k = (torch.randn(20, heads, 16, dtype=torch.bfloat16) for heads in (4, 2))
    offsets = torch.tensor([0, 7, 20], dtype=torch.int32)
    options: dict[str, Any] = {
        "return_aux": varlen.AuxRequest(lse=True),
        "scale": 0.4,
        "enable_gqa": True,
        "num_splits": 1,
    }
    ours = Kernels().varlen_attn(q, k, k, offsets, offsets, 13, 13, **options)
    q, k, offsets = (x.to("meta") for x in (q, k, offsets))
    theirs = varlen.varlen_attn(q, k, k, offsets, offsets, 13, 13, **options)
    for a, b in zip(ours, theirs, strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
    rows = torch.randn(2, 3, 37, 16)
    stand_in = Kernels().efficient(rows, rows, rows, None, True, scale=0.4)
    kernel = torch.ops.aten._scaled_dot_product_efficient_attention.default
    real = kernel(*[rows.to("meta")] * 3, None, True, scale=0.4)
    assert real[0].shape == stand_in[0].shape
    assert real[0].stride() == stand_in[0].stride()
    assert real[1].shape[-1] in (37, stand_in[1].shape[-1])  # its meta kernel rounds as it likes


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", ROUNDING)
@pytest.mark.parametrize("window", [None, 4, 12])
@pytest.mark.parametrize("name", LAYOUTS)
def test_attention_on_a_gpu_is_one_softmax(
    name: str, window: int | None, dtype: torch.dtype
) -> None:
    here = LAYOUTS[name]()
    layout = on(here, "cuda")
    for (heads, groups, width), length in product(
        ((4, 4, 8), (6, 2, 64), (2, 1, 5), (2, 1, 128), (2, 2, 256)), (0, 1, 7)
    ):
        if layout.slots is not None and length not in (0, 7):
            continue
        q, k, v, past = drawn(here, heads, groups, width, length, dtype)
        expected = by_definition(q, k, v, past, width**-0.5, window, here)
        q, k, v = (x.cuda() for x in (q, k, v))
        moved = past and (past[0].cuda(), past[1].cuda())
        torch.cuda.set_sync_debug_mode("error")  # whatever waits for the GPU raises
        try:
            ours = cuda_attention.attended(q, k, v, moved, width**-0.5, window, replace(layout))
        finally:
            torch.cuda.set_sync_debug_mode("default")
        torch.testing.assert_close(
            ours.double().cpu(), expected, rtol=0, atol=max(ROUNDING[dtype], 1e-5)
        )
