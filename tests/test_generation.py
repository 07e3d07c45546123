"""Text behind a memory: at t = 1 it is what the model writes after the whole prompt."""

from typing import Any

import pytest
import torch
from tiny_models import CONFIGS, SMALL, VOCABULARY, made_from, tiny
from transformers import (
    Gemma3TextConfig,
    GenerationConfig,
    MistralConfig,
    PreTrainedModel,
    Qwen2Config,
    Qwen3Config,
    TextStreamer,
)

from deepthink import Memory, encode, think
from deepthink.config.overrides import compose
from deepthink.engine.generation import continuations, generate
from deepthink.engine.prepack import prepack
from deepthink.engine.stopping import TextHas
from deepthink.errors import UserError
from deepthink.models import loading
from deepthink.tasks import sources

OTHERS = {
    "qwen2": Qwen2Config(**SMALL),
    "qwen3": Qwen3Config(**SMALL, head_dim=8),
    "mistral": MistralConfig(**SMALL, sliding_window=6),
    "gemma3": Gemma3TextConfig(
        **{**SMALL, "num_hidden_layers": 3},
        head_dim=8,
        sliding_window=6,
        layer_types=["sliding_attention", "sliding_attention", "full_attention"],
    ),
}
SHOTS = [3, 14, 15, 92, 65, 35, 89, 79, 32, 38, 46, 26, 43]
QUERIES = [[(7 * i * i + 3 * j + 1) % 90 + 3 for j in range(1 + i % 5)] for i in range(20)]
NEW = 8


class Letters:
    """A tokenizer of single letters: the id is the letter's place in the alphabet."""

    pad_token_id, eos_token_id = None, 96

    def __call__(self, text: str, add_special_tokens: bool) -> dict[str, list[int]]:
        return {"input_ids": [2] * add_special_tokens + [ord(letter) - 32 for letter in text]}

    def decode(self, ids: list[int], skip_special_tokens: bool = False, **_: object) -> str:
        kept = [i for i in ids if i > 2 or not skip_special_tokens]
        return "".join(chr(i + 32) for i in kept)

    def batch_decode(self, rows: list[list[int]], **_: object) -> list[str]:
        return [self.decode(row) for row in rows]


@pytest.fixture
def letters() -> Any:
    return Letters()


def model_of(name: str, dtype: torch.dtype = torch.float64) -> PreTrainedModel:
    """A tiny model with weights so large that attention matters."""
    if name in CONFIGS:
        return tiny(name, dtype)
    model = made_from(OTHERS[name], dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(6)
    return model


def memory_of(model: PreTrainedModel, iterations: int = 1, **options: Any) -> Memory:
    *_, memory = think(model, SHOTS, iterations, **options)
    return memory


def whole(model: Any, query: list[int], **options: Any) -> list[int]:
    """What transformers generates after the demonstrations and the query in one, by itself."""
    ids = torch.tensor([[*SHOTS, *query]])
    made = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=NEW, do_sample=False, **options
    )[0, ids.shape[1] :].tolist()
    end = model.generation_config.eos_token_id
    return list(made[: made.index(end)] if end in made else made)


@pytest.mark.parametrize("name", [*CONFIGS, *OTHERS])
def test_at_t_1_it_is_what_the_model_writes_after_the_whole_prompt(name: str) -> None:
    model = model_of(name)
    expected = [whole(model, query) for query in QUERIES]
    made = continuations(
        model, memory_of(model), QUERIES, pad=5, max_new_tokens=NEW, do_sample=False
    )
    assert made == expected
    assert len({tuple(row) for row in made}) > 5  # queries make a difference


@pytest.mark.parametrize("name", ["llama", "opt", "gpt_neo", "gemma3"])
def test_a_later_memory_writes_what_its_own_logits_say(name: str) -> None:
    """Each token is the best one by `score`, which has nothing of generation in it."""
    from deepthink import score

    model = model_of(name)
    memory = memory_of(model, 3, step_size=0.7)
    made = continuations(
        model, memory, QUERIES[:4], pad=5, max_new_tokens=3, do_sample=False, eos_token_id=96
    )
    for query, row in zip(QUERIES, made, strict=False):
        for place, token in enumerate(row):
            every = [[word] for word in range(VOCABULARY)]
            (scores,) = score(model, memory, [[*query, *row[:place]]], [every])
            assert max(scores) - scores[token] < 1e-9
    assert made != continuations(
        model, memory_of(model), QUERIES[:4], pad=5, max_new_tokens=3, eos_token_id=96
    )


