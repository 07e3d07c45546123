"""Text to tokens: seams, special tokens, answer spans and what does not fit."""

import inspect
from itertools import chain
from typing import Any

import pytest
from conftest import byte_level_tokenizer
from tokenizers import (
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    processors,
    trainers,
)
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from deepthink.config.overrides import compose
from deepthink.errors import UserError
from deepthink.structures import Example
from deepthink.tasks.prompts import Encoded, encode
from deepthink.tasks.tokens import continuations, leading_special_ids

TEMPLATE = "Review: {text}\nSentiment:"
LABELS = ("negative", "positive")
TEXTS = ("the kettle leaks", "the kettle sings", "a dull day")
SHOTS = [Example(text, LABELS, label) for text, label in zip(TEXTS, (0, 1, 0), strict=True)]
QUERIES = [Example("a fine day", LABELS, 1), Example("dull", LABELS, 0)]


def sentencepiece_tokenizer() -> PreTrainedTokenizerFast:
    """LLaMA's ways: a mark for the start of a string, byte fallback, <s> in front."""
    inner = Tokenizer(models.BPE(byte_fallback=True))
    inner.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=True)
    inner.decoder = decoders.Metaspace(prepend_scheme="first")
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<s>", "</s>", "<0x0A>"], show_progress=False
    )
    text = ["Review: the kettle sings", "Sentiment: positive", "Sentiment: negative"] * 20
    inner.train_from_iterator([*text, "\n", "a dull fine day leaks"], trainer)
    # SentencePiece learns within words, then merges over the whole text, a mark put in front
    inner.pre_tokenizer = None
    inner.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 0)]
    )
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")


TOKENIZERS = {"bytes": byte_level_tokenizer, "sentencepiece": sentencepiece_tokenizer}


def encoded(
    tokenizer: PreTrainedTokenizerFast,
    seam: str = "apart",
    overflow: str = "drop",
    limit: int | None = None,
    shots: list[Example] = SHOTS,
    queries: list[Example] = QUERIES,
    **kwargs: Any,
) -> Encoded:
    return encode(tokenizer, TEMPLATE, shots, queries, seam, overflow, limit, **kwargs)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_joint_pieces_are_the_tokens_of_the_whole_prompt(kind: str) -> None:
    tokenizer = TOKENIZERS[kind]()
    found = encoded(tokenizer, "joint")
    shots = "".join(f"Review: {e.text}\nSentiment: {LABELS[e.label]}\n\n" for e in SHOTS)
    for query, tokens, answers in zip(QUERIES, found.queries, found.candidates, strict=True):
        for label, answer in zip(LABELS, answers, strict=True):
            whole = tokenizer(f"{shots}Review: {query.text}\nSentiment: {label}")["input_ids"]
            assert [*found.demonstrations, *tokens, *answer] == whole


def test_apart_tokenises_each_piece_by_itself(tokenizer: PreTrainedTokenizerFast) -> None:
    found = encoded(tokenizer)
    shots = "".join(f"Review: {e.text}\nSentiment: {LABELS[e.label]}\n\n" for e in SHOTS)
    assert found.demonstrations == tokenizer(shots)["input_ids"]
    assert found.queries[1] == tokenizer("Review: dull\nSentiment:")["input_ids"]
    assert tokenizer.decode(found.candidates[0][1]) == " positive"


def test_special_tokens_stand_once_in_front() -> None:
    tokenizer = sentencepiece_tokenizer()
    assert leading_special_ids(tokenizer, "the kettle") == [tokenizer.bos_token_id]
    for seam in ("apart", "joint"):
        found = encoded(tokenizer, seam)
        everything = [*found.demonstrations, *chain(*found.queries, *found.candidates[0])]
        assert found.demonstrations[0] == tokenizer.bos_token_id
        assert everything.count(tokenizer.bos_token_id) == 1


def test_a_label_after_the_template_has_no_string_start_mark() -> None:
    tokenizer = sentencepiece_tokenizer()
    alone = tokenizer(" positive", add_special_tokens=False)["input_ids"]
    assert continuations(tokenizer, "Sentiment:", [" positive"]) != [alone]


