"""What lm-evaluation-harness asks a model to write, by the conventions of its own model `hf`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lm_eval.models.utils import (
    handle_stop_sequences,
    normalize_gen_kwargs,
    postprocess_generated_text,
)

from deepthink.errors import UserError


@dataclass(frozen=True)
class Written:
    """A request for text.

    text: the context. stops: the strings that end the text. room: how many tokens of the context
    fit before the new ones. options: as `deepthink.engine.generation.continuations` takes them.
    """

    text: str
    stops: tuple[str, ...]
    room: int
    options: dict[str, Any]

    @property
    def kind(self) -> str:
        """The same for requests that may share a batch."""
        return json.dumps(self.options, sort_keys=True, default=str)

    def cut(self, new: str) -> str:
        """The new text up to the first stop string."""
        return str(postprocess_generated_text(new, list(self.stops), None))


def written(context: str, given: Mapping[str, Any], end: str, max_length: int) -> Written:
    """A request's context and generation options, put in order.

    end: the token that ends a text, as text. max_length: the positions of the model.

    Raises:
        UserError: more new tokens than the model has positions for.
    """
    options = dict(normalize_gen_kwargs(dict(given)))
    stops = [stop for stop in handle_stop_sequences(options.pop("until"), end) if stop]
    new = options.pop("max_gen_toks")
    if new >= max_length:
        raise UserError(
            f"{new} new tokens do not fit into the {max_length} positions of the model: set "
            "--gen_kwargs max_gen_toks lower"
        )
    if not options.get("do_sample"):
        options.pop("temperature", None)
    return Written(
        context,
        tuple(stops),
        max_length - new,
        {**options, "max_new_tokens": new, "stop_strings": stops},
    )
