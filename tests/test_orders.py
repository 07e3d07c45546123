"""The permutation ensemble: the mean probability over several orders of the same demonstrations."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Command, assert_one_line, stored
from scipy.special import log_softmax, logsumexp

from deepthink.config.overrides import compose, requested
from deepthink.config.templates import Template
from deepthink.errors import UserError
from deepthink.progress import Watcher
from deepthink.report import calibrated
from deepthink.report.axes import of_config
from deepthink.report.runs import Runs
from deepthink.selection.balance import Selection
from deepthink.selection.choosing import choose
from deepthink.selection.pool import Pool
from deepthink.store.identity import identity
from deepthink.structures import Example, Splits
from deepthink.study import jobs
from deepthink.study.calibrating import Calibration
from deepthink.study.prompting import Prompts
from deepthink.study.reading import Readings
from deepthink.study.step_scores import StepScores, mixed
from deepthink.study.texts import Corpus
from deepthink.tasks.prompts import Encoded

SMALL = ("test_size=5", "dev_size=4", "pool_size=12", "method.iterations=2")
WORDS = ("bad", "good")


def pool_of(size: int) -> Pool:
    examples = [Example(f"text {i}", WORDS, i % 2) for i in range(size)]
    return Pool(examples, queries=["a", "b", "c"])


def scores_of(path: Path) -> np.ndarray:
    """[T, Q, C] with the dev rows first."""
    table = pd.read_parquet(path.with_suffix(".parquet"))
    return np.asarray(table["score"].to_numpy().reshape(table["step"].nunique(), -1, 2))


def made(tmp_path: Path) -> dict[tuple[int, int], tuple[Path, dict[str, Any]]]:
    """Every record by its number of orders and its first order."""
    return {
        (r["identity"].get("orders", 1), r["identity"]["order"]): (path, r)
        for path, r in stored(tmp_path)
    }


@pytest.mark.parametrize("extra", [(), ("answer_score=mean",), ("method.direction=channel",)])
def test_the_ensemble_is_the_mean_of_the_separate_runs(
    run: Command, tmp_path: Path, extra: tuple[str, ...]
) -> None:
    for order in (1, 2, 3):
        assert run(*SMALL, *extra, f"order={order}")[0] == 0
    assert run(*SMALL, *extra, "method.orders=3", "order=1")[0] == 0
    records = made(tmp_path)
    rows = np.stack([log_softmax(scores_of(records[1, o][0]), axis=-1) for o in (1, 2, 3)])
    expected = logsumexp(rows, axis=0) - np.log(3)
    assert np.ptp(rows, axis=0).max() > 1e-7, "the orders are told apart"
    path, record = records[3, 1]
    np.testing.assert_allclose(scores_of(path), expected, rtol=0, atol=1e-9)
    single = [records[1, order][1] for order in (1, 2, 3)]
    flops = record["flops"]
    assert flops["scoring"] == sum(other["flops"]["scoring"] for other in single)
    assert flops["thinking"] == [
        sum(each) for each in zip(*(other["flops"]["thinking"] for other in single), strict=True)
    ]
    tokens = record["tokens"]
    assert tokens["queries"] == sum(other["tokens"]["queries"] for other in single)
    shown = [group["indices"] for group in record["demonstrations"]["groups"]]
    assert shown == [other["demonstrations"]["indices"] for other in single]
    assert all(g["queries"] == [*range(9)] for g in record["demonstrations"]["groups"])


def test_texts_of_a_calibration_are_mixed_alike() -> None:
    """Contextual calibration of an ensemble of two orders, by hand."""
    first, second = np.log([[0.6, 0.4], [0.2, 0.8]]), np.log([[0.5, 0.5], [0.9, 0.1]])
    free = [np.log(rows) for rows in ([[0.3, 0.1]] * 3, [[0.01, 0.04]] * 3)]
    corpus = Corpus(("x",), Template.parse("{text}:"))
    readings = Readings(Calibration.of({"name": "contextual"}, corpus=corpus))
    rows = (Example("x", WORDS, 0), Example("y", WORDS, 1))
    splits = Splits((), (), rows, "", None, {}, 0, {})
    scores = StepScores(splits, readings, orders=2)
    encoded = Encoded([1], [[2]], [[[3], [4]]], 1, False, 1)
    group = Prompts(Selection([0]), (), (0, 1), encoded, encoded, encoded)
    scores.add(group, first.tolist(), free[0].tolist())
    before = scores.complete
    scores.add(group, second.tolist(), free[1].tolist())
    assert (before, scores.complete) == (False, True)
    bias = (np.array([0.75, 0.25]) + np.array([0.2, 0.8])) / 2
    mean = (np.exp(first) + np.exp(second)) / 2
    np.testing.assert_allclose(scores.corrected()["test"], np.log(mean / bias), atol=1e-12)
    np.testing.assert_allclose(scores.by_split()["test"], np.log(mean), atol=1e-12)
    _, texts = scores.tables(1)
    np.testing.assert_allclose(texts["score"], np.log([bias] * 3).ravel(), atol=1e-12)


def test_a_calibration_is_read_off_an_ensemble_as_a_job_makes_it(
    run: Command, tmp_path: Path
) -> None:
    """Of two sets that queries take in turn, each in two orders: texts find their own queries."""
    words = (*_two_sets(tmp_path), *SMALL, "method.orders=2")
    assert run(*words, "readings=[contextual]")[0] == 0
    assert run(*words, "calibration=contextual")[0] == 0
    read, made = sorted(
        Runs.load(tmp_path / "results").all, key=lambda run: bool(run.record.identity.calibration)
    )
    found = calibrated.reading("contextual").apply(read)
    assert found is not None
    assert [p.predicted for p in found.record.curve] == [p.predicted for p in made.record.curve]
    ours, theirs = ([p.log_likelihood for p in run.record.curve] for run in (found, made))
    assert ours == pytest.approx(theirs, abs=1e-5)


def test_texts_in_the_template_are_written_twice_and_those_alone_once(
    run: Command, tmp_path: Path
) -> None:
    for reading in ("pmi", "contextual"):
        for query in ("once", "twice"):
            words = (f"readings=[{reading}]", f"method.query={query}", *SMALL)
            assert run(*words, "method.iterations=1")[0] == 0
    flops = {
        (*record["config"]["readings"], record["identity"].get("query", "once")): record["flops"]
        for _, record in stored(tmp_path)
    }
    assert flops["pmi", "twice"]["texts"] == flops["pmi", "once"]["texts"] > 0
    assert flops["contextual", "twice"]["texts"] > 1.5 * flops["contextual", "once"]["texts"]


class Counting(Watcher):
    """What is left of a job's queries."""

    left = 0

    def start(self, total: int) -> None:
        self.left = total

    def advance(self, readings: int) -> None:
        self.left -= readings


