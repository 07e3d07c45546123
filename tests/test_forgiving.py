"""Token ids may come as any tokenizer gives them, and what is meant otherwise is said in a line."""

from collections import UserDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tiny_models import SMALL, made_from, tiny
from transformers import LlamaConfig, PreTrainedTokenizerFast

from deepthink import Memory, generate, score, think
from deepthink.engine.demonstrations import Demonstrations
from deepthink.engine.generation import continuations
from deepthink.errors import UserError
from deepthink.structures import token_ids

IDS = [3, 14, 15, 92, 65]


class Encoded(UserDict):  # type: ignore[type-arg]
    """What a tokenizer returns is such a mapping."""


FORMS: dict[str, Callable[[list[int]], Any]] = {
    "tuple": tuple,
    "array": np.array,
    "row of an array": lambda ids: np.array([ids], dtype=np.int32),
    "tensor": torch.tensor,
    "row of a tensor": lambda ids: torch.tensor([ids]),
    "list of one list": lambda ids: [ids],
    "list of one tensor": lambda ids: [torch.tensor(ids)],
    "list of numpy's numbers": lambda ids: list(np.array(ids)),
    "encoding": lambda ids: Encoded(input_ids=ids, attention_mask=[1] * len(ids)),
    "encoding of one row": lambda ids: Encoded(
        input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids))
    ),
    "padded encoding": lambda ids: Encoded(
        input_ids=torch.tensor([[0, 0, *ids]]),
        attention_mask=torch.tensor([[0, 0] + [1] * len(ids)]),
    ),
    "encoding without a mask": lambda ids: {"input_ids": ids},
}


@pytest.fixture(scope="module")
def model() -> Any:
    return tiny("llama")


@pytest.fixture(scope="module")
def memory(model: Any) -> Memory:
    *_, last = think(model, IDS, 3)
    return last


@pytest.mark.parametrize("form", FORMS)
def test_ids_may_come_in_any_form(model: Any, memory: Memory, form: str) -> None:
    of = FORMS[form]
    *_, again = think(model, of(IDS), 3)
    assert all(map(torch.equal, again.tensors, memory.tensors))
    queries, candidates = [[4, 5], [6]], [[[7], [8, 9]], [[7]]]
    rows = score(model, memory, [of(q) for q in queries], [[of(c) for c in r] for r in candidates])
    assert rows == score(model, memory, queries, candidates)
    options: dict[str, Any] = {"max_new_tokens": 3, "eos_token_id": 96}
    assert continuations(model, memory, [of(q) for q in queries], 0, **options) == continuations(
        model, memory, queries, 0, **options
    )


@pytest.mark.parametrize(
    "queries",
    [
        torch.tensor([[4, 5], [6, 7]]),
        np.array([[4, 5], [6, 7]]),
        Encoded(input_ids=[[4, 5], [6, 7]]),
        Encoded(input_ids=[[4, 5, 0], [6, 7, 0]], attention_mask=[[1, 1, 0], [1, 1, 0]]),
        Encoded(
            input_ids=torch.tensor([[0, 4, 5], [0, 6, 7]]),
            attention_mask=torch.tensor([[0, 1, 1], [0, 1, 1]]),
        ),
        iter([[4, 5], (6, 7)]),
    ],
)
def test_several_queries_may_come_at_once(model: Any, memory: Memory, queries: Any) -> None:
    candidates: Any = [[[7]], torch.tensor([[8, 9], [9, 8]])]
    expected = score(model, memory, [[4, 5], [6, 7]], [[[7]], [[8, 9], [9, 8]]])
    assert score(model, memory, queries, candidates) == expected


def test_an_encoding_of_one_text_is_one_query(model: Any, memory: Memory) -> None:
    (expected,) = score(model, memory, [[4, 5]], [[[7]]])
    assert score(model, memory, Encoded(input_ids=[4, 5]), [[[7]]]) == [expected]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("so dull", "not the text 'so dull'"),
        (["so dull", "a joy"], "not the text"),
        ({"text": "so dull"}, "no input_ids"),
        ([[1, 2], [3, 4]], "has 2 rows"),
        (torch.tensor([[1, 2], [3, 4]]), "has 2 rows"),
        ([torch.tensor([1, 2]), torch.tensor([3])], "has 2 rows"),
        (Encoded(input_ids=[[1, 2], [3]]), "has 2 rows"),
        (torch.tensor([1.0, 2.0]), "whole numbers"),
        (torch.tensor(3), "whole numbers"),
        (7, "whole numbers"),
        (None, "whole numbers"),
        ([None], "whole numbers"),
        ([1, 97], "0 to 96"),
        ([-1], "0 to 96"),
    ],
    ids=str,
)
def test_what_are_no_ids_is_said_in_one_line(model: Any, given: Any, says: str) -> None:
    for call in (
        lambda: next(think(model, given)),
        lambda: Demonstrations(model, given),
        lambda: score(model, None, [given], [[[5]]]),
        lambda: score(model, None, [[5]], [[given]]),
        lambda: continuations(model, None, [given], 0),
    ):
        with pytest.raises(UserError, match=says) as error:
            call()
        assert "\n" not in str(error.value)


