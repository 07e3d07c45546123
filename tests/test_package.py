"""The package as others install it: what a wheel holds, and that it runs without the checkout."""

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
from conftest import Command

import deepthink
from deepthink import installation
from deepthink.__main__ import main
from deepthink.installation import CONF

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "deepthink", "conf")


def build(kind: str, source: Path, into: Path) -> Path:
    """Have the project's build backend make a wheel or an sdist of a folder."""
    into.mkdir(exist_ok=True)
    ask = f"from setuptools import build_meta as b; b.build_{kind}({str(into)!r})"
    subprocess.run([sys.executable, "-c", ask], cwd=source, capture_output=True, check=True)
    (made,) = into.iterdir()
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel that was made from the sdist of this checkout, as a registry's users make it."""
    folder = tmp_path_factory.mktemp("package")
    (folder / "source").mkdir()
    for name in SOURCES:
        path = folder / "source" / name
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, path, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, path)
    with tarfile.open(build("sdist", folder / "source", folder / "sdist")) as archive:
        archive.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return build("wheel", unpacked, folder / "wheel")


@pytest.mark.slow
def test_a_wheel_holds_every_file_of_the_package_and_the_configs(wheel: Path) -> None:
    places = {"deepthink": ROOT / "deepthink", "deepthink/conf": CONF}
    expected = {
        f"{place}/{path.relative_to(folder).as_posix()}": path.read_bytes()
        for place, folder in places.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        held = {
            name: archive.read(name) for name in archive.namelist() if ".dist-info/" not in name
        }
        (entries,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "deepthink = deepthink.__main__:main" in archive.read(entries).decode()
    assert held.keys() == expected.keys()
    assert held == expected
    assert "deepthink/py.typed" in held


@pytest.fixture
def installed(wheel: Path, tmp_path: Path, tiny_folder: Path, data_root: Path) -> Command:
    """Runs the unpacked wheel in an empty folder; returns exit code, output and errors."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    (tmp_path / "empty").mkdir()
    job = [
        f"model.hub_id={tiny_folder}", "model.package=null", "task=sst2", f"data_root={data_root}",
        "wandb.mode=disabled", "method.iterations=2",
    ]  # fmt: skip
    cache = {"DEEPTHINK_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(tmp_path / "site")}

    def call(*words: str) -> tuple[int, str, str]:
        words = tuple(part for word in words for part in (job if word == "JOB" else [word]))
        done = subprocess.run(
            [sys.executable, "-m", "deepthink", *words], env={**os.environ, **cache},
            cwd=tmp_path / "empty", capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    return call


@pytest.mark.slow
def test_an_installed_package_runs_in_an_empty_folder(installed: Command, tmp_path: Path) -> None:
    code, _, err = installed("tables")
    assert (code, err) == (
        1,
        "error: neither results nor results/local has records: python -m deepthink makes some, "
        "--results names another folder\n",
    )
    code, out, err = installed("JOB", "launcher=local", "workers=2", "seed=0,1")
    assert (code, err) == (0, "")
    assert "jobs: 2 done" in out
    results = tmp_path / "empty" / "results" / "local"
    assert len(list((results / "records").rglob("*.json"))) == 2
    code, out, err = installed("tables")
    assert (code, err) == (0, "")
    assert "begin with results/local/README.md" in out
    assert "python run.py" not in (results / "README.md").read_text()
    code, out, err = installed("plan", "figure4")
    assert (code, err) == (0, "")
    assert "\npython -m deepthink experiment=figure4\n" in out
    code, _, err = installed("sede=1")
    assert (code, err) == (1, "error: unknown key 'sede': did you mean seed or sweep?\n")
    code, out, _ = installed("--help")
    assert "Usage:    python -m deepthink [key=value ...]" in out
    assert [path.name for path in (tmp_path / "empty").iterdir()] == ["results"]


@pytest.mark.parametrize(
    ("started", "called", "ray"),
    [
        ("run.py", "python run.py", "make ray"),
        ("/a b/run.py", "python '/a b/run.py'", "make ray"),
        ("/usr/bin/deepthink", "deepthink", "pip install x"),
        (str(ROOT / "deepthink" / "__main__.py"), "python -m deepthink", "pip install x"),
        ("/usr/bin/pytest", "python run.py", "make ray"),
        ("deepthink.py", "python run.py", "make ray"),
    ],
)
def test_commands_in_messages_are_those_the_user_can_type(
    monkeypatch: pytest.MonkeyPatch, started: str, called: str, ray: str
) -> None:
    monkeypatch.setattr(sys, "argv", [started, "seed=0"])
    assert installation.called() == called
    assert installation.make("ray", otherwise="pip install x") == ray
    assert installation.usual() == "python run.py"


def test_every_python_that_is_named_is_allowed() -> None:
    about = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = [c.rpartition(" ")[2] for c in about["classifiers"] if "Python :: 3." in c]
    assert named == ["3.11", "3.12", "3.13"]
    assert about["requires-python"] == f">={named[0]}"


def test_the_version_is_this_packages_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["deepthink", "--version"])
    main()
    assert capsys.readouterr().out == f"deepthink {deepthink.__version__}\n"
