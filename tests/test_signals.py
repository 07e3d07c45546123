"""What a model says of a pool: against the plain implementation, and kept on disk."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Command, stored
from tiny_models import CONFIGS, VOCABULARY, tiny
from transformers import PreTrainedModel

from deepthink import hub
from deepthink.config.overrides import compose
from deepthink.engine import reference, support
from deepthink.engine.packing import common_beginning
from deepthink.engine.scoring import Scorer, score
from deepthink.engine.token_budget import TokenBudget
from deepthink.errors import UserError
from deepthink.models import loading
from deepthink.selection import signals
from deepthink.selection.pool import Pool
from deepthink.selection.signals import ModelReader
from deepthink.store.identity import identity
from deepthink.structures import Example

RNG = np.random.default_rng(0)


def tokens(*lengths: int) -> list[list[int]]:
    return [[int(t) for t in RNG.integers(4, VOCABULARY, n)] for n in lengths]


CANDIDATES = [[5, 6, 7], [5, 6], [9]]
QUERIES = [[3, 8, *own] for own in tokens(4, 1, 7, 2)]
CONTEXTS = [*tokens(5, 11, 1), []]


def plainly(model: PreTrainedModel, prompt: list[int], candidate: list[int]) -> float:
    """Log p of a candidate after a prompt, one whole forward of the stock model."""
    with torch.no_grad():
        logits = model(torch.tensor([prompt + candidate])).logits[0].double().log_softmax(-1)
    places = range(len(prompt) - 1, len(prompt) + len(candidate) - 1)
    return float(sum(logits[p, t].item() for p, t in zip(places, candidate, strict=True)))


TOLERANCE = {"gpt_neo": 1e-5}  # it computes attention in float32 whatever its dtype


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("trees", [True, False])
def test_scores_after_plain_prompts_are_the_stock_models(name: str, trees: bool) -> None:
    """Both ways: contexts with their queries as trees, and contexts remembered."""
    model = tiny(name)
    scorer = Scorer(model, budget=TokenBudget(60), tree_tokens=512 if trees else 0)
    found = scorer.after(CONTEXTS, [QUERIES] * 4, [[CANDIDATES] * 4] * 4)
    expected = [
        [[plainly(model, context + q, c) for c in CANDIDATES] for q in QUERIES]
        for context in CONTEXTS
    ]
    assert np.array(found) == pytest.approx(np.array(expected), abs=TOLERANCE.get(name, 1e-8))


@pytest.mark.parametrize("name", CONFIGS)
def test_states_are_what_the_stock_model_feeds_its_output_layer(name: str) -> None:
    model = tiny(name)
    seen = []
    head = model.get_output_embeddings()
    scores, states = Scorer(model, budget=TokenBudget(20)).with_states(QUERIES, [CANDIDATES] * 4)
    handle = head.register_forward_pre_hook(lambda _, args: seen.append(args[0][0, -1]))
    for query in QUERIES:
        with torch.no_grad():
            model(torch.tensor([query]))
    handle.remove()
    assert torch.allclose(states.double(), torch.stack(seen).double(), atol=1e-4, rtol=1e-5)
    assert states.dtype == torch.float32
    assert scores == score(model, None, QUERIES, [CANDIDATES] * 4, budget=TokenBudget(20))


def test_zero_shot_scores_are_the_plain_implementations() -> None:
    model = tiny("llama")
    one_token = [[7]]  # a memory of one token stands for a tokenizer's special token
    memory = next(reference.think(model, one_token[0], 1, 0.0))
    expected = reference.score(model, memory, QUERIES, [CANDIDATES] * 4)
    found = score(model, None, [[7, *q] for q in QUERIES], [CANDIDATES] * 4)
    assert np.array(found) == pytest.approx(np.array(expected), abs=1e-8)


def test_neither_budget_nor_company_changes_a_score() -> None:
    model = tiny("gpt_neox")
    alone = [
        Scorer(model).after([context], [QUERIES], [[CANDIDATES] * 4])[0] for context in CONTEXTS
    ]
    for budget in (1, 40, 10_000):
        scorer = Scorer(model, budget=TokenBudget(budget))
        together = scorer.after(CONTEXTS, [QUERIES] * 4, [[CANDIDATES] * 4] * 4)
        assert np.array(together) == pytest.approx(np.array(alone), abs=1e-9)


def test_progress_counts_every_query() -> None:
    model = tiny("gpt2")
    told: list[int] = []
    scorer = Scorer(model, progress=told.append)
    scorer.after(CONTEXTS, [QUERIES] * 4, [[CANDIDATES] * 4] * 4)
    assert sum(told) == 16


# the reader


@pytest.fixture
def reader(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., ModelReader]:
    """Makes readers of a tiny model, which keep their answers in one cache."""
    monkeypatch.setattr(hub, "cache_folder", lambda: tmp_path / "cache")

    def make(*overrides: str, dtype: str = "float32", batch: int = 512) -> ModelReader:
        config = compose(
            ["task=sst2", f"model.hub_id={tiny_folder}", "model.package=null", *overrides]
        )
        lm = loading.load(config.model, torch.device("cpu"))
        key = identity(config, dtype, "data")
        return ModelReader(lm, config, key, TokenBudget(256), batch)

    return make


LABELS = ("negative", "positive")
EXAMPLES = [Example(f"a dull day {'and ' * i}leaks", LABELS, i % 2) for i in range(12)]


def pool_of(reader: ModelReader, examples: list[Example] = EXAMPLES) -> Pool:
    return Pool(examples, reader=reader)


def test_signals_are_read_once_and_shared(reader: Callable[..., ModelReader]) -> None:
    first = reader()
    pool = pool_of(first)
    hidden, scores = pool.hidden, pool.scores
    assert first.usage.read == 12
    assert first.usage.forwards >= 1
    (stage,) = pool.stages
    assert (stage.predicted, stage.read, stage.kept) == (12, 12, 0)
    encoded = first.encode((), EXAMPLES)
    whole = [encoded.demonstrations + query for query in encoded.queries]
    shared = common_beginning(whole)  # read once; the label words are single tokens, never fed
    assert stage.tokens == shared + sum(len(prompt) - shared for prompt in whole)
    again = reader("seed=7", "method=graph_cut", "test_size=3")
    other = pool_of(again)
    assert (other.hidden == hidden).all()
    assert (other.scores == scores).all()
    assert (again.usage.read, again.usage.kept, again.usage.forwards) == (0, 12, 0)
    assert again.usage.tokens == first.usage.tokens  # what the answers took, whenever it was


def test_signals_are_read_by_the_decoders(
    reader: Callable[..., ModelReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(*_args: object) -> None:
        pytest.fail("something on the model keeps it from its decoder")

    first = reader()  # loading may take the slow way once, to check a model
    monkeypatch.setattr(support, "routed", slow)
    first.zero_shot(EXAMPLES, lambda _: None)
    first.after([EXAMPLES[:2]], EXAMPLES[2:], lambda _: None)


@pytest.mark.parametrize(
    ("override", "dtype"),
    [
        ("task.template='Text: {text}\\nMood:'", "float32"),
        ("model.dtype=bfloat16", "bfloat16"),
        ("prompt.seam=joint", "float32"),
    ],
)
def test_what_changes_a_signal_is_read_anew(
    reader: Callable[..., ModelReader], override: str, dtype: str
) -> None:
    _ = pool_of(reader()).hidden
    other = reader(override, dtype=dtype)
    _ = pool_of(other).hidden
    assert other.usage.kept == 0


def test_an_interrupted_reading_goes_on(reader: Callable[..., ModelReader]) -> None:
    whole = pool_of(reader(batch=5)).scores
    files = sorted(reader().folder.glob("*.safetensors"))
    assert len(files) == 3
    files[0].unlink()
    files[1].write_bytes(files[1].read_bytes()[:100])  # cut in the middle
    again = reader(batch=5)
    assert (pool_of(again).scores == whole).all()
    assert again.usage.kept + again.usage.read == 12
    assert again.usage.kept in (2, 5)
    assert not list(again.folder.glob(".*"))


@pytest.mark.parametrize("place", [3, 40, -1, -300])
def test_answers_that_changed_on_the_disk_are_read_anew(
    reader: Callable[..., ModelReader], place: int
) -> None:
    whole = pool_of(reader()).scores
    (file,) = reader().folder.glob("*.safetensors")
    data = bytearray(file.read_bytes())
    data[place] ^= 1
    file.write_bytes(data)
    again = reader()
    assert (pool_of(again).scores == whole).all()
    assert (again.usage.read, again.usage.kept) == (12, 0)
    assert (pool_of(third := reader()).scores == whole).all()
    assert third.usage.kept == 12


def test_pairs_are_read_once_and_cut_as_a_jobs_own(reader: Callable[..., ModelReader]) -> None:
    first = reader()
    pool = pool_of(first)
    scores = pool.after([(0,), (1, 2), (2, 1), ()], EXAMPLES[5:8])
    assert scores.shape == (4, 3, 2)
    assert first.usage.read == 12
    again = reader()
    assert (pool_of(again).after([(0,), (1, 2), (2, 1), ()], EXAMPLES[5:8]) == scores).all()
    assert (again.usage.read, again.usage.kept) == (0, 12)
    assert scores[3] == pytest.approx(pool.scores[5:8], abs=1e-4)  # no demonstrations: zero-shot
    assert abs(scores[1] - scores[2]).max() > 0  # order matters to the model
    long = [Example("leaks and sings " * 200, LABELS, 0), *EXAMPLES[:1]]
    pool_of(first, long).after([(0, 1)], EXAMPLES[5:6])
    assert first.usage.shortened == 1


def test_the_same_prompt_as_a_job(
    reader: Callable[..., ModelReader], run: Command, tmp_path: Path, data_root: Path
) -> None:
    """A set's scores on dev are those a job with these demonstrations records at t = 1."""
    from deepthink.tasks import sources

    run("method=vanilla", "method.iterations=1")
    ((path, record),) = stored(tmp_path)
    import pandas as pd

    scores = pd.read_parquet(path.with_suffix(".parquet"))
    own = scores[scores["split"] == "dev"].pivot(index="query", columns="candidate", values="score")
    config = compose(["task=sst2"])
    splits = sources.load(config.task, str(data_root))
    pool = Pool(splits.pool, splits.dev, reader())
    found = pool.after([record["demonstrations"]["indices"]], splits.dev)[0]
    assert found == pytest.approx(own.to_numpy(), abs=1e-4)


