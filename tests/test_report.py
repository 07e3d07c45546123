"""From records to cells, tables, comparisons, verdicts and files."""

import csv
import json
import re
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from conftest import Command, stored
from made_records import ROWS, jobs, put

from deepthink.config.overrides import axes, expand
from deepthink.installation import CONF
from deepthink.report import (
    claims,
    comparisons,
    experiments,
    figures,
    further,
    layouts,
    page,
    paper,
    render,
    sensitivity_claims,
    sentences,
    statistics,
    tables,
    verdicts,
)
from deepthink.report.cells import Cell, fill
from deepthink.report.comparisons import Comparison
from deepthink.report.figures import FIGURES
from deepthink.report.further import FurtherRow
from deepthink.report.measurements import Subject
from deepthink.report.readings import BY_DEV, FIVE, ORACLE, VANILLA, Calibration, Reading, at
from deepthink.report.runs import Run, Runs, Scale, one_per_draw
from deepthink.report.statistics import Estimate
from deepthink.report.writer import Writer
from deepthink.store.identity import digest

SCRIPTS = CONF.parent / "scripts"
MODEL = "smollm2-135m"
SMALL = ("test_size=6", "dev_size=6", "pool_size=9")
SCALE = Scale(6, 6, 9, "float32")
CURVE = {1: 2, 5: 4, 15: 3}
DEV = {1: 1, 5: 2, 15: 5}


def curve(
    results: Path,
    *overrides: str,
    hits: dict[int, int] = CURVE,
    dev: dict[int, int] = DEV,
    **changes: Any,
) -> Path:
    """A T = 15 run of SST2 scored at 1, 5, 15."""
    (config,) = jobs("task=sst2", "method=deepthink_curve", *SMALL, *overrides)
    return put(results, config, hits, dev, **changes)


def ten(results: Path, **settings: Any) -> None:
    for seed in range(10):
        curve(results, f"seed={seed}", **settings)


def subject(results: Path, scale: Scale = SCALE) -> Subject:
    return Subject(Runs.load(results), MODEL, scale)


def cell(results: Path, reading: Reading, **axes: Any) -> Cell:
    where = {"method": "deepthink_curve", "task": "sst2", **axes}
    return Cell((subject(results).measure("table1", reading, **where),))


# readings and cells


@pytest.mark.parametrize(
    ("reading", "hits"), [(VANILLA, 2), (FIVE, 4), (at(15), 3), (BY_DEV, 3), (ORACLE, 4)]
)
def test_a_cell_is_its_reading_of_every_seed(tmp_path: Path, reading: Reading, hits: int) -> None:
    ten(tmp_path)
    found = cell(tmp_path, reading)
    assert found.complete
    assert printed(found).mean == pytest.approx(100 * hits / ROWS)
    assert (printed(found).seeds, printed(found).examples) == (10, ROWS)


def test_by_dev_never_looks_at_test(tmp_path: Path) -> None:
    curve(tmp_path, "seed=0", hits={1: 6, 5: 6, 15: 0}, dev={1: 0, 5: 0, 15: 1})
    assert so_far(cell(tmp_path, BY_DEV)).mean == 0
    assert so_far(cell(tmp_path, ORACLE)).mean == 100


def test_a_missing_seed_makes_the_cell_missing_and_names_the_command(tmp_path: Path) -> None:
    ten(tmp_path)
    next(tmp_path.rglob("seed3-*.json")).unlink()
    found = cell(tmp_path, FIVE)
    assert found.estimate is None
    assert so_far(found).seeds == 9
    ((command, _),) = fill(found.parts)
    assert command == (
        f"python run.py experiment=table1 model={MODEL} test_size=6 dev_size=6 pool_size=9 "
        f"model.dtype=float32 task=sst2 method=deepthink_curve seed=3 results={tmp_path}"
    )


def test_the_command_names_no_folder_that_rows_were_read_from(tmp_path: Path) -> None:
    curve(tmp_path, "data_root=/mirror")
    ((command, _),) = fill(cell(tmp_path, FIVE).parts)
    assert command.endswith(f"seed=1,2,3,4,5,6,7,8,9 results={tmp_path}")


def test_commands_join_what_is_missing_alike() -> None:
    nothing = Subject(Runs([]), "gpt2-large", tables.WHOLE)
    settings = experiments.settings("table1")
    parts = [nothing.measure_setting(setting, VANILLA) for setting in settings]
    assert [line for line, _ in fill(parts)] == [
        "python run.py experiment=table1 model.dtype=bfloat16"
    ]
    two = [p for p in parts if p.setting.axes["method"] in ("lens", "margin")]
    assert [line for line, _ in fill(two)] == [
        "python run.py experiment=table1 model.dtype=bfloat16 method=margin,lens"
    ]
    three = [p for p in two if p.setting.axes != {"task": "mr", "method": "lens"}]
    assert len(fill(three)) == 2
    filled = [p.setting.axes for _, of in fill(three) for p in of]
    assert sorted(map(str, filled)) == sorted(str(p.setting.axes) for p in three)


