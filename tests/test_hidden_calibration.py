"""Hidden calibration against centroids of whole prompts' states, and in a job."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Command, stored
from test_readouts import ANCHORS, LABELS, MODEL, QUERIES, SHOWN, ask_of

from deepthink import think
from deepthink.errors import UserError
from deepthink.plugins import READOUTS
from deepthink.study.anchors import Rows

READ = READOUTS.load({"name": "hidden_calibration"})


def state(query: list[int]) -> np.ndarray:
    """[d], what transformers gives its output layer at the last token of a whole prompt."""
    with torch.no_grad():
        states = MODEL.model(torch.tensor([[*SHOWN, *query]])).last_hidden_state
    return np.asarray(states[0, -1])


def test_it_is_a_naive_loop() -> None:
    (plain,) = think(MODEL, SHOWN, iterations=1)
    known = np.array([state([*query]) for query in ANCHORS.queries])
    centroids = [known[label == LABELS].mean(axis=0) for label in (0, 1)]
    expected = [
        [-np.linalg.norm(state([*query]) - centroid) for centroid in centroids]
        for query in QUERIES.queries
    ]
    np.testing.assert_allclose(READ(ask_of(plain)), expected, atol=1e-8)


def test_a_label_without_anchors_is_told() -> None:
    (plain,) = think(MODEL, SHOWN, iterations=1)
    alike = Rows(ANCHORS.queries[:2], ANCHORS.candidates[:2], LABELS[:2])
    with pytest.raises(UserError, match="1 of 2 labels have none: raise pool_size"):
        READ(ask_of(plain, alike))


def test_a_job_of_it_runs(run: Command, tmp_path: Path) -> None:
    words = ("method=hidden_calibration", "test_size=6", "dev_size=6", "pool_size=30")
    assert run(*words)[::2] == (0, "")
    ((_, record),) = stored(tmp_path)
    assert record["identity"]["readout"] == {"name": "hidden_calibration", "anchors": 128}
    assert record["flops"]["anchors"] > 0
