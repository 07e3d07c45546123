"""Names, secrets, flags, streams, signals and folders that are in the way: right, or one line."""

import http.server
import importlib.util
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Command, assert_one_line, stored, sweep_of
from made_records import made
from wandb.sdk.wandb_run import Run

import deepthink
from deepthink import hub
from deepthink.app import sharing, wandb_runs
from deepthink.app.journals import Tally, add
from deepthink.config.overrides import check, compose, requested
from deepthink.errors import UserError, first_line
from deepthink.installation import CONF
from deepthink.redaction import without_secrets
from deepthink.store import ledger
from deepthink.store.leases import Leases
from deepthink.study import evaluation, making
from deepthink.study.evaluation import Evaluated
from deepthink.study.jobs import Outcome
from deepthink.study.requests import Results

ROOT = CONF.parent
TOKEN = "hf_" + "Ab1" * 11


@pytest.fixture
def secrets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    """Every way a user has to keep a token, each with its own."""
    known = {
        "HF_TOKEN": "hub-token-1234",
        "WANDB_API_KEY": "5ec3e7" * 6 + "0123",
        "GITHUB_TOKEN": "github-token-1234",
        "OPENAI_API_KEY": "openai-key-1234",
    }
    for name, value in known.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password netrc-pass-1234\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    return {**known, "netrc": "netrc-pass-1234"}


# command lines


COMMANDS = {
    "no selector": (["method.selector.name=null"], "method.selector.name is None"),
    "a list for a selector": (["method.selector.name=[random]"], "must name a selector"),
    "a number for a selector": (["method.selector.name=3"], "must name a selector"),
    "no selector at all": (["method.selector=null"], "method.selector is None"),
    "a selector without a name": (["~method.selector.name"], "must name a selector"),
    "a private selector": (["method.selector.name=_lazy"], "unknown selector"),
    "a selector elsewhere": (["method.selector.name=../../x"], "plain name"),
    "no task": (["~task"], "task has no value"),
    "no model": (["~model"], "cannot be set, since another word takes away"),
    "no method": (["~method"], "method.iterations cannot be set, since another word takes away"),
    "no task name": (["~task.name"], "task.name has no value"),
    "task null": (["task=null"], "Config group override must be a string"),
    "a list for a task": (["task=[a]"], "task"),
    "no seed": (["~seed"], "seed has no value"),
    "workers NaN": (["launcher=local", "workers=NaN"], "workers is nan: it must be a whole number"),
    "half a worker": (["launcher=basic", "workers=1.5"], "workers is 1.5"),
    "workers true": (["launcher=basic", "workers=true"], "workers is True"),
    "workers in words": (["launcher=basic", "workers=two"], "workers is two"),
    "a list for a sweep": (["sweep=[a]"], "sweep"),
    "a sweep that is not there": (["sweep=/no/such/sweep"], "/no/such/sweep"),
    "NaN": (["method.step_size=NaN"], "method.step_size is nan: it must be a finite number"),
    "infinity": (["method.momentum=inf"], "method.momentum is inf"),
    "NaN for a selector": (["+method.selector.x=NaN"], "method.selector.x is nan"),
    "a seed of 30 digits": ([f"seed={10**29}"], "seed has 30 digits"),
    "a key of itself": (["seed=${order}", "order=${seed}"], ""),
    "no such variable": (["model.name=${oc.env:NO_SUCH_VARIABLE}"], "NO_SUCH_VARIABLE"),
    "a zero byte": (['model.revision="a\0b"'], "bytes that are no text"),
    "half a character": (["model.revision=a\udcff"], "bytes that are no text"),
    "a sweeper that is none": (["-m", "hydra.sweeper._target_=os.system"], "os.system"),
    "a sweeper of nowhere": (["-m", "hydra.sweeper._target_=no.such.thing"], "no.such.thing"),
    "a launcher that is none": (["-m", "hydra/launcher=nothing"], "nothing"),
    "a job that is no folder": (["hydra.run.dir=/dev/null/x"], "/dev/null"),
    "no hydra": (["~hydra"], ""),
    "a pickle": (["--experimental-rerun", "X"], "pickled job"),
    "a pickle that is there": (["--experimental-rerun=/dev/null"], "pickled job"),
    "a flag of nowhere": (["--sede"], "--sede"),
    "a word with a dash": (["-seed=1"], "--help"),
    "a flag without its value": (["--cfg"], "--cfg"),
    "configs elsewhere": (["--config-dir=/tmp"], "plugins=FOLDER"),
    "another config": (["--config-name=other"], "plugins=FOLDER"),
    "configs of a search path": (["hydra.searchpath=[file:///tmp]"], "plugins=FOLDER"),
    "a command that is none": (["tabels"], "--help"),
    "a resolver that is none": (["seed=${no:x}"], "no"),
    "braces that do not close": (["task.template='{text} ${'"], "--help"),
}