def test_vanilla_is_found_in_any_thinking_and_thinking_only_in_its_own(tmp_path: Path) -> None:
    curve(tmp_path, "method.step_size=0.1")
    assert so_far(cell(tmp_path, VANILLA)).mean == pytest.approx(100 * 2 / ROWS)
    assert cell(tmp_path, FIVE).so_far is None


@pytest.mark.parametrize(
    "override",
    [
        "demonstrations.count=4",
        "demonstrations.labels=flipped",
        "prompt.seam=joint",
        "answer_score=mean",
        "task.template='Text: {text} Mood:'",
        "method.copies=2",
        "method.selector.balance=none",
    ],
)
def test_runs_of_other_settings_are_in_no_cell(tmp_path: Path, override: str) -> None:
    curve(tmp_path, override)
    assert cell(tmp_path, VANILLA).so_far is None


def test_scales_are_kept_apart(tmp_path: Path) -> None:
    curve(tmp_path, "seed=0")
    curve(tmp_path, "seed=1", "test_size=5")
    assert so_far(cell(tmp_path, VANILLA)).seeds == 1


def test_unlike_runs_are_not_averaged(tmp_path: Path) -> None:
    """Scored at other steps, t by dev is another number: the kind with more draws counts."""
    for seed in (0, 1):
        curve(tmp_path, f"seed={seed}")
    curve(tmp_path, "seed=2", hits={1: 0, 15: 0}, dev={1: 0, 15: 0})
    assert so_far(cell(tmp_path, BY_DEV)).seeds == 2


def test_one_per_draw_takes_the_longest_of_equals(tmp_path: Path) -> None:
    curve(tmp_path, hits={1: 2, 5: 4}, dev={1: 1, 5: 1})
    (config,) = jobs("task=sst2", "method=deepthink", *SMALL)
    put(tmp_path, config, {1: 2}, {1: 1})
    found = one_per_draw(Runs.load(tmp_path).all, [(0, 0)])
    assert found[0, 0].steps == (1, 5)


def test_a_suite_needs_all_its_members(tmp_path: Path) -> None:
    overrides = ("task=bbh", "method=deepthink", "method.scored=ends", "test_size=6")
    paths = [put(tmp_path, job, {1: 3, 5: 6}) for job in jobs(*overrides)]
    scale = Scale(6, -1, -1, "float32")

    def read(pooled: bool = True) -> Cell:
        part = subject(tmp_path, scale).measure("table3", FIVE, task="bbh")
        return Cell((part,), pooled=pooled)

    assert printed(read()).mean == printed(read(pooled=False)).mean == 100
    assert printed(read()).examples == 22 * ROWS
    paths[7].unlink()
    assert read().estimate is None
    ((command, _),) = fill(read().parts)
    assert command == (
        f"python run.py experiment=table3 model={MODEL} test_size=6 model.dtype=float32 task=bbh "
        f"results={tmp_path}"
    )


def test_questions_weigh_by_their_number_where_they_are_pooled(tmp_path: Path) -> None:
    first, second, *others = jobs("task=bbh", "method=deepthink", "method.scored=ends")
    for job in others:
        put(tmp_path, job, {1: 0, 5: 0}, rows=1)
    put(tmp_path, first, {1: 0, 5: 30}, rows=30)
    put(tmp_path, second, {1: 0, 5: 0}, rows=10)
    whole = subject(tmp_path, Scale(-1, -1, -1, "float32"))
    part = whole.measure("table3", FIVE, task="bbh")
    # however few were read, its 250 questions weigh 250 of 5,146
    assert printed(Cell((part,), pooled=True)).mean == pytest.approx(100 * 250 / 5146)
    assert printed(Cell((part,))).mean == pytest.approx(100 / 22)


def test_t_by_dev_is_of_curves_of_the_asked_length(tmp_path: Path) -> None:
    """A dev set may choose among t ≤ 15, not among more."""
    longer = {**CURVE, 20: 6}
    curve(tmp_path, "method.iterations=20", hits=longer, dev={**DEV, 20: 6})
    assert cell(tmp_path, BY_DEV).so_far is None
    assert cell(tmp_path, FIVE).so_far is not None


# calibrations of stored scores


