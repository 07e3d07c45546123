"""Which tokens, which prediction: inputs that once gave a wrong number, with the right one."""

import json
import math
from collections.abc import Iterable
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Command, assert_one_line, byte_level_tokenizer, stored
from pools import made
from test_prompts import decoded, sentencepiece_tokenizer
from tiny_models import SMALL, VOCABULARY, tiny
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers import models as tokenizer_models
from torch import nn
from torch.nn.functional import linear
from transformers import (
    AutoModelForCausalLM,
    ByT5Tokenizer,
    CohereConfig,
    GraniteConfig,
    LlamaConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from deepthink import score, think
from deepthink.config.checks import with_breaks
from deepthink.engine.memory import Memory
from deepthink.errors import UserError
from deepthink.structures import Example
from deepthink.tasks.prediction import hits, predictions, ties
from deepthink.tasks.prompts import Encoded, encode
from deepthink.tasks.templates import shot
from deepthink.tasks.tokens import leading_special_ids

LABELS = ("negative", "positive")
SHOTS = [Example("the kettle leaks", LABELS, 0), Example("the kettle sings", LABELS, 1)]
QUERIES = [Example("a fine day", LABELS, 1), Example("dull", LABELS, 0)]


def always_marked_tokenizer() -> PreTrainedTokenizerFast:
    """SentencePiece's ways as a pre-tokenizer: every word, the first too, begins with a mark."""
    inner = json.loads(sentencepiece_tokenizer().backend_tokenizer.to_str())
    made = Tokenizer.from_str(json.dumps(inner))
    made.normalizer = None
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=False)
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>")


TOKENIZERS = {
    "bytes": byte_level_tokenizer,
    "sentencepiece": sentencepiece_tokenizer,
    "always marked": always_marked_tokenizer,
}


