"""From labelled examples to a memory, and from this and texts to a frame of predictions."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from deepthink.config.templates import Template
from deepthink.engine.memory import Memory
from deepthink.engine.out_of_memory import fitting
from deepthink.engine.thinking import think
from deepthink.engine.token_budget import TokenBudget
from deepthink.errors import UserError, unknown
from deepthink.models.loading import positions_of
from deepthink.settings import ANSWER_SCORES, THINKING, Thinking, check_thinking
from deepthink.structures import Example
from deepthink.study.asking import scored
from deepthink.study.evaluation import check_numbers
from deepthink.tasks.given import Labels, examples, label_words, queries
from deepthink.tasks.prediction import predictions
from deepthink.tasks.prompts import Encoded, encode


def remember(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    template: str,
    demonstrations: object,
    labels: Labels | None = None,
    *,
    iterations: int = THINKING.iterations,
    step_size: float = THINKING.step_size,
    momentum: float = THINKING.momentum,
    positions: str = THINKING.positions,
    memory_dtype: str = THINKING.memory_dtype,
    overflow: str = "error",
    delimiter: str = " ",
    chat: bool = False,
    direction: str = "direct",
) -> Memory:
    r"""The memory of labelled examples after T readings: for `predict`, `generate` or `save`.

        >>> from deepthink import load, remember
        >>> model, tokenizer = load("smollm2-135m")  # doctest: +SKIP
        >>> shown, labels = [("so dull", "bad"), ("a joy", "good")], ["bad", "good"]
        >>> remember(  # doctest: +SKIP
        ...     model, tokenizer, "{text}\nIt was", shown, labels
        ... ).save("opinions.safetensors")

    Arguments and errors are as in `predict`. A query as long as the longest demonstration must fit
    behind the memory.
    """
    thinking = Thinking(iterations, step_size, momentum, positions, memory_dtype)
    check_thinking(**asdict(thinking))
    _check_model(model, tokenizer)
    parsed = _parsed(template)
    shown = examples(demonstrations, label_words(labels, demonstrations), parsed)
    prompt = encode(
        tokenizer,
        parsed.prompt,
        shown,
        shown,
        overflow=overflow,
        limit=positions_of(model),
        thinks=iterations > 1,
        delimiter=delimiter,
        chat=chat,
        direction=direction,
    )
    with fitting(f"the demonstrations of {len(prompt.demonstrations)} tokens do not fit"):
        (memory,) = _thought(model, prompt, every_step=False, thinking=thinking)
    return memory


def predict(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    template: str,
    demonstrations: object,
    texts: object,
    labels: Labels | None = None,
    *,
    iterations: int = THINKING.iterations,
    step_size: float = THINKING.step_size,
    momentum: float = THINKING.momentum,
    positions: str = THINKING.positions,
    memory_dtype: str = THINKING.memory_dtype,
    every_step: bool = False,
    seam: str = "apart",
    overflow: str = "error",
    delimiter: str = " ",
    answer_score: str = "sum",
    chat: bool = False,
    query: str = "once",
    direction: str = "direct",
) -> pd.DataFrame:
    r"""Predict a label for each text, after the model has read the demonstrations T times.

    The numbers are those of a job with the same demonstrations, texts and settings. Nothing is
    drawn, so the same call gives the same frame.

        >>> from deepthink import load, predict
        >>> model, tokenizer = load("smollm2-135m")  # doctest: +SKIP
        >>> shown = [("so dull", "negative"), ("a joy", "positive")]
        >>> template, labels = "Review: {text}\nSentiment:", ["negative", "positive"]
        >>> frame = predict(  # doctest: +SKIP
        ...     model, tokenizer, template, shown, ["what fun", "I fell asleep"], labels
        ... )

    Args:
        model: a causal language model in eval mode, such as `load` gives.
        tokenizer: its tokenizer.
        template: what stands in the prompt for an example, with {text} for its text, or several
            columns in braces; the label word follows after `delimiter`.
        demonstrations: a list of (text, label), of `Example`, or of {"text": …, "label": …}; or a
            pandas frame with the columns text and label. Where the template has other columns, rows
            have these, and a pair has a dict of them for its text. A memory of demonstrations in
            the same template and direction, from `remember`, `think` or `Memory.load`, may stand
            here too. It is not thought over again.
        texts: the texts to judge: a list, an array or a series, or a frame with the column text;
            or a list of dicts or a frame with the template's columns.
        labels: the label words; or, where labels are other values, each value with its word, such
            as {0: "negative", 1: "positive"}. None takes the candidates of the `Example`s.
        iterations: T, by default 5; 1 reads the demonstrations once, which is plain in-context
            learning.
        step_size: η, by default 0.01, as in `deepthink.think`.
        momentum: β, by default 0, as in `deepthink.think`.
        positions: "continued", the default, or "aligned", as in `deepthink.think`.
        memory_dtype: "float32", the default, or "model", as in `deepthink.think`.
        every_step: whether the frame has rows for every t = 1 … T, or for T alone.
        seam: as in `deepthink.encode`.
        overflow: what happens where the demonstrations do not fit: "error", "drop" or "truncate",
            see `deepthink.encode`.
        delimiter: what joins the filled template and a label word.
        answer_score: as in `deepthink.score`.
        chat: whether the prompt is a chat, written by the tokenizer's chat template, as in
            `deepthink.encode`. The assistant says the label words, without a delimiter.
        query: "once", or "twice", which writes each text's prompt twice, as in `deepthink.encode`.
        direction: "direct", or "channel", which chooses the label behind which the text is most
            likely, as in `deepthink.encode`. Probabilities are then those of labels that are
            equally likely beforehand.

    Returns:
        One row per text (with `every_step` one per t and text), in the order given:
        text; prediction, a label word; for each label word a column p_<word> with its probability
        among the label words (float64, they add up to 1); and t.

    Raises:
        UserError: an argument is wrong, a text or label is none, a prompt does not fit the model,
            or as `think`, `score` and `encode`.
    """
    thinking = Thinking(iterations, step_size, momentum, positions, memory_dtype)
    check_thinking(**asdict(thinking))
    _check_model(model, tokenizer)
    if answer_score not in ANSWER_SCORES:
        raise unknown("value of answer_score", answer_score, ANSWER_SCORES)
    words = label_words(labels, demonstrations)
    kept = demonstrations if isinstance(demonstrations, Memory) else None
    if kept is not None:
        _check_kept(thinking, every_step, seam)
    parsed = _parsed(template)
    shown = [] if kept else examples(demonstrations, words, parsed)
    asked = queries(texts, words, parsed)
    if not asked:
        return _empty(words.values())
    prompt = encode(
        tokenizer,
        parsed.prompt,
        shown,
        asked,
        seam=seam,
        overflow=overflow,
        limit=None if kept else positions_of(model),
        thinks=iterations > 1,
        delimiter=delimiter,
        chat=chat,
        query=query,
        direction=direction,
    )
    budget = TokenBudget.of(model)
    length = kept.length if kept else len(prompt.demonstrations)
    with fitting(f"the demonstrations of {length} tokens do not fit"):
        memories = [kept] if kept else _thought(model, prompt, every_step, thinking)
        frames = [_frame(model, memory, prompt, asked, answer_score, budget) for memory in memories]
    return pd.concat(frames, ignore_index=True)


def _parsed(template: object) -> Template:
    if not isinstance(template, str):
        raise UserError(f"the template is {template!r}: it must be a text with {{text}}")
    return Template.parse(template)


def _thought(
    model: PreTrainedModel, prompt: Encoded, every_step: bool, thinking: Thinking
) -> Iterator[Memory]:
    """The memory after each t that is wanted."""
    for memory in think(model, prompt.demonstrations, **asdict(thinking)):
        if every_step or memory.step == thinking.iterations:
            yield memory


def _check_kept(thinking: Thinking, every_step: bool, seam: str) -> None:
    """Refuse what a memory cannot be asked for once it is made."""
    if thinking != THINKING or every_step:
        raise UserError(
            "a memory has been thought over already: leave out the settings of thinking and "
            "every_step, or give predict the demonstrations"
        )
    if seam != "apart":
        raise UserError(
            f"seam={seam} needs the text of the demonstrations: give predict these, not a memory"
        )


def _frame(
    model: PreTrainedModel,
    memory: Memory,
    prompt: Encoded,
    asked: Sequence[Example],
    answer_score: str,
    budget: TokenBudget,
) -> pd.DataFrame:
    rows = scored(model, memory, prompt, answer_score, budget)
    check_numbers(rows, "the model", memory.step)
    return _table(asked, rows, memory.step, answer_score)


def _table(
    asked: Sequence[Example], rows: list[list[float]], step: int, answer_score: str
) -> pd.DataFrame:
    words = asked[0].candidates
    chances = _probabilities(np.array(rows), answer_score)
    return pd.DataFrame(
        {
            "text": [example.text for example in asked],
            "prediction": [words[index] for index in predictions(asked, rows)],
            **{_column(word): chances[:, index] for index, word in enumerate(words)},
            "t": step,
        }
    )


def _empty(words: Any) -> pd.DataFrame:
    """A frame without rows that has the columns and dtypes of one with rows."""
    one = _table([Example("x", tuple(words), 0)], [[0.0] * len(words)], 1, "sum")
    return one.iloc[:0]


def _column(word: str) -> str:
    return f"p_{word}"


def _probabilities(scores: np.ndarray, answer_score: str) -> np.ndarray:
    """[Q, C] scores as probabilities among the candidates, each row with the sum 1."""
    if answer_score != "probability":
        return np.asarray(softmax(scores, axis=1))
    least = np.finfo(np.float64).tiny  # where every candidate is too unlikely, they are equal
    return np.asarray(np.maximum(scores, least) / np.maximum(scores, least).sum(1, keepdims=True))


def _check_model(model: object, tokenizer: object) -> None:
    if not isinstance(model, PreTrainedModel) or not isinstance(tokenizer, PreTrainedTokenizerBase):
        raise UserError(
            f"predict takes a model and its tokenizer, not {type(model).__name__} and "
            f"{type(tokenizer).__name__}: model, tokenizer = deepthink.load(name)"
        )
