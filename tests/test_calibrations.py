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
from deepthink.errors import UserError
from deepthink.plugins import CALIBRATIONS
from deepthink.report.calibrated import readings
from deepthink.report.runs import Runs
from deepthink.store import scores as score_files
from deepthink.study.calibrating import Calibration, Rows

RNG = np.random.default_rng(3)
ROWS = {"dev": RNG.normal(-4, 2, (7, 3)).tolist(), "test": RNG.normal(-4, 2, (11, 3)).tolist()}


def corrected(
    name: str,
    rows: Mapping[str, Rows] = ROWS,
    common: bool = True,
    answers: dict[str, np.ndarray] | None = None,
) -> dict[str, list[list[float]]]:
    return Calibration.of({"name": name}).corrected(rows, common, answers)


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
