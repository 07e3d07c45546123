"""The options of a generation: those of transformers that are right where a memory comes first."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from transformers import GenerationConfig, PreTrainedModel

from deepthink.errors import UserError, first_line, shown, unknown

NEW_TOKENS = 256
"""New tokens at most, where nobody says how many."""

_READING = {
    *("repetition_penalty", "no_repeat_ngram_size", "bad_words_ids", "sequence_bias"),
    *("logits_processor", "prefix_allowed_tokens_fn", "stopping_criteria"),
}
"""Options that look at the tokens before the next one, and would see padding."""

_SETTINGS = {
    *("max_new_tokens", "min_new_tokens", "max_time", "stop_strings", "early_stopping"),
    *("do_sample", "num_beams", "temperature", "top_k", "top_p", "min_p", "top_h", "typical_p"),
    *("epsilon_cutoff", "eta_cutoff", "length_penalty", "renormalize_logits", "eos_token_id"),
    *("forced_eos_token_id", "remove_invalid_values", "exponential_decay_length_penalty"),
    *("suppress_tokens", "begin_suppress_tokens", "num_return_sequences"),
}
"""Further entries of a GenerationConfig that may be set."""

_IGNORED = {
    *("transformers_version", "bos_token_id", "pad_token_id", "use_cache", "disable_compile"),
    *("_from_model_config", "output_attentions", "output_hidden_states", "output_scores"),
    *("output_logits", "return_dict_in_generate"),
}
"""Entries of a GenerationConfig that change nothing of what is returned here."""

_OBJECTS = ("streamer", "tokenizer", "logits_processor", "stopping_criteria")
_ARGUMENTS = (*_OBJECTS, "prefix_allowed_tokens_fn", "generation_config")
ALLOWED = {*_SETTINGS, *_READING, *_ARGUMENTS}
"""Every option that may be given."""

_INSTEAD = {
    "max_length": "would count the memory and the padding: say max_new_tokens",
    "min_length": "would count the memory and the padding: say min_new_tokens",
    "pad_token_id": "is taken from the tokenizer: leave it out",
    "use_cache": "is always on, since the memory is in the cache: leave it out",
    "assistant_model": "does not go together with a memory: leave it out",
    "prompt_lookup_num_tokens": "does not go together with a memory: leave it out",
    "cache_implementation": "cannot be chosen, since the memory is the cache: leave it out",
    "past_key_values": "is made of the memory: leave it out",
    "attention_mask": "is made of the prompts' lengths: leave it out",
    "position_ids": "are made of the prompts' lengths: leave them out",
    "input_ids": "are what the prompts stand for: give token ids as prompts",
    "inputs": "are what the prompts stand for: give token ids as prompts",
    "inputs_embeds": "cannot stand for token ids here: give token ids as prompts",
    "return_dict_in_generate": "is not needed: what comes back is the new text, or its ids",
}
"""What to do instead of some options of transformers."""


@dataclass(frozen=True)
class Options:
    """What `model.generate` is told, checked and with what the model's own config adds.

    config: a copy of the caller's, with every option in it but the stop strings. new_tokens: how
    many at most; None where nobody said it. stops: the stop strings. ends: ids that end a text.
    rows: how many texts are made, or kept in view, for each prompt. beams: whether a beam search
    keeps several in view. reads: whether something looks
    at earlier tokens, so that it would see padding. objects: further arguments.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> model = GPT2LMHeadModel(GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=11))
    >>> Options.of(model, {"max_new_tokens": 3, "num_beams": 2}).rows
    2
    >>> Options.of(model, {"max_length": 30})
    Traceback (most recent call last):
    deepthink.errors.UserError: max_length would count the memory …: say max_new_tokens
    """

    config: GenerationConfig
    new_tokens: int | None
    stops: tuple[str, ...]
    ends: frozenset[int]
    rows: int
    beams: bool
    reads: bool
    objects: Mapping[str, Any]

    @classmethod
    def of(cls, model: PreTrainedModel, given: Mapping[str, Any]) -> "Options":
        """The options that a caller gave; UserError for one that is unknown, or would be wrong."""
        for name in given:
            _check_name(name)
        told = {name: value for name, value in given.items() if value is not None}
        for name in ("max_new_tokens", "num_beams", "num_return_sequences"):
            _count(name, told.get(name))
        objects = {name: told.pop(name) for name in _ARGUMENTS if name in told}
        _check_objects(objects)
        config = _merged(objects.pop("generation_config", None), told)
        own = model.generation_config or GenerationConfig()

        def chosen(name: str) -> Any:
            value = getattr(config, name, None)
            return getattr(own, name, None) if value is None else value

        stops = _stop_strings(chosen("stop_strings"), objects.get("tokenizer"))
        config.stop_strings = None
        ends = chosen("eos_token_id")
        reading = [_reads(name, objects.get(name, chosen(name))) for name in _READING]
        beams = _count("num_beams", chosen("num_beams")) or 1
        texts = _count("num_return_sequences", chosen("num_return_sequences")) or 1
        if beams > 1 and not ends and (stops or "stopping_criteria" in objects):
            raise UserError(
                "a beam search without an end-of-text token cannot say where a text has ended: "
                "leave out num_beams, or set eos_token_id"
            )
        return cls(
            config=config,
            new_tokens=_count("max_new_tokens", chosen("max_new_tokens")),
            stops=stops,
            ends=frozenset([ends] if isinstance(ends, int) else ends or ()),
            rows=max(beams, texts),
            beams=beams > 1,
            reads=any(reading),
            objects=objects,
        )


def _check_name(name: str) -> None:
    if name in _INSTEAD:
        raise UserError(f"{name} {_INSTEAD[name]}")
    if name not in ALLOWED and hasattr(GenerationConfig(), name):
        raise UserError(f"{name} is not supported where a memory comes first: leave it out")
    if name not in ALLOWED:
        raise unknown("option of generation", name, ALLOWED)


def _check_objects(objects: Mapping[str, Any]) -> None:
    for name in ("logits_processor", "stopping_criteria"):
        if not isinstance(objects.get(name, []), list | tuple):
            raise UserError(f"{name} must be a list, also if it is one: [{name}]")
    streamer = objects.get("streamer")
    if streamer is not None and not (hasattr(streamer, "put") and hasattr(streamer, "end")):
        raise UserError(
            f"streamer must be one of transformers', such as TextStreamer, not {shown(streamer)}"
        )


def _merged(base: Any, told: Mapping[str, Any]) -> GenerationConfig:
    """A copy of a GenerationConfig with options of the call; UserError for what it may not say."""
    if not isinstance(base, GenerationConfig | None):
        raise UserError(
            "generation_config must be a GenerationConfig of transformers, not "
            f"{type(base).__name__}"
        )
    if base is not None:
        for name in base.to_diff_dict():
            if name not in _IGNORED and getattr(base, name, None) is not None:
                _check_name(name)
    config = deepcopy(base) if base is not None else GenerationConfig()
    try:
        config.update(**told)
        config.validate()
    except (ValueError, TypeError) as error:
        raise UserError(f"transformers refuses these options: {first_line(error)}") from error
    return config


def _stop_strings(given: Any, tokenizer: object) -> tuple[str, ...]:
    stops = [given] if isinstance(given, str) else list(given or ())
    if not all(isinstance(stop, str) and stop for stop in stops):
        raise UserError(f"stop_strings must be strings that are not empty, not {shown(given)}")
    if stops and tokenizer is None:
        raise UserError("stop_strings need the tokenizer: give tokenizer=…")
    return tuple(stops)


def _count(name: str, given: Any) -> int | None:
    """A number of tokens or texts; UserError for what is none."""
    if given is not None and (not hasattr(given, "__index__") or given < 1):
        raise UserError(f"{name} is {given!r}: it must be a whole number, at least 1")
    return given if given is None else int(given)


def _reads(name: str, value: Any) -> bool:
    """Whether an option is on."""
    usual = {"repetition_penalty": 1.0, "no_repeat_ngram_size": 0}
    if value is None or value == usual.get(name):
        return False
    return not isinstance(value, Sequence) or len(value) > 0
