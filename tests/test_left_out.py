"""The demonstrations' own answers, behind the memory of the others."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from conftest import Command, stored
from transformers import (
    DynamicCache,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from deepthink import think
from deepthink.config.overrides import compose
from deepthink.engine.flops import Costs, attended
from deepthink.engine.memory import Memory
from deepthink.selection.balance import Selection
from deepthink.structures import Example
from deepthink.study.left_out import OwnAnswers
from deepthink.study.prompting import Prompts
from deepthink.tasks.prompts import encode

WORDS = ("negative", "positive")
SHOWN = tuple(
    Example(text, WORDS, label)
    for text, label in (
        ("the kettle leaks", 0),
        ("a fine day and a kettle that sings", 1),
        ("dull", 0),
        ("it sings", 1),
    )
)
TEMPLATE = "Review: {text}\nSentiment:"
CONFIG = compose(["method=deepthink"])
SIZES: dict[str, Any] = {"vocab_size": 400, "attn_implementation": "eager"}


def made(kind: str = "llama") -> PreTrainedModel:
    """A model whose answers depend visibly on its memory, in float64."""
    torch.manual_seed(0)
    model: PreTrainedModel
    if kind == "gpt2":
        config = GPT2Config(n_layer=2, n_head=2, n_embd=16, n_positions=512, **SIZES)
        model = GPT2LMHeadModel(config)
    else:
        model = LlamaForCausalLM(
            LlamaConfig(
                num_hidden_layers=2,
                num_attention_heads=4,
                num_key_value_heads=2,
                hidden_size=16,
                intermediate_size=32,
                max_position_embeddings=512,
                **SIZES,
            )
        )
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(6)
    torch.nn.Module.double(model)
    model.train(False)
    return model


def prompts(
    tokenizer: PreTrainedTokenizerFast, shown: Sequence[Example] = SHOWN, **options: Any
) -> Prompts:
    query = [Example("a fine day", WORDS, 1)]
    encoded = encode(tokenizer, TEMPLATE, shown, query, thinks=True, **options)
    choice = Selection(list(range(len(shown))))
    return Prompts(choice, tuple(shown), (0,), encoded, encoded, encoded)


def asked(model: PreTrainedModel, group: Prompts, memory: Memory) -> float:
    own = OwnAnswers.of(model, [group], CONFIG)
    assert own is not None
    own.ask(memory)
    (found,) = own.all
    assert found.step == memory.step
    return found.log_p


def memories(model: PreTrainedModel, group: Prompts, last: int = 3) -> list[Memory]:
    return [*think(model, group.encoded.demonstrations, last, step_size=0.3)]


def slow(model: PreTrainedModel, group: Prompts, memory: Memory) -> float:
    """The stock model over the whole cache, with a mask of four axes, one forward for each answer.

    Of copies, the first is asked. The slots of every demonstration with the same text are hidden.
    """
    ids, length = group.encoded.demonstrations, len(group.encoded.demonstrations)
    kept = group.encoded.kept
    texts = [e.text for e in group.shown[len(group.shown) - kept :]] * group.encoded.copies
    logs: list[float] = []
    for place in range(int(group.encoded.truncated), kept):
        span, answer = group.encoded.spans[place], group.encoded.answers[place]
        fed = [ids[i] for i in span]
        mask = torch.full((len(fed), length + len(fed)), 0.0, dtype=torch.float64)
        for other, text in zip(group.encoded.spans, texts, strict=True):
            if text == texts[place]:
                mask[:, other.start : other.stop] = -torch.inf
        mask[:, length:] += torch.full((len(fed), len(fed)), -torch.inf).triu(1)
        pairs = zip(memory.keys, memory.values, strict=True)
        with torch.no_grad():
            logits = model(
                torch.tensor([fed]),
                attention_mask=mask[None, None],
                position_ids=torch.arange(length, length + len(fed))[None],
                past_key_values=DynamicCache([(k[None], v[None]) for k, v in pairs]),
            ).logits[0]
        rows = logits.log_softmax(-1)
        logs += [rows[i - span.start - 1, ids[i]].item() for i in answer]
    return sum(logs) / len(logs)


TWICE = (*SHOWN[:2], replace(SHOWN[0], label=1), SHOWN[3])
"""A text that is shown twice, with other tokens in front of it, and another answer."""


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
@pytest.mark.parametrize(
    ("shown", "options"),
    [
        (SHOWN, {}),
        (SHOWN, {"copies": 2}),
        (TWICE, {}),
        (SHOWN, {"overflow": "drop", "limit": 90}),
        (SHOWN, {"overflow": "truncate", "limit": 90}),
        (SHOWN, {"overflow": "truncate", "limit": 84}),
        (SHOWN, {"seam": "joint"}),
    ],
    ids=["plain", "copies", "same text", "dropped", "truncated", "answer gone", "joint"],
)
def test_it_is_the_stock_models_with_a_mask(
    tokenizer: PreTrainedTokenizerFast,
    kind: str,
    shown: Sequence[Example],
    options: dict[str, Any],
) -> None:
    model, group = made(kind), prompts(tokenizer, shown, **options)
    assert group.encoded.truncated == (options.get("overflow") == "truncate")
    assert (group.encoded.kept < len(shown)) == (options.get("overflow") == "drop")
    found = [asked(model, group, memory) for memory in memories(model, group)]
    expected = [slow(model, group, memory) for memory in memories(model, group)]
    assert found == pytest.approx(expected, rel=1e-5)
    assert len({*found}) == 3


def test_its_own_slots_do_not_change_an_answer_and_others_do(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    model, group = made(), prompts(tokenizer, copies=2)
    spans, answer = group.encoded.spans, group.encoded.answers[1]
    *_, memory = memories(model, group)

    def likely(changed: Sequence[range]) -> float:
        torch.manual_seed(1)
        tensors = [tensor.clone() for tensor in memory.tensors]
        for tensor in tensors:
            for span in changed:
                tensor[:, span.start : span.stop].normal_()
        half = len(tensors) // 2
        own = OwnAnswers(model, group, [answer])
        own.ask(Memory(tuple(tensors[:half]), tuple(tensors[half:]), memory.step))
        return own.all[0].log_p

    assert likely([spans[1], spans[5]]) == likely([])
    assert all(likely([spans[i]]) != likely([]) for i in (0, 2, 3, 4, 6, 7))


def test_operations_are_counted_apart(tokenizer: PreTrainedTokenizerFast) -> None:
    model, group = made(), prompts(tokenizer)
    own = OwnAnswers.of(model, [group], CONFIG)
    assert own is not None
    for memory in memories(model, group):
        own.ask(memory)
    pairs = [*zip(group.encoded.spans, group.encoded.answers, strict=True)]
    fed = [answer.stop - 1 - span.start for span, answer in pairs]
    length = len(group.encoded.demonstrations)
    keys = sum(attended(range(n), length - len(s)) for n, (s, _) in zip(fed, pairs, strict=True))
    rows = sum(len(answer) for _, answer in pairs)
    assert own.operations == Costs.of(model).forward(sum(fed), keys, rows)


def test_where_nothing_is_left_there_is_no_reading(tokenizer: PreTrainedTokenizerFast) -> None:
    model, group = made(), prompts(tokenizer)
    alone = prompts(tokenizer, SHOWN[:1])
    same = prompts(tokenizer, (SHOWN[0], replace(SHOWN[0], label=1)))
    once = compose(["method=vanilla"])
    assert OwnAnswers.of(model, [alone], CONFIG) is None
    assert OwnAnswers.of(model, [prompts(tokenizer, SHOWN[:1], copies=3)], CONFIG) is None
    assert OwnAnswers.of(model, [same], CONFIG) is None
    assert OwnAnswers.of(model, [group, group], CONFIG) is None
    assert OwnAnswers.of(model, [group], once) is None
    assert OwnAnswers.of(model, [group], compose(["task=e2e"])) is None
    assert OwnAnswers.of(model, [group], CONFIG) is not None


def test_an_impossible_answer_leaves_no_reading(
    tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, group = made(), prompts(tokenizer)
    own = OwnAnswers.of(model, [group], CONFIG)
    assert own is not None
    memory, *_ = memories(model, group)
    own.ask(memory)
    assert len(own.all) == 1
    infinite = torch.tensor(torch.inf)
    monkeypatch.setattr("deepthink.engine.demonstrations.Demonstrations.loss",
                        lambda *args, **options: infinite)  # fmt: skip
    own.ask(memory)
    assert not own.all


@pytest.mark.parametrize(
    "words",
    [["method.iterations=4"], ["method.momentum=0.9", "method.copies=2", "method.scored=ends"]],
)
def test_asking_changes_no_other_number(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    assert run(*words)[0] == 0
    ((path, with_it),) = stored(tmp_path)
    scores = pd.read_parquet(path.with_suffix(".parquet"))
    monkeypatch.setattr(OwnAnswers, "of", lambda *_: None)
    assert run("force=true", *words)[0] == 0
    ((path, without),) = stored(tmp_path)
    pd.testing.assert_frame_equal(pd.read_parquet(path.with_suffix(".parquet")), scores)
    steps = sorted({point["step"] for point in with_it["curve"]})
    assert [each["step"] for each in with_it.pop("left_out")] == steps
    assert with_it["flops"].pop("left_out") > 0
    assert "left_out" not in without
    for name in ("curve", "drift", "flops", "demonstrations", "scores", "step_by_dev"):
        assert with_it[name] == without[name], name


def test_at_one_reading_nothing_is_asked(run: Command, tmp_path: Path) -> None:
    assert run("method=vanilla")[0] == 0
    ((_, record),) = stored(tmp_path)
    assert "left_out" not in record
    assert "left_out" not in {**record["flops"], **record["seconds"]}
