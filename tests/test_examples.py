"""The scripts under examples/ say what the suite does, and give its numbers."""

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import Command
from transformers import PreTrainedTokenizerBase

import deepthink
from deepthink.config.overrides import compose
from deepthink.installation import CONF

spec = importlib.util.spec_from_file_location(
    "plain_study", CONF.parent / "examples" / "plain_study.py"
)
plain_study = importlib.util.module_from_spec(spec)
spec.loader.exec_module(plain_study)


def of_the_record(results: Path) -> list[dict[str, Any]]:
    """The curve of the only record under `results`, as the script returns one."""
    (path,) = (results / "records").rglob("*.json")
    keys = ("step", "split", "correct", "count")
    return [
        {key: point[key] for key in keys} | {"predicted": [*map(int, point["predicted"].split())]}
        for point in json.loads(path.read_text())["curve"]
    ]


def test_the_plain_study_is_the_default_job() -> None:
    job = compose([])
    model = replace(job.model, dtype="float32", parameters=None)
    assert (model, job.task, job.seed) == (plain_study.MODEL, plain_study.TASK, plain_study.SEED)


def test_the_plain_study_gives_the_records_numbers_on_a_tiny_model(
    run: Command, tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every score too, since a model without training predicts one label throughout."""
    tiny = replace(plain_study.MODEL, hub_id=str(tiny_folder), package=None)
    monkeypatch.setattr(plain_study, "MODEL", tiny)
    scores = []

    def kept(*arguments: Any) -> list[list[float]]:
        scores.append(deepthink.score(*arguments))
        return scores[-1]

    monkeypatch.setattr(plain_study, "score", kept)
    curve = plain_study.main()
    assert run("task=verdicts", "method.iterations=5")[0] == 0
    assert curve == of_the_record(tmp_path / "results")
    (table,) = (tmp_path / "results" / "records").rglob("*.parquet")
    assert np.ravel(scores) == pytest.approx(pd.read_parquet(table)["score"], rel=1e-6)


@pytest.mark.slow
def test_the_plain_study_gives_the_records_numbers(
    run: Command, tmp_path: Path, tokenizer_of_smollm2: PreTrainedTokenizerBase
) -> None:
    curve = plain_study.main()
    assert run("model=smollm2-135m", "task=verdicts", "method.iterations=5")[0] == 0
    assert curve == of_the_record(tmp_path / "results")