def word_tokenizer(
    words: list[str], *, lowercase: bool = False, special: str = "<s> $A"
) -> PreTrainedTokenizerFast:
    """Whole words, all others unknown."""
    vocabulary = {word: i for i, word in enumerate(["<unk>", "<s>", "</s>", *words])}
    inner = Tokenizer(tokenizer_models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if lowercase:
        inner.normalizer = normalizers.Lowercase()
    inner.post_processor = processors.TemplateProcessing(
        single=special, special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>"
    )


def encoded(
    tokenizer: PreTrainedTokenizerBase,
    template: str,
    shots: Any = SHOTS,
    queries: Any = QUERIES,
    seam: str = "apart",
    limit: int | None = None,
    **kwargs: Any,
) -> Encoded:
    kwargs = {"overflow": "drop", **kwargs}
    return encode(tokenizer, template, shots, queries, seam, limit=limit, **kwargs)


# answers


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize(
    ("template", "delimiter"),
    [
        ("Review: {text}\nSentiment:", " "),
        ("Review: {text}\nSentiment:\n", " "),
        ("Review: {text}\nSentiment:\n", ""),
        ("{text}\n", " "),
        ("{text}\n", ""),
        ("Review: {text} Sentiment:\n\n", " "),
        ("Review: {text}\nSentiment:", "\n"),
    ],
)
def test_an_answer_has_the_tokens_of_its_demonstration(
    kind: str, template: str, delimiter: str
) -> None:
    tokenizer = TOKENIZERS[kind]()
    found = encoded(tokenizer, template, delimiter=delimiter)
    for query, ids, row in zip(QUERIES, found.queries, found.candidates, strict=True):
        for label, answer in enumerate(row):
            text = shot(template, Example(query.text, LABELS, label), delimiter).text
            whole = tokenizer(text, add_special_tokens=False)["input_ids"]
            assert [*ids, *answer] == whole[: len(ids) + len(answer)]
            assert decoded(tokenizer, answer).strip() == LABELS[label]


def test_a_template_that_ends_with_a_line_break_adds_no_token() -> None:
    """A YAML block ends so; each answer once began with a mark of its own."""
    tokenizer = sentencepiece_tokenizer()
    block = encoded(tokenizer, "Review: {text}\nSentiment:\n").candidates[0]
    plain = encoded(tokenizer, "Review: {text}\nSentiment:").candidates[0]
    assert block == plain
    assert tokenizer.convert_ids_to_tokens(block[1])[0].startswith("▁p")


def test_languages_without_spaces_have_an_empty_delimiter(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    found = encoded(tokenizer, "{text}。答案：", delimiter="")
    assert [tokenizer.decode(ids) for ids in found.candidates[0]] == list(LABELS)
    assert decoded(tokenizer, found.demonstrations).endswith("答案：positive\n\n")


def test_an_answer_that_merges_with_the_template_says_what_to_change(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    for template in ("Review: {text}\nSentiment: ", "{text}\n\n"):
        with pytest.raises(
            UserError, match=r"end task\.template elsewhere, without a space"
        ) as told:
            encoded(tokenizer, template, delimiter="")
        assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ("[good,good]", "twice"),
        ("[' negative',' positive']", "leave out the space"),
        ("['negative ',positive]", "leave out the space"),
        ("['',positive]", "empty label"),
        ("['  ',positive]", "empty label"),
        ('["a\nb",positive]', "line break"),
        (r"['a\nb',positive]", "line break"),
    ],
)
def test_labels_that_cannot_be_answers_are_refused(
    run: Command, labels: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "deepthink.models.loading.load", lambda *_: pytest.fail("the model was loaded")
    )
    code, _, err = run(f"task.labels={labels}")
    assert_one_line(code, err, told)


@pytest.mark.parametrize("labels", [("😀", "😡"), ("très bien", "mal"), ("a(b)", "c")])
def test_labels_that_need_quotation_marks_are_told_how(
    run: Command, tmp_path: Path, labels: tuple[str, str]
) -> None:
    """The advice was once to put them around the whole list, which is then none."""
    code, _, err = run(f"task.labels=[{labels[0]}, {labels[1]}]")
    advised = f'task.labels=["{labels[0]}","{labels[1]}"]'
    assert_one_line(code, err, f"quotation marks of its own, '{advised}'")
    assert run(advised)[0] == 0
    ((_, record),) = stored(tmp_path)
    assert record["identity"]["task"]["labels"] == list(labels)


def test_labels_that_are_one_to_the_tokenizer_are_refused() -> None:
    words = ["a", "fine", "good", "bad"]
    for labels, lowercase in ((("Good", "good"), True), (("bad luck", "bad day"), False)):
        queries = [Example("a fine", labels, 1)]
        tokenizer = word_tokenizer(words, lowercase=lowercase)
        with pytest.raises(UserError, match=f"'{labels[0]}' and '{labels[1]}' are the same tokens"):
            encoded(tokenizer, "{text} a", shots=[], queries=queries)
    whole = encoded(word_tokenizer([*words, "Good"]), "{text} a", shots=[], queries=[
        Example("a fine", ("Good", "good"), 1)
    ])  # fmt: skip
    assert len({tuple(ids) for ids in whole.candidates[0]}) == 2


def test_an_answer_the_tokenizer_does_not_know_is_refused() -> None:
    tokenizer = word_tokenizer(["a", "fine", "good"])
    for label in ("terrible", "quite terrible"):
        queries = [Example("a fine", ("good", label), 1)]
        with pytest.raises(UserError, match=f"knows no part of the answer '{label}'"):
            encoded(tokenizer, "{text} a", shots=[], queries=queries)


@pytest.mark.parametrize(
    ("example", "told"),
    [(Example("x", LABELS, 2), "label 2"), (Example("x", ("", "a"), 1), "empty candidate")],
)
def test_examples_without_a_possible_answer_are_refused(
    tokenizer: PreTrainedTokenizerFast, example: Example, told: str
) -> None:
    for place in ("shots", "queries"):
        with pytest.raises(UserError, match=told):
            given: dict[str, Any] = {place: [example]}
            encoded(tokenizer, "Review: {text}\nSentiment:", **given)


def test_a_label_that_begins_another_is_told_with_the_way_out(run: Command, tmp_path: Path) -> None:
    code, out, _ = run("task.labels=[no,no way]")
    assert code == 0
    assert "in 48 queries" in out
    assert "the longer can never win (answer_score=mean" in out
    ((_, record),) = stored(tmp_path)
    assert record["tokens"]["beginnings"] == 48
    code, out, _ = run("task.labels=[no,no way]")  # read again, told again
    assert "the longer can never win" in out
    _, out, _ = run("task.labels=[no,no way]", "answer_score=mean")
    assert "never win" not in out
    _, out, _ = run()
    assert "never win" not in out


# templates


def test_a_line_break_typed_as_two_characters_is_one(run: Command, tmp_path: Path) -> None:
    run("task.template='Review: {text}\nSentiment:'")
    run(r'task.template="Review: {text}\nSentiment:"')
    ((_, record),) = stored(tmp_path)  # one and the same job
    assert record["identity"]["task"]["template"] == "Review: {text}\nSentiment:"
    assert with_breaks(r"a\tb\n\nc") == "a\tb\n\nc"


def test_a_delimiter_typed_as_two_characters_is_a_line_break(run: Command, tmp_path: Path) -> None:
    assert run(r"task.delimiter='\n'")[0] == 0
    ((_, record),) = stored(tmp_path)
    assert record["identity"]["task"]["delimiter"] == "\n"


# special tokens


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("seam", ["apart", "joint"])
def test_a_special_token_in_a_text_is_text(kind: str, seam: str) -> None:
    tokenizer = TOKENIZERS[kind]()
    shots = [Example("the </s> kettle", LABELS, 0)]
    queries = [Example("a <s> fine </s> day", LABELS, 1), Example("dull", LABELS, 0)]
    found = encoded(tokenizer, "Review: {text}\nSentiment:", shots, queries, seam)
    special = leading_special_ids(tokenizer, "a day")
    everything = [*found.demonstrations[len(special) :], *chain(*found.queries)]
    assert not {tokenizer.bos_token_id, tokenizer.eos_token_id} & set(everything)
    assert found.looks_special == 2


def test_a_special_token_that_cannot_be_text_is_refused() -> None:
    tokenizer = word_tokenizer(["a", "fine", "good", "bad", "a:"])
    with pytest.raises(UserError, match="a row holds </s>"):
        encoded(tokenizer, "{text} a:", [], [Example("fine </s> a", ("good", "bad"), 0)])
    unknown = [Example("fine <unk> a", ("good", "bad"), 0)]
    assert encoded(tokenizer, "{text} a:", [], unknown).looks_special == 1


def test_special_tokens_in_texts_are_told(run: Command, tmp_path: Path, data_root: Path) -> None:
    file = data_root / "stanfordnlp" / "sst2" / "validation.jsonl"
    file.write_text(file.read_text().replace("validation row 3", "validation </s> row 3"))
    _, out, _ = run()
    assert "what is written like a special token in 1 examples was read as text" in out


def test_a_special_token_in_the_template_is_refused(run: Command) -> None:
    code, _, err = run("task.template='<s> Review: {text} Sentiment:'")
    assert_one_line(code, err, "task.template holds the special token <s>")


def test_leading_special_tokens_do_not_hang_on_a_letter() -> None:
    """The letter x, which was asked about once, is no word of this vocabulary."""
    inner = Tokenizer(tokenizer_models.BPE({"<s>": 0, "</s>": 1, "a": 2, "b": 3}, []))
    inner.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")
    assert tokenizer("x", add_special_tokens=False)["input_ids"] == []
    found = encode(
        tokenizer, "{text}b", [], [Example("a", ("a", "b"), 0)], "apart", "drop", None, delimiter=""
    )
    assert found.demonstrations == [0]
    assert found.queries == [[2, 3]]


def test_special_tokens_at_the_end_of_a_text_are_no_part_of_a_prompt() -> None:
    words = ["a", "fine", "good", "bad", "a:"]
    for special, leading in (("<s> $A </s>", [1]), ("$A </s>", []), ("$A", [])):
        tokenizer = word_tokenizer(words, special=special)
        found = encoded(tokenizer, "{text} a:", [], [Example("fine", ("good", "bad"), 0)])
        assert found.demonstrations == leading
        assert found.queries == [[4, 7]]


# slow tokenizers, long rows, large numbers


def test_a_slow_tokenizer_reads_pieces_apart_and_refuses_to_join_them() -> None:
    tokenizer = ByT5Tokenizer()
    found = encoded(tokenizer, "Review: {text}\nSentiment:")
    assert tokenizer.decode(found.candidates[0][1]) == " positive"
    with pytest.raises(UserError, match=r"use prompt\.seam=apart"):
        encoded(tokenizer, "Review: {text}\nSentiment:", seam="joint")


@pytest.mark.parametrize("overflow", ["drop", "truncate", "error"])
def test_a_row_longer_than_the_context_is_named(
    tokenizer: PreTrainedTokenizerFast, overflow: str
) -> None:
    queries = [*QUERIES, Example("dull dull day " * 40, LABELS, 0)]
    with pytest.raises(UserError) as refused:
        encoded(
            tokenizer, "Review: {text}\nSentiment:", SHOTS, queries, "apart", 60, overflow=overflow
        )
    told = str(refused.value)
    assert "query 3 of 3 ('dull dull day" in told
    assert "leave its row out" in told
    assert "overflow" not in told


def test_what_is_already_set_is_not_advised(tokenizer: PreTrainedTokenizerFast) -> None:
    long = [Example("dull dull day " * 12, LABELS, 0)]
    for overflow, advised in (("drop", "prompt.overflow=truncate"), ("error", "=drop or truncate")):
        with pytest.raises(UserError) as refused:
            encoded(
                tokenizer, "Review: {text}\nSentiment:", long, QUERIES, limit=60, overflow=overflow
            )
        assert advised in str(refused.value)
        assert f"prompt.overflow={overflow}" not in str(refused.value)


@pytest.mark.parametrize(
    "absurd",
    [
        "method.iterations=1000000000",
        "method.copies=1000000000",
    ],
)
def test_absurd_numbers_are_told_in_one_line(run: Command, absurd: str) -> None:
    code, _, err = run(absurd)
    assert_one_line(code, err, f"{absurd.partition('=')[0].removeprefix('method.')} is 1000000")


def test_selectors_refuse_absurd_numbers(run: Command) -> None:
    for method, option in (("best_random", "sets"), ("lens", "rounds"), ("lens", "beam")):
        code, _, err = run(f"method={method}", f"method.selector.{option}={10**9}")
        assert_one_line(code, err, f"{option} of selector {method}")


# predictions


TIED = [[-1.0, -1.0, -2.0]] * 64


def tied_examples(candidates: tuple[str, ...]) -> list[Example]:
    return [Example(f"text {i}", candidates, 0) for i in range(64)]


def test_a_tie_does_not_depend_on_the_order_of_the_labels() -> None:
    """Drawn by lot: each of the two wins about half, in any order and at any t."""
    words = []
    for candidates, scores in (
        (("a", "b", "c"), [-1.0, -1.0, -2.0]),
        (("b", "a", "c"), [-1.0, -1.0, -2.0]),
        (("c", "b", "a"), [-2.0, -1.0, -1.0]),
    ):
        examples = tied_examples(candidates)
        words.append([candidates[i] for i in predictions(examples, [scores] * 64)])
        assert ties(examples, [scores] * 64) == 64
    assert words[0] == words[1] == words[2]
    assert 20 <= words[0].count("a") <= 44
    assert words[0].count("c") == 0


def test_only_equal_scores_are_ties() -> None:
    examples = tied_examples(("a", "b"))
    near = [[-1.0, math.nextafter(-1.0, 0)]] * 64
    assert predictions(examples, near) == [1] * 64
    assert ties(examples, near) == 0


def test_an_option_listed_twice_is_one_answer() -> None:
    for label in (0, 2):
        example = Example("which", ("four", "five", "four"), label)
        assert ties([example], [[-1.0, -2.0, -1.0]]) == 0
        right = predictions([example], [[-1.0, -2.0, -1.0]])
        assert hits([example], right) == 1
        wrong = predictions([example], [[-2.0, -1.0, -2.0]])
        assert hits([example], wrong) == 0


def test_ties_are_counted_and_told(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model whose scores are all equal: every prediction is a draw, for every t alike."""
    monkeypatch.setattr(
        "deepthink.study.asking.score",
        lambda _model, _memory, _queries, rows, *_how: [[0.0] * len(row) for row in rows],
    )
    _, out, _ = run()
    assert "the highest score was shared in 24 dev queries at t = 1" in out
    ((_, record),) = stored(tmp_path)
    assert [point["ties"] for point in record["curve"]] == [24] * 6
    drawn = {point["predicted"] for point in record["curve"] if point["split"] == "test"}
    assert len(drawn) == 1
    assert 4 <= drawn.pop().split().count("1") <= 20


def test_a_record_without_ties_does_not_speak_of_them(run: Command, tmp_path: Path) -> None:
    _, out, _ = run()
    ((_, record),) = stored(tmp_path)
    assert all(point["ties"] == 0 for point in record["curve"])
    assert "highest score" not in out


def test_a_memory_of_zeros_has_not_moved() -> None:
    still = Memory((torch.zeros(1, 2, 3),), (torch.ones(1, 2, 3),), 1)
    assert still.drift(still) == {"keys": [0.0], "values": [0.0]}


# the output layer in half precision


def scaled(kind: str) -> PreTrainedModel:
    """Architectures that do something to their logits, and one with biases."""
    configs = {
        "cohere": CohereConfig(**SMALL, logit_scale=0.0625),
        "granite": GraniteConfig(**SMALL, logits_scaling=8.0),
    }
    torch.manual_seed(0)
    model: PreTrainedModel = AutoModelForCausalLM.from_config(configs[kind])
    return model


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("kind", ["llama", "opt", "cohere", "granite"])
def test_logits_of_half_precision_are_float32(
    kind: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The states are the model's; the layer behind them, and what follows it, is in float32."""
    monkeypatch.setattr("deepthink.engine.output_layer.WIDENED_WEIGHTS", 32 * 40)  # in three parts
    model = tiny(kind) if kind in ("llama", "opt") else scaled(kind)
    torch.nn.Module.to(model, dtype)
    model.eval()
    head, seen = model.get_output_embeddings(), []
    factor = {"cohere": 0.0625, "granite": 1 / 8}.get(kind, 1.0)
    queries = [[5, 9, 11], [5, 3, 8, 30]]
    candidates = [[[7], [8], [7, 9]]] * 2
    handle = head.register_forward_pre_hook(lambda _, given: seen.append(given[0][0]))
    found = score(model, None, queries, candidates)
    handle.remove()
    assert "forward" not in vars(head)
    states = seen[-1]  # of both queries' last tokens, each followed by its node 7
    bias = None if head.bias is None else head.bias.double()
    logits = linear(states.double(), head.weight.double(), bias).detach() * factor
    logs = logits.log_softmax(-1)
    expected = [
        [logs[2 * q, 7], logs[2 * q, 8], logs[2 * q, 7] + logs[2 * q + 1, 9]] for q in (0, 1)
    ]
    assert np.array(found) == pytest.approx(np.array(expected, dtype=float), abs=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["llama", "opt", "cohere", "granite"])
def test_log_probabilities_are_those_of_the_models_own_logits(
    kind: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vocabulary in parts, the states in blocks, and tokens of one state in any order."""
    monkeypatch.setattr("deepthink.engine.output_layer.WORDS", 7)
    monkeypatch.setattr("deepthink.engine.output_layer.ROWS", 2)
    model = tiny(kind) if kind in ("llama", "opt") else scaled(kind)
    torch.nn.Module.to(model, dtype)
    model.eval()
    queries = [[5, 9, 11, token] for token in range(7)]
    (rows,) = {tuple(map(tuple, score(model, None, queries, [[[30], [2], [31], [7]]] * 7)))}
    with torch.no_grad():
        logs = model(torch.tensor(queries)).logits[:, -1].log_softmax(-1)
    expected = logs[:, [30, 2, 31, 7]].double().numpy()
    assert np.array(rows) == pytest.approx(expected, abs=1e-5 if dtype == torch.float32 else 1e-6)


def test_rounded_logits_make_no_ties() -> None:
    """Two words whose logits differ by less than a step of bfloat16 at this size."""
    model = tiny("llama", torch.bfloat16)
    head = model.get_output_embeddings()
    with torch.no_grad():
        head.weight[8] = head.weight[7]
        head.weight[8, 0] *= 1.0078125
    (memory,) = think(model, [3, 4, 5], 1)
    queries = [[5, 9, token] for token in range(20, 40)]
    rows = score(model, memory, queries, [[[7], [8]]] * 20)
    assert all(a != b for a, b in rows)
    assert isinstance(head, nn.Linear)


# from Python, without a config


def forms(ids: list[Any]) -> list[Any]:
    """The same ids in every form that a caller may have."""
    nested = bool(ids) and isinstance(ids[0], list)
    arrays = [np.array(one) for one in ids] if nested else np.array(ids)
    tensors = [torch.tensor(one) for one in ids] if nested else torch.tensor(ids)
    return [ids, tuple(ids), arrays, tensors, (one for one in ids)]


def test_ids_may_be_lists_arrays_tensors_or_generators() -> None:
    model = tiny("llama")
    (memory,) = think(model, [3, 4, 0], 1)
    for given in forms([3, 4, 0]):
        (again,) = think(model, given, 1)
        assert all(map(torch.equal, again.keys, memory.keys))
    queries, candidates = [[5, 9], [0]], [[[7], [0]], [[8, 9], [7]]]
    expected = score(model, memory, queries, candidates)
    for given in forms(queries):
        assert score(model, memory, given, candidates) == expected
    rows: Any = [[np.array(ids) for ids in row] for row in candidates]
    assert score(model, memory, queries, rows) == expected


NO_IDS = [
    ([-1], "has the token id -1, but this model's go from 0 to 96"),
    ([-100, 5], "has the token id -100"),
    ([97], "has the token id 97"),
    ([5.0], r"must be a list of token ids, which are whole numbers, not \[5.0\]"),
    ([[5, 6], [7]], "has 2 rows of token ids, but must be one"),
    ("yes", "must be token ids, not the text 'yes'"),
    (5, "must be a list of token ids, which are whole numbers, not 5"),
]


@pytest.mark.parametrize(("ids", "told"), NO_IDS)
def test_ids_that_are_not_the_models_are_refused(ids: Any, told: str) -> None:
    """-1 as the last token of an answer once gave the score of the vocabulary's last word."""
    model = tiny("llama")
    with pytest.raises(UserError, match=f"demonstration_ids {told}"):
        list(think(model, ids))
    with pytest.raises(UserError, match=f"a query {told}"):
        score(model, None, [[5], ids], [[[7], [8]]] * 2)
    with pytest.raises(UserError, match=f"a candidate {told}"):
        score(model, None, [[5]], [[[7], ids]])


def test_queries_and_candidates_that_are_no_lists_are_refused() -> None:
    wrong: list[tuple[Any, Any]] = [(5, [[[7]]]), ([[5]], 7), ([[5]], [7])]
    for queries, candidates in wrong:
        with pytest.raises(UserError, match="list"):
            score(tiny("llama"), None, queries, candidates)


@pytest.mark.parametrize("queries", [[[5, 9]], [[5, 9], [5, 8]], [[5, 9], [6]]])
def test_a_memory_of_another_model_is_refused(queries: list[list[int]]) -> None:
    """One with more layers was once read as far as the model went."""
    small: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 64, "vocab_size": VOCABULARY}
    shapes = {"layers": (3, 4, 2), "heads": (2, 4, 4), "groups": (2, 4, 1), "width": (2, 8, 2)}
    candidates = [[[7], [8]]] * len(queries)

    def model(layers: int, heads: int, groups: int) -> PreTrainedModel:
        config = LlamaConfig(
            num_hidden_layers=layers,
            num_attention_heads=heads,
            num_key_value_heads=groups,
            **small,
        )
        made: PreTrainedModel = AutoModelForCausalLM.from_config(config).eval()
        return made

    own, others = model(2, 4, 2), [model(*shape) for shape in shapes.values()]
    (memory,) = think(own, [3, 4, 5], 1)
    for other in others:
        (theirs,) = think(other, [3, 4, 5], 1)
        for reader, given in ((own, theirs), (other, memory)):
            with pytest.raises(UserError, match="with the model that made it"):
                score(reader, given, queries, candidates)
    with pytest.raises(UserError, match="memory is a generator"):
        unread: Any = think(own, [3, 4, 5])
        score(own, unread, queries, candidates)


def test_what_is_no_language_model_is_refused() -> None:
    wrong: list[tuple[Any, str]] = [(tiny("gpt2").transformer, "GPT2Model"), ("gpt2", "str")]
    for model, name in wrong:
        with pytest.raises(UserError, match=f"{name} is no causal language model"):
            list(think(model, [3]))
        with pytest.raises(UserError, match=f"{name} is no causal language model"):
            score(model, None, [[3]], [[[4], [5]]])


@pytest.mark.parametrize("kind", ["gpt2", "opt", "gpt_neo"])
def test_a_prompt_beyond_learnt_positions_is_refused(kind: str) -> None:
    model = tiny(kind)
    assert len(list(think(model, [3] * 64, 2))) == 2
    with pytest.raises(UserError, match="a prompt of 130 positions does not fit"):
        list(think(model, [3] * 65, 2))
    (memory,) = think(model, [3] * 120, 1)
    with pytest.raises(UserError, match="a prompt of 129 positions does not fit"):
        score(model, memory, [[5] * 9], [[[7], [8]]])


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"iterations": 2.0}, "iterations is 2.0: T must be a whole number"),
        ({"iterations": "2"}, "iterations is '2'"),
        ({"step_size": "0.1"}, "step_size is '0.1': it must be a number"),
        ({"momentum": None}, "momentum is None"),
        ({"step_size": -0.1}, "η must lie between 0 and 1"),
        ({"step_size": math.nan}, "η must lie between 0 and 1"),
    ],
)
def test_wrong_arguments_of_think_are_refused(wrong: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        list(think(tiny("llama"), [3], **wrong))


@pytest.mark.parametrize(
    ("text", "candidates", "label", "told"),
    [
        (None, LABELS, 0, "the text of an example must be a string, not None"),
        (math.nan, LABELS, 0, "the text of an example must be a string, not nan"),
        ("half \ud83d", LABELS, 0, "half of a character"),
        ("x", "ab", 0, "a tuple of strings, not 'ab'"),
        ("x", (0, 1), 0, r"a tuple of strings, not \(0, 1\)"),
        ("x", LABELS, "positive", "the index of a candidate, not 'positive'"),
        ("x", LABELS, 1.0, "the index of a candidate, not 1.0"),
    ],
)
def test_what_is_no_example_is_refused(text: Any, candidates: Any, label: Any, told: str) -> None:
    """The letters of a word were once its candidates."""
    with pytest.raises(UserError, match=told):
        Example(text, candidates, label)


def test_lists_and_generators_of_examples_are_what_they_hold(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    """A generator of demonstrations was once used up before it was read: none were shown."""
    template = "Review: {text}\nSentiment:"
    expected = encoded(tokenizer, template)
    parts: list[tuple[str, Any, Any]] = [
        (shot.text, list(shot.candidates), np.int64(shot.label)) for shot in SHOTS
    ]
    lists = [Example(*part) for part in parts]
    assert lists == SHOTS
    forms: tuple[Iterable[Example], ...] = (iter(SHOTS), lists, tuple(SHOTS))
    for shots in forms:
        assert encoded(tokenizer, template, shots, iter(QUERIES)) == expected


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"template": "Review:"}, "the template 'Review:' has no {text}"),
        ({"queries": "fun"}, "a list of examples is needed, not str"),
        ({"queries": QUERIES[0]}, "a list of examples is needed, not Example"),
        ({"queries": ["fun"]}, "an Example is needed, not str"),
        ({"shots": None}, "a list of examples is needed, not NoneType"),
        ({"copies": 0}, "copies is 0: it must be 1 or more"),
        ({"queries": [Example("x", (" a", "b"), 0)]}, "leave out the space in front"),
    ],
)
def test_wrong_arguments_of_encode_are_refused(
    tokenizer: PreTrainedTokenizerFast, wrong: dict[str, Any], told: str
) -> None:
    """Without {text} every prompt was once the same one; with no copies it was zero-shot."""
    with pytest.raises(UserError, match=told):
        encoded(tokenizer, **{"template": "Review: {text}\nSentiment:", **wrong})


@pytest.mark.parametrize(
    ("how", "scores", "equal"),
    [("probability", 0.0, 0.5), ("sum", -np.inf, 0.5), ("mean", -np.inf, 0.5)],
)
def test_words_too_unlikely_to_be_told_apart_are_alike_to_selectors(
    how: str, scores: float, equal: float
) -> None:
    """They were once no numbers, and so was what a selector made of them."""
    pool = made([0, 1], hidden=np.eye(2), scores=[[scores] * 2, [1, scores]], answer_score=how)
    assert pool.probabilities[0].tolist() == [equal, equal]
    assert pool.probabilities[1].tolist() == [1, 1e-12]
    assert np.isfinite(pool.gradients("none").total()).all()
    if how == "probability":
        assert np.isfinite(pool.losses(pool.scores)).all()
