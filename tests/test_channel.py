"""The noisy channel: texts scored behind labels, and the demonstrations written label first."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Command, assert_one_line, byte_level_tokenizer, stored
from scipy.special import softmax
from test_prompts import SHOTS, TEMPLATE, TOKENIZERS, decoded
from tiny_models import tiny
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from deepthink import load, predict, remember, score
from deepthink.config.overrides import compose, requested
from deepthink.engine.channel import score_texts
from deepthink.engine.flops import Costs, channel_flops
from deepthink.engine.memory import Memory
from deepthink.engine.thinking import think
from deepthink.engine.token_budget import TokenBudget
from deepthink.errors import UserError
from deepthink.report.axes import of_config
from deepthink.store.identity import identity
from deepthink.structures import Example
from deepthink.tasks.prompts import Encoded, encode

WORDS = ("negative", "positive")
QUERIES = [Example("a fine day", WORDS, 1), Example("dull", WORDS, 0), Example("the", WORDS, 0)]
DEMONSTRATIONS = [5, 9, 3, 7, 11, 2, 9, 4]
PARTS = [[8, 3, 12], [8, 3, 13, 14], [8, 15]]
TEXTS = [[20, 21, 22, 23], [20, 24], [25], [26, 27, 28, 29, 30], [25]]


def naive(model: PreTrainedModel, context: list[int], text: list[int]) -> float:
    """Log p(text | context) by transformers alone, one prompt in a forward."""
    with torch.no_grad():
        logits = model(torch.tensor([[*context, *text]])).logits[0]
    logs = torch.log_softmax(logits, -1)
    return sum(float(logs[len(context) + place - 1, token]) for place, token in enumerate(text))


@pytest.mark.parametrize("name", ["gpt2", "llama"])
@pytest.mark.parametrize("answer_score", ["sum", "mean"])
def test_scores_are_those_of_one_plain_prompt_for_each_pair(name: str, answer_score: str) -> None:
    model = tiny(name)
    (memory,) = think(model, DEMONSTRATIONS, iterations=1)
    rows = score_texts(model, memory, TEXTS, PARTS, answer_score)
    expected = np.array(
        [[naive(model, [*DEMONSTRATIONS, *part], text) for part in PARTS] for text in TEXTS]
    )
    if answer_score == "mean":
        expected /= np.array([[len(text)] for text in TEXTS])
    np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-9)
    alone = [[naive(model, part, text) for part in PARTS] for text in TEXTS]
    np.testing.assert_allclose(score_texts(model, None, TEXTS, PARTS), alone, rtol=0, atol=1e-9)


def test_a_part_of_one_token_without_memory_is_scored() -> None:
    model = tiny("gpt2")
    rows = score_texts(model, None, [[4], [5, 6]], [[1], [2]])
    expected = [[naive(model, part, text) for part in ([1], [2])] for text in ([4], [5, 6])]
    np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-9)


def test_the_sum_is_the_chain_rule_on_a_model_whose_probabilities_are_known() -> None:
    """A chain in which the next token depends on the last one alone, by a table."""
    known = torch.rand(6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    known = known.softmax(-1).log()
    config = GPT2Config(
        n_layer=1,
        n_head=2,
        n_embd=8,
        vocab_size=6,
        tie_word_embeddings=False,
        bos_token_id=0,
        eos_token_id=0,
    )
    model = GPT2LMHeadModel(config).double().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        model.transformer.wte.weight.copy_(torch.eye(6, 8))
        model.transformer.ln_f.weight.fill_(1.0)
        states = model.transformer(torch.arange(6)[None]).last_hidden_state[0]
        model.lm_head.weight.copy_((torch.linalg.pinv(states) @ known).T)
    rows = score_texts(model, None, [[3, 1, 4], [0]], [[5, 2], [5, 4]])
    expected = [
        [float(known[last, 3] + known[3, 1] + known[1, 4]) for last in (2, 4)],
        [float(known[last, 0]) for last in (2, 4)],
    ]
    np.testing.assert_allclose(rows, expected, rtol=0, atol=1e-10)
    assert abs(rows[0][0] - rows[0][1]) > 1e-3


def test_thought_memories_are_seen() -> None:
    """At every t a score is that of a forward with the memory in transformers' own cache."""
    model = tiny("llama")
    for memory in think(model, DEMONSTRATIONS, iterations=3, step_size=0.3):
        rows = score_texts(model, memory, TEXTS, PARTS)
        for text, row in zip(TEXTS, rows, strict=True):
            for part, nats in zip(PARTS, row, strict=True):
                assert abs(_behind_cache(model, memory, part, text) - nats) < 1e-9


