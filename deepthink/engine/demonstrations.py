"""What a refinement may ask: a model reads its demonstrations, and says how well it knows them."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

import torch
from torch import Tensor
from transformers import PreTrainedModel

from deepthink.engine.flops import Costs, attended
from deepthink.engine.memory import Memory
from deepthink.engine.packing import ending_together, layout, pack
from deepthink.engine.support import check_model, iterated, vocabulary
from deepthink.errors import UserError
from deepthink.structures import GivenTokens, token_ids


class Demonstrations:
    """The L demonstration tokens of a job, and a frozen model that reads them beside any memory.

    Args:
        model: a transformers causal language model in eval mode.
        ids: L token ids, special tokens included.
        spans: where each single demonstration stands among the L tokens, in reading order, if this
            is known. Tokens outside, such as a special first one, belong to none.
        answers: which of the L tokens are the demonstrations' answers, if this is known.
        seed: for refinements that draw at random.
        sequences: M ranges that the L tokens fall into, each read by itself; None: one. This is
            structured prompting (Hao et al. 2022, arXiv 2212.06713): all sequences end at one
            position, and the slots of their memory have the gain -log M, so that a token that
            reads it weighs its own sequence M times.

    Attributes:
        operations: floating-point operations of everything that was read up to now, as `flops`
            counts them.

    Raises:
        UserError: no tokens, ids that are not the model's, no causal language model, or spans,
            answers or sequences that do not lie one after the other among the tokens.

    Example:
        >>> from transformers import GPT2Config, GPT2LMHeadModel
        >>> config = GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=8)
        >>> model = GPT2LMHeadModel(config).eval()
        >>> _ = torch.nn.init.zeros_(model.lm_head.weight)  # every token has probability 1/8
        >>> shown = Demonstrations(model, [1, 2, 3, 4, 5], [range(3), range(3, 5)], [range(2, 3)])
        >>> memory = shown.read()
        >>> memory.keys[0].shape
        torch.Size([2, 5, 4])
        >>> round(shown.loss(memory).exp().item(), 4)
        8.0
        >>> shown.span_of.tolist(), shown.answers.tolist()
        ([0, 0, 0, 1, 1], [False, False, True, False, False])
        >>> shown.leave_one_out[0].tolist()  # of the first token all slots of its demonstration
        [True, True, True, False, False]
    """

    def __init__(
        self,
        model: PreTrainedModel,
        ids: GivenTokens,
        spans: Sequence[range] | None = None,
        answers: Sequence[range] | None = None,
        seed: int = 0,
        sequences: Sequence[range] | None = None,
    ) -> None:
        check_model(model)
        self.model = model
        self.ids = token_ids(ids, vocabulary(model), "demonstration_ids")
        if not self.ids:
            raise UserError("think needs at least one demonstration token")
        self.spans = _checked(spans, "spans", self.length)
        self._answers = _checked(answers, "answers", self.length)
        self.sequences = _checked(sequences, "sequences", self.length) or (range(self.length),)
        self._check_sequences()
        self.seed = seed
        self.operations = 0
        self._plain: Memory | None = None

    @property
    def length(self) -> int:
        """L: how many tokens the demonstrations have, and slots their memory."""
        return len(self.ids)

    @property
    def begin(self) -> int:
        """The position behind the demonstrations: L, or of several sequences the longest's length.

        >>> from transformers import GPT2Config, GPT2LMHeadModel
        >>> config = GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=8)
        >>> model = GPT2LMHeadModel(config).eval()
        >>> shown = Demonstrations(model, [1, 2, 3, 4, 5], sequences=[range(2), range(2, 5)])
        >>> memory = shown.read()
        >>> shown.begin, memory.begin, memory.groups, memory.runs  # -log 2
        (3, 3, (2, 3), ((5, -0.6931471824645996),))
        """
        return max(map(len, self.sequences))

    @cached_property
    def span_of(self) -> Tensor:
        """[L] int64: the index of each token's span, -1 for a token outside all of them."""
        if self.spans is None:
            raise UserError("where each demonstration begins and ends is not known: give `spans`")
        owners = torch.full((self.length,), -1)
        for index, span in enumerate(self.spans):
            owners[span.start : span.stop] = index
        return owners.to(self.model.device)

    @cached_property
    def answers(self) -> Tensor:
        """[L] bool: whether a token is one of an answer."""
        if self._answers is None:
            raise UserError("which tokens are the demonstrations' answers is not known: give them")
        chosen = torch.zeros(self.length, dtype=torch.bool)
        for answer in self._answers:
            chosen[answer.start : answer.stop] = True
        return chosen.to(self.model.device)

    @cached_property
    def leave_one_out(self) -> Tensor:
        """[L, L] bool: whether a slot is one of the token's own demonstration, to `hide` it.

        Spans of the same token ids are copies of one demonstration. Tokens outside all spans have
        no slots of their own.
        """
        owners = self.span_of  # checks that there are spans
        firsts: dict[tuple[int, ...], int] = {}
        texts = [tuple(self.ids[i] for i in span) for span in self.spans or ()]
        same = [firsts.setdefault(text, index) for index, text in enumerate(texts)]
        originals = torch.tensor([*same, -1], device=owners.device)[owners]
        return (originals[:, None] == originals[None]) & (originals[:, None] >= 0)

    def read(
        self, memory: Memory | None = None, start: int = 0, dtype: torch.dtype | None = None
    ) -> Memory:
        """The present keys and values K_t, V_t of the L tokens, read beside a memory (Eq. 3).

            K_t, V_t = model(ids | K̃_{t-1}, Ṽ_{t-1})

        memory: what every token attends to besides the tokens before it; None: nothing, the plain
        reading of in-context learning. start: the position of the first token, of several sequences
        that of the longest. dtype: of what is returned; float32, or wider where the model is, by
        default. Returns a Memory of L slots and step 1 in tensors of its own.

        Autograd follows the reading if it follows `memory`.
        """
        wide = torch.promote_types(self.model.dtype, torch.float32)
        followed = _followed(memory)
        with iterated(self.model, differentiable=followed) as forward:
            places = ending_together([*map(len, self.sequences)], self.model.device)
            present = forward.read(self.ids, places, memory, start)
            keys, values = (
                tuple(x.to(dtype or wide, copy=True) for x in tensors) for tensors in present
            )
        slots = memory.length if memory else 0
        seen = sum(attended(range(len(each)), slots) for each in self.sequences)
        self._count(followed, self.length, seen, rows=0)
        reading = self._grouped(Memory(keys, values, step=1))
        if memory is None:
            self._plain = self._grouped(Memory(tuple(present[0]), tuple(present[1]), step=1))
        return reading

    def _grouped(self, reading: Memory) -> Memory:
        """A reading of the sequences with their groups and gains, if there are several."""
        if (several := len(self.sequences)) == 1:
            return reading
        gains = torch.full((self.length,), -math.log(several))
        return replace(reading, gains=gains, groups=tuple(map(len, self.sequences)))

    def loss(
        self,
        memory: Memory,
        hide: Tensor | None = None,
        targets: Tensor | None = None,
        apart: bool = False,
        start: int | None = None,
    ) -> Tensor:
        """How badly a memory predicts the demonstrations: mean -log p of their tokens, in nats.

            loss = -1/|Y| Σ_{i ∈ Y} log p(x_i | memory less its slots hidden from i-1, x_{<i})

        Args:
            memory: of S slots. Autograd follows the loss if it follows the memory.
            hide: [L, S] bool, the slots that a token may not see, see `leave_one_out`; None: it
                sees all of them. A token may see none.
            targets: [L] bool, the tokens Y whose probabilities count, see `answers`; None: all
                that have one before them.
            apart: whether each demonstration is a sequence of its own, that sees no other but in
                the memory; else the sequences are those that `read` reads, usually one.
            start: the position of each sequence's first token; None: where queries stand.

        Returns:
            A scalar in float32 or wider.

        Raises:
            UserError: a mask of another shape, targets that no token of their sequence comes
                before, none at all, or `apart` where the spans are not known.
        """
        hide = self._checked_mask(hide, "hide", (self.length, memory.length))
        sequences, wanted = self._sequences(targets, apart)
        packs = [pack([self.ids[i] for i in fed], []) for fed in sequences]
        fed = [i for sequence in sequences for i in sequence]
        places, _ = layout(packs, self.model.device)
        if hide is not None:
            places = replace(places, slots=~hide[fed])
        index = {position: row for row, position in enumerate(fed)}
        rows = torch.tensor([index[i - 1] for i in wanted], device=self.model.device)
        followed = _followed(memory)
        with iterated(self.model, differentiable=followed) as forward:
            begin = memory.begin if start is None else start
            states = forward.states([self.ids[i] for i in fed], places, memory, begin, rows)
            targeted = [self.ids[i] for i in wanted]
            loss = -forward.log_probabilities(states, range(len(targeted)), targeted).mean()
        hidden = 0 if places.slots is None else int((~places.slots).sum())
        keys = attended(places.depths.tolist(), memory.length) - hidden
        self._count(followed, len(fed), keys, len(rows))
        return loss

    def is_plain(self, memory: Memory) -> bool:
        """Whether a memory is the last plain reading; what `read` kept of it is forgotten."""
        plain, self._plain = self._plain, None
        if plain is None or len(memory.tensors) != len(plain.tensors):
            return False
        if (memory.runs, memory.groups) != (plain.runs, plain.groups):
            return False
        pairs = zip(memory.to(self.model.dtype).tensors, plain.tensors, strict=True)
        return all(torch.equal(given, kept) for given, kept in pairs)

    def _sequences(self, targets: Tensor | None, apart: bool) -> tuple[list[range], list[int]]:
        """The token positions that must be fed, sequence by sequence, and those to predict.

        What follows a sequence's last target need not be fed, nor that target itself.
        """
        targets = self._checked_mask(targets, "targets", (self.length,))
        if apart and self.spans is None:
            raise UserError("where each demonstration begins and ends is not known: give `spans`")
        whole = (self.spans or ()) if apart else self.sequences
        predictable = [i for sequence in whole for i in sequence[1:]]
        wanted = predictable if targets is None else targets.nonzero().flatten().tolist()
        if strays := set(wanted) - set(predictable):
            raise UserError(
                f"token {min(strays)} is a target, but no token of its sequence comes before it"
            )
        if not wanted:
            raise UserError("no token of the demonstrations is a target: at least one must be")
        ends = [max((i for i in wanted if i in sequence), default=0) for sequence in whole]
        fed = [range(seq.start, end) for seq, end in zip(whole, ends, strict=True)]
        return [sequence for sequence in fed if sequence], wanted

    def _check_sequences(self) -> None:
        """UserError unless the sequences leave out no token, and cut no span."""
        ends = [0, *(each.stop for each in self.sequences)]
        if [each.start for each in self.sequences] != ends[:-1] or ends[-1] != self.length:
            raise UserError(f"sequences must have each of the {self.length} tokens")
        inside = set(ends)
        for span in self.spans or ():
            if not inside.isdisjoint(range(span.start + 1, span.stop)):
                raise UserError(f"{span} is a demonstration of two sequences: it must lie in one")

    def _checked_mask(
        self, mask: Tensor | None, name: str, shape: tuple[int, ...]
    ) -> Tensor | None:
        if mask is None:
            return None
        if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.shape != shape:
            size = " × ".join(map(str, shape))
            raise UserError(f"{name} must be a tensor of {size} booleans")
        return mask.to(self.model.device)

    @cached_property
    def _costs(self) -> Costs:
        return Costs.of(self.model)

    def _count(self, followed: bool, tokens: int, keys: int, rows: int) -> None:
        cost = self._costs.with_gradient if followed else self._costs.forward
        self.operations += cost(tokens, keys, rows)


def _followed(memory: Memory | None) -> bool:
    """Whether autograd follows what is computed of a memory."""
    return memory is not None and torch.is_grad_enabled() and memory.requires_grad


def _checked(ranges: Sequence[range] | None, name: str, length: int) -> tuple[range, ...] | None:
    """Ranges of tokens as they must be: not empty, in order, apart, within the L tokens."""
    if ranges is None:
        return None
    end = 0
    for span in ranges:
        if not isinstance(span, range) or span.step != 1 or not end <= span.start < span.stop:
            raise UserError(f"{name} must be ranges of tokens, one after the other, not {span!r}")
        end = span.stop
    if end > length:
        raise UserError(f"{name} reach to token {end}, but the demonstrations have {length}")
    return tuple(ranges)
