"""Memory and scores against the plain implementation, in float64, on all five architectures."""

import math
import random
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
import torch
from tiny_models import CONFIGS, VOCABULARY, tiny

from deepthink import score, think
from deepthink.engine import reference
from deepthink.engine.attention import attend, attend_plainly
from deepthink.engine.forward import Forward
from deepthink.engine.packing import pack
from deepthink.engine.scoring import Scorer
from deepthink.engine.token_budget import TokenBudget

# Transformers computes GPT-Neo's queries, keys and softmax in float32 whatever the model's dtype;
# the engine stays in float64 there.
TOLERANCE = dict.fromkeys(CONFIGS, 1e-9) | {"gpt_neo": 1e-5}
ARCHITECTURES = list(CONFIGS)


def ids(rng: random.Random, length: int) -> list[int]:
    return [rng.randrange(VOCABULARY) for _ in range(length)]


@pytest.fixture
def demonstrations() -> list[int]:
    return ids(random.Random(0), 23)


@pytest.fixture
def queries() -> list[list[int]]:
    """Ragged queries with a common beginning."""
    rng = random.Random(1)
    return [[5, 6, *ids(rng, rng.randint(1, 14))] for _ in range(7)]


@pytest.fixture
def candidates() -> list[list[list[int]]]:
    """One to four tokens, numbers that differ, shared prefixes, one the prefix of another."""
    rng = random.Random(2)
    rows = [[ids(rng, rng.randint(1, 4)) for _ in range(rng.randint(2, 5))] for _ in range(7)]
    rows[0] = [[3, 4, 5], [3, 4, 6], [3, 4], [8]]
    rows[1] = [[4], [9]]
    return rows


def largest(ours: list[list[float]], theirs: list[list[float]]) -> float:
    assert [len(row) for row in ours] == [len(row) for row in theirs]
    return max(
        abs(a - b)
        for row, other in zip(ours, theirs, strict=True)
        for a, b in zip(row, other, strict=True)
    )


@pytest.mark.parametrize("positions", ["continued", "aligned"])
@pytest.mark.parametrize(("step_size", "momentum"), list(product([0.01, 0.1, 1.0], [0.0, 0.9])))
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_agrees_with_the_plain_implementation(
    architecture: str,
    step_size: float,
    momentum: float,
    positions: str,
    demonstrations: list[int],
    queries: list[list[int]],
    candidates: list[list[list[int]]],
) -> None:
    model = tiny(architecture)
    settings = (demonstrations, 6, step_size, momentum, positions)
    ours, theirs = think(model, *settings), reference.think(model, *settings)
    for memory, plain in zip(ours, theirs, strict=True):
        for layer, (key, value) in enumerate(plain):
            assert (memory.keys[layer] - key[0]).abs().max() <= TOLERANCE[architecture]
            assert (memory.values[layer] - value[0]).abs().max() <= TOLERANCE[architecture]
        scores = score(model, memory, queries, candidates)
        expected = reference.score(model, plain, queries, candidates)
        assert largest(scores, expected) <= TOLERANCE[architecture]


