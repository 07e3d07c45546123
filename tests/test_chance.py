"""Chance and majority, recomputed from records, and a costly line's budget of draws."""

import csv
import json
import re
from collections import Counter
from dataclasses import replace
from io import StringIO
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_records import jobs, made, put
from matplotlib.figure import Figure

from deepthink.report import budgets, chance, layouts, page, render, tables
from deepthink.report.cells import Cell
from deepthink.report.chance import Levels
from deepthink.report.figures.chance_lines import chance_lines
from deepthink.report.layout import Budget
from deepthink.report.measurements import Subject
from deepthink.report.readings import FIVE, VANILLA
from deepthink.report.runs import Run, Runs, Scale
from deepthink.store import scores
from deepthink.store.curves import Point
from deepthink.store.schema import Gold

MODEL = "smollm2-135m"
ROWS = 40
SIZES = (f"test_size={ROWS}", "dev_size=6", "pool_size=9")
SCALE = Scale(ROWS, 6, 9, "float32")
CANDIDATES = {"sst2": 2, "sst5": 5, "trec": 6, "mr": 2, "agnews": 4}


def gold(seed: int, candidates: int, rows: int = ROWS) -> str:
    """Gold labels of which no two kinds are equally frequent."""
    drawn = np.random.default_rng(seed).zipf(1.7, rows) % candidates
    return " ".join(map(str, drawn))