@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma3"])
@pytest.mark.parametrize(
    "options",
    [
        {"repetition_penalty": 1.7},
        {"no_repeat_ngram_size": 2},
        {"num_beams": 3},
        {"bad_words_ids": [[11], [14, 15]]},
    ],
    ids=lambda options: next(iter(options)),
)
def test_what_looks_at_earlier_tokens_sees_the_demonstrations(
    name: str, options: dict[str, Any]
) -> None:
    model = model_of(name)
    made = continuations(model, memory_of(model), QUERIES[:8], 5, max_new_tokens=NEW, **options)
    assert made == [whole(model, query, **options) for query in QUERIES[:8]]


def test_a_memory_without_ids_shows_the_query_alone_to_what_looks_at_earlier_tokens() -> None:
    model = model_of("llama")
    memory = memory_of(model).times(1.0)
    assert memory.origin is None
    plain = continuations(model, memory, QUERIES[:6], 14, max_new_tokens=NEW)
    assert plain == [whole(model, query) for query in QUERIES[:6]]
    bound = continuations(
        model, memory, QUERIES[:6], 14, max_new_tokens=NEW, repetition_penalty=9.0
    )
    rows = [continuations(model, memory, [query], 3, max_new_tokens=NEW, repetition_penalty=9.0)
            for query in QUERIES[:6]]  # fmt: skip
    assert bound == [row for (row,) in rows]
    assert bound != plain


def test_rows_that_end_early_hold_no_padding() -> None:
    model = model_of("llama")
    memory = memory_of(model)
    free = continuations(model, memory, QUERIES, 5, max_new_tokens=NEW, eos_token_id=96)
    end = free[0][4]
    cut = [row[: row.index(end)] if end in row else row for row in free]
    assert continuations(model, memory, QUERIES, 5, max_new_tokens=NEW, eos_token_id=end) == cut
    assert len({len(row) for row in cut}) > 2
    both = continuations(model, memory, QUERIES, 5, max_new_tokens=NEW, eos_token_id=[end, 96])
    assert both == cut


@pytest.mark.parametrize("end", [96, None])
def test_a_criterion_of_ones_own_ends_a_row_where_it_says(end: int | None) -> None:
    model = model_of("llama")
    model.generation_config.eos_token_id = end
    memory = memory_of(model)
    free = continuations(model, memory, QUERIES, 5, max_new_tokens=NEW)
    stop = free[0][4]

    def seen(ids: torch.Tensor, scores: object) -> torch.Tensor:
        return ids[:, -1] == stop

    made = continuations(model, memory, QUERIES, 5, max_new_tokens=NEW, stopping_criteria=[seen])
    assert made == [row[: row.index(stop) + 1] if stop in row else row for row in free]


def test_no_memory_is_plain_generation() -> None:
    model = model_of("opt")
    made = continuations(
        model, None, [[*SHOTS, *query] for query in QUERIES], 5, max_new_tokens=NEW
    )
    assert made == [whole(model, query) for query in QUERIES]


def test_a_beam_ends_at_a_stop_string_as_transformers_would_end_it(letters: Any) -> None:
    model: Any = model_of("llama")
    memory, query = memory_of(model), [66, 67]
    (free,) = continuations(model, memory, [query], 5, num_beams=3, max_new_tokens=NEW)
    stop = letters.decode(free[2:4])
    ids = torch.tensor([[*SHOTS, *query]])
    criteria = [TextHas([stop], letters, ids.shape[1])]
    expected = whole(model, query, num_beams=3, stopping_criteria=criteria)
    options: dict[str, Any] = {"num_beams": 3, "stop_strings": stop, "max_new_tokens": NEW}
    assert continuations(model, memory, [query], 5, tokenizer=letters, **options) == [expected]
    (text,) = generate(model, letters, memory, [query], **options)
    assert text == letters.decode(expected).partition(stop)[0]
    assert expected != free


