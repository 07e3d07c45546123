"""When to stop: what each rule chooses, what that costs against the best t, and how it is shown."""

import csv
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Command, stored
from made_records import ROWS, jobs, made, put
from matplotlib.collections import PathCollection
from test_compare import told

from deepthink import results
from deepthink.app import wandb_runs
from deepthink.config.overrides import compose
from deepthink.report import layouts, page, regrets, tables
from deepthink.report.figures import stopping
from deepthink.report.measurements import Measured, Subject
from deepthink.report.readings import (
    BY_DEV,
    BY_LEFT_OUT,
    BY_LIKELIHOOD,
    FIVE,
    ORACLE,
    STOPPING,
    VANILLA,
    Calibration,
    Reading,
)
from deepthink.report.runs import Run, Runs, Scale

SMALL = ("test_size=6", "dev_size=6", "pool_size=9")
SCALE = Scale(6, 6, 9, "float32")
WHERE = {"method.step_size": "0.01", "method.positions": "continued"}
HITS = {1: 2, 5: 3, 10: 4, 15: 5}
DEV = {1: 1, 5: 4, 10: 4, 15: 2}
LIKELY = {1: -0.9, 5: -0.6, 10: -0.4, 15: -0.4}
OWN = {1: -0.5, 5: -0.9, 10: -0.7, 15: -0.5}
CHOICES = {VANILLA: 1, FIVE: 5, BY_DEV: 5, BY_LIKELIHOOD: 10, BY_LEFT_OUT: 1, ORACLE: 15}
"""What each reading chooses in a run of these numbers: of equals the smallest t."""


def job(results: Path, *words: str, **numbers: Any) -> Path:
    """A T = 15 run of SST2, scored four times."""
    (config,) = jobs("task=sst2", "method=deepthink_curve", *SMALL, *words)
    given = {"hits": HITS, "dev": DEV, "likely": LIKELY, "left_out": OWN, **numbers}
    return put(results, config, given.pop("hits"), given.pop("dev"), **given)


def subject(results: Path) -> Subject:
    return Subject(Runs.load(results), "smollm2-135m", SCALE)


def measured(results: Path, reading: Reading, task: str = "sst2") -> Measured:
    return subject(results).measure("stopping", reading, task=task, **WHERE)


@pytest.mark.parametrize(("reading", "step"), CHOICES.items(), ids=[r.name for r in CHOICES])
def test_each_rule_chooses_its_t(tmp_path: Path, reading: Reading, step: int) -> None:
    job(tmp_path)
    (run,) = Runs.load(tmp_path).all
    assert reading.step(run) == step
    (outcome,) = measured(tmp_path, reading).outcomes
    assert outcome.sum() == HITS[step]


def test_no_rule_but_the_oracle_looks_at_test(tmp_path: Path) -> None:
    job(tmp_path, hits={step: ROWS - hits for step, hits in HITS.items()})
    (run,) = Runs.load(tmp_path).all
    assert {reading: reading.step(run) for reading in STOPPING} == {
        reading: step for reading, step in CHOICES.items() if reading is not ORACLE
    }
    assert ORACLE.step(run) == 1
    assert [reading for reading in CHOICES if reading.upper_bound] == [ORACLE]


@pytest.mark.parametrize(
    ("numbers", "missing"),
    [
        ({"dev": None}, {BY_DEV, BY_LIKELIHOOD}),
        ({"likely": None}, {BY_LIKELIHOOD}),
        ({"likely": {1: -0.9, 5: -0.5, 10: -0.4}}, {BY_LIKELIHOOD}),
        ({"left_out": None}, {BY_LEFT_OUT}),
    ],
)
def test_a_run_without_what_a_rule_needs_is_missing(
    tmp_path: Path, numbers: dict[str, Any], missing: set[Reading]
) -> None:
    job(tmp_path, "seed=3", **numbers)
    found = {reading for reading in CHOICES if not measured(tmp_path, reading).runs}
    assert found == missing
    for reading in CHOICES:
        again = "force=true" in measured(tmp_path, reading).how
        assert again == (reading in missing and reading.later)


