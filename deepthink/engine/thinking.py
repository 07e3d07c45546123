"""The Deep-Thinking stage (§3.1): a frozen model reads its demonstrations T times."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial

import torch
from transformers import PreTrainedModel

from deepthink.engine.demonstrations import Demonstrations
from deepthink.engine.memory import Memory
from deepthink.engine.origin import Origin, name_of
from deepthink.engine.refinements import iterate
from deepthink.engine.support import state
from deepthink.errors import UserError
from deepthink.settings import THINKING, check_iterations, check_thinking
from deepthink.structures import GivenTokens

Refinement = Callable[[Demonstrations], Iterator[Memory]]
"""Yields memories of the demonstrations without end, its options bound: see `refinements`."""


def think(
    model: PreTrainedModel,
    demonstration_ids: GivenTokens,
    iterations: int = THINKING.iterations,
    step_size: float = THINKING.step_size,
    momentum: float = THINKING.momentum,
    positions: str = THINKING.positions,
    memory_dtype: str = THINKING.memory_dtype,
) -> Iterator[Memory]:
    """Yield the memory K̃_t, Ṽ_t of the demonstrations for t = 1 … T (Eq. 2-5).

    t = 1 is a plain forward: its keys and values are those of vanilla in-context learning. At
    t ≥ 2 the same L tokens attend to all of the history and causally to themselves (Eq. 3), then

        g = K_t - K̃_{t-1};   m ← g + βm;   K̃_t = K̃_{t-1} + ηm     (the same for Ṽ)

    which for β = 0 is Eq. 4, K̃_t = ηK_t + (1-η)K̃_{t-1}. The first m is the first g.

    Args:
        model: a transformers causal language model in eval mode.
        demonstration_ids: L token ids, special tokens included: a list, an array, a tensor, or
            what a tokenizer returns for one text.
        iterations: T ≥ 1, by default 5.
        step_size: η in [0, 1], by default 0.01; 0 leaves the history as it is.
        momentum: β in [0, 1), by default 0; the authors' program defaults to 0.9, Eq. 4 has none.
        positions: where the present tokens stand at t ≥ 2: "continued" after the history,
            L … 2L-1 (Appendix D), the default, or "aligned" with it, 0 … L-1.
        memory_dtype: "float32", the default, keeps a master copy at least that wide whatever the
            model's dtype; "model" keeps the memory in the model's dtype, as the authors' bf16
            program does.

    Yields:
        Memory with L slots; the t-th has `step` t. Earlier ones stay valid.

    Raises:
        UserError: an argument out of range, ids that are not the model's, a model whose attention
            cannot be iterated, or a memory that does not stay finite.

    Example:
        >>> from transformers import GPT2Config, GPT2LMHeadModel
        >>> config = GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11)
        >>> model = GPT2LMHeadModel(config).eval()
        >>> [(memory.step, memory.keys[0].shape) for memory in think(model, [5, 6, 7], 2)]
        [(1, torch.Size([2, 3, 4])), (2, torch.Size([2, 3, 4]))]
    """
    check_thinking(iterations, step_size, momentum, positions, memory_dtype)
    shown = Demonstrations(model, demonstration_ids)
    refine = partial(
        iterate.refine,
        step_size=step_size,
        momentum=momentum,
        positions=positions,
        memory_dtype=memory_dtype,
    )
    yield from refined(shown, refine, iterations)


def refined(
    shown: Demonstrations, refine: Refinement, iterations: int = THINKING.iterations
) -> Iterator[Memory]:
    """Yield the memories of any refinement for t = 1 … T, numbered and checked.

    Args:
        shown: the demonstrations, which count the operations of what is read of them.
        refine: a refinement with its options bound, see `deepthink.engine.refinements`.
        iterations: T ≥ 1.

    Yields:
        Memory with L slots, which autograd does not follow; the t-th has `step` t.

    Raises:
        UserError: T out of range, or a refinement whose first memory is not the plain reading,
            which ends before T, which yields what is no memory of this model and these L tokens,
            numbers that are not finite, or a memory that it writes into afterwards, or which
            changes the model.

    Example:
        >>> from transformers import GPT2Config, GPT2LMHeadModel
        >>> config = GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11)
        >>> shown = Demonstrations(GPT2LMHeadModel(config).eval(), [5, 6, 7])
        >>> [memory.step for memory in refined(shown, iterate.refine, 3)]
        [1, 2, 3]
    """
    check_iterations(iterations)
    name = f"the refinement {name_of(refine)}"
    memories = _iterator(refine(shown), name)
    untouched = state(shown.model)
    memory: Memory | None = None
    origin: Origin | None = None
    form: tuple[object, ...] = ()
    for step in range(1, iterations + 1):
        before = _versions(memory)
        following = next(memories, None)
        if before != _versions(memory):
            raise UserError(
                f"{name} writes into the memory that it yielded at t = {step - 1}: yield a copy"
            )
        if state(shown.model) != untouched:
            raise UserError(
                f"{name} changes the model at t = {step}, which must stay frozen: only the memory "
                "may change"
            )
        if following is None:
            raise UserError(f"{name} ends after {step - 1} of {iterations} iterations")
        _check_kind(following, step, name)
        memory = replace(following.detached(), step=step)
        del following  # and with it the graph that it may hold
        if step == 1 and not shown.is_plain(memory):
            raise UserError(f"{name} must yield the plain reading first, which is shown.read()")
        form = form or _form(memory)
        _check(memory, form, name)
        if origin is None:
            begin = shown.sequences[0].stop
            last = memory.keys[-1][:, :begin], memory.values[-1][:, :begin]
            origin = Origin.of(shown.model, tuple(shown.ids), refine, last)
        memory = replace(memory, origin=origin)
        yield memory


def _iterator(memories: object, name: str) -> Iterator[Memory]:
    """What a refinement returned, as an iterator; UserError if it is none."""
    if not isinstance(memories, Iterable):
        raise UserError(
            f"{name} returns {type(memories).__name__}, but must yield one memory after another"
        )
    return iter(memories)


def _check_kind(memory: object, step: int, name: str) -> None:
    """UserError unless what was yielded is a memory of floating-point tensors of one dtype."""
    if not isinstance(memory, Memory):
        raise UserError(f"{name} yields {type(memory).__name__} at t = {step}, no Memory")
    kinds = {
        str(tensor.dtype) if isinstance(tensor, torch.Tensor) else type(tensor).__name__
        for tensor in memory.tensors
    }
    floats = all(
        isinstance(tensor, torch.Tensor) and tensor.is_floating_point() for tensor in memory.tensors
    )
    if len(kinds) > 1 or not floats:
        raise UserError(
            f"{name} yields at t = {step} a memory of {', '.join(sorted(kinds))}: all must be "
            "tensors of one floating-point dtype"
        )


def _versions(memory: Memory | None) -> list[int]:
    """How often each tensor has been written into."""
    return [tensor._version for tensor in memory.tensors] if memory else []


def _form(memory: Memory) -> tuple[object, ...]:
    """The shape of every tensor, and the groups."""
    return (*(tensor.shape for tensor in memory.tensors), memory.groups)


def _check(memory: Memory, form: tuple[object, ...], name: str) -> None:
    """UserError unless a memory has the form of the plain reading, and is finite."""
    if _form(memory) != form:
        raise UserError(
            f"{name} yields at t = {memory.step} a memory of other layers, heads or slots than the "
            "demonstrations have, or of other groups"
        )
    if not _finite(memory):
        raise UserError(
            f"{name} yields at t = {memory.step} a memory that is not finite: take smaller steps, "
            "or use model.dtype=bfloat16 or float32"
        )


def _finite(memory: Memory) -> bool:
    """Whether all numbers are finite. A finite sum tells it, and takes a twentieth of the time."""
    first = memory.keys[0]
    wide = torch.promote_types(first.dtype, torch.float32)
    sums = torch.stack([tensor.sum(dtype=wide).to(first.device) for tensor in memory.tensors])
    return bool(sums.isfinite().all()) or all(
        bool(tensor.isfinite().all()) for tensor in memory.tensors
    )