def test_several_texts_of_a_prompt_follow_each_other() -> None:
    model = model_of("gpt2")
    memory, options = memory_of(model), {"do_sample": True, "max_new_tokens": 4, "eos_token_id": 96}
    torch.manual_seed(3)
    made = continuations(model, memory, QUERIES[:2], 5, num_return_sequences=3, **options)
    assert len(made) == 6 and len({tuple(row) for row in made}) > 2
    torch.manual_seed(3)
    assert made == continuations(model, memory, QUERIES[:2], 5, num_return_sequences=3, **options)
    beams = continuations(
        model, memory, QUERIES[:2], 5, num_beams=3, num_return_sequences=2, max_new_tokens=4
    )
    best = continuations(model, memory, QUERIES[:2], 5, num_beams=3, max_new_tokens=4)
    assert beams[::2] == best and len(beams) == 4


def test_a_small_budget_and_a_full_memory_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    from deepthink.engine import generation_batches as batches

    model = model_of("llama")
    memory = memory_of(model)
    expected = continuations(model, memory, QUERIES, 5, max_new_tokens=NEW)
    sizes: list[int] = []
    batch = batches.Batches._batch

    def counted(self: batches.Batches, queries: list[list[int]], new: int) -> Any:
        sizes.append(len(queries))
        if len(queries) > 3:
            raise torch.OutOfMemoryError
        return batch(self, queries, new)

    monkeypatch.setattr(batches.Batches, "_batch", counted)
    assert continuations(model, memory, QUERIES, 5, max_new_tokens=NEW) == expected
    assert sizes[:3] == [20, 10, 5]
    monkeypatch.setattr(batches, "slots_fitting", lambda *_: 60)
    sizes.clear()
    assert continuations(model, memory, QUERIES, 5, max_new_tokens=NEW) == expected
    assert set(sizes) <= {1, 2}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_packed_weights_and_half_precision_generate(dtype: torch.dtype) -> None:
    model = prepack(model_of("llama", dtype))
    memory = memory_of(model)
    made = continuations(model, memory, QUERIES[:6], 5, max_new_tokens=4, eos_token_id=96)
    alone = [
        continuations(model, memory, [q], 5, max_new_tokens=4, eos_token_id=96)[0]
        for q in QUERIES[:6]
    ]
    assert [len(row) for row in made] == [4] * 6
    if dtype == torch.float32:
        assert made == alone


def test_the_memory_stays_as_it_was_and_every_cache_is_new() -> None:
    model = model_of("gemma3")
    memory = memory_of(model)
    before = memory.copy()
    first = continuations(model, memory, QUERIES, 5, max_new_tokens=NEW)
    assert first == continuations(model, memory, QUERIES, 5, max_new_tokens=NEW)
    assert all(map(torch.equal, memory.tensors, before.tensors))
    cache = memory.cache(model, batch=2)
    assert cache is not memory.cache(model, batch=2)
    assert cache.get_seq_length() == len(SHOTS)


@pytest.mark.parametrize("name", [*CONFIGS, *OTHERS])
def test_a_cache_gives_the_logits_of_the_whole_prompt(name: str) -> None:
    model: Any = model_of(name)
    queries = torch.tensor([[7, 8, 9], [9, 3, 4]])
    prompts = torch.cat([torch.tensor([SHOTS, SHOTS]), queries], 1)
    with torch.no_grad():
        expected = model(prompts).logits[:, len(SHOTS) :]
        out = model(
            queries,
            past_key_values=memory_of(model).cache(model, batch=2),
            attention_mask=torch.ones_like(prompts),
            position_ids=torch.arange(len(SHOTS), len(SHOTS) + 3)[None].expand(2, -1),
        )
    coarse = name == "gpt_neo"  # it computes attention in float32
    torch.testing.assert_close(out.logits, expected, rtol=0, atol=1e-5 if coarse else 1e-9)