def test_a_calibrated_run_chooses_by_its_own_likelihoods(tmp_path: Path) -> None:
    """Calibration changes dev's likelihoods, and nothing of the demonstrations' own answers."""

    def turned(run: Run) -> Run:
        points = (
            replace(p, log_likelihood=p.log_likelihood and -p.log_likelihood)
            for p in run.record.curve
        )
        return replace(run, record=replace(run.record, curve=tuple(points)))

    job(tmp_path)
    calibration = Calibration("turned", turned)
    steps = {
        reading: reading.after(calibration).step(run)
        for reading in (BY_LIKELIHOOD, BY_LEFT_OUT)
        for run in measured(tmp_path, reading.after(calibration)).runs[0, 0]
    }
    assert steps == {BY_LIKELIHOOD: 1, BY_LEFT_OUT: 1}


def test_left_out_answers_are_those_of_the_scored_steps() -> None:
    (config,) = jobs("task=sst2", "method=deepthink_curve")
    assert made(config, HITS, left_out=OWN).left_out[0].step == 1
    with pytest.raises(ValueError, match="fits"):
        made(config, HITS, left_out={1: -0.5, 5: -0.4})


# regret


def test_regret_by_hand(tmp_path: Path) -> None:
    """Two draws of six rows; the oracle has 5 and 6 of 6, dev 3 and 6, t = 1 has 2 and 4."""
    job(tmp_path, "seed=0")
    job(tmp_path, "seed=1", hits={1: 4, 5: 6, 10: 1, 15: 6})
    best, plain = (measured(tmp_path, reading) for reading in (ORACLE, VANILLA))
    found = regrets.regret([measured(tmp_path, BY_DEV)], [best], [plain])
    assert found.estimate is not None
    assert found.estimate.mean == pytest.approx(100 * (2 / 6 + 0) / 2)
    assert found.estimate.low >= 0
    assert (found.estimate.seeds, found.estimate.p) == (2, None)
    assert regrets.regret([plain], [best], [plain]).estimate is not None


def test_what_is_kept_is_a_ratio_of_means_over_tasks(tmp_path: Path) -> None:
    for task in ("sst2", "mr"):
        for seed in range(10):
            numbers = {"hits": {**HITS, 1: 0, 15: ROWS}, "dev": {**DEV, 10: 5}}
            job(tmp_path, f"task={task}", f"seed={seed}", **numbers)
    best, plain, dev = (
        [measured(tmp_path, reading, task) for task in ("sst2", "mr")]
        for reading in (ORACLE, VANILLA, BY_DEV)
    )
    found = regrets.regret(dev, best, plain)
    assert found.estimate is not None
    assert (found.estimate.mean, found.kept) == pytest.approx((100 * 2 / 6, 4 / 6))
    nothing = regrets.regret(plain, plain, plain)
    assert nothing.kept is None
    assert nothing.estimate is not None
    assert nothing.estimate.mean == 0


def test_a_rule_that_was_never_read_has_no_regret(tmp_path: Path) -> None:
    job(tmp_path, left_out=None)
    parts = [[measured(tmp_path, reading)] for reading in (BY_LEFT_OUT, ORACLE, VANILLA)]
    assert regrets.regret(*parts) == regrets.Regret()