@pytest.mark.parametrize("kind", COMMANDS)
def test_a_command_line_that_is_wrong_is_one_clear_line(
    run: Command, tmp_path: Path, kind: str
) -> None:
    words, hint = COMMANDS[kind]
    before = {*tmp_path.rglob("*")}
    code, out, err = run(*words)
    assert_one_line(code, err, hint)
    assert "report it" not in err
    assert "Traceback" not in out + err
    made = {path for path in {*tmp_path.rglob("*")} - before if path.is_file()}
    assert {path.relative_to(tmp_path).parts[:2] for path in made} <= {("results", "failures")}


def test_a_flag_between_words_is_told_as_that() -> None:
    """It is the flag that stands wrong, and not the words after it."""
    with pytest.raises(UserError, match="flags such as -m go before all other words"):
        check(["seed=0,1", "-m", "order=0"])
    check(["seed=0,1", "-m"])


def test_a_pickle_is_not_opened(run: Command, tmp_path: Path) -> None:
    """To read one is to run what it says."""
    opened = tmp_path / "opened"
    (tmp_path / "job.pickle").write_bytes(
        b"cposix\nsystem\n(S'touch " + str(opened).encode() + b"'\ntR."
    )
    code, _, err = run("--experimental-rerun=job.pickle")
    assert_one_line(code, err, "pickled job")
    assert not opened.exists()


