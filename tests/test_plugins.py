"""Files from outside: found, checked and blamed; each with a key, a label and a row of its own."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from conftest import Command, assert_one_line, stored

from deepthink import plugins
from deepthink.config.overrides import compose
from deepthink.errors import UserError
from deepthink.installation import CONF
from deepthink.plugins import CALIBRATIONS, REFINEMENTS, RULES
from deepthink.report import page
from deepthink.store.identity import identity, record_id

EXAMPLES = CONF.parent / "examples" / "plugins"
SMALL = ("test_size=6", "dev_size=6", "pool_size=12", "method.iterations=3")


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A copy of the example plugin, outside the package and the repository."""
    return shutil.copytree(EXAMPLES, tmp_path / "mine")


def key(*words: str) -> str:
    return record_id(identity(compose(words), "float32", "data"))


# what stands outside counts as much as what stands here


@pytest.mark.parametrize("path", [*EXAMPLES.glob("*/*.py")], ids=lambda path: path.stem)
def test_an_example_has_at_most_forty_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 40


def test_each_of_three_files_from_outside_has_a_key_a_label_and_a_row(
    run: Command, tmp_path: Path, mine: Path
) -> None:
    """A rule, a refinement and a calibration, each added without touching the repository."""
    words = {
        "plain": (),
        "rule": ("method=shortest",),
        "refinement": ("method=descent",),
        "calibration": ("calibration=prior",),
    }
    for more in words.values():
        code, _, err = run(f"plugins={mine}", *more, *SMALL)
        assert (code, err) == (0, "")
    found = stored(tmp_path)
    assert len({path.stem for path, _ in found}) == len(words)
    labels = {path.parent.name for path, _ in found}
    assert labels == {"deepthink", "length+deepthink", "gradient", "deepthink-prior"}
    keys = [record["identity"] for _, record in found]
    sources = [
        part["source"]
        for key in keys
        for part in (
            key["selector"], key["thinking"].get("refinement", {}), key.get("calibration", {})
        )
        if "source" in part
    ]  # fmt: skip
    assert len(sources) == len(set(sources)) == 3
    page.write(tmp_path / "results", page.load(tmp_path / "results"), print)
    table = (tmp_path / "results" / "tables" / "further.csv").read_text()
    lines = list(csv.DictReader(table.splitlines()))
    assert {line["label"] for line in lines} == labels | {"Chance", "Majority"}
    assert {line["draws"] for line in lines if line["records"]} == {"1"}


def test_a_changed_file_makes_another_job(mine: Path) -> None:
    """Two codes under one name share no key, and so no cell of a table."""
    words = (f"plugins={mine}", "method=descent")
    before = key(*words)
    assert key(*words) == before
    path = mine / "refinements" / "gradient.py"
    path.write_text(path.read_text().replace("-rate", "-2 * rate"))
    assert key(*words) != before


def test_defaults_of_a_file_from_outside_are_part_of_the_key(mine: Path) -> None:
    base = (f"plugins={mine}", "calibration=prior")
    assert key(*base, "~calibration.strength") == key(*base, "calibration.strength=1.0")
    assert key(*base, "calibration.strength=0.5") != key(*base)


def test_where_the_folder_lies_changes_no_key(mine: Path, tmp_path: Path) -> None:
    elsewhere = shutil.copytree(mine, tmp_path / "elsewhere")
    assert key(f"plugins={mine}", "method=shortest") == key(
        f"plugins={elsewhere}", "method=shortest"
    )


def test_a_plugin_that_is_not_used_changes_no_key(mine: Path) -> None:
    assert key(f"plugins={mine}") == key()