def test_other_questions_and_other_orders_are_asked_anew(
    reader: Callable[..., ModelReader],
) -> None:
    made = reader()
    pool = pool_of(made)
    first = pool.after([(1, 2)], EXAMPLES[5:7])[0]
    assert made.usage.read == 2
    turned = pool.after([(2, 1)], EXAMPLES[5:7])[0]
    other = pool.after([(1, 2)], EXAMPLES[6:8])[0]
    assert (made.usage.read, made.usage.kept) == (6, 0)
    assert abs(first - turned).max() > 0
    assert other[0] == pytest.approx(first[1], abs=1e-5)


@pytest.mark.parametrize("answer_score", ["sum", "mean", "probability"])
def test_label_scores_are_those_the_job_scores_answers_by(
    reader: Callable[..., ModelReader], answer_score: str
) -> None:
    words = ("dreadful", "positive")  # of several tokens and of one
    examples = [dataclasses.replace(example, candidates=words) for example in EXAMPLES]
    labels = "task.labels=[dreadful,positive]"
    made = reader(labels, f"answer_score={answer_score}")
    found = pool_of(made, examples)
    tokens, score = np.array(made.answer_tokens), found.scores.astype(float)
    assert (tokens > 1).any()
    summed = pool_of(reader(labels), examples).scores.astype(float)
    if answer_score == "probability":
        assert (score <= tokens).all()
        assert (score > 0).all()
        expected = score / score.sum(axis=1, keepdims=True)
        losses = -np.log(score / tokens)
    else:
        assert score == pytest.approx(summed / (tokens if answer_score == "mean" else 1), rel=1e-5)
        expected = np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)
        losses = -summed / tokens
    assert found.probabilities == pytest.approx(expected, rel=1e-6)
    assert found.losses(found.scores) == pytest.approx(losses, rel=1e-5)


def test_a_full_disk_is_one_clear_line(
    reader: Callable[..., ModelReader], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(signals, "save_file", full)
    with pytest.raises(UserError, match="DEEPTHINK_CACHE"):
        _ = pool_of(reader()).hidden


def test_a_selector_without_a_model_says_so() -> None:
    with pytest.raises(UserError, match="no model to ask"):
        _ = Pool(EXAMPLES).hidden
    assert dataclasses.is_dataclass(Example)
