"""One's own tasks and methods have tables and curves like any other, and nothing is dropped."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Command
from made_records import jobs, put

from deepthink.app.commands import tables
from deepthink.report import figures, further, further_tables, page
from deepthink.report.further_tables import Swept
from deepthink.store import records
from deepthink.store.identity import digest

MODEL = "smollm2-135m"
CURVE, DEV = {1: 2, 2: 3, 3: 4}, {1: 1, 2: 2, 3: 1}
RULE = '''
def select(pool, count, rng, longest: bool):
    """The shortest or the longest examples of the pool."""
    order = sorted(range(len(pool)), key=lambda i: len(pool.examples[i].text), reverse=longest)
    return order[:count]
'''
METHOD = """
defaults: [_thinking, _self_]
selector: {name: by_length, longest: true}
iterations: 1
"""
TASK = """
name: moods
version: 1
template: "Message: {text}\\nMood:"
delimiter: " "
labels: [sad, happy]
demonstrations: 4
rows: {pool: 40, test: 20}
sources:
  - repository: me/moods
    bundled: false
    revision: main
    files: {train: train.jsonl, test: test.jsonl}
    text: message
    label: mood
    classes: [0, 1]
    pool: train
    test: test
"""


def own(
    results: Path,
    *words: str,
    task: str = "moods",
    label: str | None = None,
    change: Callable[[dict[str, Any]], object] = lambda identity: None,
    hits: dict[int, int] = CURVE,
    dev: dict[int, int] | None = DEV,
) -> Path:
    """A record of a task of one's own, with T = 3 unless the words say more."""
    (config,) = jobs("task=verdicts", "method=deepthink", "method.iterations=3", *words)
    config = replace(config, task=replace(config.task, name=task))
    path = put(results / "made", config, hits, dev)
    record = json.loads(path.read_text())
    record.pop("checksum")
    change(record["identity"])
    record["checksum"] = digest(record)
    path.unlink()
    within = path.parent.relative_to(results / "made")
    folder = (results / within).with_name(label or path.parent.name)
    folder.mkdir(parents=True, exist_ok=True)
    head, key = path.stem.rpartition("-")[0], digest(record["identity"])[:8]
    moved = folder / f"{head}-{key}.json"
    moved.write_text(json.dumps(record))
    return moved


def by_length(identity: dict[str, Any]) -> None:
    identity["selector"] = {"name": "by_length", "longest": True, "source": "ab" * 32}


def groups(results: Path) -> list[Swept]:
    runs = page.load(results)
    rows = further.every(runs, page.EXPERIMENTS)
    return further_tables.groups(further.beside(runs, rows))


def texts(results: Path) -> dict[str, str]:
    return dict(page.texts(results, page.load(results), ()))


def drawn(results: Path) -> dict[str, str]:
    """The title of each figure of further runs and what it is of, by its file."""
    found = figures.of_further(groups(results), lambda _: None)
    return {one.file: f"{one.title}\n{one.subject}" for one, _ in found}


def test_a_task_of_ones_own_has_a_table_of_methods_and_readings(tmp_path: Path) -> None:
    for seed in range(3):
        own(tmp_path, f"seed={seed}")
        own(tmp_path, f"seed={seed}", "method.step_size=0.1", hits={1: 2, 2: 5, 3: 6})
        own(tmp_path, f"seed={seed}", label="by_length", change=by_length)
        own(tmp_path, f"seed={seed}", "method=vanilla", hits={1: 2}, dev={1: 1}, label="vanilla")
    own(tmp_path, task="tones")
    (group,) = groups(tmp_path)
    assert str(group.subject) == f"{MODEL}: all test rows, float32"
    assert group.grid.header == ("method", "", "moods", "tones", "n")
    rows = [*group.grid.rows]
    names = [row[0] for row in rows if row[0]]
    assert [row[:3] for row in rows[:2]] == [("Chance", "", "50.0"), ("Majority", "", "100.0")]
    del names[:2]
    assert names == [
        "by_length (T = 3, η = 0.01)",
        "deepthink (T = 3, η = 0.01)",
        "deepthink (T = 3, η = 0.1)",
        "vanilla (T = 1)",
    ]
    at = rows.index(next(row for row in rows if row[0] == names[2]))
    assert [row[1] for row in rows[at : at + 3]] == ["t = 1", "t = 3", "t by dev"]
    assert [row[2].split()[0] for row in rows[at : at + 3]] == ["33.3", "100.0", "83.3"]
    assert [row[3] for row in rows[at : at + 3]] == ["–", "–", "–"]
    assert {row[-1] for row in rows[at : at + 3]} == {"3"}
    (both,) = (row for row in rows if row[:2] == (names[1], "t = 1"))
    assert both[-1] == "1–3"
    text = texts(tmp_path)["README.md"]
    assert f"## {further.TITLE}" in text
    assert "| deepthink (T = 3, η = 0.1) | t = 1 | 33.3 [" in text


