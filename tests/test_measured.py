"""The measured figures on the pages are those of docs/measured and results."""

import argparse
import itertools
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from deepthink.installation import CONF

SCRIPTS = CONF.parent / "scripts"
TARGETS = {"bench", "judge", "stress", "launchers", "scaling"}
NAMES = TARGETS | {"reading", "threads", "rounding"}  # measured by hand, before there were files
GPU = "gpu"  # whose file is there once it was measured: see test_gpu


@pytest.fixture
def readme(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS)
    import readme

    return readme


@pytest.fixture
def measured(readme: ModuleType) -> ModuleType:
    import measured

    return measured


def committed(readme: ModuleType, name: str) -> dict[str, Any]:
    measurement: dict[str, Any] = json.loads((readme.MEASURED / f"{name}.json").read_text())
    return measurement


def test_the_pages_say_what_was_measured(readme: ModuleType) -> None:
    texts = [path.read_text() for path in readme.PAGES]
    text = "".join(texts)
    assert {*readme.PASSAGES} == NAMES | {GPU}
    assert sorted(name for _, name, _ in readme.PASSAGE.findall(text)) == sorted(
        NAMES | {GPU, *readme.PUBLISHED}
    )
    passages = len(NAMES) + 1 + len(readme.PUBLISHED)
    assert text.count("<!-- measured: ") == text.count("<!-- end -->") == passages
    for text in texts:
        assert readme.written(text) == text, "run: make readme"


def test_the_findings_are_those_of_the_published_tables(readme: ModuleType, tmp_path: Path) -> None:
    """Of other tables and verdicts other findings; our own questions are no claims of the paper."""
    earlier = tmp_path / readme.EARLIER.name
    for folder in (tmp_path, earlier):
        (folder / "tables").mkdir(parents=True)
    before = (readme.RESULTS / "tables" / "central.csv").read_text()
    row = r'("Thinking, aligned, η = 0\.1, t = 5",raw,Vanilla,raw,average),[^\n]+'
    after, changed = re.subn(row, r"\1,-1.25,-3.5,2,4,10,500,0.2,0.3,", before)
    assert changed == len({line.partition(",")[0] for line in before.splitlines()[1:]})
    (tmp_path / "tables" / "central.csv").write_text(after)
    rivals = (readme.RESULTS.parent / readme.EARLIER / "tables" / "comparisons.csv").read_text()
    row = r"(t by dev,Random ♣,average,)[^,]+,[^,]+,[^,]+"
    after, changed = re.subn(row, r"\1-3.25,-5.5,2", rivals)
    assert changed == 1
    (earlier / "tables" / "comparisons.csv").write_text(after)
    claims = [("Table 1", "holds"), ("§4", "in part"), ("§5", "not here"), ("ours", "holds")]
    rows = [f"| A claim | {where} | **{verdict}** | … |\n" for where, verdict in claims]
    (earlier / "README.md").write_text("".join(rows))
    (tmp_path / "README.md").write_text("# Results\n\n- **Why.** Because of this.\n- Other.\n")
    findings = " ".join(readme.passage("findings", results=tmp_path).split())
    assert "**Why.** Because of this. " in findings
    assert "| aligned, η = 0.1, t = 5 | −1.2 [−3.5, +2.0] |" in findings
    assert "1 of 3 claims of the paper hold in full and 1 in part" in findings
    assert "by +3.2 [−2.0, +5.5] points" in findings
    significant = readme.passage("findings", results=tmp_path).count("**")
    text = (tmp_path / "tables" / "central.csv").read_text().replace(",0.2,0.3,", ",0.001,0.01,")
    (tmp_path / "tables" / "central.csv").write_text(text)
    assert "| **−1.2** [−3.5, +2.0] |" in readme.passage("findings", results=tmp_path)
    assert readme.passage("findings", results=tmp_path).count("**") > significant


def test_the_findings_have_the_digits_of_the_page(readme: ModuleType) -> None:
    page = (readme.RESULTS / "README.md").read_text(encoding="utf-8")
    cells = re.findall(r"\| ([*+−\d][^|]*\]) ", readme.passage("findings"))
    assert len(cells) >= 12
    assert [cell for cell in cells if cell not in page] == []


