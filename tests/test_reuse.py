"""What a process computes or reads once for several jobs: to the bit, and never out of date."""

import gc
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from conftest import Command, assert_one_line, stored

from deepthink import content
from deepthink.config.overrides import compose
from deepthink.engine.scoring import Scorer
from deepthink.engine.token_budget import TokenBudget
from deepthink.kept import Kept
from deepthink.models import loading
from deepthink.models.loading import LM
from deepthink.study import reuse
from deepthink.study.reuse import PlainReading
from deepthink.tasks import sources, splitting
from deepthink.tasks.prompts import Encoded

SMALL = ("test_size=6", "dev_size=4", "pool_size=20")


@pytest.fixture(autouse=True)
def nothing_kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Other tests of this process have loaded the same model."""
    reuse.KEPT.clear()
    monkeypatch.setattr(sources, "KEPT", Kept(sources.LIMIT))
    yield
    reuse.KEPT.clear()


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The t of every scoring that is computed."""
    computed: list[int] = []
    score = Scorer.score

    def counted(self: Scorer, memory: Any, *rest: Any) -> list[list[float]]:
        computed.append(memory.step)
        return score(self, memory, *rest)

    monkeypatch.setattr(Scorer, "score", counted)
    return computed


def loaded(folder: Path) -> LM:
    config = compose([f"model.hub_id={folder}", "model.package=null"])
    return loading.load(config.model, torch.device("cpu"))


@pytest.fixture
def lm(tiny_folder: Path) -> LM:
    return loaded(tiny_folder)


def plain(lm: LM, **changes: Any) -> PlainReading:
    parts: dict[str, Any] = {
        "demonstrations": [5, 6, 7],
        "queries": [[8], [9, 10]],
        "candidates": [[[11], [12, 13]], [[11]]],
    }
    how: dict[str, Any] = {"answer_score": "sum", "budget": TokenBudget(64)}
    parts |= {name: value for name, value in changes.items() if name in parts}
    how |= {name: value for name, value in changes.items() if name in how}
    return PlainReading(lm.model, Encoded(**parts, kept=1, truncated=False, copies=1), **how)


def scores(folder: Path) -> dict[str, pd.DataFrame]:
    """The scores of every record, by its key."""
    return {
        json.dumps(record["identity"]): pd.read_parquet(path.with_suffix(".parquet"))
        for path, record in stored(folder)
    }


def test_methods_with_the_same_demonstrations_score_them_once_at_t_1(
    run: Command, tmp_path: Path, steps: list[int]
) -> None:
    words = ("-m", "method=vanilla,deepthink", "seed=0,1", *SMALL)
    assert run(*words)[0] == 0
    assert steps == [1, 1, 2, 3, 2, 3]
    together = scores(tmp_path)
    for path, _ in stored(tmp_path):
        path.unlink()
    reuse.KEPT.clear()
    for method in ("vanilla", "deepthink"):
        reuse.KEPT.clear()
        assert run("-m", f"method={method}", "seed=0,1", *SMALL)[0] == 0
    apart = scores(tmp_path)
    assert len(together) == 4
    assert all(together[key].equals(apart[key]) for key in apart)


def test_every_step_size_begins_at_the_same_scores(run: Command, steps: list[int]) -> None:
    assert run("-m", "method=deepthink", "method.step_size=0.1,0.01,0.001", *SMALL)[0] == 0
    assert steps.count(1) == 1
    assert steps.count(3) == 3


def test_a_refinement_from_a_plugin_begins_at_the_same_scores(
    run: Command, tmp_path: Path, steps: list[int]
) -> None:
    folder = tmp_path / "mine" / "refinements"
    folder.mkdir(parents=True)
    (folder / "twice.py").write_text(
        "def refine(shown):\n    memory = shown.read()\n    while True:\n"
        "        yield memory\n        memory = memory.times(2)\n"
    )
    (folder / "other.py").write_text(
        "def refine(shown):\n    while True:\n        yield shown.read().times(2)\n"
    )
    mine = (f"plugins={tmp_path / 'mine'}", *SMALL)
    assert run(*mine, "method=vanilla")[0] == 0
    assert run(*mine, "method.refinement.name=twice")[0] == 0
    assert steps == [1, 2, 3]
    code, _, err = run(*mine, "method.refinement.name=other")
    assert_one_line(code, err, "must yield the plain reading first")


def test_a_record_says_which_of_its_operations_were_not_done(run: Command, tmp_path: Path) -> None:
    assert run("-m", "method=vanilla,deepthink", *SMALL)[0] == 0
    records = {r["config"]["method"]["iterations"]: r for _, r in stored(tmp_path)}
    assert "reused" not in records[1]["execution"]
    assert records[3]["execution"]["reused"] == records[3]["flops"]["scoring"] > 0
    assert records[3]["flops"]["scoring"] == records[1]["flops"]["scoring"]


def test_a_forced_job_computes_everything(run: Command, tmp_path: Path, steps: list[int]) -> None:
    assert run(*SMALL)[0] == 0
    assert run(*SMALL, "force=true")[0] == 0
    assert steps == [1, 2, 3] * 2
    ((_, record),) = stored(tmp_path)
    assert "reused" not in record["execution"]


def test_other_demonstrations_queries_and_ways_to_score_are_scored(
    run: Command, tmp_path: Path, steps: list[int]
) -> None:
    assert run(*SMALL, "method=vanilla")[0] == 0
    for words in (
        ["order=1"],
        ["seed=1"],
        ["answer_score=mean"],
        ["test_size=5"],
        ["token_budget=40", "seed=0", "method.iterations=2"],
        ["demonstrations.labels=flipped"],
    ):
        given = {word.partition("=")[0] for word in words}
        rest = [word for word in SMALL if word.partition("=")[0] not in given]
        before = len(steps)
        assert run(*rest, *words)[0] == 0, words
        assert steps[before] == 1, words
    assert not any("reused" in record["execution"] for _, record in stored(tmp_path))