def _behind_cache(
    model: PreTrainedModel, memory: Memory, part: list[int], text: list[int]
) -> float:
    fed = torch.tensor([[*part, *text]])
    mask = torch.ones(1, memory.length + fed.shape[1], dtype=torch.long)
    with torch.no_grad():
        out = model(fed, past_key_values=memory.cache(model), attention_mask=mask)
    logs = out.logits[0].log_softmax(-1)
    return sum(float(logs[len(part) + i - 1, token]) for i, token in enumerate(text))


def test_a_small_budget_changes_no_score_and_progress_counts_every_text() -> None:
    model, seen = tiny("gpt2"), list[int]()
    (memory,) = think(model, DEMONSTRATIONS, iterations=1)
    small = score_texts(model, memory, TEXTS, PARTS, budget=TokenBudget(2), progress=seen.append)
    np.testing.assert_allclose(small, score_texts(model, memory, TEXTS, PARTS), atol=1e-10)
    assert sum(seen) == len(TEXTS)
    assert score_texts(model, memory, [], PARTS) == []


def test_operations_are_those_of_the_tokens_that_are_fed() -> None:
    """Counted pair by pair, with what all pairs share taken once."""
    parts, texts = [[8, 3, 12], [8, 3, 13, 14], [8, 3, 15]], [[20, 21, 22, 23], [26, 27], [25]]
    fed = [[*part, *text[:-1]] for part in parts for text in texts]
    distinct = {tuple(ids[: end + 1]) for ids in fed for end in range(len(ids))}
    keys = sum(5 + len(beginning) for beginning in distinct)
    rows = {(*part, *text[:end]) for part in parts for text in texts for end in range(len(text))}
    expected = 100 * len(distinct) + 10 * keys + 1000 * len(rows)
    assert channel_flops(Costs(token=100, key=10, row=1000), 5, texts, parts) == expected


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda m: score_texts(m, None, [[]], PARTS), "at least one token"),
        (lambda m: score_texts(m, None, TEXTS, [[1], []]), "at least one token"),
        (lambda m: score_texts(m, None, TEXTS, PARTS, "probability"), "leave it out"),
    ],
)
def test_what_cannot_be_scored_is_refused(call: Any, says: str) -> None:
    with pytest.raises(UserError, match=says):
        call(tiny("gpt2"))


# how prompts are written


def channel(tokenizer: Any, template: str = TEMPLATE, **kwargs: Any) -> Encoded:
    return encode(tokenizer, template, SHOTS, QUERIES, direction="channel", **kwargs)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_demonstrations_are_written_label_first_and_texts_follow_a_part(kind: str) -> None:
    tokenizer = TOKENIZERS[kind]()
    found = channel(tokenizer)
    shots = "".join(f"Sentiment: {WORDS[e.label]}\nReview: {e.text}\n\n" for e in SHOTS)
    assert found.demonstrations == tokenizer(shots)["input_ids"]
    for query, ids, parts in zip(QUERIES, found.queries, found.candidates, strict=True):
        for word, part in zip(WORDS, parts, strict=True):
            whole = f"Sentiment: {word}\nReview: {query.text}"
            assert [*part, *ids] == tokenizer(whole, add_special_tokens=False)["input_ids"]
            assert decoded(tokenizer, part).strip() == f"Sentiment: {word}\nReview:"
    texts = [decoded(tokenizer, [found.demonstrations[i] for i in a]) for a in found.answers]
    assert [text.strip() for text in texts] == [example.text for example in SHOTS]
    assert found.direction == "channel"
    assert found.beginnings == 0
    longest = max(len(ids) for ids in found.candidates[0])
    assert found.sizes == [len(ids) + longest - 1 for ids in found.queries]


@pytest.mark.parametrize(
    ("template", "delimiter", "reads"),
    [
        ("Review: {text}\nSentiment:", " ", "Sentiment: positive\nReview: dull"),
        ("{text} It was", " ", "It was positive dull"),
        ("{text}:", " ", ": positive\ndull"),
        ("Text ({text}) is ", "", ") is positive\nText (dull"),
        ("{text}\n", " ", "positive\ndull"),
    ],
)
def test_every_template_has_a_channel(template: str, delimiter: str, reads: str) -> None:
    tokenizer = byte_level_tokenizer()
    found = encode(tokenizer, template, [], QUERIES[1:2], delimiter=delimiter, direction="channel")
    assert decoded(tokenizer, [*found.candidates[0][1], *found.queries[0]]) == reads


@pytest.mark.parametrize(
    ("kwargs", "says"),
    [
        ({"query": "twice"}, "leave out query=twice"),
        ({"seam": "joint"}, "leave out seam=joint"),
        ({"chat": True}, "leave out chat"),
        ({"template": "{text} {text}:"}, "several times"),
    ],
)
def test_ways_to_write_that_the_channel_has_not_are_refused(
    kwargs: dict[str, Any], says: str
) -> None:
    with pytest.raises(UserError, match=says):
        channel(byte_level_tokenizer(), **kwargs)


