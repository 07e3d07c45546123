"""`deepthink show`: a stored job as it was shown when it ended, and how to ask for it again."""

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Command, stored
from test_compare import keep, told

from deepthink.config.overrides import compose
from deepthink.installation import CONF
from deepthink.report import commands, experiments
from deepthink.store import records
from deepthink.store.identity import answered, asked
from deepthink.store.settings import Settings

STUDY = CONF.parent / experiments.EARLIER


def test_a_job_is_shown_as_when_it_ended(
    run: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, then, _ = run("method.step_size=0.1", "test_size=12", "seed=2")
    ((path, record),) = stored(tmp_path)
    code, out, _ = told(capsys, "show", path)
    assert code == 0
    curve = then[: then.index("wrote ")]
    assert out.startswith(curve)
    rest = out[len(curve) :]
    for words in (
        "task=sst2",
        "method=deepthink",
        "method.step_size=0.1",
        "seed=2",
        "test_size=12",
    ):
        assert words in rest
    assert "results=" not in rest.partition("\n")[0]
    assert f"thinking {record['seconds']['think']:.1f}" in rest
    assert record["finished"] in rest and record["execution"]["device"] in rest
    assert out.endswith(f"{path}\n")
    number = path.stem.rpartition("-")[2]
    assert told(capsys, "show", f"results={tmp_path / 'results'}", number)[1] == out


def test_several_jobs_are_one_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (0, 1):
        keep(tmp_path, "task=sst2", "method=vanilla", f"seed={seed}")
    code, out, _ = told(capsys, "show", tmp_path)
    assert code == 0 and "differs: seed (0 to 1)" in out


def test_what_is_no_record_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.json").write_text("{}")
    code, _, err = told(capsys, "show", tmp_path / "notes.json")
    assert code == 1 and "is not a complete record" in err
    code, _, err = told(capsys, "show", tmp_path)
    assert code == 1 and "has no records (not counted: " in err


@pytest.mark.parametrize(
    "words",
    [
        ("task=sst2", "method=vanilla", "seed=3"),
        ("task=trec", "method=deepthink", "method.step_size=0.1", "method.positions=aligned"),
        ("task=mr", "method=graph_cut", "method.iterations=5", "pool_size=200"),
        ("task=verdicts", "task.delimiter=' - '", "demonstrations.count=4"),
        ("task=agnews", "method=repeat", "calibration=contextual", "answer_score=mean"),
        ("task=sst5", "demonstrations.labels=random", "order=2", "pool.overlap=keep"),
    ],
)
def test_the_words_ask_for_the_same_job(tmp_path: Path, words: tuple[str, ...]) -> None:
    path = keep(tmp_path, *words)
    record = records.read(path)
    again = compose(commands.words_of(record))
    assert asked(again) == answered(record.identity, record.config)


def test_published_jobs_can_be_asked_for_again() -> None:
    """Of every model, task and method the first: also where the record is of an earlier version."""
    first = {path.parent: record for path, record in records.load_all(STUDY).records}
    kinds = {path.name: record for path, record in first.items() if "mmlu" not in path.parts}
    assert len(kinds) > 10
    for record in kinds.values():
        again = commands.words_of(record)
        if "task.members" not in " ".join(again):
            assert asked(compose(again)) == answered(record.identity, record.config)


def test_a_task_in_an_own_file_is_named_by_its_file(tmp_path: Path) -> None:
    record = records.read(keep(tmp_path, "task=sst2", "method=vanilla"))
    own = {"file": "my rows.csv", "text": "review", "held_out": None}
    whole = {**record.config.whole, "task": {**record.config.whole["task"], "own": own}}
    settings = Settings.of(whole)
    words = commands.words_of(replace(record, config=settings))
    assert {"task.file='my rows.csv'", "task.text=review"} <= {*words}
    assert "task=sst2" not in words
