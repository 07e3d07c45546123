"""The notebooks run, and what is stored of them is their text."""

import importlib.util
import re
import shutil
from pathlib import Path
from typing import Any

import jupytext
import matplotlib.pyplot as plt
import pytest
from made_records import jobs, put
from transformers import PreTrainedTokenizerBase

from deepthink.config import overrides
from deepthink.config.overrides import compose
from deepthink.installation import CONF

SCRIPT = CONF.parent / "scripts" / "notebooks.py"
spec = importlib.util.spec_from_file_location("notebooks_script", SCRIPT)
assert spec is not None
assert spec.loader is not None
notebooks = importlib.util.module_from_spec(spec)
spec.loader.exec_module(notebooks)


@pytest.mark.parametrize("name", notebooks.names())
def test_the_stored_notebook_is_its_text(name: str) -> None:
    text = jupytext.read(notebooks.FOLDER / f"{name}.py")
    shown = jupytext.read(notebooks.FOLDER / f"{name}.ipynb")
    pairs = [[(cell.cell_type, cell.source) for cell in one.cells] for one in (text, shown)]
    assert pairs[0] == pairs[1], f"make notebooks ARGS={name}"
    assert all(cell.outputs or "def " in cell.source or "=" in cell.source
               for cell in shown.cells if cell.cell_type == "code")  # fmt: skip


def test_the_tours_code_runs_on_a_tiny_model(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a kernel, in this process."""
    tiny = [f"model.hub_id={tiny_folder}", "model.package=null"]
    monkeypatch.setattr(overrides, "compose", lambda words: compose([*words, *tiny]))
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    cells = jupytext.read(notebooks.FOLDER / "tour.py").cells
    found: dict[str, Any] = {}
    for cell in cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, "tour", "exec"), found)
    assert [len(curve) for curve in found["curves"].values()] == [6, 6, 6]
    assert len(found["still"]) == 4


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["tour", "thought"])
def test_the_notebooks_of_the_real_model_run(
    tokenizer_of_smollm2: PreTrainedTokenizerBase, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    notebook = notebooks.executed(name)
    if name == "thought":
        (said,) = (cell for cell in notebook.cells if "subprocess.run" in cell.source)
        printed = "".join(output["text"] for output in said.outputs)
        assert len(re.findall(r"^\d +\S.* (?:good|bad) ", printed, re.MULTILINE)) == 10
        assert printed.count("Opinion: ") >= 3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_explorer_runs_on_any_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(3):
        (config,) = jobs("task=sst2", "method=deepthink_curve", f"seed={seed}")
        curve = {1: 2, 5: 4, 15: 3}
        put(tmp_path / "results", config, curve, curve)
    shutil.copytree(notebooks.FOLDER, tmp_path / "notebooks")
    monkeypatch.setattr(notebooks, "FOLDER", tmp_path / "notebooks")
    notebook = notebooks.executed("results")
    assert "sst2" in str(notebook.cells)
