"""Jobs that other processes are at, and jobs that fail."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Command, assert_one_line, leased, stored
from pandas import DataFrame

from deepthink.app.progress_bar import ProgressWatcher
from deepthink.store import failures, leases
from deepthink.store.identity import digest
from deepthink.store.leases import Holder, Lease, Leases
from deepthink.store.schema import Record
from deepthink.study import evaluation, jobs, making
from deepthink.study.evaluation import Evaluated
from deepthink.study.jobs import Job


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "POLL", 0.02)


@pytest.fixture
def others(tmp_path: Path) -> Leases:
    """How a process on another machine sees the leases of the same results."""
    return Leases(
        tmp_path / "results" / "leases", me=Holder("elsewhere", "elsewhere", 1, 0.0, "other")
    )


def name_of(record: dict[str, Any]) -> str:
    return digest(record["identity"])[:16]


@pytest.fixture
def while_it_waits(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Have something happen when this process has found that others are at all jobs left."""

    def register(act: Callable[[], object]) -> None:
        happened: list[bool] = []

        def pause() -> None:
            if not happened:
                happened.append(True)
                act()

        monkeypatch.setattr(leases, "pause", pause)

    return register


def test_a_job_that_kills_its_processes_fails_in_the_end(
    run: Command, tmp_path: Path, others: Leases
) -> None:
    run()
    ((path, record),) = stored(tmp_path)
    path.unlink()
    last = tmp_path / "results" / "leases" / f"{name_of(record)}.{jobs.DEATHS}"
    dead = replace(Holder.here(), started=0.0, token="dead")
    last.write_text(json.dumps(vars(dead)))
    code, _, err = run()
    assert_one_line(code, err, "3 processes in a row died")
    assert len(list((tmp_path / "results" / "failures").rglob("*.json"))) == 1
    assert run()[0] == 0


def test_a_broken_record_is_set_aside_by_who_may_do_the_job(
    run: Command,
    tmp_path: Path,
    others: Leases,
    while_it_waits: Callable[[Callable[[], object]], None],
) -> None:
    run()
    ((path, record),) = stored(tmp_path)
    whole = path.read_text()
    path.write_text(whole[:100])
    theirs = leased(others, name_of(record))

    def finish() -> None:
        path.write_text(whole)
        theirs.release()

    while_it_waits(finish)
    code, out, _ = run()
    assert code == 0
    assert "read, not run again" in out
    assert path.read_text() == whole
    assert not list(path.parent.glob("*broken*"))


def test_until_done_comes_back_to_what_others_do() -> None:
    attempts = []

    def attempt(job: str) -> None:
        attempts.append(job)
        if job == "b" and attempts.count("b") < 3:
            raise leases.Busy

    leases.until_done("abc", attempt)
    assert attempts == ["a", "b", "c", "b", "b"]


def test_a_job_another_process_is_at_is_read_when_it_is_done(
    run: Command,
    tmp_path: Path,
    others: Leases,
    while_it_waits: Callable[[Callable[[], object]], None],
) -> None:
    run()
    ((path, record),) = stored(tmp_path)
    text = path.read_text()
    path.unlink()
    theirs = leased(others, name_of(record))
    assert isinstance(theirs, Lease)

    def finish() -> None:
        path.write_text(text)
        theirs.release()

    while_it_waits(finish)
    code, out, _ = run()
    assert code == 0
    assert "waiting" in out
    assert "read, not run again" in out
    assert stored(tmp_path) == [(path, record)]
    assert not list((tmp_path / "results" / "leases").iterdir())