def printed(cell: Cell) -> Estimate:
    """What a cell prints."""
    assert cell.estimate is not None
    return cell.estimate


def so_far(cell: Cell) -> Estimate:
    """What a cell has measured, with draws missing."""
    assert cell.so_far is not None
    return cell.so_far


def estimated(comparison: Comparison) -> list[Estimate]:
    """The estimates of a comparison that has any."""
    return [estimate for estimate in comparison.estimates if estimate is not None]


def turned(run: Run) -> Run | None:
    """A made-up calibration: every answer becomes the other one; stored for even seeds alone."""
    if run.draw[0] % 2:
        return None
    points = tuple(
        replace(
            point,
            correct=point.count - point.correct,
            predicted=point.predicted.translate({48: "1", 49: "0"}),
        )
        for point in run.record.curve
    )
    return replace(run, record=replace(run.record, curve=points))


TURNED = Calibration("turned (inductive)", turned)


def test_a_reading_may_calibrate_stored_scores(tmp_path: Path) -> None:
    """Right are 2, 4 and 3 of 6 after t = 1, 5 and 15; turned 4, 2 and 3, and t = 1 by dev."""
    ten(tmp_path)
    found = cell(tmp_path, VANILLA.after(TURNED))
    assert found.draws == [(seed, 0) for seed in range(0, 10, 2)]
    assert so_far(found).mean == pytest.approx(100 * 4 / ROWS)
    assert so_far(cell(tmp_path, FIVE.after(TURNED))).mean == pytest.approx(100 * 2 / ROWS)
    by_dev = BY_DEV.after(TURNED)
    assert by_dev.name == "t by dev, turned (inductive)"
    assert so_far(cell(tmp_path, BY_DEV)).mean == pytest.approx(100 * 3 / ROWS)  # t = 15
    assert so_far(cell(tmp_path, by_dev)).mean == pytest.approx(100 * 4 / ROWS)  # t = 1
    assert fill(found.parts) == []  # the line without calibration names the command


def test_a_calibrated_line_is_a_row_only_where_scores_are_stored(tmp_path: Path) -> None:
    curve(tmp_path, "seed=1")
    (table2,) = (layout for layout in layouts.LAYOUTS if layout.name == "table2")
    icl, *others = table2.sections[""]
    layout = replace(table2, sections={"": [icl, icl.after(TURNED), *others]})

    def labels() -> list[str]:
        blocks = tables.build(Runs.load(tmp_path), layout).blocks
        (block,) = (block for block in blocks if block.measured)
        return [row.label for row in block.rows]

    assert "ICL, turned (inductive)" not in labels()
    curve(tmp_path, "seed=2")
    assert labels()[:2] == ["ICL", "ICL, turned (inductive)"]


# further runs


def other_method(
    results: Path,
    change: Callable[[dict[str, Any]], object],
    *overrides: str,
    label: str | None = None,
    **settings: Any,
) -> None:
    """A run whose identity says that a file of another name made it."""
    return renamed(curve(results, *overrides, **settings), change, label)


def renamed(
    path: Path, change: Callable[[dict[str, Any]], object], label: str | None = None
) -> None:
    record = json.loads(path.read_text())
    record.pop("checksum")
    change(record["identity"])
    record["checksum"] = digest(record)
    path.unlink()
    folder = path.parent.with_name(label or path.parent.name)
    folder.mkdir(exist_ok=True)
    head, key = path.stem.rpartition("-")[0], digest(record["identity"])[:8]
    (folder / f"{head}-{key}.json").write_text(json.dumps(record))


def nearest(distance: str) -> Callable[[dict[str, Any]], object]:
    def change(identity: dict[str, Any]) -> None:
        identity["selector"] = {"name": "nearest", "distance": distance, "source": "ab" * 32}

    return change


def gradient(identity: dict[str, Any]) -> None:
    identity["thinking"]["refinement"] = {"name": "gradient", "rate": 0.5}


def contextual(identity: dict[str, Any]) -> None:
    identity["calibration"] = {"name": "contextual"}


def further_rows(results: Path) -> list[FurtherRow]:
    return further.every(page.load(results), page.EXPERIMENTS)


