"""The table that a sweep ends with: its rows, its numbers, and what becomes of missing jobs."""

import csv
import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Command, stored, sweep_of
from made_records import jobs, made
from rich.console import Console
from scipy import stats

from deepthink.app import closing_view, sharing
from deepthink.app.journals import Tally, add
from deepthink.app.sweep import taken_apart
from deepthink.installation import CONF
from deepthink.report import axes, experiments
from deepthink.report.closing import Block, Closing, Line, build
from deepthink.report.groups import COLUMNS, Cell
from deepthink.report.runs import Run
from deepthink.store import records, scores
from deepthink.store.open_points import OpenPoint
from deepthink.store.schema import Record

ROOT = CONF.parent
STUDY = ROOT / experiments.EARLIER


def run_of(record: Record, label: str, name: str = "record.json") -> Run:
    return Run(Path(label, name), record)


def runs(*words: str, hits: dict[int, int], dev: dict[int, int] | None = None) -> list[Run]:
    """A made-up run for each job of these words, right on the first so many rows."""
    return [run_of(made(job, hits, dev), job.label) for job in jobs("model=opt-125m", *words)]


def cells(line: Line) -> dict[str, Cell]:
    return {name: cell for name, cell in zip(COLUMNS, line.cells, strict=True) if cell is not None}


def printed(closing: Closing, width: int = 80) -> str:
    console = Console(width=width, markup=False)
    with console.capture() as captured:
        closing_view.show(closing, console)
    return captured.get()


def by_hand(right: np.ndarray) -> tuple[float, float]:
    """Mean and half-width of outcomes [S, I] under two random ways, in plain sums."""
    draws, rows = right.shape
    grand = sum(map(sum, right)) / (draws * rows)
    of_draws = [mean(map(float, row)) for row in right]
    of_rows = [mean(map(float, column)) for column in right.T]
    between = rows * sum((m - grand) ** 2 for m in of_draws) / (draws - 1)
    across = draws * sum((m - grand) ** 2 for m in of_rows) / (rows - 1)
    rest = sum(
        (right[s, i] - of_draws[s] - of_rows[i] + grand) ** 2
        for s in range(draws)
        for i in range(rows)
    ) / ((draws - 1) * (rows - 1))
    both = between + across - rest
    assert both >= max(between, across) > 0, "choose other outcomes: an edge of the formula"
    freedom = both**2 / (
        between**2 / (draws - 1) + across**2 / (rows - 1) + rest**2 / ((draws - 1) * (rows - 1))
    )
    reach = float(stats.t.ppf(0.975, freedom)) * float(np.sqrt(both / (draws * rows)))
    return 100 * grand, 100 * reach


def test_rows_are_what_differs_and_seeds_are_averaged() -> None:
    every = [
        *runs("task=sst2", "method=vanilla", "seed=0", hits={1: 3}),
        *runs("task=sst2", "method=vanilla", "seed=1", hits={1: 4}),
        *runs("task=sst2", "method=deepthink", "method.iterations=2", hits={1: 3, 2: 5}),
        *runs("task=sst2", "method=deepthink", "method.iterations=2", "seed=1", hits={1: 4, 2: 5}),
    ]
    closing = build(every)
    assert closing.keys == ("method",)
    (block,) = closing.blocks
    assert [line.label for line in block.lines] == [("vanilla",), ("deepthink",)]
    assert [(line.draws, line.wanted) for line in block.lines] == [(2, 2), (2, 2)]
    thought = cells(block.lines[1])
    assert thought["t = T"].estimate.mean == pytest.approx(100 * 10 / 12)
    difference = thought["t = T"].difference
    assert difference is not None and difference.mean == pytest.approx(100 * 3 / 12)
    assert thought["t = 1"].same and not thought["t = T"].same
    assert "t by dev" not in thought


