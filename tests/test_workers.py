"""Sweeps that several processes share."""

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from conftest import Command, assert_one_line, leased, stored, sweep_of

from deepthink.app import perform, sharing, wandb_runs, worker
from deepthink.app.journals import Journals, Tally, add, grouped
from deepthink.app.sweep import Sweep
from deepthink.config.overrides import composed, expand, members, requested
from deepthink.config.request import Request
from deepthink.errors import UserError
from deepthink.installation import CONF
from deepthink.store import leases
from deepthink.store.leases import Holder, Leases


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "POLL", 0.02)


def test_what_is_asked_to_be_shared() -> None:
    shared = sharing.Sharing.of(
        ["-m", "launcher=slurm", "seed=0,1", "workers=3", "hydra.launcher.partition=gpu"]
    )
    assert shared == sharing.Sharing(
        "slurm", ("workers=3", "hydra.launcher.partition=gpu"), ("seed=0,1",)
    )
    assert sharing.Sharing.of(["-m", "seed=0,1"]) is None
    assert sharing.Sharing.of(["launcher=ray", "--help"]) is None
    with pytest.raises(UserError, match="add launcher=local"):
        sharing.Sharing.of(["workers=2", "seed=0,1"])


def test_workers_begin_apart_and_keep_to_a_model() -> None:
    jobs = [[f"model={m}", f"seed={s}"] for s in range(4) for m in "ab"]
    orders = [sweep_of(jobs, workers=4).order(number) for number in range(4)]
    assert all(sorted(one) == list(range(8)) for one in orders)
    assert [one[0] for one in orders] == [0, 4, 1, 5]
    assert orders[0] == [0, 2, 4, 6, 1, 3, 5, 7]


def test_jobs_that_share_work_follow_each_other() -> None:
    """Of a model those of a task, of these those that differ in their method alone."""
    axes = [
        (f"task={task}", f"method={method}", f"seed={seed}")
        for task in ("trec", "mr")
        for method in ("vanilla", "herding")
        for seed in (10, 9)
    ]
    jobs = [["model=b", *axes[0]], *(["model=a", *words] for words in axes)]
    order = [jobs[place] for place in sweep_of(jobs).order(0)]
    assert order[0][0] == "model=b"
    assert [" ".join(words[1:]) for words in order[1:]] == [
        f"task={task} method={method} seed={seed}"
        for task in ("trec", "mr")
        for seed in (10, 9)
        for method in ("vanilla", "herding")
    ]


def test_an_experiments_jobs_are_those_of_its_sweep() -> None:
    jobs = expand(["experiment=table1", "model=smollm2-135m", "task=sst2,trec", "test_size=9"])
    assert len(jobs) == 2 * 14 * 10
    assert jobs[0][:3] == ["model=smollm2-135m", "task=sst2", "method=deepthink_curve"]
    assert {"experiment=table1", "test_size=9"} <= set(jobs[-1])
    with pytest.raises(UserError, match="table1"):
        expand(["experiment=table9"])


@pytest.mark.parametrize("launcher", ["basic", pytest.param("local", marks=pytest.mark.slow)])
def test_a_shared_sweep_is_done_once_and_read_after(
    run: Command, tmp_path: Path, launcher: str
) -> None:
    for told in ("6 done, 0 read", "0 done, 6 read"):
        code, out, err = run(f"launcher={launcher}", "workers=2", "seed=range(3)", "order=0,1")
        assert (code, err) == (0, "")
        assert "6 jobs, 2 workers" in out
        assert f"jobs: {told}, 0 failed" in out
    assert len(stored(tmp_path)) == 6
    assert not list((tmp_path / "results" / "leases").iterdir())
    logs = [path.read_text() for path in (tmp_path / "results" / "sweeps").rglob("worker*.log")]
    assert sum(text.count("wrote ") for text in logs) == 6