def test_a_fault_of_this_program_says_so(run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise TypeError("not a mapping")

    monkeypatch.setattr("deepthink.app.cli.group", broken)
    code, _, err = run("-m", "seed=0")
    assert code == 1
    assert "not a mapping" in err


# names


NAMES = (
    "..", "../../../../outside", "/etc/outside", "a/b", "a\\b", "", " ", ".hidden", "a ", "-a", "~",
    "a:b", "a*", "n" * 201, "é" * 101,
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("key", ["model.name", "task.name", "method.selector.name"])
def test_a_name_that_is_a_path_is_refused(key: str, name: str) -> None:
    with pytest.raises(UserError, match=f"^{key} is .*(plain name|takes 200)"):
        compose([f"{key}='{name}'"])


@pytest.mark.parametrize("name", ["a\tb", "a\nb", "a\x1bb", "a\u202eb", "a\u0085b"])
def test_a_name_that_cannot_be_seen_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=r"^model\.name is"):
        compose([f'model.name="{name}"'])


def test_a_name_from_elsewhere_is_checked_too(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WHERE", str(tmp_path / "outside"))
    code, _, err = run("model.name=${oc.env:WHERE}")
    assert_one_line(code, err, "plain name")
    assert not (tmp_path / "outside").exists()
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("member", ["..", "a/b", "/x"])
def test_a_member_that_is_a_path_is_refused(member: str) -> None:
    spec = requested(["task=bbh"]).suite
    assert spec is not None
    with pytest.raises(UserError, match="plain name"):
        replace(spec, categories={"x": {member: 3}}, members=None, labels={}).member(member)
    with pytest.raises(UserError, match="plain name"):
        compose([f"+task.member={member}"])


@pytest.mark.parametrize("name", ["qwen2.5-0.5b", "模型", "a model", "Llama_3+x", "n" * 200])
def test_plain_names_are_taken(name: str) -> None:
    assert compose([f"model.name='{name}'"]).model.name == name


# secrets


KEYS = (
    "wandb.entity", "wandb.group", "wandb.project", "model.revision", "model.name", "model.hub_id",
    "model.gguf", "data_root", "results", "task.template", "device",
)  # fmt: skip


@pytest.mark.parametrize("key", KEYS)
def test_a_secret_in_any_key_is_refused_and_written_nowhere(
    run: Command, tmp_path: Path, secrets: dict[str, str], key: str
) -> None:
    for secret in [*secrets.values(), TOKEN, "https://me:pa55@host/x", "http://h/?token=pa55"]:
        before = {*tmp_path.rglob("*")}
        code, out, err = run(f"{key}='a {secret} {{text}} b'", "wandb.mode=offline")
        assert_one_line(code, err, f"{key} holds a token or a password")
        for word in (secret, "pa55"):
            assert word not in out + err
        assert {*tmp_path.rglob("*")} == before


@pytest.mark.parametrize(
    "way",
    [
        ["-m", "seed=0,1", "wandb.group=${oc.env:WANDB_API_KEY}"],
        ["launcher=basic", "wandb.group=a,5ec3e75ec3e75ec3e75ec3e75ec3e75ec3e70123"],
        ["hydra.output_subdir=copies", "+wandb.x=5ec3e75ec3e75ec3e75ec3e75ec3e75ec3e70123"],
        ["+5ec3e75ec3e75ec3e75ec3e75ec3e75ec3e70123=1"],
        ["5ec3e75ec3e75ec3e75ec3e75ec3e75ec3e70123"],
        ["--cfg=job", "wandb.group=5ec3e75ec3e75ec3e75ec3e75ec3e75ec3e70123"],
    ],
)
def test_a_secret_however_it_is_given_is_refused(
    run: Command, tmp_path: Path, secrets: dict[str, str], way: list[str]
) -> None:
    code, out, err = run(*way, "wandb.mode=offline")
    assert_one_line(code, err, "holds a token or a password")
    assert secrets["WANDB_API_KEY"] not in out + err
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "netrc"]
    assert not [p for p in written if secrets["WANDB_API_KEY"].encode() in p.read_bytes()]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://ghp_0123456789abcdefghij0123456789abcdef@host/rows", "https://***@host/rows"),
        ("https://0123456789abcdefghij@host/rows", "https://***@host/rows"),
        ("https://host/rows?sig=0123abcd&x=1", "https://host/rows?***&x=1"),
        ("s3://host/rows?X-Amz-Signature=0123abcd", "s3://host/rows?***"),
        ("github_pat_0123456789abcdefghij_01", "***"),
    ],
)
def test_an_address_that_holds_a_token_alone_is_refused(text: str, shown: str) -> None:
    assert without_secrets(text) == shown
    with pytest.raises(UserError, match="data_root holds a token"):
        compose([f'data_root="{text}"'])
    plain = "ssh://git@github.com/rows?design=1"
    assert without_secrets(plain) == plain


def test_a_secret_that_is_a_common_word_refuses_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "a")
    assert compose(["wandb.group=aa"]).wandb.group == "aa"
    with pytest.raises(UserError, match="holds a token"):
        compose(["wandb.group=a"])


@pytest.mark.parametrize("home", ["/dev/null", "/nonexistent"])
def test_a_token_that_cannot_be_read_hides_no_error(
    run: Command, monkeypatch: pytest.MonkeyPatch, home: str
) -> None:
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("HOME", home)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", f"{home}/token")
    code, _, err = run("data_root=/no/such/folder")
    assert_one_line(code, err, "not a folder")


def test_a_token_of_another_user_hides_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> None:
        raise PermissionError(13, "Permission denied", "token")

    monkeypatch.setattr("huggingface_hub.get_token", refused)
    assert without_secrets("it is this") == "it is this"


# vanilla