def test_an_installed_package_is_a_plugin(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its entry point names a package whose folder is laid out as one of `plugins=`."""
    shutil.move(mine, tmp_path / "lab_plugin")
    about = tmp_path / "lab_plugin-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-plugin\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[deepthink.plugins]\nlab = lab_plugin\n")
    monkeypatch.syspath_prepend(tmp_path)
    plugins._installed.cache_clear()
    try:
        assert compose(["method=shortest"]).method.selector["name"] == "length"
        assert RULES.files()["length"].parent == tmp_path / "lab_plugin" / "rules"
    finally:
        plugins._installed.cache_clear()


# what is wrong with a file is one line that names it


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def select(pool, count, rng):\n    return 1 / 0\n", "ZeroDivisionError"),
        ("import nothing_like_it\n", "ModuleNotFoundError"),
        ("def select(pool, count, rng)\n    return []\n", "SyntaxError"),
        ("def choose(pool):\n    return []\n", "has no function select(pool, count, rng, …)"),
        ("def select(pool, longest):\n    return []\n", "takes pool, longest first"),
        ("def select(pool, count, rng, **more):\n    return []\n", "must be arguments with names"),
        ("def select(pool, count, rng):\n    return [0, 0]\n", "different pool indices"),
        ("def select(pool, count, rng, a: 'Nope' = 1):\n    return []\n", "NameError"),
    ],
    ids=["raises", "imports", "syntax", "lacks", "takes", "any options", "nonsense", "annotation"],
)
def test_a_file_that_is_wrong_is_named_in_one_line(
    run: Command, mine: Path, text: str, says: str
) -> None:
    (mine / "rules" / "wrong.py").write_text(text)
    words = ("method.selector.name=wrong", "~method.selector.balance")
    code, _, err = run(f"plugins={mine}", *words, *SMALL)
    assert_one_line(code, err, says)
    assert "report it" not in err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["method.selector.name=lenght"], "unknown selector 'lenght': did you mean length"),
        (["method.refinement.name=gradiant"], "unknown refinement 'gradiant'"),
        (["calibration.name=priors"], "did you mean prior"),
        (["method=descent", "method.step_size=0.1"], "refinement gradient does not take it"),
        (["method=descent", "method.refinement.rate=-1"], "rate of refinement gradient is -1"),
        (["method=shortest", "method.selector.longest=3"], "longest of selector length is 3"),
        (["method=shortest", "+method.selector.by=3"], "unknown option of selector length 'by'"),
        (["calibration=prior", "answer_score=probability"], "corrects log-probabilities"),
    ],
)
def test_a_name_or_option_that_is_wrong_is_told_before_a_model_is_loaded(
    run: Command, mine: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], says: str
) -> None:
    monkeypatch.setattr("deepthink.models.loading.load", lambda *_: pytest.fail("it was loaded"))
    code, _, err = run(f"plugins={mine}", *words, *SMALL)
    assert_one_line(code, err, says)


def test_two_files_of_one_name_are_refused(mine: Path) -> None:
    shutil.copy(mine / "rules" / "length.py", mine / "rules" / "random.py")
    with pytest.raises(UserError, match="two files of selector random"):
        RULES.files(str(mine))


def test_a_folder_that_is_none_is_refused(run: Command, tmp_path: Path) -> None:
    code, _, err = run("plugins=nowhere")
    assert_one_line(code, err, "plugins is nowhere, which is no folder")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="has none of the folders"):
        RULES.files(str(tmp_path / "empty"))


def test_a_refinement_that_fails_after_some_steps_names_its_line(run: Command, mine: Path) -> None:
    (mine / "refinements" / "late.py").write_text(
        "def refine(shown):\n    yield shown.read()\n    raise ValueError('enough')\n"
    )
    code, _, err = run(f"plugins={mine}", "method.refinement.name=late", *SMALL)
    assert_one_line(code, err, "refinement late failed (ValueError: enough)")
    assert "line 3" in err


def test_files_of_a_folder_share_parts(mine: Path) -> None:
    (mine / "calibrations" / "_half.py").write_text("HALF = 0.5\n")
    (mine / "calibrations" / "halved.py").write_text(
        "from ._half import HALF\n\n\ndef calibrate(scores, ask):\n    return HALF * scores\n"
    )
    assert "_half" not in CALIBRATIONS.files(str(mine))
    halve = CALIBRATIONS.load({"name": "halved"}, str(mine))
    assert halve(4.0, None) == 2.0


def test_the_refinement_of_the_paper_has_the_identity_it_always_had() -> None:
    told = json.loads(json.dumps(identity(compose([]), "float32", "data").stored()))
    assert set(told["thinking"]) == {
        "iterations", "step_size", "momentum", "positions", "memory_dtype",
    }  # fmt: skip
    assert "calibration" not in told
    assert callable(REFINEMENTS.load(compose([]).method.refining(None)))