@pytest.mark.slow
def test_every_way_gives_the_same_numbers(run: Command, tmp_path: Path) -> None:
    found: list[Any] = []
    for way in (["-m"], ["launcher=basic"], ["launcher=local", "workers=2"]):
        results = tmp_path / f"results{len(found)}"
        assert run(*way, f"results={results}", "seed=0,1,2")[0] == 0
        records_ = sorted((results / "records").rglob("*.json"))
        found.append({p.name: json.loads(p.read_text())["curve"] for p in records_})
    assert found[0] == found[1] == found[2]
    assert len(found[0]) == 3


def test_a_sweeps_runs_are_one_group_however_it_is_started(run: Command, tmp_path: Path) -> None:
    for results, words in enumerate((["-m"], ["launcher=basic"])):
        run(*words, f"results={tmp_path / str(results)}", "seed=0,1")
    run(f"results={tmp_path / '2'}", "wandb.group=mine")
    run("-m", f"results={tmp_path / '3'}", "seed=0,2")
    groups = [
        {json.loads(p.read_text())["config"]["wandb"]["group"] for p in tmp_path.glob(pattern)}
        for pattern in (f"{n}/records/**/*.json" for n in range(4))
    ]
    assert groups[0] == groups[1] != groups[3]
    assert len(groups[0]) == 1
    assert groups[2] == {"mine"}


def test_failures_of_workers_are_summed_up(run: Command, tmp_path: Path) -> None:
    code, out, err = run("launcher=basic", "workers=2", "demonstrations.count=4,99,8,98", "seed=0")
    assert code == 1
    assert "jobs: 2 done, 0 read, 2 failed" in out
    assert [line.partition(":")[0] for line in err.splitlines()] == ["error"] * 2
    last = out.splitlines()[-1]
    assert last.startswith("2 failed; this runs only those: python run.py ")
    assert shlex.split(last)[-4:] == [
        "launcher=basic", "workers=2", "demonstrations.count=4,99,8,98", "seed=0",
    ]  # fmt: skip
    assert len(list((tmp_path / "results" / "failures").rglob("*.json"))) == 2
    journals = (tmp_path / "results" / "sweeps").rglob("worker*.jsonl")
    assert sum(len(path.read_text().splitlines()) for path in journals) == 4  # each tried once


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["launcher=slrum"], "slurm"),
        (["launcher=local", "workers=0"], "1 or more"),
        (["launcher=local", "sede=0,1"], "seed"),
        (["launcher=local", "model=gpt2-larg"], "gpt2-large"),
        (["launcher=local", "experiment=table9"], "table1"),
        (["launcher=local", "hydra.launcher.partition=gpu"], "hydra.launcher.partition"),
        pytest.param(
            ["launcher=slurm"],
            "srun",
            marks=pytest.mark.skipif(shutil.which("srun") is not None, reason="SLURM is here"),
        ),
        (["launcher=local", "results=/dev/null/x"], "cannot write"),
        (["workers=2"], "launcher=local"),
    ],
)
def test_what_cannot_be_shared_is_one_clear_line(run: Command, words: list[str], hint: str) -> None:
    code, _, err = run(*words)
    assert_one_line(code, err, hint)


def test_a_launcher_that_is_not_installed_says_how(
    run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    if (CONF.parent / "never").exists() or _installed("hydra_ray_launcher"):
        pytest.skip("Ray's launcher is installed")
    code, _, err = run("launcher=ray")
    assert_one_line(code, err, "make ray")


def _installed(plugin: str) -> bool:
    import importlib.util

    return importlib.util.find_spec(f"hydra_plugins.{plugin}") is not None


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "launcher").glob("*.yaml")))
def test_every_launcher_composes(name: str) -> None:
    if name == "ray" and not _installed("hydra_ray_launcher"):
        pytest.skip("needs Ray: make ray")
    assert composed([f"launcher={name}"]).workers >= 1