def test_vanilla_stays_t_1_beside_others(run: Command, tmp_path: Path) -> None:
    code, out, err = run("-m", "method=vanilla,deepthink", "method.iterations=4")
    assert (code, err) == (0, "")
    found = {path.parent.name: record for path, record in stored(tmp_path)}
    assert {name: r["config"]["method"]["iterations"] for name, r in found.items()} == {
        "vanilla": 1,
        "deepthink": 4,
    }
    assert out.count("method=vanilla is T = 1") == 1
    assert found["vanilla"]["curve"] == found["deepthink"]["curve"][:2]


@pytest.mark.parametrize(
    ("words", "iterations", "label"),
    [
        (["method=vanilla"], 1, "vanilla"),
        (["method=vanilla", "method.iterations=15"], 1, "vanilla"),
        (["method=random", "method.iterations=15"], 15, "deepthink"),
        (["method=deepthink", "method.iterations=1"], 1, "vanilla"),
        (["method=repeat"], 1, "repeat"),
        (["method=repeat", "method.iterations=5"], 5, "repeat+deepthink"),
        (["method=graph_cut", "method.iterations=5"], 5, "graph_cut+deepthink"),
    ],
)
def test_what_is_called_vanilla_is_t_1(words: list[str], iterations: int, label: str) -> None:
    config = compose(words)
    assert (config.method.iterations, config.label) == (iterations, label)
    assert "thinks" not in config.resolved()["method"]


def test_workers_are_told_of_vanilla_too(run: Command) -> None:
    _, out, _ = run("launcher=basic", "method=vanilla,deepthink", "method.iterations=2")
    assert out.count("method=vanilla is T = 1") == 1


# the package


def test_the_public_names_are_listed() -> None:
    assert {"think", "score", "encode", "Example", "Memory"} <= set(dir(deepthink))


def test_a_script_beside_the_clone_imports_the_package(tmp_path: Path) -> None:
    """The clone's folder has the package's name; an editable install must win over it."""
    clone = tmp_path / "deepthink"
    (clone / "deepthink").mkdir(parents=True)
    for name in ("pyproject.toml", "README.md", "LICENSE", "deepthink/__init__.py"):
        (clone / name).write_bytes((ROOT / name).read_bytes())
    build = "import setuptools.build_meta as b; b.build_editable('../wheel')"
    (tmp_path / "wheel").mkdir()
    subprocess.run([sys.executable, "-c", build], cwd=clone, check=True, capture_output=True)
    (wheel,) = (tmp_path / "wheel").glob("*.whl")
    subprocess.run([sys.executable, "-m", "zipfile", "-e", wheel, tmp_path / "site"], check=True)
    script = tmp_path / "script.py"
    script.write_text(
        "import site, sys; site.addsitedir(sys.argv[1])\n"
        "import deepthink; print(deepthink.__file__, *dir(deepthink))"
    )
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    found = subprocess.run(
        [sys.executable, "-S", script, tmp_path / "site"],
        env=clean, capture_output=True, text=True, check=True, cwd=tmp_path,
    ).stdout.split()  # fmt: skip
    assert found[0] == str(clone / "deepthink" / "__init__.py")
    assert "think" in found


# workers