def test_texts_end_before_the_first_stop_string(letters: Any) -> None:
    model = model_of("llama")
    memory, prompts = memory_of(model), ["ab", "c", "Zz?"]
    free = generate(model, letters, memory, prompts, max_new_tokens=NEW)
    stops = [free[0][3:5], free[1][6]]
    made = generate(model, letters, memory, prompts, max_new_tokens=NEW, stop_strings=stops)
    for text, uncut in zip(made, free, strict=True):
        places = [uncut.find(stop) for stop in stops if stop in uncut]
        assert text == uncut[: min(places, default=None)]
    assert made[0] == free[0][:3]
    config = GenerationConfig(max_new_tokens=NEW, stop_strings=stops)
    assert generate(model, letters, memory, prompts, generation_config=config) == made
    assert config.stop_strings == stops  # it is the caller's
    assert generate(model, letters, memory, "ab", generation_config=config) == made[:1]


def test_stop_strings_end_the_ids_of_continuations_too(letters: Any) -> None:
    model = model_of("llama")
    model.generation_config.eos_token_id = None
    memory, queries = memory_of(model), [[66, 67], [68], [4, 5, 6]]
    free = continuations(model, memory, queries, 5, max_new_tokens=NEW)
    stop = letters.decode(free[0][3:5])
    made = continuations(
        model, memory, queries, 5, max_new_tokens=NEW, stop_strings=stop, tokenizer=letters
    )
    for row, uncut in zip(made, free, strict=True):
        ends = [n for n in range(len(uncut) + 1) if stop in letters.decode(uncut[:n])]
        assert row == uncut[: min(ends, default=None)]
    assert len(made[0]) < NEW


def test_special_tokens_come_first_only_without_a_memory(letters: Any) -> None:
    model = model_of("llama")
    plain = generate(model, letters, None, ["ab"], max_new_tokens=NEW)
    assert plain == [letters.decode(continuations(model, None, [[2, 65, 66]], 5, max_new_tokens=NEW)[0])]  # fmt: skip  # noqa: E501
    memory = memory_of(model)
    behind = generate(model, letters, memory, ["ab"], max_new_tokens=NEW)
    assert behind == generate(model, letters, memory, [[65, 66]], max_new_tokens=NEW)


def test_a_stream_shows_the_new_text_and_not_the_memory(
    letters: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    model = model_of("llama")
    memory = memory_of(model)
    (text,) = generate(
        model, letters, memory, "ab", max_new_tokens=NEW, streamer=TextStreamer(letters)
    )
    assert capsys.readouterr().out.strip("\n") == f"ab{text}"
    generate(
        model,
        letters,
        memory,
        "ab",
        max_new_tokens=NEW,
        streamer=TextStreamer(letters, skip_prompt=True),
    )
    assert capsys.readouterr().out.strip("\n") == text


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_length": 40}, "max_new_tokens"),
        ({"attention_mask": torch.ones(1, 1)}, "attention_mask"),
        ({"past_key_values": object()}, "past_key_values"),
        ({"cache_implementation": "static"}, "cache_implementation"),
        ({"assistant_model": object()}, "assistant_model"),
        ({"use_cache": False}, "use_cache"),
        ({"prompt_lookup_num_tokens": 3}, "prompt_lookup"),
        ({"guidance_scale": 2.0}, "not supported"),
        ({"max_tokens": 3}, "max_new_tokens"),
        ({"max_new_tokens": 0}, "at least 1"),
        ({"max_new_tokens": "x"}, "whole number"),
        ({"max_new_tokens": 1000}, "positions"),
        ({"do_sample": True, "temperature": -1.0}, "refuses"),
        ({"num_return_sequences": 2, "do_sample": False}, "refuses"),
        ({"num_beams": 0}, "num_beams"),
        ({"stop_strings": ["."]}, "tokenizer"),
        ({"stop_strings": [""], "tokenizer": Letters()}, "not empty"),
        ({"generation_config": {"max_new_tokens": 3}}, "GenerationConfig"),
        ({"generation_config": GenerationConfig(max_length=30)}, "max_length"),
        ({"generation_config": GenerationConfig(cache_implementation="static")}, "cache_impl"),
        ({"streamer": TextStreamer(Letters())}, "one prompt"),  # type: ignore[arg-type]
        ({"streamer": object()}, "TextStreamer"),
        ({"stopping_criteria": print}, "must be a list"),
        ({"logits_processor": print}, "must be a list"),
    ],
    ids=lambda given: given if isinstance(given, str) else next(iter(given)),
)
def test_what_would_be_wrong_is_refused_in_one_line(options: dict[str, Any], says: str) -> None:
    model = model_of("gpt2")
    with pytest.raises(UserError, match=says) as refused:
        continuations(model, memory_of(model), QUERIES[:2], 5, **options)
    assert "\n" not in str(refused.value)