def test_every_committed_file_has_a_passage_and_says_what_made_it(readme: ModuleType) -> None:
    assert {path.stem for path in readme.MEASURED.iterdir()} - {GPU} == NAMES
    for name in NAMES:
        found = committed(readme, name)
        keys = {"command", "date", "code", "machine", "versions", "settings", "results"}
        assert found.keys() - {"stated"} == keys
        recorded = all([found["command"], found["date"], found["code"]["commit"]])
        assert recorded or found["stated"]["commit"]  # of before, when nothing of it was kept


@pytest.mark.parametrize("name", sorted(TARGETS | {GPU}))
def test_every_script_that_measures_is_a_target_and_keeps_what_it_found(name: str) -> None:
    recipes = re.findall(r"^\t.*scripts/(\w+\.py) ", (CONF.parent / "Makefile").read_text(), re.M)
    script = {"bench": "benchmark.py"}.get(name, f"{name}.py")
    assert script in recipes
    text = (SCRIPTS / script).read_text()
    assert f'add_out(parser, "{name}")' in text
    assert "    write(options, " in text


@pytest.mark.parametrize("name", sorted(NAMES))
def test_another_figure_is_another_passage(readme: ModuleType, tmp_path: Path, name: str) -> None:
    """No passage holds a figure that was typed."""
    factors = itertools.count(7)

    def turned(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: turned(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [turned(inner) for inner in value]
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        return next(factors) * value + 3

    found = committed(readme, name)
    results = {**found, "results": turned(found["results"])}
    (tmp_path / f"{name}.json").write_text(json.dumps(results))
    before, after = (readme.passage(name, folder) for folder in (readme.MEASURED, tmp_path))
    figure = re.compile(
        r"(?<![\w.])\d[\d.,]*(?:e-\d)?(?= ms|×| s\b| GFLOP| %| kills| GiB| sentences| times as)"
    )
    measured = [set(figure.findall(text)) for text in (before, after)]
    assert measured[0]
    assert not measured[0] & measured[1]


def test_what_was_not_recorded_is_told(readme: ModuleType) -> None:
    found = committed(readme, "bench")
    unknown = {
        **found,
        "command": None,
        "date": None,
        "code": {"commit": None, "dirty": None},
        "versions": None,
        "machine": {**found["machine"], "cpu": None, "gpu": None},
        "stated": {"commit": "3c6eb24842393a8b965adac205721781e84f371f", "date": "2026-11-23"},
    }
    assert readme.source("bench", unknown) == (
        "Source: [bench.json](measured/bench.json) (not recorded: the command, the day, the "
        "commit, the processor and the versions; these figures stand here since 3c6eb24 of "
        "2026-11-23)."
    )


def test_a_measurement_keeps_its_command_and_what_made_it(
    measured: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(
        sys,
        "argv",
        ["/somewhere/scripts/scaling.py", "--sizes", "8", "--data-root", "/mine", "a b"],
    )
    parser = argparse.ArgumentParser()
    parser.add_argument("--sizes", type=int)
    measured.add_out(parser, "scaling")
    options = parser.parse_args(["--sizes", "8", "--out", str(tmp_path / "new" / "tried.json")])
    measured.write(options, {"figure": 1.5}, libraries=("pytest", "no-such-library"))
    found = json.loads(options.out.read_text())
    assert found["command"] == "python scripts/scaling.py --sizes 8 'a b'"
    assert found["settings"] == {"sizes": 8}
    assert found["results"] == {"figure": 1.5}
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", found["date"])
    assert found["machine"]["cores"] >= 1
    assert found["versions"]["pytest"] == pytest.__version__
    assert "no-such-library" not in found["versions"]
    assert capsys.readouterr().out == f"wrote {options.out}\n"  # and the pages are left alone


def test_a_committed_measurement_writes_its_page_anew(
    measured: ModuleType, readme: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures = committed(readme, "stress")["results"] | {"kills": 2, "records": 4}
    folder, page = tmp_path / "measured", tmp_path / "sweeps.md"
    page.write_text("before\n<!-- measured: stress -->\nold\n<!-- end -->\nafter\n")
    monkeypatch.setattr(measured, "MEASURED", folder)
    monkeypatch.setattr(readme, "PAGES", [page])
    monkeypatch.setattr(readme, "MEASURED", folder)
    options = argparse.Namespace(out=folder / "stress.json", jobs=4)
    measured.write(options, figures)
    text = page.read_text()
    assert text.startswith("before\n<!-- measured: stress -->\n`make stress` kills")
    assert "after 2 kills" in text
    assert "4 of 4 records were there" in " ".join(text.split())
    assert text.endswith("\n<!-- end -->\nafter\n")