@pytest.fixture
def long_command(tmp_path: Path, tiny_folder: Path, data_root: Path) -> list[str]:
    """A job of some seconds as a user types it."""
    return [
        sys.executable, str(CONF.parent / "run.py"),
        f"model.hub_id={tiny_folder}", "model.package=null", "task=sst2", f"data_root={data_root}",
        "wandb.mode=disabled", f"results={tmp_path / 'results'}", "method.iterations=40",
        "method.scored=all",
    ]  # fmt: skip


def at_work(tmp_path: Path) -> Path:
    """Wait until a job is being done."""
    leases = tmp_path / "results" / "leases"
    until = time.monotonic() + 60
    while not (leases.is_dir() and any(leases.iterdir())):
        assert time.monotonic() < until
        time.sleep(0.05)
    return leases


def workers_in(folder: Path) -> list[psutil.Process]:
    every = psutil.process_iter(["cmdline"])
    return [one for one in every if str(folder) in " ".join(one.info["cmdline"] or ())]


@pytest.mark.slow
def test_an_interrupted_sweep_says_so_in_one_line(tmp_path: Path, long_command: list[str]) -> None:
    environment = {**os.environ, "DEEPTHINK_CACHE": str(tmp_path / "cache")}
    process = subprocess.Popen(
        [*long_command, "launcher=local", "workers=2", "seed=range(8)"], env=environment,
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    at_work(tmp_path)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert_one_line(process.returncode, err, "interrupted")
    until = time.monotonic() + 30
    while workers_in(tmp_path):
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.slow
def test_a_killed_workers_job_is_taken_over(tmp_path: Path, long_command: list[str]) -> None:
    """It dies in the middle of the job; another command on the machine need not wait to know."""
    environment = {**os.environ, "DEEPTHINK_CACHE": str(tmp_path / "cache")}
    process = subprocess.Popen(long_command, env=environment, cwd=tmp_path)
    leases = at_work(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not stored(tmp_path)
    done = subprocess.run(
        long_command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=120,
        check=True,
    )  # fmt: skip
    assert "wrote " in done.stdout
    assert "waiting" not in done.stdout
    assert not list(leases.iterdir())
    assert len(stored(tmp_path)) == 1


@pytest.mark.slow
def test_a_forced_sweep_does_every_job_once_more(run: Command, tmp_path: Path) -> None:
    words = ("launcher=local", "workers=2", "seed=range(4)", "force=true")
    for times in (1, 2):
        assert run(*words)[0] == 0
        logs = (tmp_path / "results" / "sweeps").rglob("worker*.log")
        assert sum(path.read_text().count("wrote ") for path in logs) == 4 * times


@pytest.mark.slow
def test_workers_of_one_machine_have_the_gpus_of_their_command(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5,7")
    assert run("launcher=local", "workers=1")[0] == 0
    (file,) = (tmp_path / "results" / "sweeps").rglob("sweep.json")
    sweep = replace(Sweep.read(file.parent), workers=4)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, "set_device", chosen.append)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # as submitit leaves it
    told = [worker.take_device(number, sweep) for number in range(4)]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5,7"
    assert chosen == [0, 1, 0, 1]
    assert told[1] == "GPU 1 of 2"
    worker.take_device(0, replace(sweep, gpus=None))
    assert "CUDA_VISIBLE_DEVICES" not in os.environ


def test_workers_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[int] = []
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("SLURM_CPUS_PER_TASK", raising=False)
    for local, workers_ in ((True, 3), (True, 20), (False, 3)):
        worker.take_device(0, sweep_of([], local=local, workers=workers_))
    for granted in ("4", "99"):
        monkeypatch.setenv("SLURM_CPUS_PER_TASK", granted)
        for local in (False, True):
            worker.take_device(0, sweep_of([], local=local, workers=2))
    assert chosen == [2, 1, 8, 4, 2, 8, 4]


@pytest.fixture
def sweep(tmp_path: Path) -> tuple[Path, Leases]:
    """A stored sweep of four jobs, and its folder's leases as a worker that died saw them."""
    jobs = [[f"seed={seed}", "wandb.mode=disabled"] for seed in range(4)]
    folder = sweep_of(jobs, cwd=str(tmp_path)).write(tmp_path)
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return folder, Leases(folder / "leases", me=replace(Holder.here(), pid=child.pid, token="x"))


def test_the_job_a_worker_died_at_comes_last(
    sweep: tuple[Path, Leases], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, theirs = sweep
    leased(theirs, "job0").fall_silent()
    (folder / "worker7.jsonl").write_text('{"job": 3, "done"')  # it was killed while it wrote
    done = []

    def noted(request: Request, place: str) -> Tally:
        (job,) = request.jobs
        assert place == f"job {job.seed + 1} of 4"
        done.append(job.seed)
        return Tally(done=1)

    monkeypatch.setattr(perform, "perform", noted)
    monkeypatch.chdir(tmp_path)
    worker.Worker(folder, 7).work()
    assert done == [1, 2, 3, 0]
    assert sorted(Journals(folder).ended()) == [0, 1, 2, 3]
    assert not list((folder / "leases").iterdir())


@pytest.mark.usefixtures("wandb_offline")
def test_what_workers_did_not_send_is_told_and_sent_later(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("launcher=basic", "workers=1", "seed=0,1", "wandb.mode=offline")
    with monkeypatch.context() as patch:
        patch.setattr(wandb_runs, "send_job", lambda *_: 1 / 0)
        code, out, _ = run(*words)
    assert (code, "2 records were not sent" in out) == (0, True)
    code, out, _ = run(*words)
    assert (code, "not sent" in out) == (0, False)
    assert len(list((tmp_path / "wandb").glob("offline-run-*"))) == 2


def test_what_a_worker_died_at_comes_last_for_all_others(
    tmp_path: Path, sweep: tuple[Path, Leases]
) -> None:
    folder, theirs = sweep
    leased(theirs, "job0").fall_silent()
    for _ in range(2):  # two workers put it off, one after the other
        mine = leased(Leases(folder / "leases"), "job0")
        assert mine.lost_by == 1
        mine.leave()
    mine = leased(Leases(folder / "leases"), "job0")
    assert mine.lost_by == 1
    mine.release()
    with leased(Leases(folder / "leases"), "job0") as mine:
        assert mine.lost_by == 0


def test_each_start_of_a_worker_has_a_lease_of_its_own(tmp_path: Path) -> None:
    """Also where the last one's process was on another machine, of which nothing is known."""
    elsewhere = Leases(tmp_path, me=replace(Holder.here(), machine="other", token="x"))
    leased(elsewhere, "worker1-before").fall_silent()
    claims = Leases(tmp_path)
    with worker.alive(claims, 1):
        assert len(claims.names("worker1")) == 1
        assert claims.names("worker1") != ["worker1-before"]
    assert not claims.names("worker")


@pytest.mark.parametrize(
    ("words", "count"),
    [
        (["task=mmlu"], 57),
        (["task=mmlu", "task.members=[astronomy,virology]", "scale=cpu_suite"], 2),
        (["task=mmlu", "++task.members=[astronomy]"], 1),
        (["task=mmlu", "task.demonstrations=${seed}", "seed=2"], 57),
        (["experiment=smoke", "task=bbh", "dev_size=0", "pool_size=null"], 22),
        (["experiment=table3", "task=bbh"], 22),
        (["task=sst2"], None),
        (["task=mmlu", "task.members=[astrology]"], None),  # whoever does it says why
    ],
)
def test_a_suites_members_are_those_of_its_whole_command(
    words: list[str], count: int | None
) -> None:
    found = members(words)
    assert (found and len(found)) == count
    if found:
        names = [job.task.name for one in found for job in requested(one).jobs]
        assert names == [job.task.name for job in requested(words).jobs]


def test_a_suite_that_nobody_reported_is_no_success(tmp_path: Path) -> None:
    suites = [(["task=mmlu"], [0, 1]), (["task=bbh"], [2])]
    sweep = sweep_of([["a"], ["b"], ["c"]], suites=suites)
    for place in range(3):
        add(tmp_path, 0, place, 0.1, Tally(done=1) if place < 2 else Tally(failed=1))
    found = sharing.summary(tmp_path, sweep)
    assert (found.done, found.failed) == (2, 2)
    assert "task=mmlu was done and not reported" in " ".join(found.reasons)
    add(tmp_path, 0, 3, 0.1, Tally())
    assert sharing.summary(tmp_path, sweep) == Tally(2, 0, 1, ())


def test_equal_reasons_are_told_together() -> None:
    reasons = ["a: x: y", "b: x: y", "no colon", "c: z", "a: x: y", "no colon", "d e: z"]
    assert grouped(reasons) == ("a, b: x: y", "no colon", "c: z", "d e: z")
    assert grouped(f"{n}: x" for n in "abcde") == ("a, b, c and 2 more: x",)


def test_journals_are_read_line_by_line(tmp_path: Path) -> None:
    """Also where one is cut, and where a worker only read what another had done."""
    journals = Journals(tmp_path)
    assert not journals.ended()
    add(tmp_path, 1, 3, 0.5, Tally(read=1))
    add(tmp_path, 0, 3, 0.5, Tally(done=1))
    add(tmp_path, 2, 3, 0.5, Tally(read=1))
    assert journals.ended() == {3: Tally(done=1)}
    for number, tally in enumerate((Tally(failed=1), Tally(read=1), Tally(failed=1))):
        add(tmp_path, number, 4, 0.5, tally)
    assert journals.ended()[4] == Tally(read=1)
    with (tmp_path / "worker2.jsonl").open("a") as file:
        file.write('{"job": 5, "done": 1')
    assert set(journals.ended()) == {3, 4}
    add(tmp_path, 2, 6, 0.5, Tally(failed=1, reasons=("η",)))
    assert journals.ended()[6] == Tally(failed=1, reasons=("η",))
    line = (tmp_path / "worker0.jsonl").read_text().replace("3", "7", 1)
    for part in (line[:20], line[20:]):  # seen while it is written
        assert 7 not in journals.ended()
        with (tmp_path / "worker0.jsonl").open("a") as file:
            file.write(part)
    assert journals.ended()[7] == Tally(done=1)
    assert Journals(tmp_path).ended() == journals.ended()


def test_a_command_outlives_its_last_worker(
    sweep: tuple[Path, Leases], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, dead = sweep
    leased(dead, "worker0-x").fall_silent()
    living = Leases(folder / "leases", me=replace(Holder.here(), token="y"))
    mine = leased(living, "worker1-y")
    looks = []

    def pause() -> None:
        looks.append(True)
        if len(looks) == 3:
            mine.release()

    monkeypatch.setattr(leases, "pause", pause)
    sharing.wait_for_workers(folder)
    assert len(looks) == 3


@pytest.mark.slow
def test_a_killed_worker_leaves_the_rest_to_the_others(
    tmp_path: Path, long_command: list[str]
) -> None:
    """The command waits for them and counts what they did."""
    environment = {**os.environ, "DEEPTHINK_CACHE": str(tmp_path / "cache")}
    process = subprocess.Popen(
        [*long_command, "launcher=local", "workers=2", "seed=range(4)"], env=environment,
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    leases = at_work(tmp_path)
    holders = [json.loads(path.read_text())["pid"] for path in leases.iterdir()]
    os.kill(holders[0], signal.SIGKILL)
    out, err = process.communicate(timeout=300)
    assert (process.returncode, err) == (0, "")
    assert "jobs: 4 done, 0 read, 0 failed" in out
    assert len(stored(tmp_path)) == 4


def test_a_tally_adds_up() -> None:
    both = Tally(1, 2, 1, ("a",)) + Tally(failed=1, reasons=("b",))
    assert both == Tally(1, 2, 2, ("a", "b"))
    assert (both.jobs, str(both)) == (5, "1 done, 2 read, 2 failed")
