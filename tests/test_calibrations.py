"""Corrected scores: the formulas against plain loops, and what a table reads without a model."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Command, assert_one_line, stored
from scipy.special import softmax

from deepthink.config.overrides import compose
from deepthink.config.templates import Template
from deepthink.errors import UserError
from deepthink.plugins import CALIBRATIONS
from deepthink.report.calibrated import readings
from deepthink.report.runs import Runs
from deepthink.store import scores as score_files
from deepthink.study.calibrating import Calibration, Rows
from deepthink.study.texts import Corpus

RNG = np.random.default_rng(3)
POOL = Corpus(("so dull", "a joy"), Template.parse("Review: {text}\nSentiment:"))
ROWS = {"dev": RNG.normal(-4, 2, (7, 3)).tolist(), "test": RNG.normal(-4, 2, (11, 3)).tolist()}


def corrected(
    name: str,
    rows: Mapping[str, Rows] = ROWS,
    common: bool = True,
    answers: dict[str, np.ndarray] | None = None,
) -> dict[str, list[list[float]]]:
    return Calibration.of({"name": name}, corpus=POOL).corrected(rows, common, answers)


def plainly(row: list[float], rows: list[list[float]]) -> list[float]:
    """Log p_y - log mean_j p_jy with loops and math alone (Zhou et al.)."""
    shares = [[math.exp(s) / sum(map(math.exp, other)) for s in other] for other in rows]
    own = [math.exp(s) / sum(map(math.exp, row)) for s in row]
    means = [sum(share[y] for share in shares) / len(shares) for y in range(len(row))]
    return [math.log(p) - math.log(mean) for p, mean in zip(own, means, strict=True)]


@pytest.mark.parametrize(("name", "basis"), [("batch", None), ("batch_dev", "dev")])
def test_batch_calibration_is_its_formula(name: str, basis: str | None) -> None:
    for split, rows in corrected(name).items():
        wanted = [plainly(row, ROWS[basis or split]) for row in ROWS[split]]
        np.testing.assert_allclose(rows, wanted, atol=1e-12)


def test_contextual_calibration_is_its_formula() -> None:
    """Log p_y - log q_y, with q the normalised mean of P(y) over the content-free inputs."""
    answers = {split: RNG.normal(-6, 1, (len(rows), 3, 3)) for split, rows in ROWS.items()}
    for split, rows in corrected("contextual", answers=answers).items():
        for place, row in enumerate(ROWS[split]):
            free = np.exp(answers[split][place]).mean(axis=0)
            wanted = np.log(softmax(row)) - np.log(free / free.sum())
            np.testing.assert_allclose(rows[place], wanted, atol=1e-12)


def test_batch_calibration_of_three_rows_by_hand() -> None:
    """Shares (3/4, 1/4), (1/2, 1/2), (1/4, 3/4) and their mean (1/2, 1/2); then a biased mean."""
    even = np.log([[3.0, 1.0], [2.0, 2.0], [1.0, 3.0]]).tolist()
    wanted = [[1.5, 0.5], [1.0, 1.0], [0.5, 1.5]]
    rows = corrected("batch", {"test": even})["test"]
    np.testing.assert_allclose(np.exp(rows), wanted, atol=1e-12)
    biased = np.log([[9.0, 1.0], [8.0, 2.0], [4.0, 6.0]]).tolist()  # mean (0.7, 0.3)
    rows = corrected("batch", {"test": biased})["test"]
    wanted = [[9 / 7, 1 / 3], [8 / 7, 2 / 3], [4 / 7, 2.0]]
    np.testing.assert_allclose(np.exp(rows), wanted, atol=1e-12)


def test_mean_probabilities_are_divided_by_and_not_subtracted() -> None:
    """A share of 4 % is much for a label that has 2 % on average, and little by difference."""
    shares = np.array([[0.60, 0.36, 0.04], [0.5, 0.49, 0.01], [0.54, 0.45, 0.01]])
    mean = shares.mean(axis=0)
    subtracted = (shares - mean).argmax(axis=1)
    divided = np.array(corrected("batch", {"test": np.log(shares).tolist()})["test"])
    assert divided[0].argmax() == (shares / mean)[0].argmax() == 2
    assert subtracted[0] == 0
    np.testing.assert_allclose(np.exp(divided), shares / mean, atol=1e-12)


@pytest.mark.parametrize("name", ["contextual", "domain"])
def test_a_prior_is_the_normalised_mean_of_probabilities_by_hand(name: str) -> None:
    """P(y) is (0.2, 0.1) and (0.4, 0.1): q = (3/4, 1/4), where the mean of shares has 0.733."""
    rows = {"test": np.log([[0.3, 0.1]]).tolist()}
    half = {"contextual": 3, "domain": 20}[name] // 2
    texts = [[0.2, 0.1]] * half + [[0.4, 0.1]] * half + [[0.3, 0.1]] * (name == "contextual")
    (row,) = corrected(name, rows, answers={"test": np.log([texts])})["test"]
    np.testing.assert_allclose(np.exp(row), [1, 1], atol=1e-12)


def test_pmi_is_a_difference_of_log_probabilities() -> None:
    rows = {"test": [[-1.0, -2.0, -4.0], [-3.0, -1.0, -2.0]]}
    answers = {"test": np.array([[[-0.5, -3.0, -1.0]]] * 2)}
    assert corrected("pmi", rows, answers=answers)["test"] == [[-0.5, 1, -3], [-2.5, 2, -1]]


# What calibrations ask


def corpus(*texts: str, template: str = "Review: {text}\nSentiment:") -> Corpus:
    return Corpus(texts, Template.parse(template))


def asked(name: str, pool: Corpus, seed: int = 0) -> list[str]:
    texts = Calibration.of({"name": name}, corpus=pool, seed=seed).texts
    return [
        str(getattr(text, "text", None) or getattr(text, "query", None) or text) for text in texts
    ]


def test_domain_asks_about_random_words_of_the_pool() -> None:
    pool = corpus("A fine Day", "so  DULL", "the kettle sings and leaks")  # 10 words, 3 1/3 each
    words = {word.lower() for text in pool for word in text.split()}
    texts = asked("domain", pool)
    assert len(texts) == 20
    for text in texts:
        *drawn, end = text.split(" ")
        assert end == "." and len(drawn) == 4  # the authors' program takes one more than ⌊mean⌋
        assert set(drawn) <= words
    assert {word for text in texts for word in text.split()[:-1]} == words
    assert asked("domain", pool) == texts != asked("domain", pool, seed=1)


def test_domain_draws_words_as_often_as_the_pool_has_them() -> None:
    pool = corpus(*["tea tea tea tea tea tea tea tea tea cake"] * 3)
    texts = [text for seed in range(20) for text in asked("domain", pool, seed)]
    assert len(texts) == 20 * 20  # equal ones count as often as they are drawn
    words = [word for text in texts for word in text.split()[:-1]]
    assert set(words) == {"tea", "cake"} and len(words) == 400 * 11
    assert 0.88 < words.count("tea") / len(words) < 0.92


def test_domain_draws_words_for_each_column_from_the_column() -> None:
    pool = corpus("it rains so he knows", "a b c so x y z", template="{premise} so {claim}?")
    for text in asked("domain", pool):
        premise, claim = text.split(" so ")
        assert set(premise.split()) <= {"it", "rains", "a", "b", "c", "."}
        assert set(claim.split()) <= {"he", "knows", "x", "y", "z", "."}
        assert len(premise.split()) == len(claim.split()) == 2 + 1 + 1


def test_domain_needs_words() -> None:
    with pytest.raises(UserError, match="whose texts have none"):
        asked("domain", corpus("", " "))


@pytest.mark.parametrize(
    ("template", "premise"),
    [
        ("Review: {text}\nSentiment:", "Sentiment:"),
        ("{text}\nIs it good? Yes or no.\nAnswer:", "Is it good? Yes or no.\nAnswer:"),
        ('"{text}" has a tone that is', "has a tone that is"),
        ("{a} {b}? The answer is:", "The answer is:"),
        ("{text}:", ":"),
        ("{{so}} {text} [Label]", "[Label]"),
        ("评论：{text}。情感：", "情感："),
    ],
)
def test_the_premise_is_what_stands_between_instance_and_answer(
    template: str, premise: str
) -> None:
    assert asked("pmi", corpus(template=template)) == [premise]


def test_a_template_that_ends_with_its_text_has_no_premise() -> None:
    with pytest.raises(UserError, match="has none there"):
        asked("pmi", corpus(template="Review: {text}\n"))


def test_content_free_inputs_are_those_of_the_paper() -> None:
    assert asked("contextual", corpus("so dull")) == ["N/A", "", "[MASK]"]


def test_a_bias_that_all_rows_have_is_taken_away() -> None:
    """A label that every row favours alike has no say after batch calibration."""
    shifted = {
        split: (np.array(rows) + np.array([2.0, 0.0, -1.0])).tolist()
        for split, rows in ROWS.items()
    }
    plain, moved = (corrected("batch", rows)["test"] for rows in (ROWS, shifted))
    even = (np.argmax(part, axis=1) for part in (plain, moved))
    first, second = (np.bincount(part, minlength=3) for part in even)
    raw = np.bincount(np.argmax(shifted["test"], axis=1), minlength=3)
    assert np.abs(second - first).sum() < np.abs(raw - first).sum()


def test_no_calibration_leaves_every_score_to_the_bit() -> None:
    assert corrected("none") == ROWS


def test_the_scores_of_one_split_do_not_change_anothers_unless_they_are_dev() -> None:
    others = {**ROWS, "test": ROWS["test"][:4]}
    assert corrected("batch", others)["dev"] == corrected("batch")["dev"]
    assert corrected("batch_dev", others)["test"] == corrected("batch_dev")["test"][:4]


@pytest.mark.parametrize("name", ["batch", "batch_dev", "contextual"])
def test_answers_of_their_own_cannot_be_compared(name: str) -> None:
    with pytest.raises(UserError, match="answers of their own"):
        corrected(name, {"test": [[-1.0, -2.0], [-1.0, -2.0, -3.0]]}, common=False)


def test_rows_of_other_lengths_keep_them() -> None:
    rows = {"test": [[-1.0, -2.0], [-1.0, -2.0, -3.0]]}
    assert corrected("none", rows, common=False) == rows


@pytest.mark.parametrize(
    ("result", "says"),
    [([[1.0]], "shape"), (np.full((11, 3), np.nan), "NaN"), ("words", "numbers")],
)
def test_a_calibration_that_returns_nonsense_is_named(result: Any, says: str) -> None:
    wrong = Calibration("wrong", lambda scores, ask: result)
    with pytest.raises(UserError, match=f"calibration wrong .*{says}"):
        wrong.corrected({"test": ROWS["test"]}, common=True)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["calibration=batch_dev", "dev_size=0"], "needs dev rows"),
        (["calibration=btch"], "did you mean batch"),
        (["calibration=batch", "answer_score=probability"], "corrects log-probabilities"),
        (["calibration=contextual", "answer_score=mean"], None),
    ],
)
def test_what_a_calibration_needs_is_told_in_one_line(
    run: Command, words: list[str], says: str | None
) -> None:
    code, _, err = run(*words, "test_size=6", "pool_size=12", "method.iterations=2")
    if says is None:
        assert (code, err) == (0, "")
    else:
        assert_one_line(code, err, says)


def test_a_job_and_a_reading_of_its_scores_say_the_same(run: Command, tmp_path: Path) -> None:
    """The calibrated run, and the plain one whose stored scores are calibrated without a model."""
    for name in ("none", "batch", "batch_dev"):
        assert run(f"calibration={name}", "method=deepthink_curve", "method.iterations=3")[0] == 0
    runs = {
        (run_.record.identity.calibration or {"name": "none"})["name"]: run_
        for run_ in Runs.load(tmp_path / "results").all
    }
    for name, reading in zip(("batch", "batch_dev"), readings(), strict=True):
        read = reading.apply(runs["none"])
        assert read is not None
        assert [p.stored() for p in read.record.curve] == [
            p.stored() for p in runs[name].record.curve
        ]
        assert reading.apply(runs[name]) is None  # it is calibrated already


def test_a_file_of_scores_that_is_another_is_refused(run: Command, tmp_path: Path) -> None:
    run("method.iterations=2")
    ((path, record),) = stored(tmp_path)
    table = score_files.read(path, record["scores"])
    assert table is not None and len(table) == 2 * 2 * (24 + 24)
    score_files.place(path).write_bytes(b"another")
    with pytest.raises(UserError, match="not the file that was written with its record"):
        score_files.read(path, record["scores"])
    score_files.place(path).unlink()
    assert score_files.read(path, record["scores"]) is None


def test_scores_are_kept_to_the_bit_in_few_bytes(tmp_path: Path) -> None:
    numbers = RNG.normal(-4, 2, 4000).astype(np.float32).astype(float)
    table = pd.DataFrame({"step": np.int16(1), "query": np.arange(4000) // 2, "score": numbers})
    path = tmp_path / "seed0-12345678.json"
    digest = score_files.write(path, table)
    back = score_files.read(path, digest)
    assert back is not None and (back["score"] == numbers).all()
    assert score_files.place(path).stat().st_size < 6 * 4000


def test_every_calibration_has_a_config() -> None:
    for name in CALIBRATIONS.files():
        assert compose([f"calibration={name}"]).calibration["name"] == name
