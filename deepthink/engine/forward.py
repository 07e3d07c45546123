"""A packed forward: the tokens of many sequences side by side, which see a memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import Tensor
from transformers import PreTrainedModel

from deepthink.engine.layout import Layout
from deepthink.engine.memory import Memory
from deepthink.engine.output_layer import OutputLayer
from deepthink.errors import UserError
from deepthink.structures import Tokens


@dataclass(frozen=True)
class Passed:
    """What a forward leaves: states if rows were asked for, else each layer's keys and values."""

    states: Tensor | None
    keys: list[Tensor]
    values: list[Tensor]


Run = Callable[[Tokens, Layout, Memory | None, int, Tensor | None], Passed]
"""Tokens, layout, memory, start and rows (None: no states are wanted) to what a forward leaves."""


@dataclass(frozen=True)
class Forward:
    """Runs packed forwards of one model; got from `iterated`.

    run: a forward in the model's own code, or of a decoder made of its modules. plain: as in
    `OutputLayer`.
    """

    model: PreTrainedModel
    run: Run
    plain: bool

    def read(
        self, tokens: Tokens, layout: Layout, memory: Memory | None, start: int
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The present keys and values of each layer, [G, N, D] each.

        tokens: N ids, packed as the layout says. They see `memory` and their own sequences.
        start: the position of every sequence's first token.
        """
        passed = self.run(tokens, self._beside(memory, layout), memory, start, None)
        return passed.keys, passed.values

    def states(
        self, tokens: Tokens, layout: Layout, memory: Memory | None, start: int, rows: Tensor
    ) -> Tensor:
        """What the output layer is given at the packed tokens `rows`, ascending: [len(rows), d].

        Further arguments as `read`'s.
        """
        states = self.run(tokens, self._beside(memory, layout), memory, start, rows).states
        assert states is not None
        return states

    def log_probabilities(
        self, states: Tensor, rows: Sequence[int], tokens: Sequence[int]
    ) -> Tensor:
        """As `OutputLayer.log_probabilities`."""
        return OutputLayer(self.model, self.plain).log_probabilities(states, rows, tokens)

    def likeliest(self, states: Tensor) -> Tensor:
        """As `OutputLayer.likeliest`."""
        return OutputLayer(self.model, self.plain).likeliest(states)

    def _beside(self, memory: Memory | None, layout: Layout) -> Layout:
        """The layout with the gains and the groups of the memory's slots.

        Raises UserError for a memory of another model.
        """
        if memory is None:
            return layout
        layers = self.model.config.get_text_config().num_hidden_layers
        memory.check_layers(layers, type(self.model).__name__)
        runs = memory.runs
        if not runs and not memory.groups:
            return layout
        return replace(layout, gains=runs, groups=memory.groups)


def too_long(name: str, positions: int) -> UserError:
    """The error for a prompt that is longer than the learnt positions of the model `name`."""
    return UserError(
        f"a prompt of {positions} positions does not fit into {name}: use fewer or shorter "
        "demonstrations, which thinking doubles"
    )
