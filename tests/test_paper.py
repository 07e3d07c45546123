"""The paper's numbers as committed: complete, consistent, and matched by what can be run."""

import csv
import tomllib
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

from deepthink.config import overrides
from deepthink.config.overrides import compose, requested
from deepthink.installation import CONF
from deepthink.report import layouts, paper

TASKS = ["sst2", "sst5", "trec", "mr", "agnews"]


def rows(name: str) -> list[dict[str, str]]:
    with (paper.FOLDER / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def averages(name: str) -> dict[tuple[str | None, str, str], Any]:
    """Every printed average with its five cells."""
    found = defaultdict(dict)
    for row in rows(name):
        found[row.get("section"), row["model"], row["method"]][row["task"]] = float(row["value"])
    return {key: ([cells[t] for t in TASKS], cells["average"]) for key, cells in found.items()}


def test_the_paper_prints_its_averages_right() -> None:
    """The exceptions would be listed here; there are none among 31."""
    every = averages("table1") | averages("table2")
    assert len(every) == 15 + 16
    exceptions = {
        key: (sum(cells) / 5, printed)
        for key, (cells, printed) in every.items()
        if abs(sum(cells) / 5 - printed) > 0.05 + 1e-9
    }
    assert exceptions == {}


def test_a_wrong_average_would_be_seen() -> None:
    cells, printed = averages("table1")["with dev set", "gpt2-large", "lens"]
    assert abs(sum(cells) / 5 - (printed + 0.2)) > 0.05 + 1e-9


def test_the_margin_of_the_text_is_table_1s() -> None:
    every = averages("table1")
    best = every["with dev set", "gpt2-large", "deepthink_dev"][1]
    random = every["with dev set", "gpt2-large", "best_random"][1]
    assert best - random == pytest.approx(6.2)


def test_table_3_averages_over_questions() -> None:
    """LLaMA2-7B's gains by category fit Table 3 weighted by questions, not by subjects."""
    gains = {r["category"]: float(r["value"]) for r in rows("figure3") if r["method"] == "gain"}
    counts = defaultdict(list)
    for row in rows("table5"):
        counts[row["category"]].append(int(row["test_rows"]))
    table = {r["method"]: float(r["value"]) for r in rows("table3") if r["model"] == "llama2-7b"
             and r["task"] == "mmlu"}  # fmt: skip
    printed = table["deepthink"] - table["vanilla"]
    questions, subjects = (
        sum(weight(counts[c]) * gain for c, gain in gains.items())
        / sum(weight(counts[c]) for c in gains)
        for weight in (sum, len)
    )
    rounding = 0.05 + 0.1  # of a gain, and of a difference of two printed numbers
    assert abs(questions - printed) < rounding < abs(subjects - printed)


def test_every_cell_is_there() -> None:
    assert len(rows("table1")) == 15 * 6
    assert len(rows("table2")) == 16 * 6
    assert len(rows("table3")) == 14 * 2
    assert all(r["value"] for name in ("table1", "table2", "table3") for r in rows(name))
    assert {r["value"] for name in ("figure4", "figure5", "figure6") for r in rows(name)} == {""}


@pytest.mark.parametrize("name", ["table1", "table2", "table3"])
def test_models_and_tasks_of_the_paper_are_the_experiments(name: str) -> None:
    swept = overrides.axes(name)
    assert {r["model"] for r in rows(name)} == set(swept["model"])
    assert {r["task"] for r in rows(name)} - {"average"} == set(swept["task"])


def test_methods_of_table_1_are_its_lines() -> None:
    lines = {
        (section, line.published["method"])
        for section, lines in layouts.LAYOUTS[0].sections.items()
        for line in lines
    }
    assert lines == {(r["section"], r["method"]) for r in rows("table1")}
    asked = {
        line.axes["method"] for lines in layouts.LAYOUTS[0].sections.values() for line in lines
    }
    assert asked == set(overrides.axes("table1")["method"])


@pytest.mark.parametrize(("name", "suite"), [("table5", "mmlu"), ("table6", "bbh")])
def test_counts_of_suites_are_the_configs(name: str, suite: str) -> None:
    alias = {"macro_economics": "macroeconomics", "micro_economics": "microeconomics"}
    printed = {}
    for row in rows(name):
        member = row["member"]
        for old, new in alias.items():
            member = member.replace(old, new)
        printed[member] = int(row["test_rows"])
    assert printed == requested([f"task={suite}"]).suite.rows


def test_counts_of_table_4_and_its_two_errors() -> None:
    off = {}
    for row in rows("table4"):
        task = compose([f"task={row['task']}"]).task
        assert int(row["pool_rows"]) == task.rows["pool"]
        assert int(row["labels"]) == len(task.labels)
        off[row["task"]] = int(row["test_rows"]) - task.rows["test"]
    assert off == {"sst2": 1, "sst5": 0, "trec": 0, "mr": 0, "agnews": 1}


def test_a_number_that_is_only_plotted_is_none() -> None:
    assert paper.value("figure4", task="sst2", method="vanilla") is None
    assert paper.value("table3", model="pythia-70m", task="bbh", method="deepthink") == 39.8


def test_a_missing_file_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(paper, "FOLDER", tmp_path)
    with pytest.raises(Exception, match="git checkout"):
        paper.read("table9")


def test_the_papers_numbers_are_part_of_the_package() -> None:
    assert paper.NOTES.is_file()
    about = tomllib.loads((CONF.parent / "pyproject.toml").read_text())
    packed = [
        path
        for pattern in about["tool"]["setuptools"]["package-data"]["deepthink"]
        for path in (CONF.parent / "deepthink").glob(pattern)
    ]
    assert set(paper.FOLDER.iterdir()) <= set(packed)