def test_numbers_are_those_of_plain_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accuracies and differences with their intervals, on outcomes that are drawn at random."""
    random = np.random.default_rng(4)
    right: dict[str, np.ndarray] = {
        name: (random.random((4, 30)) < random.random((1, 30)) * random.permutation(levels)).astype(
            int
        )
        for name, levels in (
            ("vanilla", [[0.2], [0.6], [1.0], [1.4]]),
            ("deepthink", [[0.5], [1.0], [1.5], [2.0]]),
        )
    }
    every = [
        *(
            one
            for seed in range(4)
            for one in runs("task=sst2", "method=vanilla", f"seed={seed}", hits={1: 3})
        ),
        *(
            one
            for seed in range(4)
            for one in runs("task=sst2", "method=deepthink_curve", f"seed={seed}", hits={1: 3})
        ),
    ]

    def correct(run: Run, step: int, split: str = "test") -> np.ndarray:
        return np.asarray(right[run.path.parent.name][run.draw[0]])

    monkeypatch.setattr(Run, "correct", correct)
    vanilla, thought = build(every).blocks[0].lines
    for line, outcomes in ((vanilla, right["vanilla"]), (thought, right["deepthink"])):
        estimate = cells(line)["t = 1"].estimate
        centre, reach = by_hand(outcomes)
        assert (estimate.mean, estimate.high - estimate.mean) == pytest.approx((centre, reach))
    difference = cells(thought)["t = 1"].difference
    assert difference is not None
    centre, reach = by_hand(right["deepthink"] - right["vanilla"])
    assert (difference.mean, difference.high - difference.mean) == pytest.approx((centre, reach))


def test_a_draw_alone_has_the_interval_of_wilson() -> None:
    (line,) = build(runs("task=sst2", "method=vanilla", hits={1: 3})).blocks[0].lines
    z, p, n = stats.norm.ppf(0.975), 0.5, 6
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    estimate = cells(line)["t = 1"].estimate
    assert (estimate.low, estimate.high) == pytest.approx(
        (100 * (centre - reach), 100 * (centre + reach))
    )


@cache
def published() -> dict[str, Run]:
    """The records of the study of ten draws by every rule, by their id."""
    found = records.load_all(STUDY).records
    return {path.stem.rpartition("-")[2]: Run(path, record) for path, record in found}


def rows_of(table: str, **wanted: str) -> list[dict[str, str]]:
    with (STUDY / "tables" / f"{table}.csv").open(encoding="utf-8") as file:
        return [row for row in csv.DictReader(file) if wanted.items() <= row.items()]


@pytest.mark.parametrize("step_size", ["0.01", "0.1"])
def test_its_numbers_are_the_reports(step_size: str) -> None:
    """Of five tasks and their average, on the published records."""
    every = [
        published()[number]
        for positions in ("continued", "aligned")
        for row in rows_of(
            "positions",
            section=f"η = {step_size}, {positions}",
            row="Deep-Thinking, t by dev",
        )
        for number in row["records"].split()
    ]
    assert len(every) == 2 * 5 * 10
    closing = build(every)
    assert closing.keys == ("method.positions",)
    assert [len(block.tasks) for block in closing.blocks] == [1] * 5 + [5]
    compared = 0
    for block in closing.blocks:
        name = block.tasks[0] if len(block.tasks) == 1 else "average"
        for line, positions in zip(block.lines, ("continued", "aligned"), strict=True):
            assert line.label == (positions,)
            for row in rows_of("positions", section=f"η = {step_size}, {positions}"):
                reading = row["row"].replace("ICL", "t = 1").rpartition(", ")[2]
                cell = cells(line).get(reading.replace("t = 15", "t = T"))
                if row["column"].replace(" ", "").lower() == name and cell:
                    assert_equal(cell.estimate, row["ours"], row["low"], row["high"])
                    compared += 1
        for row in rows_of(
            "comparisons",
            family=f"positions, η = {step_size}",
            contrast="aligned − continued",
            task=name,
        ):
            cell = cells(block.lines[1]).get(row["reading"].replace("t = 15", "t = T"))
            if cell:
                assert_equal(cell.difference, row["difference"], row["low"], row["high"])
                compared += 1
    assert compared == 6 * 2 * 3 + 6 * 2


def assert_equal(estimate: Any, *numbers: str) -> None:
    found = (estimate.mean, estimate.low, estimate.high)
    assert found == pytest.approx([float(number) for number in numbers], abs=6e-5)


def test_rules_are_not_paired_by_seed() -> None:
    """Thinking against a rule that chooses its own demonstrations, as in the report."""
    (table1,) = rows_of("comparisons", reading="t by dev", contrast="Herding", task="sst2")
    of = {
        name: [
            run
            for run in published().values()
            if run.path.parent.name == name
            and (run.task, run.record.config.test_size) == ("sst2", 100)
            and run.record.config.whole["demonstrations"]["count"] is None
            and run.record.identity.order == 0
        ]
        for name in ("herding", "deepthink")
    }
    thought = [
        run
        for run in of["deepthink"]
        if run.record.identity.thinking.positions == "continued"
        and run.record.identity.thinking.step_size == 0.01
        and run.iterations == 15
    ]
    herding, deepthink = build([*of["herding"], *thought]).blocks[0].lines
    assert (herding.unpaired, deepthink.unpaired) == (False, True)
    estimate = cells(deepthink)["t by dev"].difference
    assert_equal(estimate, table1["difference"], table1["low"], table1["high"])


def test_a_suite_is_the_mean_of_its_members_and_counts_as_one_task() -> None:
    members = "task.members=[astronomy,virology]"
    suite = [
        run_of(made(job, {1: right}), job.label)
        for job, right in zip(jobs("task=mmlu", members, "method=vanilla"), (2, 6), strict=True)
    ]
    one = runs("model=smollm2-135m", "task=sst2", "method=vanilla", hits={1: 0})
    of_suite, of_task, average = build([*suite, *one]).blocks
    assert (of_suite.tasks, of_suite.examples) == (("mmlu",), 12)
    means = [cells(block.lines[0])["t = 1"].estimate.mean for block in (of_suite, of_task, average)]
    assert means == pytest.approx([100 * (2 / 6 + 1) / 2, 0, 100 * (2 / 6 + 1) / 4])
    (line,) = (
        build([suite[0], *one], [axes.of_config(jobs("task=mmlu", members, "method=vanilla")[1])])
        .blocks[0]
        .lines
    )
    assert (line.draws, line.cells[0]) == (0, None), "a member is missing"


def test_missing_jobs_are_counted_and_have_rows() -> None:
    words = ("task=sst2", "method.iterations=2")
    every = [
        *runs(*words, "method=vanilla", hits={1: 3}),
        *runs(*words, "method=vanilla", "seed=1", hits={1: 3}),
        *runs(*words, "method=deepthink", hits={1: 3, 2: 4}),
    ]
    lost = [
        axes.of_config(job)
        for more in (("method=deepthink", "seed=1"), ("method=lens", "seed=0"))
        for job in jobs("model=opt-125m", *words, *more)
    ]
    text = printed(build(every, json.loads(json.dumps(lost))))
    assert "1 of 2" in text
    assert "lens+deepthink" in text and "no result" in text and "0 of 2" in text


def test_rows_of_other_data_have_no_difference_and_say_so() -> None:
    first = runs("task=sst2", "method=vanilla", "test_size=6", hits={1: 3})
    (job,) = jobs("model=opt-125m", "task=sst2", "method=vanilla", "test_size=7")
    other = run_of(made(job, {1: 3}, data="other", rows=7), "vanilla")
    closing = build([*first, other])
    assert closing.keys == ("test_size",)
    second = closing.blocks[0].lines[1]
    assert second.told == "another set of rows"
    assert all(cell.difference is None for cell in second.cells if cell)
    assert "no difference to the first row, since there is another set of rows: 7" in " ".join(
        printed(closing).split()
    )
    nothing_shared = runs("task=sst2", "method=lens", "seed=5", hits={1: 3})
    assert build([*first, *nothing_shared]).blocks[0].lines[1].told == "no draw in common"


def test_it_fits_eighty_columns_and_names_what_was_swept_and_fixed() -> None:
    every = [
        one
        for eta in ("0.001", "0.1")
        for positions in ("aligned", "continued")
        for seed in range(2)
        for one in runs(
            "task=sst2",
            "method=deepthink",
            "method.iterations=2",
            f"method.step_size={eta}",
            f"method.positions={positions}",
            f"seed={seed}",
            hits={1: 3 - seed, 2: 4 + seed},
            dev={1: 2, 2: 3},
        )
    ]
    text = printed(build(every))
    swept, fixed, *table = text.splitlines()
    assert swept == "swept: method.step_size (2), method.positions (2), seed (0 to 1)"
    assert fixed.startswith("fixed: model=opt-125m task=sst2 method=deepthink")
    assert "method.iterations=2" in fixed and "step_size" not in fixed
    assert max(len(line.rstrip()) for line in table) <= 80
    assert "t by dev" in text and "0.001 ·" in text
    for width in (40, 60, 80):  # whatever is cut elsewhere, no number is
        shown = printed(build(every), width)
        assert "…" not in shown
        assert shown.count("41.7") == 4 and shown.count("75.0") == shown.count("100.0]") == 8


def test_a_setting_without_effect_is_not_counted_as_swept() -> None:
    """Plain reading has no step size, so a sweep over two of them has one plain row."""
    every = runs("task=sst2", "method=vanilla", hits={1: 3})
    for eta in ("0.01", "0.1"):
        words = ("task=sst2", "method=deepthink", "method.iterations=2", f"method.step_size={eta}")
        every += runs(*words, hits={1: 3, 2: 4})
    closing = build(every)
    labels = [line.label for line in closing.blocks[0].lines]
    assert labels == [("vanilla", None), ("deepthink", 0.01), ("deepthink", 0.1)]
    text = printed(closing)
    assert text.startswith(
        "swept: method (2), method.step_size (2)\nfixed: model=opt-125m task=sst2"
    )
    assert " vanilla " in text and " deepthink · 0.1 " in text


def test_an_own_option_of_an_own_method_is_a_row_of_its_own() -> None:
    (job,) = jobs("model=opt-125m", "task=sst2", "method=best_random", "method.iterations=1")
    every = []
    for sets in (5, 10):
        record = made(job, {1: 3})
        selector = {"name": "mine", "sets": sets, "source": "ab" * 32}
        key = replace(record.identity, selector=selector)
        every.append(run_of(replace(record, identity=key), "mine"))
    closing = build(every)
    assert closing.keys == ("method.selector.sets",)
    assert [line.label for line in closing.blocks[0].lines] == [(5,), (10,)]


def test_a_sweep_ends_with_its_table_read_or_run(run: Command, tmp_path: Path) -> None:
    words = ("-m", "method=vanilla,deepthink", "seed=0,1", "method.iterations=2", "test_size=12")
    code, first, err = run(*words)
    assert (code, err) == (0, "")
    table = first[first.index("swept: method (2), seed (0 to 1)") :].partition("jobs: ")[0]
    assert table.count("− first row") == 1
    right = {
        method: [r["curve"] for p, r in stored(tmp_path) if p.parent.name == method]
        for method in ("vanilla", "deepthink")
    }
    for method, step in (("vanilla", 1), ("deepthink", 2)):
        hits = [
            p["correct"]
            for c in right[method]
            for p in c
            if (p["split"], p["step"]) == ("test", step)
        ]
        assert f"{100 * sum(hits) / 24:.1f}" in table
    code, second, _ = run(*words)
    assert code == 0 and "4 read" in second
    assert second[second.index("swept: ") :].partition("jobs: ")[0] == table


def test_a_failed_job_is_missing_in_the_table_of_its_sweep(run: Command) -> None:
    code, out, _ = run("-m", "method=vanilla", "demonstrations.count=4,999", "seed=0,1")
    assert code == 1
    table = out[out.index("swept: ") :]
    assert " 999 " in table and "0 of 2" in table and "no result" in table


def test_one_job_and_one_suite_have_no_table_of_a_sweep(run: Command) -> None:
    assert "swept:" not in run()[1]
    assert "swept:" not in run("-m", "seed=0")[1]


def test_a_table_that_cannot_be_shown_fails_no_sweep(
    run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("no such column\nat all")

    monkeypatch.setattr(closing_view, "build", broken)
    code, out, err = run("-m", "method=vanilla", "seed=0,1")
    assert (code, err) == (0, "")
    assert "cannot be shown (no such column)" in out
    assert "2 done" in out


@pytest.mark.slow
def test_a_shared_sweep_ends_with_the_same_table(run: Command) -> None:
    words = ("method=vanilla,deepthink", "seed=0,1", "method.iterations=2", "test_size=12")
    tables = [
        run(*more, *words)[1].partition("swept: ")[2].partition("jobs: ")[0]
        for more in (("-m",), ("launcher=local", "workers=2"))
    ]
    assert tables[0] == tables[1] != ""


def test_jobs_that_no_worker_reached_are_missing(tmp_path: Path) -> None:
    words = [["task=sst2", "method=vanilla", f"seed={seed}"] for seed in range(3)]
    found, _ = taken_apart(words)
    sweep = sweep_of(found)
    add(tmp_path, 0, 2, 0.1, Tally(done=1, records=("b.json",)))
    add(tmp_path, 0, 0, 0.1, Tally(done=1, records=("a.json",)))
    tally = sharing.summary(tmp_path, sweep)
    assert tally.records == ("a.json", "b.json"), "in the order of the jobs"
    assert [(one["task"], one["seed"]) for one in tally.missing] == [("sst2", 1)]
    missing = tally.missing
    add(tmp_path, 1, 1, 0.1, Tally(failed=1, reasons=("no",), missing=missing))
    (again,) = sharing.summary(tmp_path, sweep).missing
    assert {key: axes.frozen(value) for key, value in again.items()} == missing[0]


def test_many_tasks_are_shown_by_their_average(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing_view, "MOST", 1)
    every = [
        one
        for task in ("sst2", "mr")
        for method in ("vanilla", "lens")
        for one in runs(f"task={task}", f"method={method}", "method.iterations=1", hits={1: 3})
    ]
    text = printed(build(every))
    assert "average of 2 tasks" in text
    assert "opt-125m · sst2" not in text
    assert "compare 'task=NAME'" in text


def test_a_block_without_a_common_row_is_left_out() -> None:
    every = [
        *runs("task=sst2", "method=vanilla", hits={1: 3}),
        *runs("task=mr", "method=lens", "method.iterations=1", hits={1: 3}),
    ]
    blocks: tuple[Block, ...] = build(every).blocks
    assert [block.tasks for block in blocks] == [("sst2",), ("mr",)]


def open_run(path: Path, log_p: dict[int, list[float]], seed: int) -> Run:
    """A made-up run of an open task with the log p per token of each question after each t."""
    words = ("task=gsm8k", "method=deepthink", "method.iterations=2", f"order={seed}")
    (job,) = jobs("model=opt-125m", *words)
    count = len(log_p[1])
    record = made(job, {1: 0, 2: 0}, rows=count)
    table = pd.DataFrame(
        [
            {"step": t, "split": "test", "query": q, "candidate": 0, "label": 0}
            | {"score": 2 * value, "tokens": 2}
            for t, values in log_p.items()
            for q, value in enumerate(values)
        ]
    )
    points = tuple(
        OpenPoint(step=t, count=count, log_p=mean(values)) for t, values in log_p.items()
    )
    file = path / "deepthink" / f"seed0-order{seed}-0a1b2c3d.json"
    file.parent.mkdir(exist_ok=True)
    return Run(file, replace(record, curve=(), open=points, scores=scores.write(file, table)))


def test_open_tasks_have_their_log_probabilities_and_no_average(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    drawn = np.array([-1.3, -1.0, -0.7]).reshape(3, 1, 1)
    drawn = drawn + random.normal(0, 0.2, 8) + random.normal(0, 0.1, (3, 2, 8))
    every = [open_run(tmp_path, {1: [*drawn[s, 0]], 2: [*drawn[s, 1]]}, seed=s) for s in range(3)]
    answered = runs("task=sst2", "method=deepthink", "method.iterations=2", hits={1: 3, 2: 4})
    closing = build([*every, *answered])
    assert [block.tasks for block in closing.blocks] == [("gsm8k",), ("sst2",)]
    (line,) = closing.blocks[0].lines
    assert line.cells[2] is None and cells(line)["t = T"].open
    for place, column in enumerate(("t = 1", "t = T")):
        estimate = cells(line)[column].estimate
        centre, reach = by_hand(drawn[:, place])
        assert 100 * estimate.mean == pytest.approx(centre)
        assert 100 * (estimate.high - estimate.mean) == pytest.approx(reach)
        assert f"{estimate.mean:.4f} ± ".replace("-", "−") in printed(closing)
    assert "of open tasks log p per token, in nats" in " ".join(printed(closing).split())