def test_a_label_that_merges_with_the_template_is_refused(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    with pytest.raises(UserError, match="merges"):
        continuations(tokenizer, "Sentiment: positi", ["ve"])


@pytest.mark.parametrize("seam", ["apart", "joint"])
def test_overflow_drops_whole_demonstrations_from_the_front(
    tokenizer: PreTrainedTokenizerFast, seam: str
) -> None:
    two = encoded(tokenizer, seam, shots=SHOTS[1:])
    limit = 2 * len(two.demonstrations)
    found = encoded(tokenizer, seam, limit=limit)
    assert found.kept == 2
    assert found == two
    assert encoded(tokenizer, seam, limit=limit - 1).kept == 1


def test_overflow_counts_the_longest_query(tokenizer: PreTrainedTokenizerFast) -> None:
    one = encoded(tokenizer, shots=SHOTS[2:])
    longest = max(map(len, one.queries)) + max(map(len, one.candidates[0])) - 1
    limit = len(one.demonstrations) + longest
    assert encoded(tokenizer, limit=max(limit, 2 * len(one.demonstrations))).kept >= 1
    long = [Example("dull " * 60, LABELS, 0)]
    with pytest.raises(UserError, match="leaves no room"):
        encode(tokenizer, TEMPLATE, SHOTS, long, "apart", "drop", 60)


def test_overflow_truncate_keeps_the_last_tokens(tokenizer: PreTrainedTokenizerFast) -> None:
    full = encoded(tokenizer)
    limit = 2 * (len(full.demonstrations) - 5)
    found = encoded(tokenizer, overflow="truncate", limit=limit)
    assert found.truncated
    assert found.demonstrations == full.demonstrations[5:]
    assert found.kept == 3
    last = encoded(tokenizer, shots=SHOTS[2:]).demonstrations
    assert encoded(tokenizer, overflow="truncate", limit=2 * len(last)).kept == 1


def test_candidates_of_their_own_are_those_of_each_query(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    queries = [
        Example("a fine day", ("the kettle sings", "dull"), 1),
        Example("dull", ("leaks", "positive", "a dull day and a fine day " * 6), 0),
    ]
    found = encode(tokenizer, TEMPLATE, SHOTS, queries, "apart", "drop", None)
    words = [[tokenizer.decode(ids) for ids in row] for row in found.candidates]
    assert words == [[f" {word}" for word in query.candidates] for query in queries]
    # the longest query with its longest candidate, wherever that stands
    longest = len(found.queries[1]) + len(found.candidates[1][2]) - 1
    assert longest > len(found.queries[0]) + len(found.candidates[0][0])
    limit = len(found.demonstrations) + longest
    assert limit > 2 * len(found.demonstrations)
    for room, kept in ((limit, 3), (limit - 1, 2)):
        assert encode(tokenizer, TEMPLATE, SHOTS, queries, "apart", "drop", room).kept == kept


@pytest.mark.parametrize(
    "wrong", [{"seam": "torn"}, {"overflow": "spill"}, {"queries": []}], ids=lambda w: next(iter(w))
)
def test_wrong_arguments_are_refused(
    tokenizer: PreTrainedTokenizerFast, wrong: dict[str, Any]
) -> None:
    with pytest.raises(UserError):
        encoded(tokenizer, **wrong)


def test_overflow_error_refuses(tokenizer: PreTrainedTokenizerFast) -> None:
    full = encoded(tokenizer)
    with pytest.raises(UserError, match="3 demonstrations"):
        encoded(tokenizer, overflow="error", limit=2 * len(full.demonstrations) - 1)


@pytest.mark.parametrize("seam", ["apart", "joint"])
def test_copies_are_the_demonstrations_written_again(
    tokenizer: PreTrainedTokenizerFast, seam: str
) -> None:
    once, thrice = encoded(tokenizer, seam), encoded(tokenizer, seam, copies=3)
    assert (thrice.copies, thrice.kept) == (3, 3)
    text = decoded(tokenizer, thrice.demonstrations).removeprefix("<s>")
    assert text == 3 * decoded(tokenizer, once.demonstrations).removeprefix("<s>")
    assert thrice.queries == once.queries
    assert thrice.demonstrations == encoded(tokenizer, seam, shots=SHOTS * 3).demonstrations


def test_copies_give_way_to_the_context_and_demonstrations_do_not(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    three = encoded(tokenizer, copies=3)
    fits = len(three.demonstrations) + three.longest
    assert encoded(tokenizer, copies=3, limit=fits).copies == 3
    fewer = encoded(tokenizer, copies=3, limit=fits - 1)
    assert (fewer.copies, fewer.kept) == (2, 3)
    # where they are thought over, their length counts twice
    assert encoded(tokenizer, copies=3, limit=fits, thinks=True).copies == 1
    doubled = 2 * len(three.demonstrations)
    assert encoded(tokenizer, copies=3, limit=doubled, thinks=True).copies == 3
    assert encoded(tokenizer, copies=3, limit=doubled - 1, thinks=True).copies == 2
    with pytest.raises(UserError, match=r"method\.copies=2"):
        encoded(tokenizer, copies=3, limit=fits - 1, overflow="error")


def test_copies_do_not_change_which_demonstrations_are_kept(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    whole = encoded(tokenizer)
    limit = 2 * len(whole.demonstrations) - 1
    assert (
        encoded(tokenizer, limit=limit).kept == encoded(tokenizer, limit=limit, copies=4).kept == 2
    )


@pytest.mark.parametrize("seam", ["apart", "joint"])
def test_without_demonstrations_special_tokens_stand_alone(
    tokenizer: PreTrainedTokenizerFast, seam: str
) -> None:
    found = encoded(tokenizer, seam, shots=[])
    assert found.demonstrations == encoded(tokenizer).demonstrations[: len(found.demonstrations)]
    assert found.queries == encoded(tokenizer).queries
    with pytest.raises(UserError, match="takes"):
        encoded(tokenizer, seam, shots=[], limit=found.longest - 1)


# where each demonstration stands


def written(shots: list[Example] = SHOTS) -> list[tuple[str, str]]:
    """Demonstrations and their answers as text."""
    answers = [f" {example.candidates[example.label]}" for example in shots]
    texts = [f"Review: {example.text}\nSentiment:" for example in shots]
    return [(f"{text}{answer}\n\n", answer) for text, answer in zip(texts, answers, strict=True)]


def decoded(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    text = tokenizer.decode(ids)
    assert isinstance(text, str)
    return text


def read_back(tokenizer: PreTrainedTokenizerFast, found: Encoded) -> list[tuple[str, str]]:
    """The same, from the ids of the spans."""
    return [
        (
            decoded(tokenizer, [found.demonstrations[i] for i in span]),
            decoded(tokenizer, [found.demonstrations[i] for i in answer]),
        )
        for span, answer in zip(found.spans, found.answers, strict=True)
    ]


class PlacelessTokenizer(PreTrainedTokenizerFast):
    """It does not say where in a text its tokens stand, as those written in Python do not."""

    is_fast = False


def merging_tokenizer(kind: type = PreTrainedTokenizerFast) -> PreTrainedTokenizerFast:
    """Bytes, and tokens that reach from an answer or its blank line into what follows."""
    merges = [("Ċ", "Ċ"), (".", "ĊĊ"), ("ĊĊ", "R")]
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *("".join(pair) for pair in merges)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    inner = Tokenizer(models.BPE(vocabulary, merges))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer: PreTrainedTokenizerFast = kind(tokenizer_object=inner)
    return tokenizer


@pytest.mark.parametrize("seam", ["apart", "joint"])
@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("copies", [1, 3])
def test_spans_hold_one_demonstration_each_and_its_answer(
    kind: str, seam: str, copies: int
) -> None:
    tokenizer = TOKENIZERS[kind]()
    found = encoded(tokenizer, seam, copies=copies)
    assert [(text.strip(), answer.strip()) for text, answer in read_back(tokenizer, found)] == [
        (text.strip(), answer.strip()) for text, answer in written() * copies
    ]
    front = len(leading_special_ids(tokenizer, "the"))
    everything = [*chain(*found.spans)]
    assert everything == [*range(front, len(found.demonstrations))]
    assert all(
        set(answer) < set(span) for span, answer in zip(found.spans, found.answers, strict=True)
    )


@pytest.mark.parametrize("seam", ["apart", "joint"])
def test_spans_are_those_of_the_demonstrations_that_are_left(
    tokenizer: PreTrainedTokenizerFast, seam: str
) -> None:
    limit = 2 * len(encoded(tokenizer, seam, shots=SHOTS[1:]).demonstrations)
    found = encoded(tokenizer, seam, limit=limit)
    assert found.kept == 2
    assert read_back(tokenizer, found) == written(SHOTS[1:])
    assert encoded(tokenizer, seam, shots=[]).spans == ()


@pytest.mark.parametrize("seam", ["apart", "joint"])
@pytest.mark.parametrize("kind", TOKENIZERS)
def test_spans_move_left_by_what_is_truncated(kind: str, seam: str) -> None:
    tokenizer = TOKENIZERS[kind]()
    full = encoded(tokenizer, seam)
    front = full.spans[0].start
    for room in range(len(full.demonstrations) - 1, full.longest, -1):
        found = encoded(tokenizer, seam, "truncate", limit=2 * room)
        assert len(found.demonstrations) == room
        cut = len(full.demonstrations) - room
        left = [span for span in full.spans if span.stop > front + cut]
        assert (found.kept, len(found.spans), len(found.answers)) == (len(left),) * 3
        for then, now in zip(
            chain(left, full.answers[-len(left) :]), chain(found.spans, found.answers), strict=True
        ):
            kept = [i - cut for i in then if i - cut >= front]
            assert [*now] == kept


@pytest.mark.parametrize("kind", [PreTrainedTokenizerFast, PlacelessTokenizer])
def test_a_merged_token_belongs_to_where_it_begins(kind: type) -> None:
    tokenizer = merging_tokenizer(kind)
    shots = [Example("a", ("fine.", "dull"), label) for label in (0, 1, 0)]
    found = encode(tokenizer, TEMPLATE, shots, QUERIES)
    assert read_back(tokenizer, found) == [
        ("Review: a\nSentiment: fine.\n\n", " fine.\n\n"),
        ("Review: a\nSentiment: dull\n\nR", " dull"),
        ("eview: a\nSentiment: fine.\n\n", " fine.\n\n"),
    ]


def test_the_separator_that_a_query_took_is_in_no_span() -> None:
    tokenizer = merging_tokenizer()
    found = encoded(tokenizer, "joint", shots=SHOTS[:2])
    assert read_back(tokenizer, found)[1][0] == "eview: the kettle sings\nSentiment: positive"
    assert found.spans[-1].stop == len(found.demonstrations)
    assert tokenizer.decode(found.queries[1]) == "\n\nReview: dull\nSentiment:"


def test_the_defaults_are_those_of_a_job() -> None:
    defaults = {n: p.default for n, p in inspect.signature(encode).parameters.items()}
    config = compose([])
    assert (defaults["seam"], defaults["overflow"]) == (config.prompt.seam, config.prompt.overflow)
    assert (defaults["copies"], defaults["delimiter"]) == (
        config.method.copies,
        config.task.delimiter,
    )


# a query that is written twice


@pytest.mark.parametrize("seam", ["apart", "joint"])
@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_query_twice_is_the_query_with_a_blank_line_and_itself(kind: str, seam: str) -> None:
    tokenizer = TOKENIZERS[kind]()
    once, twice = (encoded(tokenizer, seam, query=query) for query in ("once", "twice"))
    assert twice.demonstrations == once.demonstrations
    assert twice.candidates == once.candidates
    shots = "".join(text for text, _ in written()) if seam == "joint" else ""
    for example, ids in zip(QUERIES, twice.queries, strict=True):
        asked = f"Review: {example.text}\nSentiment:"
        whole = tokenizer(f"{shots}{asked}\n\n{asked}", add_special_tokens=False)["input_ids"]
        assert ids == (whole[-len(ids) :] if shots else whole)
        assert tokenizer.decode(ids).count(example.text) == 2


def test_a_query_twice_is_counted_where_prompts_are_fitted(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    once, twice = (encoded(tokenizer, query=query) for query in ("once", "twice"))
    assert twice.longest > once.longest
    limit = len(once.demonstrations) + twice.longest
    double = 2 * len(once.demonstrations)
    assert encoded(tokenizer, limit=max(limit, double), query="twice").kept == 3
    tight = limit - 1 if limit > double else twice.longest + 3
    assert encoded(tokenizer, "apart", "truncate", tight, query="twice").truncated


@pytest.mark.parametrize(
    ("name", "value"), [("query", "thrice"), ("direction", "chanel"), ("seam", "apat")]
)
def test_ways_to_write_that_do_not_exist_are_refused(
    tokenizer: PreTrainedTokenizerFast, name: str, value: str
) -> None:
    options: dict[str, Any] = {name: value}
    with pytest.raises(UserError, match=f"unknown value of {name} '{value}'"):
        encode(tokenizer, TEMPLATE, SHOTS, QUERIES, **options)