def test_texts_of_calibrations_are_scored_beside_known_rows_and_known_themselves(
    run: Command, tmp_path: Path, steps: list[int]
) -> None:
    for words in ([], ["calibration=contextual"], ["readings=[contextual]", "order=0"]):
        before = len(steps)
        assert run(*SMALL, "method=vanilla", *words)[0] == 0
        assert steps[before:] == ([1] if len(words) < 2 else [])
    flops = [(r["flops"], r["execution"].get("reused", 0)) for _, r in stored(tmp_path)]
    whole = {(f["scoring"], f.get("texts", 0), reused) for f, reused in flops}
    ((rows, texts),) = {(rows, texts) for rows, texts, _ in whole if texts}
    assert whole == {(rows, 0, 0), (rows, texts, rows), (rows, texts, rows + texts)}


def test_changed_weights_settings_and_tokens_are_another_question(lm: LM) -> None:
    def known(reading: PlainReading) -> bool:
        return reading.scores(lambda: [[0.1, 0.2], [0.3]])[1]

    assert not known(plain(lm))
    assert known(plain(lm))
    assert not known(plain(lm, demonstrations=[5, 6]))
    assert not known(plain(lm, queries=[[8], [10, 9]]))
    assert not known(plain(lm, candidates=[[[11], [12, 14]], [[11]]]))
    assert not known(plain(lm, answer_score="mean"))
    assert not known(plain(lm, budget=TokenBudget(32)))
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(threads + 1)
        assert not known(plain(lm))
    finally:
        torch.set_num_threads(threads)
    assert known(plain(lm))
    layer: Any = lm.model.get_submodule("model.layers.0.mlp.up_proj")
    for weight in (next(lm.model.parameters()), layer.weight):
        with torch.no_grad():
            weight.mul_(1.0)
        assert not known(plain(lm))


def test_scores_come_back_to_the_bit_and_in_lists_of_their_own(lm: LM) -> None:
    rows = [[-0.1, float("-inf")], [1e-300]]
    assert plain(lm).scores(lambda: rows) == (rows, False)
    first, _ = plain(lm).scores(list)
    first[0][0] = 5.0
    assert plain(lm).scores(list) == (rows, True)


def test_scores_are_not_kept_if_memory_ran_out_meanwhile(lm: LM) -> None:
    reading = plain(lm)

    def halving() -> list[list[float]]:
        reading.budget.tokens //= 2
        return [[0.1, 0.2], [0.3]]

    assert reading.scores(halving)[1] is False
    assert plain(lm).scores(lambda: [[0.1, 0.2], [0.3]])[1] is False


def test_scores_are_forgotten_with_their_model(tiny_folder: Path) -> None:
    plain(loaded(tiny_folder)).scores(lambda: [[0.1, 0.2], [0.3]])
    assert len(reuse.KEPT) == 1
    loading.unload()
    gc.collect()
    assert not reuse.KEPT


def test_no_more_is_kept_than_the_limit(lm: LM, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reuse, "LIMIT", 6)
    for token in (5, 6, 7):
        plain(lm, demonstrations=[token]).scores(lambda: [[0.1, 0.2], [0.3]])
    known = [plain(lm, demonstrations=[token]).scores(list)[1] for token in (7, 6)]
    assert known == [True, True]
    assert not plain(lm, demonstrations=[5]).scores(lambda: [[0.1, 0.2], [0.3]])[1]


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The repository of every source that is divided."""
    divided: list[str] = []

    def counted(source: Any, *rest: Any) -> Any:
        divided.append(source.repository)
        return splitting.divide(source, *rest)

    monkeypatch.setattr(sources, "divide", counted)
    return divided


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch, data_root: Path) -> Path:
    """Data that nobody has written for a while."""
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 2 * content.TICK)
    return data_root


def texts(root: Path, *words: str) -> list[str]:
    config = compose(["task=sst2", *words])
    splits = sources.load(config.task, str(root), config.test_size, config.dev_size)
    return [example.text for example in splits.test]


def test_files_that_stay_are_read_once(settled: Path, reads: list[str]) -> None:
    assert texts(settled) == texts(settled)
    assert reads == ["stanfordnlp/sst2"]
    assert len(texts(settled, "test_size=5", "dev_size=5")) == 5
    assert len(reads) == 2


def test_a_changed_file_is_read_again(settled: Path, reads: list[str]) -> None:
    before = texts(settled)
    file = settled / "stanfordnlp" / "sst2" / "validation.jsonl"
    times = file.stat().st_atime_ns, file.stat().st_mtime_ns
    file.write_text(file.read_text().replace("row 0", "row X"))
    os.utime(file, ns=times)
    assert "row X" in " ".join(texts(settled))
    assert "row X" not in " ".join(before)
    assert len(reads) == 2


def test_a_file_that_comes_or_goes_is_seen(settled: Path, reads: list[str]) -> None:
    texts(settled)
    card = settled / "stanfordnlp" / "sst2" / "README.md"
    card.write_text("---\nlicense: mit\n---\n")
    texts(settled)
    card.unlink()
    texts(settled)
    assert len(reads) == 3


def test_files_that_were_written_a_moment_ago_are_read_again(
    data_root: Path, reads: list[str]
) -> None:
    texts(data_root)
    texts(data_root)
    assert len(reads) == 2


def test_a_caller_may_write_into_what_it_was_given(settled: Path) -> None:
    config = compose(["task=sst2"])
    sources.load(config.task, str(settled)).overlap["test"] = 99
    assert sources.load(config.task, str(settled)).overlap["test"] == 0
