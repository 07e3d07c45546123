"""The batches of a generation: as many rows at once as fit, of one length where padding shows."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from itertools import groupby
from typing import Any

import torch
from transformers import GenerationConfig, PreTrainedModel

from deepthink.engine.cache import filled, fitted
from deepthink.engine.generation_options import NEW_TOKENS, Options
from deepthink.engine.given import memory_for, rows_of
from deepthink.engine.memory import Memory
from deepthink.engine.out_of_memory import allocating
from deepthink.engine.probing import windows
from deepthink.engine.stopping import Behind, Stopping, TextHas
from deepthink.engine.support import check_evaluating, check_model, vocabulary
from deepthink.engine.token_budget import TokenBudget, slots_fitting
from deepthink.errors import UserError, first_line
from deepthink.structures import GivenTokens, token_ids


class Batches:
    """Generates with one model, behind one memory, and with the same options for all queries.

    Args:
        model: a causal language model in eval mode.
        memory: from `think`, or None.
        options: of the generation.
        pad: the id that fills up shorter queries.

    Raises:
        UserError: a model that cannot generate behind a memory, or another model's memory.

    Example:
        >>> from transformers import GPT2Config, GPT2LMHeadModel
        >>> config = GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=8, eos_token_id=None)
        >>> model = GPT2LMHeadModel(config).eval()
        >>> _ = model.lm_head.weight.data.zero_()  # token 0 is always chosen
        >>> options = Options.of(model, {"max_new_tokens": 2})
        >>> Batches(model, None, options, pad=0).continuations([[4], [5, 6]])
        [[0, 0], [0, 0]]
    """

    def __init__(
        self, model: PreTrainedModel, memory: Memory | None, options: Options, pad: int
    ) -> None:
        check_model(model)
        check_evaluating(model)
        (self._pad,) = token_ids([pad], vocabulary(model), "the padding")
        self._model, self._options = model, options
        memory = memory_for(model, memory)
        self._layers = fitted(memory, model) if memory is not None else []
        self._length = memory.length if memory is not None else 0
        origin = memory.origin if memory is not None else None
        self._known = list(origin.ids) if origin is not None else []

    def continuations(self, queries: Iterable[GivenTokens] | GivenTokens) -> list[list[int]]:
        """As `generation.continuations`; errors as there."""
        rows = rows_of(queries, vocabulary(self._model), "a prompt")
        if not all(rows):
            raise UserError("every prompt needs at least one token, which the new ones can follow")
        if "streamer" in self._options.objects and (len(rows) != 1 or self._options.rows > 1):
            raise UserError("a streamer takes one text: give one prompt, and no beams")
        if not rows:
            return []
        new = self._new_tokens(max(map(len, rows)))
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        groups: list[list[int]] = [order]
        if self._shows_padding(len(rows[order[-1]]) + new):
            groups = [list(same) for _, same in groupby(order, lambda index: len(rows[index]))]
        done: dict[int, list[list[int]]] = {}
        for group in groups:
            made = self._group([rows[index] for index in group], new)
            done.update(zip(group, made, strict=True))
        return [ids for index in range(len(rows)) for ids in done[index]]

    def _new_tokens(self, longest: int) -> int:
        """How many new tokens at most; UserError if the model has no positions for them.

        The last new token is not read, so it needs none.
        """
        told, before = self._options.new_tokens, self._length + longest
        config = self._model.config.get_text_config()
        positions = getattr(config, "max_position_embeddings", None)
        if positions is None:
            return told or NEW_TOKENS
        room = positions - before + 1
        if room < (told or 1):
            raise UserError(
                f"{self._length} slots of memory and a prompt of {longest} tokens leave room for "
                f"{max(room, 0)} new ones, since {type(self._model).__name__} knows {positions} "
                "positions: set max_new_tokens lower, or use a shorter prompt or fewer "
                "demonstrations"
            )
        return told or min(NEW_TOKENS, room)

    def _shows_padding(self, tokens: int) -> bool:
        """Whether padding between the memory and a query would change what is generated.

        It takes up slots of a sliding window, and whatever looks at earlier tokens sees it.
        """
        reach = min(windows(self._model), default=None)
        return self._options.reads or (reach is not None and reach < self._length + tokens)

    def _group(self, queries: Sequence[list[int]], new: int) -> Iterator[list[list[int]]]:
        """The continuations of queries that may share a batch, the shortest first."""
        done, most = 0, len(queries)
        while done < len(queries):
            most = min(most, self._fitting([len(query) for query in queries[done:]], new))
            taken = queries[done : done + most]
            try:
                with allocating():
                    made = self._batch(taken, new)
            except torch.OutOfMemoryError as error:
                if len(taken) == 1:
                    raise UserError(
                        f"a single prompt of {len(taken[0])} tokens behind {self._length} slots "
                        "does not fit into memory: use a smaller model, a narrower dtype or fewer "
                        "new tokens"
                    ) from error
                most = len(taken) // 2
                continue
            yield from made
            done += len(taken)

    def _fitting(self, lengths: Sequence[int], new: int) -> int:
        """How many queries, shortest first, go into one batch; at least one."""
        texts = self._options.rows
        budget = TokenBudget.of(self._model).tokens // texts
        slots = slots_fitting(self._model, self._layers) // texts
        fitting = 1
        for count, longest in enumerate(lengths, start=1):
            if count * longest > budget or count * (self._length + longest + new) > slots:
                break
            fitting = count
        return fitting

    def _batch(self, queries: Sequence[list[int]], new: int) -> list[list[list[int]]]:
        """The new ids after some queries: one list for each, or several."""
        width, device = max(map(len, queries)), self._model.device
        gaps = [width - len(query) for query in queries]
        ids = [[*self._known, *[self._pad] * gap, *q] for gap, q in zip(gaps, queries, strict=True)]
        seen = [[1] * self._length + [0] * gap + [1] * (width - gap) for gap in gaps]
        begin = len(ids[0])
        arguments = {k: v for k, v in self._options.objects.items() if k != "tokenizer"}
        if self._layers:
            texts = len(queries) * self._options.rows
            arguments["past_key_values"] = filled(self._layers, self._model, texts)
        if "streamer" in arguments:
            arguments["streamer"] = Behind(arguments["streamer"], len(self._known))
        stopping = Stopping([*arguments.pop("stopping_criteria", ()), *self._texts(begin)], begin)
        model: Any = self._model
        with _explained():
            made = model.generate(
                torch.tensor(ids, device=device),
                attention_mask=torch.tensor(seen, device=device),
                generation_config=self._config(begin, new),
                stopping_criteria=[stopping] if stopping.criteria else None,
                **arguments,
            )
        rows = made[:, begin:].tolist()
        rows = [self._ended(row, stopping.ends.get(index)) for index, row in enumerate(rows)]
        each = len(rows) // len(queries)
        return [rows[first : first + each] for first in range(0, len(rows), each)]

    def _texts(self, begin: int) -> list[TextHas]:
        """The criterion that ends a text at a stop string, if there are such."""
        options = self._options
        return (
            [TextHas(options.stops, options.objects["tokenizer"], begin)] if options.stops else []
        )

    def _config(self, begin: int, new: int) -> GenerationConfig:
        """What transformers is told.

        What it writes into rows that have ended is the end-of-text token. The number of new tokens
        is said as a length where the model's own config names one: it would warn of both.
        """
        config, own = deepcopy(self._options.config), self._model.generation_config
        if self._options.ends:
            config.pad_token_id = min(self._options.ends)
        named = own is not None and own.max_length is not None and own.max_new_tokens is None
        config.max_new_tokens = None if named else new
        config.max_length = begin + new if named else None
        return config

    def _ended(self, row: list[int], end: int | None) -> list[int]:
        """New ids up to the end-of-text token, or to where a criterion ended the row."""
        row = row if end is None or self._options.beams else row[:end]
        marks = (place for place, token in enumerate(row) if token in self._options.ends)
        return row[: next(marks, len(row))]


@contextmanager
def _explained() -> Iterator[None]:
    """Say in one line what transformers refuses."""
    try:
        yield
    except (ValueError, TypeError, NotImplementedError) as error:
        raise UserError(f"transformers refuses to generate: {first_line(error)}") from error