@pytest.mark.parametrize("method", ["permutations", "channel", "query_twice"])
def test_the_progress_of_a_job_counts_every_reading_once(
    tmp_path: Path, tiny_folder: Path, data_root: Path, method: str
) -> None:
    words = [f"method={method}", "task=sst2", *SMALL, f"data_root={data_root}"]
    words += ["model.package=null", f"model.hub_id={tiny_folder}", "model.name=tiny"]
    watch = Counting()
    jobs.run(compose([*words, f"results={tmp_path / 'results'}"]), watch)
    assert watch.left == 0


def test_one_order_is_left_to_the_bit() -> None:
    assert mixed([[-3.0, -4.5]]) == [-3.0, -4.5]


def test_the_orders_are_those_of_the_runs_and_may_coincide() -> None:
    pool = pool_of(8)
    words = ["method=permutations", "task=sst2", "demonstrations.count=4", "seed=3"]
    groups = choose(pool, compose([*words, "order=2"]))
    alone = [choose(pool, compose([*words, "method.orders=1", f"order={o}"])) for o in range(2, 7)]
    assert [group.selection for group in groups] == [only.selection for (only,) in alone]
    two = choose(pool, compose([*words, "demonstrations.count=2"]))
    read = [tuple(group.selection.indices) for group in two]
    assert len(read) == 5
    assert len(set(read)) <= 2, "two examples have two orders, which count as often as they come"


def _two_sets(tmp_path: Path) -> tuple[str, ...]:
    """The words of a rule that gives the queries two sets of three in turn."""
    folder = tmp_path / "lab" / "rules"
    folder.mkdir(parents=True)
    (folder / "own.py").write_text(
        "from deepthink.selection.balance import Selection\n\n\n"
        "def select(pool, count, rng):\n"
        '    """Two sets in turn."""\n'
        "    return [Selection([0, 1, 2] if i % 2 else [3, 4, 5]) for i in "
        "range(len(pool.queries))]\n"
    )
    own = (f"plugins={folder.parent}", "method.selector.name=own", "~method.selector.balance")
    return (*own, "demonstrations.count=3")


def test_given_demonstrations_and_those_of_each_query_have_orders(
    run: Command, tmp_path: Path
) -> None:
    (config,) = requested(["task=mmlu", "task.members=[astronomy]", "method=permutations"]).jobs
    groups = choose(pool_of(5), config)
    assert len({tuple(group.selection.indices) for group in groups}) > 1
    assert all(sorted(group.selection.indices) == [*range(5)] for group in groups)
    own = (*_two_sets(tmp_path), *SMALL)
    for order in (0, 1):
        assert run(*own, f"order={order}")[0] == 0
    assert run(*own, "method.orders=2")[0] == 0
    records = made(tmp_path)
    rows = np.stack([log_softmax(scores_of(records[1, order][0]), axis=-1) for order in (0, 1)])
    expected = logsumexp(rows, axis=0) - np.log(2)
    np.testing.assert_allclose(scores_of(records[2, 0][0]), expected, rtol=0, atol=1e-9)
    assert len(records[2, 0][1]["demonstrations"]["groups"]) == 4


def test_a_record_of_orders_is_read_again_and_keeps_a_memory_of_each(
    run: Command, tmp_path: Path
) -> None:
    words = (*SMALL, "method=permutations", "method.orders=2", "keep_memory=true")
    code, out, err = run(*words)
    assert (code, err) == (0, "")
    assert "in 2 orders" in out
    assert len(list((tmp_path / "results").rglob("*-group[01]-t[12].safetensors"))) == 4
    assert "read, not run again" in run(*words)[1]
    (only,) = Runs.load(tmp_path / "results").all
    assert only.record.demonstrations.dropped == 0
    assert only.path.parent.name == "permutations+deepthink"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["method.orders=0"], "must be 1 or more"),
        (["method.orders=1001"], "must be 1,000 or less"),
        (["method=permutations", "answer_score=probability"], "leave out answer_score"),
        (["method=permutations", "task=gsm8k"], "open answers"),
    ],
)
def test_orders_that_are_not_defined_are_refused(words: list[str], says: str) -> None:
    with pytest.raises(UserError, match=says):
        compose(words)


def test_a_table_tells_orders_from_plain_learning() -> None:
    plain, several = (of_config(compose([f"method={m}"])) for m in ("random", "permutations"))
    assert {k for k in plain if plain[k] != several[k]} == {"method", "method.orders"}
    assert "orders" not in identity(compose([]), "float32", "data").stored()


def test_a_refusal_is_one_line(run: Command) -> None:
    code, _, err = run("method=permutations", "answer_score=probability")
    assert_one_line(code, err, "method.orders is 5")
