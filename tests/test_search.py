"""Configs from a folder of one's own: found wherever the package's are, or refused in one line."""

from pathlib import Path

import pytest
from conftest import Command, assert_one_line, stored

from deepthink import plugins
from deepthink.config import search
from deepthink.config.overrides import axes, compose, expand
from deepthink.errors import UserError
from deepthink.installation import CONF


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A folder with a task, a method and an experiment."""
    folder = tmp_path / "it's mine"
    for group in ("task", "method", "experiment"):
        (folder / "conf" / group).mkdir(parents=True)
    text = (CONF / "task" / "sst2.yaml").read_text().replace("name: sst2", "name: moods")
    (folder / "conf" / "task" / "moods.yaml").write_text(text)
    (folder / "conf" / "method" / "often.yaml").write_text("defaults: [vanilla]\ncopies: 2\n")
    (folder / "conf" / "experiment" / "trial.yaml").write_text(
        "# @package _global_\nhydra: {mode: MULTIRUN, sweeper: {params: "
        "{task: moods, method: 'often,vanilla', seed: 'range(2)'}}}\n"
    )
    return folder


def word(folder: Path | str) -> str:
    return f"plugins={search.quoted(folder)}"


@pytest.mark.parametrize("way", [[], ["-m"], ["launcher=basic", "workers=2"]])
def test_a_task_and_a_method_of_a_folder_are_run(
    run: Command, tmp_path: Path, mine: Path, way: list[str]
) -> None:
    jobs = "seed=0,1" if way else "seed=0"
    code, out, err = run(*way, "task=moods", "method=often", jobs, word(mine))
    assert (code, err) == (0, ""), out
    names = {record["identity"]["task"]["name"] for _, record in stored(tmp_path)}
    assert names == {"moods"}
    assert {record["identity"]["copies"] for _, record in stored(tmp_path)} == {2}
    assert len(stored(tmp_path)) == 1 + bool(way)


def test_where_a_config_comes_from_changes_no_key(run: Command, tmp_path: Path, mine: Path) -> None:
    run("seed=0")
    run("seed=0", word(mine))
    assert len(stored(tmp_path)) == 1


def test_an_experiment_of_a_folder_is_a_sweep(mine: Path) -> None:
    words = ["experiment=trial", word(mine), "test_size=3"]
    assert axes("trial", str(mine)) == {
        "task": ["moods"], "method": ["often", "vanilla"], "seed": ["0", "1"],
    }  # fmt: skip
    jobs = expand(words)
    assert [compose(job).method.copies for job in jobs] == [2, 2, 1, 1]


def test_a_relative_folder_and_ones_home_are_found(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(mine.parent)
    monkeypatch.setenv("HOME", str(mine.parent))
    for folder in (mine.name, f"~/{mine.name}"):
        assert compose(["task=moods", word(folder)]).task.name == "moods"
    assert compose(["task=moods", word(f"~/{mine.name}")]).plugins == str(mine)


def test_an_installed_package_is_searched_first(
    mine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins, "_installed", lambda: (mine,))
    assert compose(["task=moods"]).task.name == "moods"
    (other := mine.parent / "other" / "rules").mkdir(parents=True)
    assert plugins.folders(str(other.parent)) == (mine, other.parent)


@pytest.mark.parametrize("way", [[], ["-m"], ["launcher=basic"]])
@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["plugins=nowhere"], "plugins is nowhere, which is no folder"),
        (["plugins=a,b"], "a command has one folder of plugins"),
        (["plugins=a", "plugins=b"], "a command has one folder of plugins"),
        (["plugins=MINE", "task=mood"], "did you mean moods"),
        (["plugins=MINE", "method=oftn"], "did you mean often"),
        (["task=moods"], "unknown task 'moods'"),
    ],
)
def test_what_is_wrong_with_a_folder_is_one_line(
    run: Command, mine: Path, way: list[str], words: list[str], hint: str
) -> None:
    code, _, err = run(*way, *(word(mine) if w == "plugins=MINE" else w for w in words))
    assert_one_line(code, err, hint)


def test_a_file_that_would_hide_one_of_the_package_is_refused(run: Command, mine: Path) -> None:
    (mine / "conf" / "task" / "sst2.yaml").write_text("name: other\n")
    code, _, err = run(word(mine))
    assert_one_line(code, err, "has the name of a file in")
    with pytest.raises(UserError, match="rename it"):
        compose([word(mine)])