def test_workers_import_what_the_driver_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever lies in the working folder, and whichever checkout is installed."""
    for name in ("torch.py", "json.py", "deepthink.py"):
        (tmp_path / name).write_text("raise SystemExit('executed')")
    other = tmp_path / "checkout"
    (other / "deepthink").mkdir(parents=True)
    (other / "deepthink" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(other), *sys.path])
    ask = (
        "import importlib.util as u, sys; "
        "print(*(u.find_spec(name).origin for name in ('torch', 'json', 'deepthink')))"
    )
    with sharing.same_imports():
        found = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True)
    of_torch = importlib.util.find_spec("torch")
    assert of_torch is not None
    assert found.stdout.split() == [
        of_torch.origin,
        json.__file__,
        str(other / "deepthink" / "__init__.py"),
    ]
    assert "PYTHONSAFEPATH" not in os.environ


@pytest.mark.slow
def test_local_workers_run_nothing_of_the_working_folder(run: Command, tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("open('executed', 'w').close(); raise SystemExit(3)")
    code, _, err = run("launcher=local", "workers=1", "seed=0")
    assert (code, err) == (0, "")
    assert not (tmp_path / "executed").exists()
    assert len(stored(tmp_path)) == 1


# interruptions and streams


@pytest.mark.parametrize("way", [["-m"], ["launcher=basic"]])
def test_an_interruption_is_no_failure(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: list[str]
) -> None:
    evaluate = evaluation.evaluate

    def sometimes(*arguments: Any, **more: Any) -> Evaluated:
        if arguments[3].seed == 1:
            raise KeyboardInterrupt
        return evaluate(*arguments, **more)

    monkeypatch.setattr(making, "evaluate", sometimes)
    code, out, err = run(*way, "seed=0,1,2")
    assert code == 1
    (line,) = err.splitlines()
    assert line.startswith("error: interrupted")
    assert "1 done, 0 read, 0 failed" in line
    assert "failed; this runs only those" not in out
    assert not (tmp_path / "results" / "failures").exists()
    assert len(stored(tmp_path)) == 1


@pytest.mark.parametrize("where", ["deepthink.app.cli.parse", "deepthink.app.cli.check"])
def test_an_interruption_at_any_time_is_one_line(
    run: Command, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(where, stop)
    code, _, err = run()
    assert code == 1
    assert len(err.splitlines()) == 1


def test_an_interruption_while_it_starts_is_one_line(tmp_path: Path) -> None:
    """Python's own modules come first: `hydra` stands for whatever is imported then."""
    (tmp_path / "hydra.py").write_text("raise KeyboardInterrupt")
    place = os.pathsep.join([str(tmp_path), str(ROOT)])
    script = f"import sys, runpy; runpy.run_path({str(ROOT / 'run.py')!r}, run_name='__main__')"
    found = subprocess.run(
        [sys.executable, "-c", script], env={**os.environ, "PYTHONPATH": place},
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert found.returncode != 0
    assert found.stderr.splitlines() == [
        "error: interrupted: finished jobs are kept, the same command continues"
    ]


def test_an_interruption_while_a_script_starts_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "hydra.py").write_text("raise KeyboardInterrupt")
    place = os.pathsep.join([str(tmp_path), str(ROOT)])
    for name in ("plan", "prefetch"):
        found = subprocess.run(
            [sys.executable, str(ROOT / "scripts" / f"{name}.py"), "task=sst2"],
            env={**os.environ, "PYTHONPATH": place}, capture_output=True, text=True,
        )  # fmt: skip
        assert found.returncode == 1
        assert found.stderr.splitlines() == [
            "error: interrupted: nothing is half-written, the same command continues"
        ]


@pytest.mark.parametrize("closed", ["1>&-", "<&- 1>&-", "| true"])
def test_an_output_that_is_closed_is_no_traceback(tmp_path: Path, closed: str) -> None:
    for words in ("--help", "-m seed=x,y"):
        command = f'"{sys.executable}" "{ROOT}/run.py" {words} {closed}'
        found = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            capture_output=True, text=True, cwd=tmp_path,
        )  # fmt: skip
        wrong = words != "--help"
        assert found.returncode == wrong
        assert len(found.stderr.splitlines()) == 2 * wrong