def test_rules_refinements_and_calibrations_of_others_have_rows_of_their_own(
    tmp_path: Path,
) -> None:
    curve(tmp_path, "seed=9")
    before = texts(tmp_path)
    for seed in range(4):
        draw = f"seed={seed}"
        other_method(tmp_path, nearest("cosine"), draw, label="nearest+deepthink")
        other_method(tmp_path, nearest("euclid"), draw, label="nearest+deepthink")
        other_method(tmp_path, gradient, draw, label="gradient")
        other_method(tmp_path, contextual, draw, label="deepthink-contextual")
    rows = further_rows(tmp_path)
    (usual,) = {str(row.method.rule) for row in rows} - {
        f"nearest (distance={distance}, file abababab)" for distance in ("cosine", "euclid")
    }
    assert usual.startswith("random (")
    assert {row.place[3:7] for row in rows} == {
        ("nearest+deepthink", "nearest (distance=cosine, file abababab)", "iterate", "none"),
        ("nearest+deepthink", "nearest (distance=euclid, file abababab)", "iterate", "none"),
        ("gradient", usual, "gradient (rate=0.5)", "none"),
        ("deepthink-contextual", usual, "iterate", "contextual"),
    }
    for row in rows:
        assert len(row.runs) == 4
        means = {column: round(e.mean, 1) for column, e in row.estimates.items()}
        assert means == {"t = 1": 33.3, "t = T": 50.0, "t by dev": 50.0}
    assert cell(tmp_path, FIVE).draws == [(9, 0)]
    after = texts(tmp_path)
    assert set(after) - set(before) == {f"tables/further.{end}" for end in ("md", "tex", "csv")}
    assert {n: t for n, t in before.items() if n[:6] == "tables"}.items() <= after.items()
    assert "## Further runs" in after["README.md"]
    lines = list(csv.DictReader(StringIO(after["tables/further.csv"])))
    ids = [key for line in lines for key in line["records"].split()]
    assert len(lines) == 4 * 3 + 2  # and two levels, which no record is behind
    assert len(ids) == 3 * len(set(ids)) == 3 * 4 * 4
    assert all(len(list(tmp_path.rglob(f"*-{key}.json"))) == 1 for key in ids)


def test_another_refinements_t_1_fills_no_cell_of_the_papers(tmp_path: Path) -> None:
    other_method(tmp_path, gradient)
    assert cell(tmp_path, VANILLA).so_far is None
    found = texts(tmp_path)
    papers, _, further_runs = found["README.md"].partition("## Further runs")
    assert f"### {MODEL}" not in papers
    assert f"### {MODEL}" in further_runs
    assert "| gradient (rate=0.5) |" in found["tables/further.md"]


def test_rows_that_differ_in_settings_say_in_which(tmp_path: Path) -> None:
    other_method(tmp_path, gradient)
    (row,) = further_rows(tmp_path)
    assert row.settings == {}
    other_method(tmp_path, gradient, "demonstrations.count=4", "method.step_size=0.1")
    settings = [row.place[-1] for row in further_rows(tmp_path)]
    assert sorted(settings) == [
        "demonstrations=4, thinking.step_size=0.1",
        "demonstrations=8, thinking.step_size=0.01",
    ]


def test_a_suite_is_one_row_over_its_members(tmp_path: Path) -> None:
    first, second, *_ = jobs("task=bbh", "method.scored=ends", "test_size=6")
    for job, hits in ((first, 2), (second, 4)):
        renamed(put(tmp_path, job, {1: hits, 5: 6}), contextual)
    (row,) = further_rows(tmp_path)
    assert row.task == "bbh, 2 members"
    means = {column: e.mean for column, e in row.estimates.items()}
    assert means == pytest.approx({"t = 1": 50, "t = T": 100})  # and no dev set


# comparisons and verdicts


def test_thinking_is_paired_with_vanilla_by_seed_and_example(tmp_path: Path) -> None:
    ten(tmp_path)
    found = comparisons.thinking(subject(tmp_path), FIVE)["vanilla"]
    assert found.label == "vanilla"
    (estimate, *others) = found.estimates
    assert estimate is not None
    assert estimate.mean == pytest.approx(100 * 2 / ROWS)
    assert (estimate.wins, estimate.seeds) == (10, 10)
    assert others == [None] * 5  # four tasks were not run, so there is no average either


def test_the_oracle_is_never_tested(tmp_path: Path) -> None:
    ten(tmp_path)
    found = comparisons.thinking(subject(tmp_path), ORACLE)["vanilla"]
    assert estimated(found)[0].mean == pytest.approx(100 * 2 / ROWS)
    assert found.adjusted == (None,) * 6


@pytest.mark.parametrize(("draws", "verdict"), [(3, "not run"), (4, "in part")])
def test_with_too_few_draws_nothing_is_tested(tmp_path: Path, draws: int, verdict: str) -> None:
    for seed in range(draws):
        curve(tmp_path, f"seed={seed}", hits={1: 0, 5: 6, 15: 6})
    found = comparisons.thinking(subject(tmp_path), FIVE)["vanilla"]
    assert estimated(found)[0].mean == 100
    assert (estimated(found)[0].p is None) == (found.adjusted[0] is None) == (draws < 4)
    assert verdicts.judge([("", found)])[0] == verdict