def test_queries_that_the_channel_cannot_score_are_refused() -> None:
    tokenizer = byte_level_tokenizer()
    own = [QUERIES[0], Example("x", ("yes", "no"), 0)]
    with pytest.raises(UserError, match="candidates of their own"):
        encode(tokenizer, TEMPLATE, SHOTS, own, direction="channel")
    with pytest.raises(UserError, match="query 2 of 2 is '', which has no token"):
        empty = [QUERIES[0], Example("", WORDS, 0)]
        encode(tokenizer, "{text}\nSo:", SHOTS, empty, direction="channel")


# jobs

SMALL = ("test_size=4", "dev_size=3", "pool_size=8", "demonstrations.count=3")


def test_a_job_scores_texts_behind_labels(run: Command, tmp_path: Path, tiny_folder: Path) -> None:
    """Every stored score at t = 1 against one plain prompt of transformers."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    code, out, err = run("method=channel", *SMALL)
    assert (code, err) == (0, "")
    assert "texts scored behind labels" in out
    ((path, record),) = stored(tmp_path)
    assert path.parent.name == "channel+deepthink"
    assert record["identity"]["direction"] == "channel"
    table = pd.read_parquet(path.with_suffix(".parquet"))
    found = table[(table["step"] == 1) & (table["split"] == "test")]["score"].to_numpy()
    model = AutoModelForCausalLM.from_pretrained(tiny_folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    job = _prepared(record, tmp_path)
    shown = [
        f"Sentiment: {WORDS[label]}\nReview: {job.pool[index].text}\n\n"
        for index, label in zip(
            record["demonstrations"]["indices"], record["demonstrations"]["labels"], strict=True
        )
    ]
    expected = [
        naive(
            model,
            tokenizer("".join(shown))["input_ids"]
            + tokenizer(f"Sentiment: {word}\nReview:")["input_ids"],
            tokenizer(f" {example.text}")["input_ids"],
        )
        for example in job.test
        for word in WORDS
    ]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def _prepared(record: dict[str, Any], tmp_path: Path) -> Any:
    from deepthink.tasks import sources

    task = compose(["task=sst2"]).task
    return sources.load(task, str(tmp_path / "data"), 4, 3, 8, "drop")


def test_predict_reads_a_channel_and_a_query_twice(tiny_folder: Path) -> None:
    model, tokenizer = load(tiny_folder, device="cpu")
    shown = [(example.text, WORDS[example.label]) for example in SHOTS]
    texts = [example.text for example in QUERIES]
    ways: list[dict[str, Any]] = [{"direction": "channel"}, {"query": "twice"}]
    for how in ways:
        prompt = encode(tokenizer, TEMPLATE, SHOTS, QUERIES, **how)
        (memory,) = think(model, prompt.demonstrations, iterations=1)
        if prompt.direction == "channel":
            rows = score_texts(model, memory, prompt.queries, prompt.candidates[0])
        else:
            rows = score(model, memory, prompt.queries, prompt.candidates)
        args = (model, tokenizer, TEMPLATE, shown, texts, list(WORDS))
        found = predict(*args, iterations=1, **how)[["p_negative", "p_positive"]]
        np.testing.assert_allclose(found, softmax(rows, axis=1), atol=1e-6)
    kept = remember(*args[:4], list(WORDS), iterations=1, direction="channel")
    again = predict(model, tokenizer, TEMPLATE, kept, texts, list(WORDS), direction="channel")
    first = predict(*args, iterations=1, direction="channel")
    assert again["p_positive"].tolist() == pytest.approx(first["p_positive"].tolist())


def test_batch_calibration_goes_with_the_channel_and_texts_do_not(
    run: Command, tmp_path: Path
) -> None:
    assert run("method=channel", "calibration=batch", *SMALL)[0] == 0
    code, _, err = run("method=channel", "calibration=contextual", *SMALL)
    assert_one_line(code, err, "calibration contextual asks for labels behind texts")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["task=gsm8k"], "open answers"),
        (["task=mmlu", "task.members=[astronomy]"], "options of their own"),
        (["prompt.chat=true"], "leave out chat"),
        (["prompt.seam=joint"], "leave out seam=joint"),
        (["method.query=twice"], "leave out query=twice"),
        (["answer_score=probability"], "leave out answer_score"),
    ],
)
def test_jobs_without_a_channel_are_refused(words: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        requested(["method=channel", *words])


def test_older_identities_have_neither_query_nor_direction() -> None:
    stored_key = identity(compose([]), "float32", "data").stored()
    assert not {"orders", "query", "direction"} & {*stored_key}
    plain = of_config(compose(["method=random"]))
    for name, changed in (("query_twice", "method.query"), ("channel", "method.direction")):
        other = of_config(compose([f"method={name}"]))
        assert {key for key in plain if plain[key] != other[key]} == {"method", changed}
