"""The page on adding a method: its commands run as they are written, on a tiny model."""

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from conftest import Command
from test_docs import fences, page, write_extensions

from deepthink.app import commands
from deepthink.store.schema import Code
from deepthink.study import provenance

PAGE = "add-your-method.md"


def typed() -> list[list[str]]:
    """The words of every command of the page that needs no data but the bundled."""
    lines = "".join(fences(page(PAGE), "bash")).splitlines()
    words = [shlex.split(line)[2:] for line in lines if line.startswith("python run.py ")]
    return [command for command in words if "experiment=rivals" not in command]


@pytest.mark.slow
def test_the_commands_of_the_page_lead_to_a_row_and_to_files_for_others(
    run: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("extend.md", PAGE):
        write_extensions(tmp_path, name)
    monkeypatch.setattr(provenance, "code", lambda: Code(commit="0" * 40, dirty=False))
    told = {}
    for words in typed():
        if words[0] == "-m":
            own = ("task=verdicts", "data_root=null", "method.iterations=2", "test_size=6")
            code, out, err = run(*words, *own, "dev_size=4", "pool_size=30")
            assert code == 0, err
        else:
            commands.run(words[0], words[1:])
            out = capsys.readouterr().out
        told[words[0]] = out
    assert "fading" in told["compare"] and "p" in told["compare"]
    readme = (tmp_path / "mine/results/README.md").read_text()
    assert re.search(r"^\| fading.*\|$", readme, re.MULTILINE)
    assert (tmp_path / "mine/results/CARD.md").is_file()
    assert "it passes" in told["check"] and " 0 errors" in told["check"]
    assert len([*(tmp_path / "mine/eee").rglob("*.json")]) == 3 * 5
    frame = pd.read_parquet(tmp_path / "mine/results.parquet")
    assert {"fading", "fading-batch_dev", "vanilla"} <= {*frame.method}
    assert set(frame["method.refinement.rate"].dropna()) == {0.5}