@pytest.mark.parametrize("positions", ["continued", "aligned"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_options_of_many_tokens_agree_in_one_forward_a_question(
    architecture: str, positions: str, demonstrations: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two to ten options of up to 24 tokens, past GPT-Neo's local window of 9."""
    rng = random.Random(4)
    queries = [[5, 6, 7, *ids(rng, rng.randint(2, 20))] for _ in range(5)]
    candidates = [[ids(rng, rng.randint(1, 24)) for _ in range(n)] for n in (2, 10, 4, 6, 3)]
    candidates[1][1] = candidates[1][0][:5] + ids(rng, 9)
    model = tiny(architecture)
    settings = (demonstrations, 3, 0.1, 0.0, positions)
    forwards: list[int] = []
    for memory, plain in zip(
        think(model, *settings), reference.think(model, *settings), strict=True
    ):
        with monkeypatch.context() as patch:
            for name in ("read", "states"):
                patch.setattr(Forward, name, counted(getattr(Forward, name), forwards))
            scores = score(model, memory, queries, candidates, budget=TokenBudget(1))
        assert (
            largest(scores, reference.score(model, plain, queries, candidates))
            <= (TOLERANCE[architecture])
        )
    assert len(forwards) == 3 * (
        1 + len(queries)
    )  # per step, the common beginning and each question


def counted(forward: Callable[..., Any], forwards: list[int]) -> Callable[..., Any]:
    def call(self: Forward, tokens: list[int], *args: Any, **kwargs: Any) -> Any:
        forwards.append(len(tokens))
        return forward(self, tokens, *args, **kwargs)

    return call


def test_thinking_moves_scores(
    demonstrations: list[int], queries: list[list[int]], candidates: list[list[list[int]]]
) -> None:
    model = tiny("llama")
    first, *_, last = think(model, demonstrations, 4, step_size=0.1)
    assert largest(*(score(model, m, queries, candidates) for m in (first, last))) > 0.01


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_one_iteration_is_plain_prompting(
    architecture: str,
    demonstrations: list[int],
    queries: list[list[int]],
    candidates: list[list[list[int]]],
) -> None:
    model = tiny(architecture)
    (memory,) = think(model, demonstrations, iterations=1)
    scores = score(model, memory, queries, candidates)
    for query, row, answers in zip(queries, scores, candidates, strict=True):
        for answer, found in zip(answers, row, strict=True):
            prompt = [*demonstrations, *query, *answer]
            with torch.no_grad():
                logs = model(torch.tensor([prompt])).logits[0].log_softmax(-1)
            begin = len(prompt) - len(answer) - 1
            expected = sum(logs[begin + i, token].item() for i, token in enumerate(answer))
            assert abs(found - expected) <= TOLERANCE[architecture]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_step_size_zero_leaves_the_history(
    architecture: str, momentum: float, demonstrations: list[int]
) -> None:
    first, *later = think(tiny(architecture), demonstrations, 4, step_size=0.0, momentum=momentum)
    for memory in later:
        assert all(map(torch.equal, memory.keys, first.keys))
        assert all(map(torch.equal, memory.values, first.values))


def test_memories_already_yielded_stay_valid(demonstrations: list[int]) -> None:
    model = tiny("gpt2")
    kept = list(think(model, demonstrations, 4, step_size=0.5, momentum=0.9))
    for memory, again in zip(
        kept, think(model, demonstrations, 4, step_size=0.5, momentum=0.9), strict=True
    ):
        assert memory.step == again.step
        assert all(map(torch.equal, memory.keys, again.keys))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_order_batch_size_and_padding_change_nothing(
    architecture: str,
    demonstrations: list[int],
    queries: list[list[int]],
    candidates: list[list[list[int]]],
) -> None:
    model = tiny(architecture)
    *_, memory = think(model, demonstrations, 3, step_size=0.1)
    scores = score(model, memory, queries, candidates)
    backwards = score(model, memory, queries[::-1], candidates[::-1])[::-1]
    alone = [
        score(model, memory, [query], [row])[0]
        for query, row in zip(queries, candidates, strict=True)
    ]
    small = score(model, memory, queries, candidates, budget=TokenBudget(20))
    # a long neighbour makes every other sequence of its group be padded
    rng = random.Random(3)
    padded = score(model, memory, [*queries, [7, *ids(rng, 50)]], [*candidates, [[1], [2, 3]]])
    for other in (backwards, alone, small, padded[:-1]):
        assert largest(scores, other) <= 1e-12


def test_answer_scores_by_hand(demonstrations: list[int]) -> None:
    model = tiny("gpt2")
    (memory,) = think(model, demonstrations, 1)
    query, answer = [4, 8], [[11, 12]]
    ((total,),) = score(model, memory, [query], [answer])
    ((mean,),) = score(model, memory, [query], [answer], answer_score="mean")
    ((probability,),) = score(model, memory, [query], [answer], answer_score="probability")
    ((first,),) = score(model, memory, [query], [[[11]]])
    assert mean == pytest.approx(total / 2)
    assert probability == pytest.approx(math.exp(first) + math.exp(total - first))


@pytest.mark.parametrize("architecture", ["llama", "gpt_neo"])
def test_bfloat16_model_has_a_float32_memory(architecture: str, demonstrations: list[int]) -> None:
    model = tiny(architecture, torch.bfloat16)
    *_, wide = think(model, demonstrations, 5, step_size=0.01)
    *_, narrow = think(model, demonstrations, 5, step_size=0.01, memory_dtype="model")
    first = next(think(model, demonstrations, 1))
    assert wide.keys[0].dtype == torch.float32
    assert narrow.keys[0].dtype == torch.bfloat16
    # in bfloat16 steps of one percent round away or overshoot
    exact = wide.values[2] - first.values[2]
    error = (narrow.values[2].float() - first.values[2]) - exact
    assert error.norm() > 0.1 * exact.norm()


def test_packing_shares_prefixes() -> None:
    packed = pack([1, 2], [[7, 8, 9], [7, 8, 6], [7], [5, 4]])
    assert packed.tokens == [1, 2, 7, 8, 5]
    assert packed.parents == [-1, 0, 1, 2, 1]
    assert packed.depths == [0, 1, 2, 3, 2]
    assert packed.reads == [[1, 2, 3], [1, 2, 3], [1], [1, 4]]
    assert not packed.chain
    assert pack([1, 2], [[3], [4]]).chain


def out_of_cuda_memory() -> None:
    raise torch.OutOfMemoryError


def out_of_cpu_memory() -> None:
    torch.empty(1 << 60)


@pytest.mark.parametrize("fail", [out_of_cuda_memory, out_of_cpu_memory])
def test_running_out_of_memory_halves_the_budget(
    monkeypatch: pytest.MonkeyPatch,
    demonstrations: list[int],
    queries: list[list[int]],
    candidates: list[list[list[int]]],
    fail: Callable[[], None],
) -> None:
    model = tiny("gpt2")
    (memory,) = think(model, demonstrations, 1)
    expected = score(model, memory, queries, candidates)
    forward, refused = Forward.states, []

    def tight(self: Forward, tokens: list[int], *args: Any, **kwargs: Any) -> torch.Tensor:
        if len(tokens) > 40:
            refused.append(len(tokens))
            fail()
        return forward(self, tokens, *args, **kwargs)

    monkeypatch.setattr(Forward, "states", tight)
    budget = TokenBudget(1000)
    assert largest(score(model, memory, queries, candidates, budget=budget), expected) <= 1e-12
    assert refused
    assert budget.tokens < 1000


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_agrees_on_a_gpu(
    architecture: str,
    demonstrations: list[int],
    queries: list[list[int]],
    candidates: list[list[list[int]]],
) -> None:
    model = tiny(architecture, torch.float32)
    *_, memory = think(model, demonstrations, 3, step_size=0.1)
    expected = score(model, memory, queries, candidates)
    torch.nn.Module.to(model, "cuda")
    *_, memory = think(model, demonstrations, 3, step_size=0.1)
    assert largest(score(model, memory, queries, candidates), expected) < 1e-3


@pytest.mark.parametrize("masked", ["not", "causal", "mask"])
def test_fused_attention_returns_the_log_sum_exp(masked: str) -> None:
    torch.manual_seed(0)
    query, key, value = torch.randn(3, 2, 4, 9, 8, dtype=torch.float64)
    mask = None
    if masked == "mask":
        mask = torch.rand(2, 1, 9, 9) > 0.5
        mask.diagonal(dim1=-2, dim2=-1).fill_(True)
    arguments = (query, key, value, 0.3, mask, masked == "causal")
    for ours, plain in zip(attend(*arguments), attend_plainly(*arguments), strict=True):
        torch.testing.assert_close(ours, plain, rtol=0, atol=1e-12)


def test_a_row_that_sees_nothing_is_finite() -> None:
    query, key, value = torch.randn(3, 1, 1, 2, 4, dtype=torch.float64)
    mask = torch.tensor([[True, False], [False, False]])[None, None]
    out, total = attend_plainly(query, key, value, 1.0, mask, causal=False)
    assert total[0, 0, 1] == -math.inf
    assert torch.equal(out[0, 0, 1], torch.zeros(4, dtype=torch.float64))


def test_attention_is_restored() -> None:
    for name in ("llama", "gpt_neo"):
        model = tiny(name)
        before = model.config._attn_implementation
        prompt = torch.tensor([[1, 2, 3]])
        with torch.no_grad():
            logits = model(prompt).logits
            list(think(model, [1, 2, 3], 2))
            assert model.config._attn_implementation == before
            assert torch.equal(model(prompt).logits, logits)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_greedy_candidate_is_the_one_that_the_model_itself_would_write(
    architecture: str, demonstrations: list[int], queries: list[list[int]]
) -> None:
    model = tiny(architecture)
    (memory,) = think(model, demonstrations, 1)
    candidates, expected = [], []
    for query in queries:
        written = [*demonstrations, *query]
        for _ in range(4):
            written.append(int(model(torch.tensor([written])).logits[0, -1].argmax()))
        best = written[-4:]
        other = [(best[0] + 1) % VOCABULARY, *best[1:]]
        last = [*best[:3], (best[3] + 1) % VOCABULARY]
        candidates.append([best[:1], other, best, last, best[:2]])
        expected.append([True, False, True, False, True])
    scorer = Scorer(model)
    rows = scorer.with_greedy(memory, queries, candidates)
    assert [[greedy for _, greedy in row] for row in rows] == expected
    assert [[value for value, _ in row] for row in rows] == scorer.score(
        memory, queries, candidates
    )