def test_runs_of_experiments_stand_beside_ones_own(tmp_path: Path) -> None:
    sizes = ("task=sst2", "test_size=6", "dev_size=6", "pool_size=9")
    (config,) = jobs("method=deepthink_curve", *sizes)
    curve, dev = {1: 2, 5: 4, 15: 3}, {1: 1, 5: 2, 15: 5}
    put(tmp_path, config, curve, dev)
    assert groups(tmp_path) == []
    (other,) = jobs("method=deepthink_curve", *sizes, "demonstrations.count=3")
    put(tmp_path, other, curve, dev)
    (group,) = groups(tmp_path)
    names = {row[0] for row in group.grid.rows} - {"", "Chance", "Majority"}
    label = "deepthink+all" if not names else next(iter(names)).partition(" (")[0]
    assert names == {f"{label} (k = 3)", f"{label} (k = the task's)"}
    (table,) = [text for name, text in texts(tmp_path).items() if name == "tables/further.md"]
    assert table.count("| sst2 |") == 1 + 2  # the experiment's run has its place elsewhere


def test_another_t_than_an_experiment_asks_for_is_shown(tmp_path: Path) -> None:
    (config,) = jobs("task=sst2", "method=deepthink", "method.iterations=8")
    put(tmp_path, config, dict.fromkeys(range(1, 9), 3))
    assert [row[1] for (group,) in [groups(tmp_path)] for row in group.grid.rows] == [
        "", "", "t = 1", "t = 8"
    ]  # fmt: skip


def test_every_task_has_a_figure_that_says_what_was_swept(tmp_path: Path) -> None:
    for size in ("0.01", "0.1"):
        own(tmp_path, f"method.step_size={size}")
    own(tmp_path, task="tones")
    own(tmp_path, "test_size=6", "seed=1", task="tones")
    own(tmp_path, "demonstrations.count=3", task="tones", label="by_length", change=by_length)
    assert drawn(tmp_path) == {
        f"curves-moods-step_size-{MODEL}-float32": (
            f"moods: η 0.01, 0.1\n{MODEL}: all test rows, float32"
        ),
        f"curves-tones-method-k-{MODEL}-float32": (
            f"tones: by_length, deepthink; k 3, 8\n{MODEL}: all test rows, float32"
        ),
        f"curves-tones-{MODEL}-6-all-all-float32": (
            f"tones: deepthink\n{MODEL}: 6 test rows, float32"
        ),
    }


def test_no_two_figures_have_a_name_in_the_same_letters(tmp_path: Path) -> None:
    for task in ("tones", "Tones", "TONES"):
        own(tmp_path, task=task)
    names = [*drawn(tmp_path)]
    assert len({name.lower() for name in names}) == len(names) == 3


