"""The page on one's own data: every command on it runs, in the order of the page."""

import csv
import re
import runpy
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import Command, stored
from own_rows import lines, opinions, write

from deepthink.app import cli
from deepthink.installation import CONF

ROOT = CONF.parent
PAGE = (ROOT / "docs" / "your-data.md").read_text()


def fences(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def typed() -> list[list[str]]:
    """The words of every command after `python`, as a shell gives them."""
    return [shlex.split(line)[1:] for block in fences("bash") for line in block.splitlines()]


def remarks() -> None:
    """What the page's first command does."""
    runpy.run_path(str(ROOT / "examples" / "remarks.py"), run_name="__main__")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables that the page's commands name besides remarks.csv."""
    monkeypatch.chdir(tmp_path)
    rows: Sequence[Sequence[object]] = opinions()
    write(tmp_path, "train.csv", lines(rows[:40]))
    write(tmp_path, "test.csv", lines(rows[40:]))
    pairs = [(text, f"It is item {i}", i % 2) for i, (text, _) in enumerate(rows)]
    write(tmp_path, "pairs.csv", lines(pairs, "premise,hypothesis,label"))
    goals = [(text, f"pour {i}", f"mix {i}", i % 2) for i, (text, _) in enumerate(rows)]
    write(tmp_path, "goals.csv", lines(goals, "goal,sol1,sol2,label"))


@pytest.mark.slow
@pytest.mark.usefixtures("files")
def test_the_commands_of_the_page_run(
    run: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, *others = typed()
    assert first == ["examples/remarks.py"]
    remarks()
    assert capsys.readouterr().out == "wrote remarks.csv, 60 rows\n"
    ran = 0
    for program, *words in others:
        assert program == "run.py"
        if words != ["tables"]:
            code, out, err = run(*words)
            assert (code, err) == (0, ""), words
            ran += 1
            if ran == 1:  # the line on the file stands on the page as it is printed
                (shown,) = [line for line in fences("text")[1].splitlines() if line]
                assert shown in out
    assert ran >= 8
    names = {record["identity"]["task"]["name"] for _, record in stored(tmp_path)}
    assert names == {"remarks", "pairs", "goals"}


@pytest.mark.usefixtures("files")
def test_the_table_of_the_page_is_the_one_that_is_written() -> None:
    remarks()
    written = Path("remarks.csv").read_text().splitlines()
    assert written[:3] == fences("text")[0].splitlines()
    with Path("remarks.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len({row["remark"] for row in rows}) == len(rows) == 60
    assert sum(row["state"] == "fine" for row in rows) == 30


@pytest.mark.usefixtures("files")
def test_the_python_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    remarks()
    capsys.readouterr()
    (block,) = fences("python")
    names: dict[str, object] = {}
    exec(block, names)
    assert capsys.readouterr().out == "20 20 20\n"


@pytest.mark.slow
@pytest.mark.usefixtures("files")
def test_the_second_command_of_the_page_draws_the_curve(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remarks()
    words = [words for _, *words in typed()]
    assert words[2] == ["tables"]
    code, *_ = run(*words[1], "results=results/local")
    assert code == 0
    monkeypatch.setattr(sys, "argv", ["run.py", "tables"])
    cli.main()
    figures = [path.name for path in (tmp_path / "results/local/figures").glob("*.png")]
    assert len(figures) == 1 and "remarks" in figures[0]
    assert "remarks" in (tmp_path / "results/local/README.md").read_text()
