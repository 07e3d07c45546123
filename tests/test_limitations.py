"""experiment=limitations and its table: what stands in a cell, by hand, and what is missing."""

import csv
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Command, stored
from made_records import jobs, made
from scipy import stats
from test_open_tasks import write_data

from deepthink.app import closing_view
from deepthink.app.journals import Tally
from deepthink.report import experiments, open_tables, page
from deepthink.report.runs import Runs
from deepthink.store import records
from deepthink.store.open_points import OpenPoint

MODEL = "smollm2-135m"
QUESTIONS = 6
STEPS = (1, 2, 3, 4, 5)


def put(
    results: Path, words: str, logs: Mapping[int, Any], right: Mapping[int, Any] | None = None
) -> None:
    """Store a record of an open task: log p per token of each question, and which are right."""
    (config,) = jobs(*words.split())
    config = replace(config, results=str(results))
    record = made(config, dict.fromkeys(logs, 0), rows=QUESTIONS)
    points = tuple(
        OpenPoint(
            step=t,
            count=QUESTIONS,
            log_p=float(np.mean(values)),
            metrics={"strict": float(np.mean(right[t]))} if right and t in right else None,
        )
        for t, values in logs.items()
    )
    gold = replace(record.gold, dev="", test=" ".join(["0"] * QUESTIONS))
    record = replace(record, curve=(), open=points, gold=gold)
    tables = [
        pd.DataFrame(
            {
                "step": np.int16(t),
                "query": np.arange(QUESTIONS),
                "candidate": 0,
                "score": 4 * np.array(values),
                "tokens": 4,
                **({"strict_correct": right[t]} if right and t in right else {}),
            }
        )
        for t, values in logs.items()
    ]
    records.write(records.path_of(config, record.identity), record, pd.concat(tables))


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Thinking in one position, copies, and E2E thought over in two of five draws."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "made"
    size = f"model={MODEL} test_size={QUESTIONS}"
    logs = {t: rng.normal(-1, 0.1, QUESTIONS) for t in STEPS}
    put(folder, f"{size} task=gsm8k method=deepthink", logs)
    put(folder, f"{size} task=gsm8k method=repeat", {1: logs[1] + 0.25})
    for seed in (0, 1):
        e2e = {t: rng.normal(-2, 0.1, QUESTIONS) for t in STEPS}
        put(folder, f"{size} task=e2e method=deepthink seed={seed}", e2e)
    return folder


def lines(results: Path) -> list[dict[str, str]]:
    """The lines of the only block of the table, by heading. A second "change" has a number."""
    (block,) = open_tables.blocks(Runs.load(results))
    grid = open_tables.grid(block)
    heads = [h if grid.header[:i].count(h) == 0 else f"{h} 2" for i, h in enumerate(grid.header)]
    return [dict(zip(heads, row, strict=True)) for row in grid.rows]


def only(found: list[dict[str, str]], **values: str) -> dict[str, str]:
    (line,) = [line for line in found if values.items() <= line.items()]
    return line


def number(text: str) -> list[float]:
    return [
        float(x)
        for x in text.replace("−", "-").replace("[", "").replace(",", "").rstrip("]").split()
    ]


def questions(results: Path, words: str) -> dict[int, Any]:
    """By t, the log p per token of the questions, from the file itself."""
    (path,) = Path(results).rglob(words)
    table = pd.read_parquet(path.with_suffix(".parquet"))
    rows = {t: table[table["step"] == t] for t in STEPS}
    return {t: (of["score"] / of["tokens"]).to_numpy() for t, of in rows.items()}


def test_a_change_is_students_interval_over_the_differences_of_questions(results: Path) -> None:
    logs = questions(results, "gsm8k/deepthink/*.json")
    gaps = logs[5] - logs[1]
    error = gaps.std(ddof=1) / np.sqrt(QUESTIONS)
    ends = stats.t.interval(0.95, QUESTIONS - 1, gaps.mean(), error)
    line = only(lines(results), task="gsm8k", method="deepthink", t="5")
    assert number(line["log p per token"]) == pytest.approx([logs[5].mean()], abs=1e-4)
    assert number(line["change"]) == pytest.approx([gaps.mean(), *ends], abs=1e-4)
    assert only(lines(results), task="gsm8k", positions="continued", t="1")["change"] == "–"


def test_copies_are_compared_with_one_copy_of_the_same_demonstrations(results: Path) -> None:
    line = only(lines(results), task="gsm8k", method="repeat")
    assert number(line["change"]) == pytest.approx([0.25, 0.25, 0.25], abs=1e-4)


