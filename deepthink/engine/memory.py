"""The memory of the demonstrations, the only thing thinking leaves behind."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import pad

from deepthink.engine.layout import Gains
from deepthink.engine.origin import Origin
from deepthink.engine.slots import check_groups, checked_gains, runs_of, told
from deepthink.errors import UserError, first_line

if TYPE_CHECKING:
    from transformers import DynamicCache, PreTrainedModel


@dataclass(frozen=True)
class Memory:
    """Keys and values of the demonstrations, K̃_t and Ṽ_t of Eq. 5.

    keys, values: one tensor [G, L, D] per layer, keys already rotated where the model rotates.
    step: the iteration t that made them, 1 for plain in-context learning.
    origin: what `think` made it of; None for what was computed of memories.
    gains: [L] float32 on the CPU, finite: b_s is added to the attention score of slot s before the
        softmax, so that its weight is multiplied by e^{b_s}. None: nothing is added.
    groups: how many slots, from the first on, each of M groups has that do not see each other. All
        groups end at one position, that before `begin`. Empty where all slots stand in a row.

    Sums and differences are taken layer by layer, and keep this memory's step:

        >>> ones, twos = (Memory((torch.full((1, 2, 1), n),), (torch.zeros(1, 2, 1),), step=1)
        ...               for n in (1.0, 2.0))
        >>> ones.plus(twos.minus(ones), scale=0.25).keys[0].flatten().tolist()
        [1.25, 1.25]
        >>> twos.length
        2
    """

    keys: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    step: int
    origin: Origin | None = field(default=None, compare=False)
    gains: Tensor | None = None
    groups: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.gains is not None:
            object.__setattr__(self, "gains", checked_gains(self.gains, self.length))
        if self.groups:
            check_groups(self.groups, self.length)

    def __repr__(self) -> str:
        heads, slots, width = self.keys[0].shape
        devices = ", ".join(dict.fromkeys(str(tensor.device) for tensor in self.keys))
        made = f", of {self.origin.called}" if self.origin else ""
        dtype = str(self.keys[0].dtype).removeprefix("torch.")
        return (
            f"Memory(t={self.step}, {len(self.keys)} layers of {heads} heads × {slots} slots × "
            f"{width}, {dtype}, {devices}{told(self.runs, self.groups)}{made})"
        )

    @property
    def length(self) -> int:
        """L: the number of token slots."""
        return self.keys[0].shape[-2]

    @property
    def begin(self) -> int:
        """The position at which queries begin: L, or less where groups share positions.

        >>> memory = Memory((torch.ones(1, 7, 1),), (torch.ones(1, 7, 1),), step=1, groups=(2, 4))
        >>> memory.begin  # the longest group, and one slot behind both
        5
        """
        return self.length - sum(self.groups) + max(self.groups, default=0)

    @property
    def runs(self) -> Gains:
        """How many slots in a row have which gain; empty where all have 0."""
        return runs_of(self.gains)

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Every layer's keys, then every layer's values."""
        return (*self.keys, *self.values)

    @property
    def requires_grad(self) -> bool:
        """Whether autograd follows any of the tensors."""
        return any(tensor.requires_grad for tensor in self.tensors)

    def save(self, path: str | Path) -> None:
        """Write this memory to one safetensors file, whole or not at all; see `load`.

        The file says what the memory was made of, its token ids included. It holds as many bytes as
        the memory, 2·L·G·D numbers for each layer.

        Raises:
            UserError: a memory that was computed of others, of which nobody knows the model, or a
                file that cannot be written.
        """
        from deepthink.engine import memory_file

        memory_file.save(self, path)

    @classmethod
    def load(
        cls,
        path: str | Path,
        model: "PreTrainedModel",
        device: torch.device | str | int | None = None,
    ) -> "Memory":
        """The memory in a file that `save` wrote, to the bit, for the model that made it.

        The model reads eight tokens, by which its weights are recognised.

        Args:
            path: the file.
            model: the model that made the memory, loaded anew.
            device: where the memory goes; None: each layer's part to where the model has the layer.

        Raises:
            UserError: a file that is missing, cut, changed, of another format or of a later
                version, or a model of another class, config, commit, dtype or with other weights.
        """
        from deepthink.engine import memory_file

        return memory_file.load(path, model, device)

    def cache(self, model: "PreTrainedModel", batch: int = 1) -> "DynamicCache":
        """This memory as transformers' cache: `past_key_values` of `model` and `model.generate`.

        Every call makes a new cache, since a model writes into it. The mask that is given with it
        must cover the L slots too: `attention_mask` [batch, L + Q] for Q new tokens.

        Args:
            model: the model that made the memory, in whose dtype and on whose devices the cache is.
            batch: how many rows it has; each holds the same memory.

        Raises:
            UserError: another model, or one that keeps something else than keys and values.
        """
        from deepthink.engine.cache import cache_of

        return cache_of(self, model, batch)

    def check_origin(self, model: "PreTrainedModel") -> None:
        """Raise UserError if it is known that another model made this memory."""
        if self.origin is not None:
            self.origin.check(model)

    def check_layers(self, layers: int, name: str) -> None:
        """UserError unless the model `name`, of so many layers, can have made this memory."""
        if len(self.keys) != layers:
            raise another(name)

    def of_layer(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """A layer's keys and values as tensors like the present ones, k and v [G, N, D].

        Raises UserError if the layer that computed these has other heads.
        """
        keys, values = self.keys[layer].to(k), self.values[layer].to(v)
        if keys[:, :1].shape != k[:, :1].shape or values[:, :1].shape != v[:, :1].shape:
            raise another("the model")
        return keys, values

    def to(self, target: torch.dtype | torch.device | str | int) -> "Memory":
        """The same memory in another dtype, or on another device (itself where nothing changes).

        target: a dtype, or a device: "cpu", "cuda:1", or the number of a GPU. UserError for a
            device that does not exist.
        """
        try:
            return self._same(lambda tensor: tensor.to(target))
        except (RuntimeError, AssertionError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise UserError(f"no memory can go to {target!r}: {first_line(error)}") from error

    def minus(self, other: "Memory") -> "Memory":
        """Self - other; UserError where they have other layers, heads or slots."""
        return self._joined(torch.sub, other)

    def plus(self, other: "Memory", scale: float = 1.0) -> "Memory":
        """Self + scale · other; UserError as `minus`."""
        return self._joined(lambda own, added: own.add(added, alpha=scale), other)

    def times(self, scale: float) -> "Memory":
        """Scale · self."""
        return self._map(lambda tensor: tensor * scale)

    def detached(self) -> "Memory":
        """The same numbers, which autograd does not follow; no copy is made."""
        return self._same(Tensor.detach)

    def copy(self) -> "Memory":
        """The same numbers in tensors of its own, which autograd does not follow."""
        return self._same(lambda tensor: tensor.detach().clone())

    def leaves(self) -> "Memory":
        """A copy whose tensors are leaves that require a gradient.

        >>> memory = Memory((torch.ones(1, 2, 1),), (torch.ones(1, 2, 1),), step=1)
        >>> leaves = memory.leaves()
        >>> leaves.gradient((3 * leaves.keys[0] + leaves.values[0] ** 2).sum()).tensors
        (tensor([[[3.],
                 [3.]]]), tensor([[[2.],
                 [2.]]]))
        """
        return self.copy()._same(Tensor.requires_grad_)

    def gradient(self, loss: Tensor) -> "Memory":
        """The gradient of a scalar loss with regard to this memory's tensors, see `leaves`.

        Raises RuntimeError, as `torch.autograd.grad`, where the loss does not depend on all of
        them: a part of the gradient is never missing in silence.
        """
        gradients = torch.autograd.grad(loss, self.tensors)
        layers = len(self.keys)
        return replace(self, keys=gradients[:layers], values=gradients[layers:], origin=None)

    def drift(self, origin: "Memory") -> dict[str, list[float]]:
        """How far each layer is from `origin`: ‖K̃ - K̃₀‖ / ‖K̃₀‖ (Frobenius), the same for Ṽ.

        A layer whose keys are all zero, and stay so, is at 0.

        >>> then, now = (Memory((torch.full((1, 2, 1), n),), (torch.zeros(1, 2, 1),), step=1)
        ...              for n in (2.0, 3.0))
        >>> now.drift(then)
        {'keys': [0.5], 'values': [0.0]}
        """
        norm = torch.linalg.vector_norm

        def moved(now: Tensor, then: Tensor) -> Tensor:
            far = norm(now - then)
            return torch.where(far == 0, far, far / norm(then))

        return {
            name: torch.stack(
                [moved(*pair).to(now_[0].device) for pair in zip(now_, then_, strict=True)]
            ).tolist()
            for name, now_, then_ in (
                ("keys", self.keys, origin.keys),
                ("values", self.values, origin.values),
            )
        }

    def extended(self, keys: Sequence[Tensor], values: Sequence[Tensor]) -> "Memory":
        """This memory and behind it the keys and values, each [G, n, D], of n tokens of gain 0."""
        both = ((self.keys, keys), (self.values, values))
        longer = [tuple(torch.cat(pair, -2) for pair in zip(*parts, strict=True)) for parts in both]
        gains = None if self.gains is None else pad(self.gains, (0, keys[0].shape[-2]))
        return replace(self, keys=longer[0], values=longer[1], origin=None, gains=gains)

    def _same(self, function: Callable[[Tensor], Tensor]) -> "Memory":
        """A function of every tensor that leaves the numbers as they are: the origin is the same.

        The memory itself where the function gives back every tensor as it was.
        """
        changed = self._map(function)
        if all(new is old for new, old in zip(changed.tensors, self.tensors, strict=True)):
            return self
        return replace(changed, origin=self.origin)

    def _joined(self, function: Callable[..., Tensor], other: "Memory") -> "Memory":
        """A function of every tensor and of the other's; UserError where they do not fit."""
        if [x.shape for x in self.tensors] != [x.shape for x in other.tensors]:
            raise UserError(
                f"{self} and {other} have other layers, heads or slots: only memories of one model "
                "and as many tokens can be added"
            )
        if self.runs != other.runs or self.groups != other.groups:
            raise UserError(
                f"{self} and {other} have other gains or groups: only memories whose slots weigh "
                "and stand alike can be added"
            )
        return self._map(function, other)

    def _map(self, function: Callable[..., Tensor], *others: "Memory") -> "Memory":
        """A function of every tensor and of the others' tensors at its place."""
        keys = zip(self.keys, *(other.keys for other in others), strict=True)
        values = zip(self.values, *(other.values for other in others), strict=True)
        return replace(
            self,
            keys=tuple(function(*tensors) for tensors in keys),
            values=tuple(function(*tensors) for tensors in values),
            origin=None,
        )


def another(kind: str) -> UserError:
    """The error for a memory of another model; kind: what it does not fit."""
    return UserError(
        f"{kind} has other layers or heads than the memory: score with the model that made it"
    )
