"""Stored records as pandas frames: every row, every column, and nothing left out in silence."""

import json
from pathlib import Path

import pandas as pd
import pytest
from conftest import Command
from made_records import jobs, made, put

import deepthink
from deepthink.config.overrides import requested
from deepthink.errors import UserError
from deepthink.installation import CONF
from deepthink.report import experiments, frames
from deepthink.report.commands import words_of
from deepthink.store import records
from deepthink.tasks import own

STUDY = CONF.parent / experiments.EARLIER


def test_there_is_a_row_for_each_record_split_and_t(tmp_path: Path) -> None:
    (job,) = jobs(
        "model=opt-125m", "task=sst2", "method=deepthink", "method.iterations=2", "seed=3"
    )
    path = put(tmp_path, job, {1: 3, 2: 5}, {1: 2, 2: 2})
    frame = deepthink.results(tmp_path)
    assert len(frame) == 4
    assert frame.groupby("split").t.apply(list).to_dict() == {"dev": [1, 2], "test": [1, 2]}
    last = frame[(frame.split == "test") & (frame.t == 2)].iloc[0]
    about = {
        "model": "opt-125m",
        "task": "sst2",
        "method": "deepthink",
        "method.iterations": 2,
        "method.step_size": 0.01,
        "method.positions": "continued",
        "seed": 3,
        "order": 0,
        "demonstrations.count": 8,
        "prompt.seam": "apart",
        "model.dtype": "float32",
        "correct": 5,
        "count": 6,
        "seconds": 2.0,
        "record": str(path),
        "id": path.stem.rpartition("-")[2],
    }
    assert {key: last[key] for key in about} == about
    assert last.accuracy == 5 / 6
    assert last.low < last.accuracy < last.high
    assert frame[frame.by_dev].t.tolist() == [1, 1], "the earliest of equals, on both splits"


def test_columns_have_one_type_whatever_is_missing(tmp_path: Path) -> None:
    for words in (
        ("method=vanilla",),
        ("method=deepthink", "test_size=6"),
        ("method=best_random",),
    ):
        (job,) = jobs("model=opt-125m", "task=sst2", *words)
        put(tmp_path, job, dict.fromkeys(range(1, job.method.iterations + 1), 3))
    frame = deepthink.results(tmp_path)
    kinds = {key: str(kind) for key, kind in frame.dtypes.items()}
    assert kinds["seed"] == kinds["t"] == kinds["correct"] == "int64"
    assert kinds["test_size"] == kinds["method.selector.sets"] == "Int64"
    assert kinds["method.step_size"] == kinds["accuracy"] == "float64"
    assert kinds["by_dev"] == "bool"
    assert kinds["method"] == kinds["record"] == "str"
    plain = frame[frame.method == "vanilla"].iloc[0]
    assert pd.isna(plain["method.step_size"]) and pd.isna(plain["method.positions"])
    columns = [*frame.columns]
    assert columns.index("method.selector.sets") < columns.index("split")


def test_the_frame_of_the_published_records_gives_their_tables() -> None:
    """By groupby alone, without a statistic of this package."""
    frame = deepthink.results(STUDY)
    assert frame.record.nunique() == len(records.load_all(STUDY).records)
    one = frame[
        (frame.split == "test")
        & (frame.task == "sst2")
        & (frame.test_size == 100)
        & (frame.method == "deepthink")
        & (frame["method.step_size"] == 0.1)
        & (frame["method.iterations"] == 15)
        & (frame["demonstrations.count"] == 8)
        & (frame.order == 0)
    ]
    by = one[one.by_dev].groupby("method.positions").accuracy.mean()
    assert (100 * by).round(4).to_dict() == {"aligned": 78.3, "continued": 73.4}
    at = one[one.t == 15].groupby("method.positions").accuracy.mean()
    assert (100 * at).round(4).to_dict() == {"aligned": 70.3, "continued": 50.3}


def test_what_is_no_record_is_named_and_not_dropped(tmp_path: Path) -> None:
    (job,) = jobs("model=opt-125m", "task=sst2", "method=vanilla")
    path = put(tmp_path, job, {1: 3})
    cut = path.with_name("seed9-00000000.json")
    cut.write_text(path.read_text()[:100])
    with pytest.warns(UserWarning, match=r"not counted: .*seed9-00000000.json is not a complete"):
        frame = deepthink.results(tmp_path)
    assert frame.attrs["broken"] == {str(cut): "is not a complete record"}
    assert len(frame) == 1
    with pytest.raises(UserError, match="not a complete record"):
        deepthink.results(cut)
    path.unlink()
    with pytest.raises(UserError, match=r"has no records .*not counted"):
        deepthink.results(tmp_path)
    with pytest.raises(UserError, match="does not exist"):
        deepthink.results(tmp_path / "nowhere")


def test_several_places_and_parts_of_them(tmp_path: Path) -> None:
    paths = []
    for place, method in (("a", "vanilla"), ("b", "herding")):
        (job,) = jobs("model=opt-125m", "task=sst2", f"method={method}", "method.iterations=1")
        paths.append(put(tmp_path / place, job, {1: 3}))
    both = deepthink.results(tmp_path / "a", tmp_path / "b")
    assert both.method.tolist() == ["vanilla", "herding"]
    assert deepthink.results(paths[1].parent).method.tolist() == ["herding"]
    assert deepthink.results(paths[0]).method.tolist() == ["vanilla"]