@pytest.fixture
def complete(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for seed in range(10):
        hits = {step: int(rng.integers(1, ROWS)) for step in HITS}
        job(tmp_path, f"seed={seed}", hits=hits)
    return tmp_path


def test_the_tables_show_every_rule(complete: Path) -> None:
    runs = Runs.load(complete)
    (layout,) = (layout for layout in layouts.LAYOUTS if layout.name == "stopping")
    (block,) = tables.build(runs, layout).blocks
    first = block.sections[0]
    assert [row.label for row in first.rows] == [r.name for r in STOPPING] + [
        "oracle t (upper bound)"
    ]
    assert all(row.cells[0].complete for row in first.rows)
    texts = dict(regrets.texts(runs))
    assert {*texts} == {f"tables/regret.{ending}" for ending in ("md", "tex", "csv")}
    assert "t by leave-one-out" in texts["tables/regret.md"]
    lines = [*csv.DictReader(StringIO(texts["tables/regret.csv"]))]
    found = {line["t"]: line for line in lines if line["regret"] and line["task"] == "sst2"}
    assert {*found} == {reading.name for reading in STOPPING}
    rows = {row.label: row.cells[0].estimate for row in first.rows}
    best, plain = rows["oracle t (upper bound)"], rows["t = 1"]
    assert best is not None
    assert plain is not None
    assert float(found["t = 1"]["regret"]) == pytest.approx(best.mean - plain.mean, abs=1e-3)
    ((_, grid),) = regrets.grids_of([*regrets.every(runs)], complete=True)
    assert len(grid.rows) == 1 + len(STOPPING)


def test_the_page_has_the_section_where_all_rules_were_read(complete: Path) -> None:
    def readme() -> str:
        runs = Runs.load(complete)
        return dict(page.texts(complete, runs, []))["README.md"]

    assert "## When to stop" in readme()
    for path in complete.rglob("seed*.json"):
        path.unlink()
    job(complete, left_out=None, likely=None)
    assert "## When to stop" not in readme()


def test_without_runs_the_table_names_its_command(tmp_path: Path) -> None:
    put(tmp_path, jobs("task=sst2", "method=lens", *SMALL)[0], {1: 3})
    assert "experiment=stopping" in dict(regrets.texts(Runs.load(tmp_path)))["tables/regret.md"]


def test_the_figure_marks_how_often_each_t_was_chosen(complete: Path) -> None:
    picture = stopping.chosen(subject(complete))
    assert picture is not None
    below = picture.figure.axes[5]  # of SST2, in the second row
    assert below.get_title() == ""
    marks = below.collections
    assert len(marks) == len(stopping.RULES)
    for drawn, rule in zip(marks, stopping.RULES, strict=True):
        assert isinstance(drawn, PathCollection)
        steps = [rule.step(run) for (run,) in measured(complete, rule).runs.values()]
        places = np.asarray(drawn.get_offsets())[:, 0].tolist()
        assert sorted(places) == sorted({*steps})
        assert sum(drawn.get_sizes()) == pytest.approx(stopping.LARGEST)


def test_the_figure_needs_left_out_answers(tmp_path: Path) -> None:
    job(tmp_path, left_out=None)
    assert stopping.chosen(subject(tmp_path)) is None


def test_the_jobs_are_those_on_positions() -> None:
    stop, positions = (compose([f"experiment={name}"]) for name in ("stopping", "positions"))
    assert stop == positions
    for name, axes in layouts.STOPPING_SETTINGS.items():
        assert axes["method.step_size"] in name


# a real job


def test_a_job_has_all_fields_and_shows_them(
    run: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run()
    assert (code, "macro-F1" in out) == (0, False)
    ((path, record),) = stored(tmp_path)
    for point in record["curve"]:
        assert {"macro_f1", "log_likelihood", "calibration_error"} <= {*point}
    assert [each["step"] for each in record["left_out"]] == [1, 2, 3]
    for shown in (run("verbosity=verbose")[1], told(capsys, "show", path)[1]):
        assert all(word in shown for word in ("macro-F1", "ECE", "leave-one-out"))
        assert f"{record['left_out'][2]['log_p']:.4f}" in shown
    (found,) = Runs.load(tmp_path / "results").all
    assert all(reading.step(found) in (1, 2, 3) for reading in (BY_LIKELIHOOD, BY_LEFT_OUT))
    frame = results(tmp_path / "results")
    assert frame.left_out.tolist() == [e["log_p"] for e in record["left_out"] for _ in range(2)]
    assert frame.macro_f1.tolist() == [point["macro_f1"] for point in record["curve"]]


def test_what_is_sent_has_every_metric(run: Command, tmp_path: Path) -> None:
    assert run()[0] == 0
    (found,) = Runs.load(tmp_path / "results").all
    lines = [*wandb_runs.of_curve(found.record)]
    assert [line["t"] for line in lines] == [1, 2, 3]
    names = ("accuracy", "macro F1", "log-likelihood", "calibration error")
    for line in lines:
        expected = {f"{split}/{name}" for split in ("dev", "test") for name in names}
        assert {*line} == {"t", "leave-one-out log p", *expected}
    point = found.record.curve[1]
    assert lines[0]["test/macro F1"] == point.macro_f1
