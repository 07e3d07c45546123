"""A decoder as a list of blocks, and its forward over packed tokens with iterated attention."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from deepthink.engine.decoders.pieces import Function, rotated, same
from deepthink.engine.forward import Passed, too_long
from deepthink.engine.kernels import attended
from deepthink.engine.layout import Layout
from deepthink.engine.memory import Memory
from deepthink.engine.transfer import sent
from deepthink.structures import Tokens

Turns = Mapping[str, tuple[Tensor, Tensor]]
"""Kind of rotary positions → cosines and sines of the tokens' angles, [N, 1, R] each."""


@dataclass(frozen=True)
class Block:
    """One layer: attention and feed-forward, each added to what came in.

        x ← x + after_attention(out(attention(project(before_attention(x)))))
        x ← x + after_feed(feed(before_feed(x)))

    project: [N, d] to queries [N, H, D], keys and values [N, G, D]. out: [N, H·D] to [N, d].
    scale: of the products of queries and keys. window: how many tokens a token sees, itself
    included; None: all before it. rotation: which kind of rotary positions it has, if any.
    wide: whether attention is computed in float32 at least.
    parallel: whether both parts read the same x (GPT-NeoX).
    after_sums: what follows each of the two sums, where norms stand there (OPT-350M).
    """

    project: Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
    out: Function
    feed: Function
    scale: float
    window: int | None = None
    rotation: str | None = None
    wide: bool = False
    parallel: bool = False
    before_attention: Function = same
    after_attention: Function = same
    before_feed: Function = same
    after_feed: Function = same
    after_sums: tuple[Function, Function] = (same, same)

    def present(self, x: Tensor, turns: Turns) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [H, N, D], keys and values [G, N, D] of the tokens x [N, d]."""
        q, k, v = self.project(self.before_attention(x))
        if self.wide:
            wide = torch.promote_types(q.dtype, torch.float32)
            q, k, v = q.to(wide), k.to(wide), v.to(wide)
        if self.rotation is not None:
            q, k = (rotated(heads, turns[self.rotation]) for heads in (q, k))
        return q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1)

    def rest(self, x: Tensor, attention: Tensor) -> Tensor:
        """The block's output [N, d], of its input and what its heads [N, H·D] attended to."""
        added = self.after_attention(self.out(attention))
        if self.parallel:
            return added.add_(x).add_(self.feed(self.before_feed(x)))
        first, second = self.after_sums
        x = first(added.add_(x))
        return second(self.after_feed(self.feed(self.before_feed(x))).add_(x))


@dataclass(frozen=True)
class Decoder:
    """The blocks of a model between its embedding and its output layer.

    embed: token ids and positions [N] to [N, d]. turns: a tensor whose dtype and device are the
    model's, and positions [N], to the angles that the blocks name. final: what is done to the last
    block's output before the output layer. positions: how many learnt positions there are, if so.
    name: of the model's class.
    """

    name: str
    blocks: tuple[Block, ...]
    embed: Callable[[Tensor, Tensor], Tensor]
    final: Function
    turns: Callable[[Tensor, Tensor], Turns]
    positions: int | None = None

    def run(
        self,
        tokens: Tokens,
        layout: Layout,
        memory: Memory | None,
        start: int,
        rows: Tensor | None,
    ) -> Passed:
        """One forward, see `deepthink.engine.forward.Run`.

        Nothing is computed of the last block that is not wanted of it.
        """
        needed = start + layout.deepest + 1
        if self.positions is not None and needed > self.positions:
            raise too_long(self.name, needed)
        places = layout.depths + start
        x = self.embed(sent(torch.tensor(tokens), places.device), places)
        turns = self.turns(x, places)
        keys: list[Tensor] = []
        values: list[Tensor] = []
        for index, block in enumerate(self.blocks):
            last = index == len(self.blocks) - 1
            q, k, v = block.present(x, turns)
            if rows is None:
                keys.append(k)
                values.append(v)
                if last:
                    break
            past = None if memory is None else memory.of_layer(index, k, v)
            heads = attended(q, k, v, past, block.scale, block.window, layout)
            heads = heads.transpose(0, 1).flatten(1).to(x.dtype)
            if last and rows is not None:
                x, heads = x[rows], heads[rows]
            x = block.rest(x, heads)
        return Passed(None if rows is None else self.final(x), keys, values)