@pytest.mark.parametrize(
    ("hits", "verdict"), [({1: 0, 5: 6, 15: 6}, "in part"), ({1: 6, 5: 0, 15: 0}, "not here")]
)
def test_verdicts_follow_the_numbers(tmp_path: Path, hits: dict[int, int], verdict: str) -> None:
    for seed in range(6):
        curve(tmp_path, f"seed={seed}", hits=hits)
    by_claim = {v.claim: v for v in claims.verdicts(Runs.load(tmp_path), MODEL)}
    found = by_claim["Thinking beats vanilla on the same demonstrations, t = 5"]
    assert found.verdict == verdict
    assert "not run on SST5, TREC, MR, AG News" in found.evidence
    assert by_claim["Thinking beats vanilla on MMLU and BBH"].verdict == "not run"


def test_an_average_that_is_ahead_alone_is_a_claim_in_part() -> None:
    def comparison(*ps: float) -> Comparison:
        ahead = tuple(statistics.Estimate(1.0, 0.1, 1.9, 10, 100, p) for p in ps)
        return comparisons.Comparison("", ("sst2", "mr", "average"), ahead, ps)

    said = {
        ps: verdicts.judge([("", comparison(*ps))])[0]
        for ps in ((0.2, 0.2, 0.2), (0.2, 0.2, 0.01), (0.2, 0.01, 0.2), (0.01, 0.01, 0.2))
    }
    assert [*said.values()] == ["not here", "in part", "in part", "holds"]


def test_a_claims_tests_are_one_family() -> None:
    """Six differences of one claim are six chances; a task that is missing was a chance too."""
    found = statistics.Estimate(1.0, 0.1, 1.9, 10, 100, 0.03)
    one = comparisons.Comparison("", ("sst2",), (found,), (0.03,))
    none = comparisons.Comparison("", ("sst2",), (None,), (None,))
    assert verdicts.judge([("", one)])[0] == "holds"
    both = comparisons.corrected([one, none])
    assert both[0].adjusted == (0.06,)
    assert verdicts.judge(zip("ab", both, strict=True), 2)[0] == "not here"
    assert [gain.sign for gain in verdicts.tested({"a": found, "b": found}).values()] == [0, 0]


def test_what_is_significantly_the_other_way_is_told() -> None:
    gains = {
        name: statistics.Estimate(mean, mean - 1, mean + 1, 10, 100, p)
        for name, mean, p in (("up", 3, 0.001), ("down", -3, 0.001), ("even", 0.1, 0.9))
    }
    verdict, told = verdicts.judge_gains(verdicts.tested(gains))
    assert verdict == "in part"
    assert told.endswith("significantly the other way: down")


def test_a_command_makes_what_the_draws_that_are_there_are(tmp_path: Path) -> None:
    """The same sizes as scale=cpu, which scores sparsely; these were scored after every t."""
    sizes = ("test_size=100", "dev_size=50", "pool_size=300", "method.iterations=3")
    for seed in range(2):
        (config,) = jobs(f"seed={seed}", "task=sst2", "method=deepthink_curve", *sizes)
        put(tmp_path, config, {1: 2, 2: 3, 3: 3}, {1: 1, 2: 1, 3: 1})
    scale = Scale(100, 50, 300, "float32")
    axes = {"method": "deepthink_curve", "task": "sst2"}
    ((command, _),) = fill([subject(tmp_path, scale).measure("table1", VANILLA, **axes)])
    assert " scale=cpu model.dtype=float32 method.scored=all " in command


def test_the_finding_says_who_is_ahead_and_who_falls(tmp_path: Path) -> None:
    settings = ("method.step_size=0.1",)
    for seed in range(6):
        falls, stays = {1: 2, 5: 6, 15: 0}, {1: 2, 5: 6, 15: 6}
        curve(tmp_path, f"seed={seed}", *settings, hits=falls)
        curve(tmp_path, f"seed={seed}", *settings, "method.positions=aligned", hits=stays)
    text = sentences.on_positions(subject(tmp_path))
    assert "η = 0.01" not in text  # not run
    assert "At t = 15 aligned is significantly ahead on SST2." in text
    assert "continued is 100.0 points below its best t and aligned is 0.0" in text
    assert sentences.on_positions(Subject(Runs([]), MODEL, SCALE)) == ""


