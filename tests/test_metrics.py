"""Metrics beside accuracy, against scikit-learn, by brute force and by hand."""

from math import exp, inf, log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Command, stored
from sklearn.metrics import f1_score

from deepthink.report.calibrated import readings
from deepthink.report.runs import Runs
from deepthink.structures import Example
from deepthink.study.points import point
from deepthink.tasks.metrics import calibration_error, log_likelihood, macro_f1
from deepthink.tasks.prediction import different

NAMES = ("macro_f1", "log_likelihood", "calibration_error")


@pytest.mark.parametrize("seed", range(20))
def test_macro_f1_is_scikit_learns(seed: int) -> None:
    """Labels that are never gold, never predicted, or neither occur among few rows."""
    rng = np.random.default_rng(seed)
    gold, predicted = rng.integers(0, 6, (2, rng.integers(1, 12))).tolist()
    expected = f1_score(gold, predicted, average="macro", zero_division=0)
    assert macro_f1(gold, predicted) == pytest.approx(expected, abs=1e-12)


def test_macro_f1_by_hand() -> None:
    # label 0: one hit of three gold and one predicted, 2/4; label 1: one of one and three, 2/4
    assert macro_f1([0, 0, 0, 1], [0, 1, 1, 1]) == pytest.approx(0.5)
    assert macro_f1([0, 0], [2, 2]) == 0
    assert macro_f1([3], [3]) == 1


def slow(rows: list[list[float]], gold: list[int], hits: list[bool]) -> tuple[float, float]:
    """Log-likelihood and calibration error, row by row and bin by bin."""
    softmaxes = [[exp(s) / sum(map(exp, row)) for s in row] for row in rows]
    likelihood = sum(log(p[g]) for p, g in zip(softmaxes, gold, strict=True)) / len(rows)
    error = 0.0
    for number in range(1, 11):
        inside = [
            (max(p), hit)
            for p, hit in zip(softmaxes, hits, strict=True)
            if (number - 1) / 10 < max(p) <= number / 10
        ]
        if inside:
            confidence = sum(c for c, _ in inside) / len(inside)
            accuracy = sum(hit for _, hit in inside) / len(inside)
            error += len(inside) / len(rows) * abs(accuracy - confidence)
    return likelihood, error


@pytest.mark.parametrize("seed", range(20))
def test_likelihood_and_calibration_error_by_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 6, 40)
    rows = [(3 * rng.normal(size=size)).tolist() for size in sizes]
    gold = [int(rng.integers(size)) for size in sizes]
    hits = [max(row) == row[g] for row, g in zip(rows, gold, strict=True)]
    likelihood, error = slow(rows, gold, hits)
    assert log_likelihood(rows, gold) == pytest.approx(likelihood, rel=1e-12)
    assert calibration_error(rows, hits) == pytest.approx(error, rel=1e-12)


def test_an_edge_of_a_bin_belongs_to_the_bin_below() -> None:
    """The confidences 0.7 and 0.65 are in one bin, and its errors cancel."""
    rows = [[log(0.7), log(0.3)], [log(0.65), log(0.35)], [log(0.65), log(0.35)]]
    assert calibration_error(rows, [True, True, False]) == pytest.approx(0.0, abs=1e-9)


def test_a_constant_added_to_a_row_changes_nothing() -> None:
    rows = [[-1.0, -2.0, -0.5], [-3.0, -1.0, -2.0]]
    moved = [[s - 1000 for s in rows[0]], [s + 700 for s in rows[1]]]
    assert log_likelihood(moved, [0, 1]) == pytest.approx(log_likelihood(rows, [0, 1]), abs=1e-9)
    hits = [False, True]
    assert calibration_error(moved, hits) == pytest.approx(calibration_error(rows, hits), abs=1e-9)


def test_a_candidate_that_is_listed_twice_is_one_answer() -> None:
    """Listed twice it would count twice, and 3 of 4 parts would not be 3 of 4 any more."""
    example = Example("which?", ("red", "blue", "red"), 2)
    scores = [log(3.0), log(1.0), log(3.0)]
    assert different(example, scores) == [log(3.0), log(1.0), -inf]
    made = point(1, "test", [different(example, scores)], [0], [0], 0, common=False, logs=True)
    assert made.log_likelihood == pytest.approx(log(0.75), abs=1e-6)
    assert made.macro_f1 is None
    assert "macro_f1" not in made.stored()


def test_what_is_not_defined_is_left_out() -> None:
    impossible = point(1, "test", [[-inf, -1.0]], [0], [1], 0, common=True, logs=True)
    assert impossible.log_likelihood is None
    assert (impossible.macro_f1, impossible.calibration_error) == (0.0, 1.0)
    sums = point(1, "test", [[0.9, 0.4]], [0], [0], 0, common=True, logs=False)
    assert (sums.log_likelihood, sums.calibration_error, sums.macro_f1) == (None, None, 1.0)


def test_a_job_has_the_metrics_of_its_corrected_scores(run: Command, tmp_path: Path) -> None:
    for name in ("none", "batch"):
        assert run(f"calibration={name}")[0] == 0
    runs = {bool(r.record.identity.calibration): r for r in Runs.load(tmp_path / "results").all}
    for p in (*runs[False].record.curve, *runs[True].record.curve):
        gold = [*map(int, runs[False].record.gold.of(p.split))]
        predicted = [*map(int, p.predicted.split())]
        expected = f1_score(gold, predicted, average="macro", zero_division=0)
        assert p.macro_f1 == pytest.approx(expected, rel=1e-5)
    batch = next(reading for reading in readings() if "transductive" in reading.name)
    read = batch.apply(runs[False])
    assert read is not None
    ours, theirs = ([metrics(p) for p in r.record.curve] for r in (read, runs[True]))
    assert ours == theirs != [metrics(p) for p in runs[False].record.curve]


def metrics(p: Any) -> tuple[float | None, ...]:
    return tuple(getattr(p, name) for name in NAMES)


def test_sums_of_probabilities_have_no_likelihood(run: Command, tmp_path: Path) -> None:
    assert run("answer_score=probability", "method.iterations=2")[0] == 0
    ((_, record),) = stored(tmp_path)
    assert {name for p in record["curve"] for name in NAMES if name in p} == {"macro_f1"}