def test_plain_learning_is_the_first_reading_of_a_job_that_thought(results: Path) -> None:
    vanilla = only(lines(results), task="gsm8k", method="vanilla")
    thought = only(lines(results), task="gsm8k", positions="continued", t="1")
    assert vanilla["log p per token"] == thought["log p per token"] != "–"
    assert (vanilla["n"], vanilla["t"]) == ("1", "1")


def test_draws_that_are_missing_are_counted_and_methods_without_any_have_dashes(
    results: Path,
) -> None:
    found = lines(results)
    assert only(found, task="e2e", method="deepthink", t="5")["n"] == "2/5"
    aligned = only(found, task="e2e", positions="aligned", t="1")
    assert (aligned["log p per token"], aligned["change"], aligned["n"]) == ("–", "–", "0/5")


def test_answers_that_were_written_stand_beside_the_likelihood_of_the_same_job(
    results: Path,
) -> None:
    assert "strict match" not in lines(results)[0]
    logs = questions(results, "gsm8k/deepthink/*.json")
    words = f"model={MODEL} test_size={QUESTIONS} task=gsm8k method=deepthink"
    right = {
        1: [True, False, False, False, False, False],
        5: [True, True, True, False] + [False] * 2,
    }
    put(results, f"{words} task.open.generate=ends", logs, right)
    line = only(lines(results), task="gsm8k", method="deepthink", t="5")
    assert line["strict match"] == "50.0"
    assert number(line["change 2"])[0] == pytest.approx(100 / 3, abs=0.06)
    assert line["n"] == "1"
    assert only(lines(results), task="gsm8k", method="repeat")["strict match"] == "–"


def test_without_its_file_of_scores_a_number_has_no_interval(results: Path) -> None:
    logs = questions(results, "gsm8k/deepthink/*.json")
    (path,) = results.rglob("gsm8k/deepthink/*.parquet")
    path.unlink()
    line = only(lines(results), task="gsm8k", method="deepthink", t="5")
    assert line["change"] == "–"
    assert number(line["log p per token"]) == pytest.approx([logs[5].mean()], abs=1e-4)


def test_the_page_has_the_table_and_counts_open_runs_nowhere_else(results: Path) -> None:
    files = dict(page.texts(results, page.load(results), []))
    assert open_tables.TITLE in files["README.md"] and "Nothing yet." in files["README.md"]
    assert "2/5" in files["tables/limitations.md"] and "2/5" in files["tables/limitations.tex"]
    rows = files["tables/limitations.csv"].splitlines()
    assert len(rows) > 10 and {len(row) for row in csv.reader(rows)} == {13}
    assert "further" not in "".join(files)


def test_a_page_without_open_runs_says_how_to_run_them(tmp_path: Path) -> None:
    files = dict(page.texts(tmp_path, page.load(tmp_path), []))
    assert "Not run: `python run.py experiment=limitations" in files["tables/limitations.md"]
    assert "## Limitations" not in files["README.md"]


def test_the_experiment_has_each_method_once_however_often_its_sweep_names_it(
    results: Path,
) -> None:
    settings = experiments.settings("limitations")
    assert len(settings) == 2 * 3 * 2
    names = [
        (line["task"], line["method"], line["positions"], line["t"]) for line in lines(results)
    ]
    assert len(names) == len(set(names))


def test_a_sweep_over_open_tasks_ends_with_their_table(
    run: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_data(tmp_path / "open")
    words = (f"data_root={tmp_path / 'open'}", "demonstrations.count=2", "method.iterations=2")
    methods = "method=vanilla,repeat,deepthink"
    code, out, err = run("-m", "task=gsm8k,e2e", methods, "method.copies=1", *words)
    assert code == 0, err
    assert len(stored(tmp_path)) == 4  # vanilla and one copy are the same
    assert "log p per token" in out
    assert "cannot be shown" not in out


def test_a_mixed_sweep_has_both_tables(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (config,) = jobs("task=verdicts", "test_size=6", "method=vanilla")
    here = replace(config, results=str(results))
    record = made(here, {1: 4})
    path = records.path_of(here, record.identity)
    records.write(path, record, pd.DataFrame({"score": [0.0]}))
    closing_view.close(Tally(records=tuple(map(str, (results / "records").rglob("*.json")))))
    out = capsys.readouterr().out
    assert "log p per token" in out and "verdicts" in out and "cannot be shown" not in out
