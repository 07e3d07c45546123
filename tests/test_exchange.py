"""`deepthink export`: the exchange format as its own validator wants it, and one table."""

import hashlib
import json
import os
import subprocess
from dataclasses import replace
from math import isclose
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import Command
from made_records import jobs, made, put

import deepthink
from deepthink.app import commands
from deepthink.installation import CONF
from deepthink.report.exchange import eee, logs, samples
from deepthink.report.exchange.logs import Evaluator
from deepthink.report.runs import Run, Runs
from deepthink.store import curves, records
from deepthink.store.open_points import OpenPoint

ROOT = CONF.parent
US = Evaluator("us", "third_party")


def told(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = 0
    try:
        commands.run("export", [*map(str, words)])
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else 1
        print(stopped.code)
    out, err = capsys.readouterr()
    return code, out, err


def exported(folder: Path) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Every log with its lines."""
    found = []
    for path in sorted(folder.rglob("*.json")):
        log = json.loads(path.read_text())
        named = log.get("detailed_evaluation_results")
        text = (folder / named["file_path"]).read_text() if named else ""
        found.append((log, [json.loads(line) for line in text.splitlines()]))
    return found


@pytest.fixture
def real(run: Command, tmp_path: Path) -> Path:
    """The results of two small jobs, with scores."""
    assert run("-m", "method=vanilla,deepthink", "test_size=9", "dev_size=4")[0] == 0
    return tmp_path / "results"


@pytest.fixture
def varied(real: Path) -> Path:
    """Small jobs, and made-up records of each other kind: a hub's model, a suite, an open task."""
    for words in (
        ("model=opt-125m", "task=sst2", "method=vanilla"),
        ("model=llama2-7b", "task=mmlu", "task.members=[anatomy]", "method=deepthink"),
        ("model=smollm2-135m", "task=trec", "method=deepthink", "calibration=batch"),
    ):
        (job,) = jobs(*words)
        put(real, job, dict.fromkeys(job.method.steps, 3))
    (job,) = jobs("model=opt-125m", "task=gsm8k", "method=vanilla")
    metrics = {"strict": 0.25, "flexible": 0.5}
    point = OpenPoint(step=1, count=6, log_p=-1.5, final_log_p=-0.5, metrics=metrics)
    put(real, job, {1: 3}, curve=(), open=(point,), drift=())
    return real


def validator() -> str:
    """The format's own program, which lives in an environment of its own."""
    place = Path(os.environ.get("EVERY_EVAL_EVER", ROOT / ".venv/eee/bin/every_eval_ever"))
    if not place.is_file():
        pytest.skip("make eee installs the format's own validator, which is not there")
    return str(place)


def test_the_formats_own_validator_finds_nothing(varied: Path, tmp_path: Path) -> None:
    program = validator()
    eee.write(Runs.load(varied).all, tmp_path / "out", US, rows=True)
    eee.write(Runs.load(varied).open, tmp_path / "out", US, rows=True)
    words = [program, "validate", "--format", "json", "data/*/*/*/*.json", "data/*/*/*/*.jsonl"]
    done = subprocess.run(words, cwd=tmp_path / "out", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    reports = json.loads(done.stdout)
    assert len(reports) == 6 + 5, "six records, of which the open one has no file of rows"
    assert all(report["valid"] and not report["warnings"] for report in reports)
    cut = next((tmp_path / "out").rglob("*_samples.jsonl"))
    cut.write_text("".join(cut.read_text().splitlines(keepends=True)[1:]))
    done = subprocess.run(words, cwd=tmp_path / "out", capture_output=True, text=True, check=False)
    assert done.returncode == 1, "the validator can fail"


def test_results_and_rows_are_those_of_the_record(real: Path, tmp_path: Path) -> None:
    written = eee.write(Runs.load(real).all, tmp_path / "out", US, rows=True)
    assert (written.logs, written.samples, written.lines) == (2, 2, 9 * (1 + 3))
    frame = deepthink.results(real)
    for log, lines in exported(tmp_path / "out"):
        of = {result["evaluation_result_id"]: result for result in log["evaluation_results"]}
        assert len(of) == len(log["evaluation_results"])
        (number,) = {name.partition(".")[0] for name in of}
        for name, result in of.items():
            _, step, metric = name.split(".")
            row = frame[
                (frame.id == number) & (frame.split == "test") & (frame.t == int(step[1:]))
            ].iloc[0]
            assert result["score_details"]["score"] == row[metric]
            assert result["evaluation_name"] == f"sst2.{step}"
            if metric == "accuracy":
                ends = result["score_details"]["uncertainty"]["confidence_interval"]
                assert (ends["lower"], ends["upper"]) == (row.low, row.high)
                mine = [line for line in lines if line["evaluation_result_id"] == name]
                right = sum(line["evaluation"]["is_correct"] for line in mine)
                assert (right, len(mine)) == (row.correct, row["count"])
        assert {line["evaluation_id"] for line in lines} == {log["evaluation_id"]}
        for line in lines:
            given = json.loads(line["metadata"]["scores"])
            assert line["output"]["raw"] == [max(given, key=lambda name: given[name])]
            assert set(given) == set(line["input"]["choices"])


def test_the_same_records_give_the_same_bytes(real: Path, tmp_path: Path) -> None:
    runs = Runs.load(real).all
    for name in ("one", "two"):
        eee.write(runs, tmp_path / name, US, rows=True)
    one, two = (sorted((tmp_path / name).rglob("*.json*")) for name in ("one", "two"))
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    for path in one:
        stated = json.loads(path.read_text()) if path.suffix == ".json" else None
        if stated and (named := stated["detailed_evaluation_results"]):
            beside = tmp_path / "one" / named["file_path"]
            assert hashlib.sha256(beside.read_bytes()).hexdigest() == named["checksum"]


def test_no_sentence_of_the_data_is_written(real: Path, tmp_path: Path) -> None:
    eee.write(Runs.load(real).all, tmp_path / "out", US, rows=True)
    text = "".join(path.read_text() for path in (tmp_path / "out").rglob("*.json*"))
    assert "validation row" not in text and "train row" not in text
    assert "test row 0 of the data with SHA-256" in text


def test_a_row_has_one_name_whatever_the_model(tmp_path: Path) -> None:
    hashes = []
    for model in ("opt-125m", "llama2-7b"):
        (job,) = jobs(f"model={model}", "task=sst2", "method=vanilla")
        lines = samples.lines(Run(Path("a.json"), made(job, {1: 3})))
        hashes.append([json.loads(line)["sample_hash"] for line in lines])
    assert hashes[0] == hashes[1] and len({*hashes[0]}) == 6


def test_a_model_of_this_machine_is_named_by_its_weights() -> None:
    (job,) = jobs("model=opt-125m", "task=sst2", "method=vanilla")
    record = made(job, {1: 3})
    assert logs.model_id(record) == "facebook/opt-125m"
    key = replace(record.identity.model, weights="ab" * 32)
    local = replace(record, identity=replace(record.identity, model=key))
    assert logs.model_id(local) == "local/opt-125m-abababab"
    log = logs.log(Run(Path("a/b.json"), local), US)
    assert log["model_info"]["additional_details"]["model_availability"] == "unknown"


def test_the_t_of_dev_is_marked_and_dev_itself_is_left_out() -> None:
    (job,) = jobs("model=opt-125m", "task=sst2", "method=deepthink", "method.iterations=2")
    record = made(job, {1: 3, 2: 5}, {1: 2, 2: 4})
    results = logs.log(Run(Path("a/b.json"), record), US)["evaluation_results"]
    marks = {
        result["evaluation_name"]: result["generation_config"]["additional_details"]
        for result in results
    }
    assert marks == {
        "sst2.t1": {"t": "1", "chosen_by_dev": "false"},
        "sst2.t2": {"t": "2", "chosen_by_dev": "true"},
    }
    (accuracy,) = (r for r in results if r["evaluation_result_id"].endswith("t2.accuracy"))
    error = accuracy["score_details"]["uncertainty"]["standard_error"]["value"]
    assert isclose(error, (5 / 6 * 1 / 6 / 6) ** 0.5)


def test_the_command_says_what_it_wrote(
    real: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    code, said, _ = told(capsys, "eee", f"results={real}", f"to={out}", "organization=Our group")
    assert code == 0 and "2 records, 36 rows in 2 files; by Our group (third_party)" in said
    code, said, _ = told(capsys, "eee", f"results={real}", f"to={out}")
    assert code == 1 and "holds files already" in said
    other = tmp_path / "other"
    code, said, _ = told(capsys, "eee", f"results={real}", f"to={other}", "samples=false")
    assert code == 0 and "2 records, 0 rows in 0 files; by unknown" in said
    code, said, _ = told(capsys, "eee", f"results={tmp_path / 'none'}", f"to={other}/x")
    assert code == 1 and "has no records" in said
    assert told(capsys, "csv")[0] == 2
    (tmp_path / "file").write_text("")
    code, said, _ = told(capsys, "parquet", f"results={real}", f"to={tmp_path}/file/x.parquet")
    assert code == 1 and "cannot write to" in said


def test_one_table_has_every_point_of_every_record(
    varied: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = tmp_path / "all.parquet"
    assert told(capsys, "parquet", f"results={varied}", f"to={place}")[0] == 0
    first = place.read_bytes()
    assert told(capsys, "parquet", f"results={varied}", f"to={place}")[0] == 0
    assert place.read_bytes() == first
    frame = pd.read_parquet(place)
    stored = records.load_all(varied).records
    points = sum(len(record.curve) + len(record.open) for _, record in stored)
    assert len(frame) == points
    assert len(frame.drop_duplicates(["record", "split", "t"])) == points
    for path, record in stored:
        rows = frame[frame.record == path.relative_to(varied).as_posix()]
        assert set(rows["code.commit"].dropna()) <= {record.code.commit}
        for point in curves.of_split(record.curve, "test"):
            (row,) = rows[(rows.split == "test") & (rows.t == point.step)].to_dict("records")
            assert (row["correct"], row["count"]) == (point.correct, point.count)
            assert row["seed"] == record.identity.seed