def test_the_opening_says_where_thinking_stands(tmp_path: Path) -> None:
    for seed in range(6):
        curve(tmp_path, f"seed={seed}", hits={1: 0, 5: 6, 15: 6})
    last, first = sentences.opening(Runs.load(tmp_path), MODEL)
    assert "against vanilla.** t = 5: significantly ahead on SST2. t by dev: " in first
    papers = [claim for claim in claims.CLAIMS if claim.where]
    assert "none of the paper's models" in last
    assert f"Of the paper's {len(papers)} claims, 6 were tested on it." in last
    assert "Confirmed in full: 1. Confirmed in part:" in last
    assert list(sentences.opening(Runs([]), MODEL)) == []


def figure4(results: Path, hits: Callable[..., Any]) -> None:
    """Six draws of every setting of Figure 4; hits: by count and seed, those of t = 1 and t = 5."""
    for count, task, seed in product((2, 4, 8, 16), ("sst2", "agnews"), range(6)):
        asked = (f"task={task}", f"seed={seed}", f"demonstrations.count={count}", *SMALL)
        (config,) = jobs("method.scored=ends", *asked)
        early, late = hits(count, seed)
        put(results, config, {1: early, 5: late}, {1: 0, 5: 0})


@pytest.mark.parametrize(
    ("hits", "expected"),
    [
        (lambda count, seed: (0, 6), ("holds", "not here", "not here")),
        (lambda count, seed: (count // 16 * 6,) * 2, ("not here", "holds", "not here")),
        (lambda count, seed: (seed % 2 * 6, 3), ("not here", "not here", "holds")),
        (lambda count, seed: (0, 6 if count == 2 else 0), ("in part", "not here", "not here")),
    ],
)
def test_claims_of_figure_4_follow_the_numbers(
    tmp_path: Path, hits: Callable[..., Any], expected: tuple[str, str, str]
) -> None:
    figure4(tmp_path, hits)
    judges = (
        sensitivity_claims.any_count,
        sensitivity_claims.more_demonstrations,
        sensitivity_claims.steadier_at_any_count,
    )
    judged = subject(tmp_path)
    assert tuple(judge(judged)[0] for judge in judges) == expected


@pytest.mark.parametrize(("peaks", "verdict"), [((15, 5, 1), "holds"), ((15, 15, 1), "in part")])
def test_a_larger_step_size_peaks_earlier(
    tmp_path: Path, peaks: tuple[int, int, int], verdict: str
) -> None:
    for size, peak in zip(("0.001", "0.01", "0.1"), peaks, strict=True):
        for seed in range(5):
            hits = {step: 6 if step == peak else 2 for step in CURVE}
            curve(tmp_path, f"seed={seed}", f"method.step_size={size}", hits=hits)
    found, evidence = sensitivity_claims.fewer_iterations(subject(tmp_path))
    assert found == verdict
    assert f"η = 0.01: t = {peaks[1]}" in evidence
    nothing = Subject(Runs([]), MODEL, SCALE)
    assert sensitivity_claims.fewer_iterations(nothing) == ("not run", "")


def test_a_claim_of_several_parts_holds_only_if_none_is_missing() -> None:
    assert verdicts.all_of([True, True], 2) == "holds"
    assert verdicts.all_of([True, True], 3) == "in part"
    assert verdicts.all_of([], 3) == "not run"


# files


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with runs of several experiments, and what the report made of it."""
    folder = tmp_path_factory.mktemp("report") / "results"
    for seed in range(10):
        curve(folder, f"seed={seed}", "data_root=/mirror")
        for positions in ("aligned", "continued"):
            settings = (f"method.positions={positions}", "method.step_size=0.1")
            own = {1: -1.0, 5: -0.5, 15: -0.7}
            curve(folder, f"seed={seed}", "data_root=/mirror", *settings, left_out=own)
        (config,) = jobs("task=sst2", "method.scored=ends", f"order={seed}", *SMALL)
        put(folder, config, {1: 1 + seed % 3, 5: 4}, {1: 2, 5: 3})
    for task in list(layouts.TASKS)[1:]:
        for seed in range(3):
            (config,) = jobs(f"task={task}", "method=deepthink_curve", *SMALL, f"seed={seed}")
            put(folder, config, CURVE, DEV)
    for job in jobs("task=mmlu", "method.scored=ends", "test_size=6"):
        put(folder, job, {1: 3, 5: 4})
    page.write(folder, page.load(folder), lambda _: None)
    return folder


@pytest.fixture
def results(written: Path, tmp_path: Path) -> Path:
    """The same records, to be changed."""
    folder = tmp_path / "results"
    shutil.copytree(written / "records", folder / "records")
    return folder


def texts(results: Path, drawn: tuple[()] = ()) -> dict[str, str]:
    return dict(page.texts(results, page.load(results), drawn))


def test_everything_is_written(written: Path) -> None:
    names = {path.name for path in written.rglob("*")}
    for table in ("table1", "table2", "table3", "table4", "table5", "table6", "figure3"):
        assert {f"{table}.md", f"{table}.tex", f"{table}.csv"} <= names
    drawn = {name.partition("-")[0] for name in names if name.endswith(".png")}
    without = {"mechanism"}  # which needs stored scores
    one_way = {"thinking", "compute", "figure4"}  # one method of Table 1, one number of rows
    assert (
        drawn
        == {figure.name for figure in FIGURES} - without - one_way
        == {n.partition("-")[0] for n in names if "pdf" in n}
    )
    text = (written / "README.md").read_text()
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if link.startswith("#"):
            assert f"## {link[1:].replace('-', ' ')}\n" in text.lower(), link
        else:
            assert (written / link).is_file(), link


def test_the_same_records_give_the_same_bytes(written: Path, tmp_path: Path) -> None:
    drawn = []
    writer = Writer(tmp_path)
    for one, figure in figures.every(page.load(written), lambda _: None):
        drawn.append(one)
        if one.figure.name == "figure5":
            writer.figure(one.file, figure)
    for name, text in page.texts(written, page.load(written), drawn):
        assert (written / name).read_text() == text
    assert [path.suffix for path in writer.written] == [".pdf", ".png"]
    for path in writer.written:
        assert path.read_bytes() == (written / path.relative_to(tmp_path)).read_bytes()


@pytest.mark.parametrize("committed", [experiments.PUBLISHED, experiments.EARLIER], ids=str)
def test_what_is_committed_is_what_the_committed_records_say(
    committed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(CONF.parent)
    runs = page.load(committed)
    drawn = [one for one, _ in figures.every(runs, lambda _: None)]
    found = dict(page.texts(committed, runs, drawn))
    files = [committed / "README.md", committed / "CARD.md", *(committed / "tables").iterdir()]
    files += (committed / "figures").glob("*.md")
    there = {path.relative_to(committed).as_posix(): path.read_text() for path in files}
    assert found == there, "run: make tables"
    names = {f"{one.file}.{kind}" for one in drawn for kind in ("pdf", "png")} | {"captions.md"}
    assert names == {path.name for path in (committed / "figures").iterdir()}, "run: make tables"


def test_what_is_no_longer_true_is_removed(tmp_path: Path) -> None:
    curve(tmp_path)
    (tmp_path / "tables").mkdir()
    stale = tmp_path / "tables" / "stale.md"
    stale.write_text("")
    others = [tmp_path / "tables" / name for name in ("notes.txt", "folder.md")]
    others[0].write_text("")
    others[1].mkdir()
    for path in tmp_path.rglob("*.json"):
        path.unlink()
    page.write(tmp_path, page.load(tmp_path), lambda _: None)
    assert not stale.exists()
    assert all(path.exists() for path in others)
    assert "Nothing yet" in (tmp_path / "README.md").read_text()


def test_draws_that_only_vanilla_has_are_left_out(results: Path) -> None:
    """Runs with other settings of thinking have the t = 1 of a draw whose own run is missing."""
    (results / cell(results, FIVE).parts[0].runs[0, 0][0].path).unlink()
    vanilla, thinking = (cell(results, reading) for reading in (VANILLA, FIVE))
    assert (vanilla.seeds, thinking.seeds) == (10, 9)
    assert "t = 5: SD 0.0 → 0.0 n=9, worst " in texts(results)["README.md"]


def test_csv_traces_every_number_to_its_records(written: Path) -> None:
    results = written
    lines = list(csv.DictReader(StringIO((results / "tables" / "table1.csv").read_text())))
    (line,) = (
        one for one in lines
        if one["model"] == MODEL and one["row"] == "Deep-Thinking" and one["column"] == "SST2"
    )  # fmt: skip
    ids = line["records"].split()
    assert len(ids) == 10
    means = []
    for one in ids:
        (path,) = results.rglob(f"*-{one}.json")
        points = json.loads(path.read_text())["curve"]
        (point,) = (p for p in points if (p["step"], p["split"]) == (5, "test"))
        means.append(100 * point["correct"] / point["count"])
    assert float(line["ours"]) == pytest.approx(sum(means) / 10, abs=1e-3)
    assert all(one["command"] for one in lines if not one["ours"] and one["column"] != "Average")


def test_latex_has_as_many_cells_in_every_row_and_no_bare_signs(written: Path) -> None:
    for path in (written / "tables").glob("*.tex"):
        text = path.read_text()
        body = text.split(r"\toprule")[1].split(r"\bottomrule")[0]
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        counts = {len(re.findall(r"(?<!\\)&", row)) for row in rows if "multicolumn" not in row}
        assert len(counts) == 1, path
        assert not re.search(r"(?<!\\)[%#_]", text), path
        assert text.isascii(), path


def test_the_report_needs_neither_torch_nor_a_network() -> None:
    code = (
        "import sys, deepthink.report.page, deepthink.report.plan;"
        "print([m for m in ('torch', 'transformers', 'datasets') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_broken_record_is_left_out_and_told(results: Path) -> None:
    before = cell(results, FIVE)
    path = results / before.parts[0].runs[0, 0][0].path
    path.write_text(path.read_text()[:100])
    found = cell(results, FIVE)
    assert (printed(before).seeds, so_far(found).seeds, found.estimate) == (10, 9, None)
    told = f"- `{path.relative_to(results)}` is not a complete record\n"
    assert told in texts(results)["README.md"]
    assert path.exists()


def tables_script(monkeypatch: pytest.MonkeyPatch, *words: Path | str) -> None:
    monkeypatch.setattr(sys, "argv", ["tables.py", *map(str, words)])
    runpy.run_path(str(SCRIPTS / "tables.py"), run_name="__main__")


def test_the_command_says_what_it_wrote_or_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (broken := curve(tmp_path)).write_text("{")
    tables_script(monkeypatch, "--results", tmp_path)
    out = capsys.readouterr().out
    assert "begin with" in out
    assert f"left out: {broken} is not a complete record\n" in out
    monkeypatch.setattr(paper, "FOLDER", tmp_path)
    paper.read.cache_clear()
    with pytest.raises(SystemExit, match=r"^error: .*cannot be read: restore it"):
        tables_script(monkeypatch, "--results", tmp_path)
    paper.read.cache_clear()


def test_grid_by_hand(written: Path) -> None:
    table = tables.build(Runs.load(written), layouts.LAYOUTS[0])
    block = next(b for b in table.blocks if b.subject.model == MODEL)
    grid = render.grid(table, block)
    row = next(r for r in grid.rows if r[:2] == ("", "ours") and r[2].startswith("66.7"))
    assert row[3:8] == ("–",) * 5
    assert row[8] == "3/10"
    assert ("Random", "paper, other model", "57.9", "27.5", "30.3", "59.5", "33.6", "41.8", "") in (
        grid.rows
    )


# experiments


@pytest.mark.parametrize("name", experiments.names())
def test_every_job_of_every_experiment_composes(name: str) -> None:
    for setting in experiments.settings(name):
        assert setting.configs
        assert setting.draws


def test_experiments_are_the_papers() -> None:
    assert len(experiments.settings("table1")) == 5 * 14
    assert all(len(s.draws) == 10 for s in experiments.settings("table1"))
    assert len(axes("table2")["model"]) == 8
    assert [len(s.configs) for s in experiments.settings("table3")] == [57, 22]
    assert {s.draws for s in experiments.settings("table3")} == {((0, 0),)}
    steps = {c.method.step_size for s in experiments.settings("figure6") for c in s.configs}
    assert steps == {0.001, 0.01, 0.1}
    (orders,) = experiments.settings("figure5_orders")
    assert orders.draws == tuple((0, order) for order in range(10))


def test_an_experiment_is_a_sweep_that_overrides_narrow(run: Command, tmp_path: Path) -> None:
    code, _, err = run(
        "experiment=figure5_orders", "order=0,2", "method.iterations=2", "method.scored=all"
    )
    assert (code, err) == (0, "")
    assert [r["identity"]["order"] for _, r in stored(tmp_path)] == [0, 2]


@pytest.mark.slow
def test_a_deleted_record_comes_back_by_the_command_beside_its_cell(
    run: Command, tmp_path: Path
) -> None:
    """Delete, report, run what the report says, report: the same tables."""
    sizes = ("test_size=6", "dev_size=6")
    run("experiment=figure5_orders", "method.iterations=5", *sizes)
    setting = experiments.settings("figure5_orders")[0]

    def read() -> Cell:
        runs = Runs.load(tmp_path / "results")
        (scale,) = {one.scale for one in runs.all}
        return Cell((Subject(runs, "gpt2-large", scale).measure_setting(setting, FIVE),))

    before = read()
    assert before.complete
    path, record = stored(tmp_path)[4]
    path.unlink()
    ((command, _),) = fill(read().parts)
    words = command.split()[2:]
    assert f"order={record['identity']['order']}" in words
    assert not any(word.startswith("seed") for word in words)
    run(*words, "method.iterations=5")
    assert read().estimate == before.estimate
    assert len(expand(words)) == 1