def test_a_reader_that_leaves_costs_no_job(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `| head -1` does: what a terminal shows breaks, the jobs go on."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        code, _, err = run("-m", "seed=0,1")
    assert (code, err) == (0, "")
    assert len(stored(tmp_path)) == 2


def test_an_error_stream_that_is_closed_hides_no_exit_code(tmp_path: Path) -> None:
    found = subprocess.run(
        ["bash", "-c", f'"{sys.executable}" "{ROOT}/run.py" sede=1 2>&-'], cwd=tmp_path
    )
    assert found.returncode == 1


# folders that are in the way


@pytest.mark.parametrize("name", ["", "records", "leases", "records/smollm2-135m"])
@pytest.mark.parametrize("way", [["seed=0"], ["launcher=basic", "seed=0"]])
def test_a_file_where_a_folder_belongs_is_one_line(
    run: Command, tmp_path: Path, name: str, way: list[str]
) -> None:
    path = tmp_path / "results" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    code, _, err = run(*way)
    assert_one_line(code, err, "cannot write to")


@pytest.mark.parametrize("name", ["sent", "failures"])
def test_what_is_kept_for_convenience_costs_no_job(run: Command, tmp_path: Path, name: str) -> None:
    (tmp_path / "results").mkdir()
    make = Path.mkdir if name == "sent" else Path.touch
    make(tmp_path / "results" / name)
    assert run("wandb.mode=offline")[0] == 0
    assert_one_line(*run("data_root=/no/such/folder")[::2], "not a folder")


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path.parent)])
def test_a_lease_that_is_no_file_is_told_and_waited_for_by_nobody(
    tmp_path: Path, make: Callable[..., Any]
) -> None:
    make(tmp_path / "a.1")
    with pytest.raises(UserError, match=r"a\.1 is in the way, and no file: remove it"):
        Leases(tmp_path).take("a")


@pytest.mark.usefixtures("wandb_offline")
@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to(path)])
def test_what_cannot_be_noted_is_not_sent_twice(
    run: Command, tmp_path: Path, make: Callable[[Path], object]
) -> None:
    """A ledger that is no file is named, and once it is gone the record is sent."""
    (tmp_path / "results").mkdir()
    make(place := tmp_path / "results" / "sent")
    for _ in range(2):
        code, out, _ = run("wandb.mode=offline")
        assert code == 0
        assert "1 record was not sent to Weights & Biases" in out
    assert not list(tmp_path.glob("wandb/offline-run-*"))
    place.rmdir() if place.is_dir() else place.unlink()
    assert run("wandb.mode=offline")[0] == 0
    assert len(list(tmp_path.glob("wandb/offline-run-*"))) == 1
    assert len(ledger.sent(tmp_path / "results")) == 1


def test_a_ledger_cut_anywhere_lacks_at_most_its_last_line(tmp_path: Path) -> None:
    with ledger.noting(tmp_path, {"a" * 64: tmp_path / "x", "b" * 64: tmp_path / "y"}):
        pass
    text = (tmp_path / "sent").read_text()
    for end in range(len(text)):
        (tmp_path / "sent").write_text(text[:end])
        with ledger.noting(tmp_path, {"c" * 64: tmp_path / "z"}):
            pass
        assert ledger.sent(tmp_path) >= {line.split(" ")[0] for line in text[:end].split("\n")[:-1]}
        assert "c" * 64 in ledger.sent(tmp_path), end


def test_what_raises_while_it_is_sent_is_not_noted(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), ledger.noting(tmp_path, {"a" * 64: tmp_path / "x"}):
        raise RuntimeError
    assert ledger.sent(tmp_path) == set()


# Weights & Biases


