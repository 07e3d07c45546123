"""What a memory was made of, so that it is never used with another model in silence."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from deepthink import __version__
from deepthink.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

PROBE = 8
"""How many tokens of the plain reading are kept to recognise the weights by."""

_PASSING = {
    *("_name_or_path", "transformers_version", "dtype", "torch_dtype", "architectures"),
    *("use_cache", "return_dict", "output_attentions", "output_hidden_states", "tokenizer_class"),
    *("id2label", "label2id", "problem_type", "auto_map", "_attn_implementation"),
}
"""Entries of a config on which no key and no value depends."""


@dataclass(frozen=True)
class Origin:
    """What a memory was made of: the model, the token ids, and how they were thought over.

    model: the name of the model's class.
    name: where the model came from, as transformers knows it: an id of the hub or a folder.
    commit: of the repository on the hub; None for other models.
    config: SHA-256 of the model's config, without what changes no number, see `config_digest`.
    dtype: the model's, such as "float32".
    ids: the L token ids.
    refinement: the name of the refinement; options: its options by name, as far as they were given.
    version: the version of this package.
    probe: the last layer's keys and values [G, ≤ 8, D] of the first tokens, read plainly. They tell
        fine-tuned weights from others that have the same config.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> from deepthink import think
    >>> config = GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11)
    >>> model = GPT2LMHeadModel(config).eval()
    >>> (memory,) = think(model, [5, 6, 7], iterations=1)
    >>> memory.origin.model, memory.origin.ids, memory.origin.refinement
    ('GPT2LMHeadModel', (5, 6, 7), 'iterate')
    """

    model: str
    name: str
    commit: str | None
    config: str
    dtype: str
    ids: tuple[int, ...]
    refinement: str
    options: Mapping[str, Any]
    version: str
    probe: tuple[Tensor, Tensor] = field(repr=False, compare=False)

    @classmethod
    def of(
        cls,
        model: "PreTrainedModel",
        ids: tuple[int, ...],
        refine: Callable[..., object],
        first: tuple[Tensor, Tensor],
    ) -> "Origin":
        """The origin of what `refine` makes of `ids`; first: the last layer's plain reading."""
        options = refine.keywords if isinstance(refine, partial) else {}
        keys, values = (x[:, :PROBE].to(model.dtype, copy=True) for x in first)
        return cls(
            model=type(model).__name__,
            name=str(model.config._name_or_path),
            commit=getattr(model.config, "_commit_hash", None),
            config=config_digest(model),
            dtype=str(model.dtype).removeprefix("torch."),
            ids=ids,
            refinement=name_of(refine),
            options=json.loads(json.dumps(options, default=str)),
            version=__version__,
            probe=(keys, values),
        )

    @property
    def called(self) -> str:
        """The model as messages call it: the last part of its name, or its class."""
        return Path(self.name).name or self.model

    def check(self, model: "PreTrainedModel") -> None:
        """Raise UserError if a model is of another class, config or commit than the memory's."""
        other, commit = type(model).__name__, getattr(model.config, "_commit_hash", None)
        if other != self.model:
            raise self.refusal(f"this model is a {other}")
        if config_digest(model) != self.config:
            raise self.refusal(f"this {other} has another config")
        if None not in (commit, self.commit) and commit != self.commit:
            raise self.refusal(f"this model is of commit {commit}, not {self.commit}")

    def refusal(self, difference: str) -> UserError:
        """The error for a model that is not the one that made the memory."""
        made = self.model if self.called == self.model else f"{self.called} ({self.model})"
        return UserError(
            f"the memory was made by {made}, but {difference}: use it with the model that made it, "
            "or think again"
        )


def name_of(refine: Callable[..., object]) -> str:
    """The name of a refinement, whose options may be bound.

    >>> from deepthink.engine.refinements import iterate
    >>> name_of(partial(iterate.refine, step_size=0.1))
    'iterate'
    """
    return str(getattr(refine, "func", refine).__module__).rpartition(".")[2]


def config_digest(model: "PreTrainedModel") -> str:
    """SHA-256 of what a model's config says that differs from its class's defaults.

    What changes no key and no value is left out: names and paths, versions, the dtype, the way in
    which attention is computed, and which tokens begin and end a text.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> one, two = (GPT2LMHeadModel(GPT2Config(n_layer=n, n_head=2, n_embd=8)) for n in (1, 2))
    >>> config_digest(one) == config_digest(two)
    False
    """
    told = _lasting(model.config.to_diff_dict())
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()


def _lasting(value: Any) -> Any:
    """A config's entries, without those that change no number."""
    if not isinstance(value, dict):
        return value
    return {
        str(key): _lasting(inner)
        for key, inner in value.items()
        if key not in _PASSING and not str(key).endswith("_token_id")
    }