def test_many_methods_are_drawn_in_parts_and_none_is_left_out(tmp_path: Path) -> None:
    sizes = [f"0.{number:03}" for number in range(1, 12)]
    for size in sizes:
        own(tmp_path, f"method.step_size={size}")
    found = list(figures.of_further(groups(tmp_path), lambda _: None))
    assert [one.file for one, _ in found] == [
        f"curves-moods-step_size-{part}-{MODEL}-float32" for part in (1, 2)
    ]
    labels = [
        line.get_label()
        for _, drawing in found
        for line in drawing.axes[0].lines
        if not str(line.get_label()).startswith("_")  # chance and majority
    ]  # fmt: skip
    assert labels == [f"deepthink (η = {float(size):g}) (n = 1)" for size in sizes]
    assert [one.title[:19] for one, _ in found] == [
        "moods, part 1 of 2:", "moods, part 2 of 2:"
    ]  # fmt: skip


def test_a_task_that_changed_has_two_columns_and_a_sentence(tmp_path: Path) -> None:
    def other(identity: dict[str, Any]) -> None:
        identity["task"]["template"] = "Say: {text}"

    own(tmp_path)
    own(tmp_path, change=other)
    (group,) = groups(tmp_path)
    assert [*group.columns.values()] == ["moods", "moods (2)"]
    (sentence,) = further_tables.differences(group)
    assert "task.template=Say: {text}" in sentence
    assert sentence in texts(tmp_path)["README.md"]


def test_the_tasks_own_k_may_change_and_both_are_shown(tmp_path: Path) -> None:
    def more(identity: dict[str, Any]) -> None:
        identity["demonstrations"] = 16

    own(tmp_path)
    own(tmp_path, change=more)
    (group,) = groups(tmp_path)
    assert sorted(group.names.values()) == ["deepthink (k = 16)", "deepthink (k = 8)"]
    assert len(group.cells) == 2


def test_what_no_number_has_is_told(tmp_path: Path) -> None:
    for seed in range(3):
        own(tmp_path, f"seed={seed}")
    assert "In no number" not in texts(tmp_path)["README.md"]
    odd = own(tmp_path, "seed=3", dev=None)
    text = texts(tmp_path)["README.md"]
    assert "In no number of this section (records: 1)" in text
    assert str(odd.relative_to(tmp_path)) in text


def test_every_record_is_in_a_number_or_in_a_sentence(tmp_path: Path) -> None:
    for seed in range(2):
        own(tmp_path, f"seed={seed}")
        own(tmp_path, f"seed={seed}", label="by_length", change=by_length)
    own(tmp_path, "seed=2", dev=None)
    (config,) = jobs("task=sst2", "method=deepthink_curve", "demonstrations.count=3")
    put(tmp_path, config, {1: 2, 5: 4, 15: 3})
    found = texts(tmp_path)
    keys = {path.stem.rpartition("-")[2] for path, _ in records.load_all(tmp_path).records}
    said = {key for key in keys if any(key in text for text in found.values())}
    assert said == keys


@pytest.mark.slow
def test_ones_own_task_and_method_from_the_command_to_the_page(
    run: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mine, rows = tmp_path / "mine", tmp_path / "data" / "me" / "moods"
    files = {
        mine / "rules" / "by_length.py": RULE,
        mine / "conf" / "method" / "by_length.yaml": METHOD,
        mine / "conf" / "task" / "moods.yaml": TASK,
        rows / "train.jsonl": "".join(
            json.dumps({"message": f"train {'so ' * (i % 5)}{i}", "mood": i % 2}) + "\n"
            for i in range(40)
        ),
        rows / "test.jsonl": "".join(
            json.dumps({"message": f"test row {i}", "mood": i % 2}) + "\n" for i in range(20)
        ),
    }
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    code, _, err = run(
        "-m", f"plugins={mine}", "task=moods", "method=by_length,deepthink", "seed=0,1",
        "method.iterations=1,3", "dev_size=8", "pool_size=20",
    )  # fmt: skip
    assert (code, err) == (0, "")
    results = tmp_path / "results"
    tables.main([f"results={results}"])
    assert "begin with" in capsys.readouterr().out
    text = (results / "README.md").read_text()
    for name in ("by_length (T = 1)", "by_length+deepthink (T = 3)", "| moods |"):
        assert name in text
    figures_ = sorted(path.name for path in (results / "figures").glob("curves-moods-*.png"))
    assert len(figures_) == 1
    assert f"](figures/{figures_[0]})" in text
    assert "left out" not in text