def test_what_an_interrupted_command_left_is_told_by_no_other(
    run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what the jobs of this command could not send is told, and the same command sends it."""
    monkeypatch.setattr(wandb_runs, "send_job", lambda *_: 1 / 0)
    assert "1 record was not sent" in run("seed=5", "wandb.mode=offline")[1]
    monkeypatch.setattr(wandb_runs, "send_job", lambda *_: None)
    code, out, _ = run("launcher=basic", "seed=0,1", "wandb.mode=offline")
    assert (code, "not sent" in out) == (0, False)


def test_what_was_not_sent_is_counted_by_the_jobs(tmp_path: Path) -> None:
    add(tmp_path, 0, 0, 0.1, Tally(done=1, unsent=1))
    add(tmp_path, 0, 1, 0.1, Tally(read=1, unsent=1))
    found = sharing.summary(tmp_path, sweep_of([["a"], ["b"]]))
    assert found == Tally(done=1, read=1, unsent=2)


def test_a_suites_members_are_sent_with_it_and_not_told_before(
    run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A suite of which one member failed is sent by the command that completes it."""
    config = requested(["task=bbh"]).jobs[0]
    outcome = Outcome(Path("seed0.json"), made(config, {1: 3}), None)
    assert wandb_runs.publish(outcome, config) is None
    half = Results({}, {"a": "it failed"})
    assert wandb_runs.publish_suite(requested(["task=bbh"]), half) is None


@pytest.mark.usefixtures("wandb_offline")
def test_a_setting_that_wandb_refuses_is_named(
    run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "nonsense")
    import wandb

    wandb.teardown()
    code, out, err = run("wandb.mode=offline")
    wandb.teardown()
    assert (code, err) == (0, "")
    assert "validation error" not in out
    assert "not sent to Weights & Biases (mode: " in out


@pytest.mark.usefixtures("wandb_offline")
def test_a_long_name_loses_no_run(run: Command, tmp_path: Path) -> None:
    name = "n" * 150
    code, out, _ = run(f"model.name={name}", f"wandb.group={name}", "wandb.mode=offline")
    assert code == 0
    assert "not sent" not in out
    assert len(list((tmp_path / "wandb").glob("offline-run-*"))) == 1


@pytest.fixture
def server() -> Iterator[str]:
    """A host that answers every question with the code in its path; yields its address."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def answer(self) -> None:
            code = self.path.rpartition("/")[2]
            self.send_response(int(code) if code.isdecimal() else 503)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_GET = do_CONNECT = answer

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()
        thread.join()


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.usefixtures("no_proxy")
def test_a_host_is_reached_if_it_answers(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {code: hub.reachable(f"{server}/{code}") for code in (200, 401, 404, 503)}
    assert answers == {200: True, 401: True, 404: True, 503: False}
    assert not hub.reachable("http://127.0.0.1:9")
    assert not hub.reachable("nonsense")
    for name in ("HTTPS_PROXY", "ALL_PROXY"):  # one that reaches nothing, and one that is dead
        for proxy in (server, "http://127.0.0.1:9", "socks5://127.0.0.1:9"):
            with monkeypatch.context() as patch:
                patch.setenv(name, proxy)
                assert not hub.reachable("https://api.wandb.ai")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    assert not hub.reachable(f"{server}/200")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert hub.reachable(f"{server}/200")


@pytest.mark.usefixtures("wandb_offline")
def test_a_run_that_was_refused_leaves_one_whole_folder(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reason is the server's, and neither an empty folder nor one for each try is left."""
    import wandb

    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setattr(wandb_runs, "reachable", lambda _: True)
    start = wandb.init

    def init(**more: Any) -> Run:
        if more["mode"] == "online":
            half = tmp_path / "wandb" / f"run-20260101_000000-{more['id']}"
            half.mkdir(parents=True)
            raise wandb.errors.CommError("the server\nis ill")
        return start(**more)

    monkeypatch.setattr(wandb, "init", init)
    for told in (True, False):
        code, out, _ = run("wandb.mode=online")
        assert code == 0
        assert ("(the server): the run is kept here" in " ".join(out.split())) is told
    (kept,) = (
        path for path in (tmp_path / "wandb").iterdir() if path.is_dir() and not path.is_symlink()
    )
    assert kept.name.startswith("offline-run-")
    (log,) = kept.glob("*.wandb")
    assert log.stat().st_size > 1000


def test_a_line_that_announces_the_next_is_followed_by_it() -> None:
    assert first_line(ValueError("one of:\n\n  a file\nmore")) == "one of: a file"
    assert first_line(ValueError("one line\nmore")) == "one line"
    assert first_line(ValueError("one of:")) == "one of:"
    assert first_line(ValueError()) == "ValueError"


# ~


@pytest.mark.parametrize("way", ["", "launcher=basic"])
def test_results_in_the_users_folder_are_there(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    code, _, err = run('results="~/study"', *filter(None, [way]))
    assert (code, err) == (0, "")
    assert len([*tmp_path.glob("home/study/records/*/*/*/*.json")]) == 1
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize("key", ["data_root", "model.hub_id"])
def test_the_folder_of_no_user_is_one_line(run: Command, key: str) -> None:
    code, _, err = run(f'{key}="~nobody-of-this-name/x"')
    assert_one_line(code, err, "~nobody-of-this-name/x")
    assert "report it" not in err