def test_a_text_is_pointed_to_the_tokenizer(model: Any) -> None:
    with pytest.raises(UserError, match=r"tokenizer\(text\).*deepthink.encode"):
        next(think(model, "so dull"))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (lambda model: think(model, IDS), r"generator.*\*_, memory = think"),
        (lambda model: [*think(model, IDS)], r"is a list.*\*_, memory = think"),
        (lambda model: tuple(think(model, IDS, 1)), "is a tuple"),
        (lambda model: next(think(model, IDS)).cache(model), "not DynamicCache"),
        (lambda model: "memory.safetensors", "not str"),
        (lambda model: next(think(tiny("gpt2"), IDS)), "made by GPT2LMHeadModel"),
    ],
)
def test_what_is_no_memory_is_said_in_one_line(
    model: Any, given: Callable[[Any], Any], says: str
) -> None:
    for call in (
        lambda: score(model, given(model), [[4]], [[[5]]]),
        lambda: continuations(model, given(model), [[4]], 0, max_new_tokens=1),
    ):
        with pytest.raises(UserError, match=says) as error:
            call()
        assert "\n" not in str(error.value)


def test_queries_and_candidates_that_are_no_lists_are_told(model: Any) -> None:
    for queries, candidates, says in (
        ("good", [[[1]]], "item of a list"),
        (5, [[[1]]], "item of a list"),
        ([4, 5], [[[1]], [[1]]], "must be a list of token ids"),
        ([[4]], "good", "for each query, a list"),
        ([[4]], 5, "for each query, a list"),
        ([[4]], [5], "item of a list"),
        ([[4]], [["good", "bad"]], "not the text 'good'"),
        ([[4]], [[[]]], "at least one"),
    ):
        with pytest.raises(UserError, match=says) as error:
            score(model, None, queries, candidates)  # type: ignore[arg-type]
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_memory_in_another_dtype_works(dtype: torch.dtype) -> None:
    model = tiny("gpt2", torch.float32)
    *_, memory = think(model, IDS, 2)
    near, exact = (score(model, m, [[4, 5]], [[[6], [7]]]) for m in (memory.to(dtype), memory))
    assert np.allclose(near, exact, atol=0.3 if dtype == torch.bfloat16 else 1e-6)
    made = continuations(model, memory.to(dtype), [[4, 5]], 0, max_new_tokens=2, eos_token_id=96)
    assert len(made[0]) == 2
    with pytest.raises(UserError, match="nowhere"):
        memory.to("nowhere")
    assert memory.to("cpu") is memory and memory.to(torch.float32) is memory


def test_prompts_may_be_texts_ids_or_encodings(tokenizer: PreTrainedTokenizerFast) -> None:
    small = made_from(LlamaConfig(**{**SMALL, "vocab_size": len(tokenizer)}))
    *_, memory = think(small, IDS, 2)
    options: dict[str, Any] = {"max_new_tokens": 4, "eos_token_id": None}
    texts = ["good film", "bad"]
    expected = generate(small, tokenizer, memory, texts, **options)
    rows = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    assert len(expected) == 2
    for prompts in (
        tuple(texts),
        [texts[0], rows[1]],
        [torch.tensor(row) for row in rows],
        tokenizer(texts, add_special_tokens=False),
    ):
        assert generate(small, tokenizer, memory, prompts, **options) == expected
    assert generate(small, tokenizer, memory, texts[0], **options) == expected[:1]
    for prompts, says in (
        (5, "item of a list"),
        ([5], "whole numbers"),
        ("", "at least one token"),
    ):
        with pytest.raises(UserError, match=says):
            generate(small, tokenizer, memory, prompts, **options)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="tokenizer is Memory"):
        generate(small, memory, tokenizer, texts)  # type: ignore[arg-type]


def test_the_ids_of_a_tokenizers_own_encoding_are_taken(tokenizer: PreTrainedTokenizerFast) -> None:
    own = tokenizer.backend_tokenizer.encode("good film")
    assert token_ids(own, len(tokenizer), "a query") == own.ids