def record(results: Path, *words: str, right: int, answers: str) -> Path:
    """A run that is right on the first so many rows and wrong on the rest."""
    (config,) = jobs("method=deepthink_curve", *SIZES, *words)
    labels = [int(answer) for answer in answers.split()]
    told = [label if i < right else (label + 1) % 2 for i, label in enumerate(labels)]
    curve = tuple(
        Point(
            step=step,
            split="test",
            correct=right,
            count=ROWS,
            predicted=" ".join(map(str, told)),
        )
        for step in (1, 5)
    )
    hits = dict.fromkeys((1, 5), right)
    return put(results, config, hits, rows=ROWS, gold=Gold(test=answers), curve=curve)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five tasks, ten draws: TREC alone is not above chance."""
    folder = tmp_path_factory.mktemp("levels")
    for (task, candidates), seed in product(CANDIDATES.items(), range(10)):
        right = 8 if task == "trec" else 38
        answers = gold(candidates, candidates)
        record(folder, f"task={task}", f"seed={seed}", right=right, answers=answers)
    return folder


@pytest.fixture(scope="module")
def text(results: Path) -> dict[str, str]:
    """The texts of their page."""
    return dict(page.texts(results, page.load(results), []))


def expected(path: Path) -> dict[str, tuple[float, float]]:
    """Chance and majority of each task, from the files alone."""
    found = {}
    for file in path.rglob("*.json"):
        stored = json.loads(file.read_text())
        labels = stored["gold"]["test"].split()
        task = stored["identity"]["task"]
        frequent = Counter(labels).most_common(1)[0][1]
        found[task["name"]] = (100 / len(task["labels"]), 100 * frequent / len(labels))
    return found


def test_levels_are_those_of_the_records(results: Path) -> None:
    table = tables.build(Runs.load(results), layouts.LAYOUTS[0])
    (block,) = (block for block in table.blocks if block.measured)
    rows = {row[0]: row[2:-1] for row in render.grid(table, block).rows if row[0] in chance.NAMES}
    by_task = [expected(results)[task] for task in CANDIDATES]
    assert by_task[2][0] == pytest.approx(100 / 6)
    for place, name in enumerate(("Chance", "Majority")):
        values = [levels[place] for levels in by_task]
        assert rows[name] == tuple(f"{v:.1f}" for v in (*values, sum(values) / 5))


def test_an_average_says_how_many_tasks_are_above_chance(
    results: Path, text: dict[str, str]
) -> None:
    subject = Subject(Runs.load(results), MODEL, SCALE)
    parts = subject.measure_tasks("table1", FIVE, CANDIDATES, method="deepthink_curve")
    assert Cell(tuple(parts)).above == (4, 5)
    assert Cell((parts[0],)).above is None
    assert "]; 4 of 5 tasks above chance | 10 |" in text["README.md"]
    lines = [*csv.DictReader(StringIO(text["tables/table2.csv"]))]
    (line,) = (
        one for one in lines
        if (one["model"], one["row"], one["column"]) == (MODEL, "ICL", "Average")
    )  # fmt: skip
    assert (line["above_chance"], line["tasks"]) == ("4", "5")


def test_every_csv_of_accuracies_and_every_block_has_the_levels(
    results: Path, text: dict[str, str]
) -> None:
    by_task = expected(results)
    for name in ("table1", "table2", "positions", "stopping", "rivals"):
        lines = [*csv.DictReader(StringIO(text[f"tables/{name}.csv"]))]
        for row, place in (("Chance", 0), ("Majority", 1)):
            found = {x["column"]: float(x["ours"]) for x in lines if x["row"] == row}
            for task, levels in by_task.items():
                assert found[layouts.TASKS[task]] == pytest.approx(levels[place], abs=1e-3)
        for block in text[f"tables/{name}.md"].split("### ")[1:]:
            if " | ours | " in block and re.search(r"ours \| \d", block):
                assert block.count("| Chance |") == block.count("| Majority |") == 1
    prices = [*csv.DictReader(StringIO(text["tables/prices.csv"]))]
    mean = sum(levels[1] for levels in by_task.values()) / 5
    assert float(prices[1]["accuracy"]) == pytest.approx(mean, abs=1e-3)


def test_a_suite_is_averaged_as_its_row_is(tmp_path: Path) -> None:
    """Members have options of their own; no score is stored, so the answers tell how many."""
    members = jobs("task=bbh", "method.scored=ends", "test_size=6")
    majority, counts, sizes = [], [], []
    for number, job in enumerate(members):
        labels = gold(number, 2 + number % 4, 6)
        put(tmp_path, job, {1: 3, 5: 6}, gold=Gold(test=labels))
        options = len(job.task.labels) or 1 + max(1, *map(int, labels.split()))  # "1" is predicted
        frequent = Counter(labels.split()).most_common(1)[0][1]
        majority.append(100 * frequent / 6)
        counts.append(100 / options)
        sizes.append(job.task.rows["test"])
    part = Subject(Runs.load(tmp_path), MODEL, Scale(6, -1, -1, "float32")).measure(
        "table3", VANILLA, task="bbh"
    )
    for pooled, weights in ((True, sizes), (False, [1] * len(sizes))):
        levels = Cell((part,), pooled=pooled).levels
        assert levels is not None
        assert levels.majority == pytest.approx(np.average(majority, weights=weights))
        assert levels.chance == pytest.approx(np.average(counts, weights=weights))
    assert Cell((part,)).above is not None


def test_rows_with_options_of_their_own_are_counted_in_the_file_of_scores(tmp_path: Path) -> None:
    (config,) = jobs("task=verdicts", "method=vanilla", "test_size=6")
    record = made(config, {1: 3})
    task = replace(record.identity.task, labels=(), answer="text")
    record = replace(record, identity=replace(record.identity, task=task))
    counts = [2, 3, 4, 2, 2, 2]
    table = pd.DataFrame(
        [
            {"step": 1, "split": "test", "query": q, "candidate": c, "label": 1, "score": -1.0}
            for q, count in enumerate(counts)
            for c in range(count)
        ]
    )
    name = Path("seed0-00000000.json")
    without = Run(name, record, folder=tmp_path)
    assert chance.of_run(without).chance is None  # the number of options is not known
    digest = scores.write(tmp_path / name, table)
    run = Run(name, replace(record, scores=digest), folder=tmp_path)
    assert chance.of_run(run).chance == pytest.approx(100 * np.mean([1 / n for n in counts]))


def test_above_chance_is_above_the_larger_level() -> None:
    right = np.ones((4, 50), dtype=np.int8)
    assert chance.above([right, right], [Levels(50.0, 100.0), Levels(50.0, 60.0)]) == 1
    assert chance.above([right], [Levels(None, 99.0)]) == 1


def test_figures_have_a_line_for_each_level() -> None:
    axes = Figure().subplots()
    chance_lines(axes, Levels(25.0, 40.0))
    assert [float(np.ravel(line.get_ydata())[0]) for line in axes.lines] == [25.0, 40.0]
    assert [text.get_text() for text in axes.texts] == ["chance 25", "majority 40"]
    same = Figure().subplots()
    chance_lines(same, Levels(50.0, 50.0), horizontal=False)
    assert [text.get_text() for text in same.texts] == ["chance, majority 50"]
    nothing = Figure().subplots()
    chance_lines(nothing, None)
    assert not nothing.lines


# a budget


def lens(results: Path, draws: int) -> tables.Block:
    for seed in range(draws):
        words = ("task=agnews", "method=lens", f"seed={seed}", "scale=cpu", "model.dtype=float32")
        (config,) = jobs(*words)
        put(results, config, {1: 3}, {1: 3})
    table = tables.build(Runs.load(results), layouts.LAYOUTS[0])
    (block,) = (block for block in table.blocks if block.measured)
    return block


def agnews(block: tables.Block) -> tuple[tables.Row, Cell]:
    (row,) = (row for row in block.rows if row.label == "LENS")
    return row, row.cells[4]


def test_cells_within_a_budget_are_final_and_say_what_they_took(tmp_path: Path) -> None:
    row, cell = agnews(lens(tmp_path, 2))
    assert (cell.complete, cell.seeds, cell.wanted) == (True, 2, 2)
    assert cell.estimate is not None and cell.within_budget
    assert "2 draws of AG News (0.00 hours each)" in row.note
    assert not row.cells[0].complete  # SST2 has no budget


@pytest.mark.parametrize(("draws", "seeds", "wanted"), [(1, 1, 2), (4, 4, 4)])
def test_a_budget_hides_neither_what_is_missing_nor_what_is_there(
    tmp_path: Path, draws: int, seeds: int, wanted: int
) -> None:
    _, cell = agnews(lens(tmp_path, draws))
    assert (cell.seeds, cell.wanted) == (seeds, wanted)
    assert cell.complete == (seeds == wanted)


def test_a_budget_is_for_one_scale() -> None:
    budget = Budget("cpu", {"mr": 7})
    assert budgets.cut(budget, Scale(100, 50, 300, "float32")) == {"mr": 7}
    assert budgets.cut(budget, Scale(-1, -1, -1, "float32")) == {}
    assert budgets.cut(None, Scale(100, 50, 300, "float32")) == {}