def test_as_many_tokens_as_there_are_positions_for() -> None:
    model = model_of("gpt2")
    model.generation_config.eos_token_id = None
    (row,) = continuations(model, memory_of(model), [[4, 5]], 5)
    assert len(SHOTS) + 2 + len(row) == 128 + 1  # the last token is not read
    (long,) = continuations(model, memory_of(model), [[4] * 115], 5)
    assert len(long) == 1
    with pytest.raises(UserError, match="room for 0 new"):
        continuations(model, memory_of(model), [[4] * 116], 5)


def test_prompts_that_are_none_are_refused() -> None:
    model = model_of("gpt2")
    memory = memory_of(model)
    assert continuations(model, memory, [], 5) == []
    for queries, says in (([[]], "at least one"), ([[97]], "0 to 96"), ([["a"]], "token ids")):
        with pytest.raises(UserError, match=says):
            continuations(model, memory, queries, 5)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="0 to 96"):
        continuations(model, memory, [[3]], 97)
    with pytest.raises(UserError, match="eval"):
        continuations(model_of("gpt2").train(), None, [[3]], 5)


def test_another_model_is_refused() -> None:
    memory = memory_of(model_of("gpt2"))
    for other in ("llama", "gpt_neo"):
        with pytest.raises(UserError, match="made by GPT2LMHeadModel") as refused:
            continuations(model_of(other), memory, [[3]], 5)
        assert "\n" not in str(refused.value)
    with pytest.raises(UserError, match="layers or heads"):
        continuations(model_of("gpt_neo"), memory.times(1.0), [[3]], 5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smollm2-135m", "gemma3-270m"])
def test_real_models_write_what_they_write_after_the_whole_prompt(name: str) -> None:
    """Twenty queries of the bundled task, in batches and one by one, as ids and as texts."""
    config = compose([f"model={name}", "test_size=20", "seed=1"])
    try:
        lm = loading.load(config.model, torch.device("cpu"), tell=lambda _: None)
    except UserError as error:
        pytest.skip(str(error))
    splits = sources.load(config.task, test_size=20)
    prompt = encode(
        lm.tokenizer, config.task.template, splits.pool[:6], splits.test[:20], limit=lm.positions
    )
    shots, (*_, memory) = prompt.demonstrations, think(lm.model, prompt.demonstrations, 1)
    model: Any = lm.model
    expected = []
    for query in prompt.queries:
        ids = torch.tensor([[*shots, *query]])
        made = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=10, do_sample=False
        )
        expected.append(made[0, ids.shape[1] :].tolist())
    ends = model.generation_config.eos_token_id
    ends = [ends] if isinstance(ends, int) else ends
    cut = [row[: min((row.index(e) for e in ends if e in row), default=None)] for row in expected]
    options: dict[str, Any] = {"max_new_tokens": 10, "do_sample": False}
    assert continuations(model, memory, prompt.queries, 0, **options) == cut
    whole = [lm.tokenizer.decode([*q, *row]) for q, row in zip(prompt.queries, cut, strict=True)]
    before = [str(lm.tokenizer.decode(query)) for query in prompt.queries]
    texts = generate(model, lm.tokenizer, memory, prompt.queries, **options)
    assert [b + t for b, t in zip(before, texts, strict=True)] == whole
    assert len(set(texts)) > 3
