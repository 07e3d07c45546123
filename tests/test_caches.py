"""What is kept on a machine besides results, and what is left of jobs that failed."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Command, stored

from deepthink import hub
from deepthink.app import caches
from deepthink.app.commands import caches as caches_command
from deepthink.app.commands import failures as failures_command
from deepthink.config.overrides import compose, requested
from deepthink.errors import UserError
from deepthink.report import commands
from deepthink.store import failures

HOLDER = """
import sys
from pathlib import Path
from deepthink import hub
hub.hold(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of this package with a converted model, signals and a download."""
    folder = tmp_path / "kept"
    monkeypatch.setenv("DEEPTHINK_CACHE", str(folder))
    monkeypatch.chdir(tmp_path)
    for name, size in (
        ("smollm2-1/CHECKSUM", 10),
        ("smollm2-1/model.safetensors", 2_000_000),
        ("signals/smollm2-sst2-1234/a.safetensors", 300_000),
        ("somebody/BIG-Bench-Hard/abc/word.txt", 1_000),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\0" * size)
    return folder


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} - {hub.HELD}


def test_caches_are_listed_with_place_size_and_how_to_move_them(
    cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    caches_command.main([])
    out = capsys.readouterr().out
    for line in (
        "converted weights: 2.0 MB",
        "signals: 300.0 kB",
        "downloads: 1.0 kB",
        f"in {cache} (DEEPTHINK_CACHE names another place; --clear deletes it)",
        "HF_HUB_CACHE names another place; used by other programs too",
        "HF_DATASETS_CACHE",
        "WANDB_DIR",
    ):
        assert line in out
    assert left(cache) == {"smollm2-1", "signals", "somebody"}


def test_an_absent_cache_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DEEPTHINK_CACHE", str(tmp_path / "none"))
    caches_command.main([])
    assert capsys.readouterr().out.count(": empty, ") >= 3
    caches_command.main(["--clear"])
    assert not (tmp_path / "none").exists()


def test_clearing_leaves_results_and_what_other_programs_use(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = tmp_path / "results" / "local" / "records" / "a.json"
    run = tmp_path / "wandb" / "offline-run-1" / "run.wandb"
    for path in (record, run):
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    caches_command.main(["--clear", "--only", "signals"])
    assert left(cache) == {"smollm2-1", "somebody"}
    caches_command.main(["--clear"])
    assert left(cache) == set()
    assert record.exists()
    assert run.exists()
    assert capsys.readouterr().out.splitlines() == [
        "300.0 kB freed (signals)",
        "2.0 MB freed (converted weights, signals, experiments, downloads)",
    ]


def test_a_cache_in_use_is_not_cleared(cache: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(cache)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match="in use: try again when no job runs"):
            caches.clear()
        assert left(cache) == {"smollm2-1", "signals", "somebody"}
        other.kill()
    caches.clear()
    assert left(cache) == set()


def test_a_job_that_reads_signals_holds_the_cache(run: Command, tmp_path: Path) -> None:
    assert run("method=herding", "pool_size=20")[0] == 0
    assert left(tmp_path / "cache") == {"signals"}
    with pytest.raises(UserError, match="in use"):
        caches.clear()
    assert left(tmp_path / "cache") == {"signals"}


# failures


def test_failures_say_job_reason_time_and_the_command_and_go_on_success(
    run: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    words = ("demonstrations.count=600", "seed=3", "method.step_size=0.1")
    assert run(*words)[0] == 1
    failures_command.main([str(results)])
    out = capsys.readouterr().out
    (failure,) = failures.every(results)
    assert out.startswith(f"smollm2-135m sst2 deepthink seed3 ({failure.when}): ")
    assert f"traceback: {failure.path}" in out
    (line,) = (line for line in out.splitlines() if line.startswith("  again: "))
    typed = shlex.split(line)
    given = typed[next(i for i, word in enumerate(typed) if "=" in word) :]
    assert {"demonstrations.count=600", "seed=3", "method.step_size=0.1"} <= {*given}
    assert compose(given).resolved() == failure.config
    failures_command.main([f"results={results}", "--clear"])
    assert capsys.readouterr().out == f"{results}: 1 files deleted\n"
    failures_command.main([str(results)])
    assert capsys.readouterr().out == f"{results}: no failures\n"


def test_records_set_aside_are_listed_and_cleared_and_good_ones_stay(
    run: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run()
    ((path, _),) = stored(tmp_path)
    path.write_text(path.read_text()[:-20])
    run()
    results = tmp_path / "results"
    aside = failures.set_aside(results)
    assert {file.name for file in aside} == {
        f"{path.name}.broken", f"{path.name}.broken.parquet"
    }  # fmt: skip
    capsys.readouterr()
    failures_command.main([str(results)])
    out = capsys.readouterr().out
    assert all(f"set aside: {file}" in out for file in aside)
    failures_command.main([str(results), "--clear"])
    assert failures.set_aside(results) == []
    assert path.exists()
    assert len(stored(tmp_path)) == 1


def test_a_failure_that_cannot_be_read_is_listed_too(tmp_path: Path) -> None:
    path = tmp_path / "failures" / "m" / "t" / "deepthink" / "seed0-12345678.json"
    path.parent.mkdir(parents=True)
    for text in ("", "[]", '{"error": 1}', "\xff"):
        path.write_text(text)
        (failure,) = failures.every(tmp_path)
        assert "cannot be read" in failure.reason
        assert failure.config is None
        failures_command.main([str(tmp_path)])


def test_a_folder_that_is_none_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is no folder: .* failures FOLDER"):
        failures_command.main([str(tmp_path / "none")])


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["model=opt-125m", "task=trec", "method=vanilla", "seed=3", "order=2"],
        ["method=herding", "pool_size=100", "method.iterations=4", "calibration=batch"],
        ["method=deepthink_curve", "data_root=/a b/c", "force=true", "wandb.mode=disabled"],
        ["task=mmlu", "task.members=[virology]", "test_size=20"],
        ["model.name=mine", "model.hub_id=/my/model", "model.package=null"],
        ["task.template='Text: {text} Mood:'", "task.labels=[bad,good]"],
    ],
)
def test_the_command_of_a_job_gives_that_job(words: list[str]) -> None:
    (job,) = requested(words).jobs
    typed = commands.words_for(json.loads(json.dumps(job.resolved())))
    assert typed is not None
    (made,) = requested(typed).jobs
    assert made == job
    assert len(typed) <= len(words) + 3


def test_no_command_is_invented(tmp_path: Path) -> None:
    config = compose([]).resolved()
    assert commands.words_for({**config, "a new key": 1}) is None
    assert commands.words_for({}) is None
    assert commands.words_for({**config, "plugins": str(tmp_path / "gone")}) is None