def test_predictions_are_those_of_the_scores(run: Command, tmp_path: Path) -> None:
    run("method.iterations=2", "test_size=10")
    ((path, record),) = records.load_all(tmp_path / "results").records
    frame = deepthink.predictions(path)
    assert frame.columns.tolist() == [
        *("split", "index", "t", "gold", "predicted", "correct", "gold_label", "predicted_label"),
        *("score.negative", "score.positive"),
    ]
    assert len(frame) == 2 * sum(len(record.gold.of(split)) for split in ("dev", "test"))
    best = frame[["score.negative", "score.positive"]].to_numpy().argmax(axis=1)
    assert (best == frame.predicted).all(), "no two scores are the same here"
    for point in record.curve:
        one = frame[(frame.split == point.split) & (frame.t == point.step)]
        assert one.predicted.tolist() == [int(word) for word in point.predicted.split()]
        assert one.correct.sum() == point.correct
    raw = pd.read_parquet(path.with_suffix(".parquet"))
    row = frame[(frame.split == "test") & (frame["index"] == 4) & (frame.t == 2)].iloc[0]
    there = raw[(raw["split"] == "test") & (raw["query"] == 4) & (raw["step"] == 2)]
    assert there.score.tolist() == [row["score.negative"], row["score.positive"]]
    pd.testing.assert_frame_equal(deepthink.predictions(record), frame)
    pd.testing.assert_frame_equal(deepthink.predictions(deepthink.results(path).record[0]), frame)


def test_missing_scores_are_told_and_wrong_ones_refused(run: Command, tmp_path: Path) -> None:
    run("method.iterations=2", "test_size=10")
    ((path, _),) = records.load_all(tmp_path / "results").records
    table = path.with_suffix(".parquet")
    whole = table.read_bytes()
    table.unlink()
    with pytest.warns(UserWarning, match=r"without scores: .*parquet is missing"):
        frame = deepthink.predictions(path)
    assert not any(str(column).startswith("score") for column in frame)
    table.write_bytes(whole[:-1])
    with pytest.raises(UserError, match="not the file that was written with its record"):
        deepthink.predictions(path)


def test_published_records_have_predictions_without_scores() -> None:
    path, record = records.load_all(STUDY).records[0]
    with pytest.warns(UserWarning, match="without scores"):
        frame = deepthink.predictions(path)
    assert frame[(frame.split == "test") & (frame.t == 1)].correct.sum() == next(
        point.correct for point in record.curve if (point.split, point.step) == ("test", 1)
    )


def test_options_of_a_question_have_scores_by_their_place(tmp_path: Path) -> None:
    (job, *_) = jobs("task=mmlu", "task.members=[astronomy]", "method=vanilla")
    record = made(job, {1: 3})
    with pytest.warns(UserWarning):
        frame = frames.predictions(record)
    assert "gold_label" not in frame
    assert frame.gold.tolist() == [1] * 6
    assert frame.predicted.tolist() == [1, 1, 1, 0, 0, 0]
    assert json.loads(frame.iloc[0].to_json())["correct"] is True


def test_texts_are_read_again_and_only_if_they_are_the_same(
    run: Command, tmp_path: Path, data_root: Path
) -> None:
    run("method=vanilla", "test_size=10")
    ((path, _),) = records.load_all(tmp_path / "results").records
    frame = deepthink.predictions(path, texts=True)
    rows = (data_root / "stanfordnlp" / "sst2" / "validation.jsonl").read_text().splitlines()
    label = {row["sentence"]: row["label"] for row in map(json.loads, rows)}
    test = frame[frame.split == "test"]
    assert len({*test.text}) == 10
    assert test.text.map(label).tolist() == test.gold.tolist()
    assert frame[frame.split == "dev"].text.str.startswith("train row").all()
    file = data_root / "stanfordnlp" / "sst2" / "validation.jsonl"
    file.write_text(file.read_text().replace("row 1", "line 1"))
    with pytest.raises(UserError, match="the rows of sst2 are not those of the record any more"):
        deepthink.predictions(path, texts=True)


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("task.template='Today: {text}\\nMood:'", "task.labels={sad: low, glad: high}"),
        ("task.name=weather", "task.held_out=7", "task.demonstrations=4"),
    ],
)
def test_texts_of_a_task_in_an_own_file(
    run: Command, tmp_path: Path, words: tuple[str, ...]
) -> None:
    lines = [
        f"day {i} was {'bright' if i % 2 else 'dull'},{('sad', 'glad')[i % 2]}" for i in range(40)
    ]
    (tmp_path / "moods.csv").write_text("\n".join(["text,label", *lines]))
    code, _, err = run(
        f"task.file={tmp_path / 'moods.csv'}", "method=vanilla", "test_size=6", *words
    )
    assert (code, err) == (0, "")
    ((path, record),) = records.load_all(tmp_path / "results").records
    frame = deepthink.predictions(path, texts=True)
    assert frame.text.str.startswith("day ").all()
    ends = {
        (gold, text.rpartition(" ")[2]) for gold, text in zip(frame.gold, frame.text, strict=True)
    }
    assert len(ends) == 2, "each label has the texts of its own"
    again = requested(words_of(record)).jobs[0]
    assert again.task.own is not None
    assert own.resolved(again.task).template == record.identity.task.template


def test_a_folder_of_results_with_failures_alone_has_no_records(tmp_path: Path) -> None:
    failure = tmp_path / "failures" / "m" / "t" / "deepthink" / "seed0-12345678.json"
    failure.parent.mkdir(parents=True)
    failure.write_text("{}")
    with pytest.raises(UserError, match=r"has no records$"):
        deepthink.results(tmp_path)
