"""Text that goes on from a prompt, which stands behind the memory of the demonstrations."""

from collections.abc import Iterable, Sequence
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from deepthink.engine.generation_batches import Batches
from deepthink.engine.generation_options import Options
from deepthink.engine.given import rows_of
from deepthink.engine.memory import Memory
from deepthink.engine.support import check_model, vocabulary
from deepthink.errors import UserError, shown
from deepthink.structures import GivenTokens


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    memory: Memory | None,
    prompts: str | Iterable[str | GivenTokens] | GivenTokens,
    **generation: Any,
) -> list[str]:
    """Go on from each prompt, which stands behind the memory of the demonstrations.

    At t = 1 the text is the one that the model writes after the demonstrations and the prompt in
    one. Prompts of different lengths share a batch where that changes nothing.

    Args:
        model: the model the memory was made with, in eval mode.
        tokenizer: the model's own.
        memory: from `think`; None: the prompts stand by themselves.
        prompts: one text, or a list of texts or of lists of token ids, or what the tokenizer
            returns. Special tokens are put in front of a text only where there is no memory, since
            the demonstrations have them.
        **generation: options of `model.generate`, such as `max_new_tokens` (256 by default, or
            fewer where the model has no positions for them), `do_sample`, `temperature`,
            `num_beams`, `num_return_sequences`, `stop_strings`, `streamer` (for one prompt), or a
            whole `generation_config`. What is not said is taken from `model.generation_config`,
            but for its `max_length`. Random draws follow `torch.manual_seed`.

    Returns:
        The new text of each prompt, a list also for one. A text ends before the end-of-text token
        and before the first stop string. With `num_return_sequences=n` there are n texts of the
        first prompt, then n of the second, and so on.

    Raises:
        UserError: an option that is unknown or does not go together with a memory, a memory of
            another model, a prompt without tokens, or more tokens than the model has positions for.

    Example:
        A model whose output layer is zero always chooses its first word:

        >>> from tokenizers import Tokenizer, models, pre_tokenizers
        >>> from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
        >>> from deepthink import think
        >>> words = Tokenizer(models.WordLevel({"hum": 0, "yes": 1, "no": 2}, unk_token="hum"))
        >>> words.pre_tokenizer = pre_tokenizers.Whitespace()
        >>> tokenizer = PreTrainedTokenizerFast(tokenizer_object=words)
        >>> config = GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=3, eos_token_id=None)
        >>> model = GPT2LMHeadModel(config).eval()
        >>> _ = model.lm_head.weight.data.zero_()
        >>> *_, memory = think(model, [1, 2, 1, 2])
        >>> generate(model, tokenizer, memory, ["yes", "no no"], max_new_tokens=2)
        [' hum hum', ' hum hum']
    """
    check_model(model)
    if not hasattr(tokenizer, "batch_decode"):
        raise UserError(f"tokenizer is {shown(tokenizer)}: generate(model, tokenizer, memory, …)")
    queries = rows_of(_encoded(tokenizer, prompts, memory is None), vocabulary(model), "a prompt")
    pad = next((i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id) if i is not None), 0)
    options = Options.of(model, {"tokenizer": tokenizer, **generation})
    rows = Batches(model, memory, options, pad).continuations(queries)
    each = len(rows) // max(1, len(queries))
    written = [_decoded(tokenizer, queries[i // each], ids) for i, ids in enumerate(rows)]
    return [_cut(text, options.stops) for text in written]


def continuations(
    model: PreTrainedModel,
    memory: Memory | None,
    queries: Iterable[GivenTokens] | GivenTokens,
    pad: int,
    **generation: Any,
) -> list[list[int]]:
    """The new token ids after each query, which stands behind the memory: `generate` without texts.

    Args:
        model: as `generate`'s.
        memory: as `generate`'s.
        queries: Q lists of token ids, none empty.
        pad: any token id of the model; it fills up shorter queries, where no token sees it.
        **generation: as `generate`'s. `stop_strings` need `tokenizer=…`; the ids end with the token
            that completes one.

    Returns:
        A list of ids for each query, or `num_return_sequences` of them. There is no padding in
        them, and no end-of-text token.

    Raises:
        UserError: as `generate`.

    >>> from transformers import GPT2Config, GPT2LMHeadModel
    >>> from deepthink import think
    >>> config = GPT2Config(n_layer=1, n_head=2, n_embd=8, vocab_size=8, eos_token_id=None)
    >>> model = GPT2LMHeadModel(config).eval()
    >>> _ = model.lm_head.weight.data.zero_()  # token 0 is always chosen
    >>> (memory,) = think(model, [1, 2, 3], iterations=1)
    >>> continuations(model, memory, [[4], [5, 6]], pad=0, max_new_tokens=2)
    [[0, 0], [0, 0]]
    """
    return Batches(model, memory, Options.of(model, generation), pad).continuations(queries)


def _encoded(tokenizer: PreTrainedTokenizerBase, prompts: Any, special: bool) -> Any:
    """Prompts with ids in the place of texts."""

    def ids(prompt: Any) -> Any:
        if not isinstance(prompt, str):
            return prompt
        return list(tokenizer(prompt, add_special_tokens=special)["input_ids"])

    if isinstance(prompts, list | tuple):
        return [ids(prompt) for prompt in prompts]
    return [ids(prompts)] if isinstance(prompts, str) else prompts


def _decoded(tokenizer: PreTrainedTokenizerBase, query: list[int], new: list[int]) -> str:
    """The text of new tokens where it follows its query.

    A SentencePiece tokenizer leaves out the space at the beginning of what it decodes, so the query
    is decoded too, and taken off again.
    """

    def text(ids: list[int]) -> str:
        return str(
            tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        )

    beginning, whole = text(query), text([*query, *new])
    return whole.removeprefix(beginning) if whole.startswith(beginning) else text(new)


def _cut(text: str, stops: Sequence[str]) -> str:
    """A text up to the first of some stop strings."""
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(places)] if places else text