def test_a_job_whose_process_died_elsewhere_is_done_here(
    run: Command, tmp_path: Path, others: Leases, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    ((path, record),) = stored(tmp_path)
    path.unlink()
    leased(others, name_of(record)).fall_silent()
    mine = Leases(tmp_path / "results" / "leases", expiry=0.3)
    monkeypatch.setattr(leases, "of", lambda _: mine)
    code, out, _ = run()
    assert code == 0
    assert "wrote" in out
    ((_, again),) = stored(tmp_path)
    assert again["curve"] == record["curve"]


def test_a_sweep_does_the_free_jobs_before_it_waits(
    run: Command,
    tmp_path: Path,
    others: Leases,
    while_it_waits: Callable[[Callable[[], object]], None],
) -> None:
    run("-m", "seed=0,1,2")
    kept = {path: (path.read_text(), record) for path, record in stored(tmp_path)}
    first = next(p for p, (_, r) in kept.items() if r["identity"]["seed"] == 0)
    for path in kept:
        path.unlink()
    theirs = leased(others, name_of(kept[first][1]))

    def finish() -> None:
        assert len(stored(tmp_path)) == 2
        first.write_text(kept[first][0])
        theirs.release()

    while_it_waits(finish)
    code, out, _ = run("-m", "seed=0,1,2")
    assert code == 0
    assert out.index("seed1-") < out.index("seed2-") < out.index("seed0-")
    assert "jobs: 2 done, 1 read, 0 failed" in out


def test_who_lost_its_lease_writes_nothing(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    ((path, record),) = stored(tmp_path)
    text = path.read_text()
    path.unlink()
    make = making.make

    def slow(job: Job, watch: ProgressWatcher) -> tuple[Record, DataFrame]:
        """Another machine believes this process dead, and does the job meanwhile."""
        folder = tmp_path / "results" / "leases"
        (folder / f"{name_of(record)}.2").write_text("{}")
        made = make(job, watch)
        path.write_text(text)
        (folder / f"{name_of(record)}.2").unlink()
        (folder / f"{name_of(record)}.1").unlink()
        return made

    monkeypatch.setattr(making, "make", slow)
    code, out, _ = run()
    assert code == 0
    assert "read, not run again" in out
    assert path.read_text() == text


@pytest.mark.usefixtures("wandb_offline")
@pytest.mark.parametrize("way", [["-m"], ["launcher=basic"]])
def test_tokens_are_nowhere(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: list[str]
) -> None:
    """Neither in records, failures, logs and journals nor in W&B's files nor on the screen."""
    tokens = {"HF_TOKEN": "hf_" + "s3cr3t" * 5, "WANDB_API_KEY": "5ec3e7" * 6 + "0123"}
    for name, token in tokens.items():
        monkeypatch.setenv(name, token)
    evaluate = evaluation.evaluate

    def sometimes(*arguments: Any, **more: Any) -> Evaluated:
        if arguments[3].seed == 1:
            raise ZeroDivisionError(f"by {tokens}")
        return evaluate(*arguments, **more)

    monkeypatch.setattr(making, "evaluate", sometimes)
    code, out, err = run(*way, "seed=0,1", "wandb.mode=offline")
    assert code == 1
    assert "ZeroDivisionError: by {'HF_TOKEN': '***'" in err
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    kinds = {path.relative_to(tmp_path).parts[0] for path in written}
    assert {"results", "wandb"} <= kinds
    for token in tokens.values():
        assert token not in out + err
        assert not [path for path in written if token.encode() in path.read_bytes()]


def test_an_unexpected_error_is_recorded_and_stops_nothing(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_a_secret")
    evaluate = evaluation.evaluate

    def sometimes(*arguments: Any, **more: Any) -> Evaluated:
        if arguments[3].seed == 1:
            raise ZeroDivisionError("by hf_a_secret")
        return evaluate(*arguments, **more)

    monkeypatch.setattr(making, "evaluate", sometimes)
    code, out, err = run("-m", "seed=0,1,2")
    assert_one_line(code, err, "ZeroDivisionError")
    assert "jobs: 2 done, 0 read, 1 failed" in out
    assert {r["identity"]["seed"] for _, r in stored(tmp_path)} == {0, 2}
    (path,) = (tmp_path / "results" / "failures").rglob("*.json")
    told = json.loads(path.read_text())
    assert told["config"]["seed"] == 1
    assert told["error"] == "by ***"
    assert any("in sometimes" in line for line in told["traceback"])
    monkeypatch.setattr(making, "evaluate", evaluate)
    assert run("-m", "seed=0,1,2")[0] == 0
    assert not path.exists()


def test_a_failure_that_cannot_be_stored_is_told_all_the_same(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unwritable(*_: object) -> None:
        raise OSError("full")

    monkeypatch.setattr(failures, "atomically", unwritable)
    code, _, err = run("data_root=/no/such/folder")
    assert_one_line(code, err, "not a folder")
    assert not list(Path(tmp_path / "results" / "failures").rglob("*.json"))
    shutil.rmtree(tmp_path / "results")
