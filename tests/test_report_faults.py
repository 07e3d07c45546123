"""Runs that must not share a number, files that are no records, commands that must fill a cell."""

import copy
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import Command, stored
from made_records import jobs, made, put
from pydantic import ValidationError

from deepthink.config.overrides import compose, expand
from deepthink.errors import UserError
from deepthink.installation import CONF
from deepthink.report import (
    claims,
    device_rates,
    experiments,
    figures,
    page,
    plan,
    tables,
    what_was_run,
)
from deepthink.report.cells import Cell, fill
from deepthink.report.layouts import LAYOUTS
from deepthink.report.measurements import Subject, subjects
from deepthink.report.readings import FIVE, VANILLA, Reading
from deepthink.report.runs import Run, Runs, Scale
from deepthink.store import records
from deepthink.store.chosen import Selection
from deepthink.store.identity import PROTOCOL, answered, asked, digest, record_id
from deepthink.store.schema import Gold, parse

MODEL = "smollm2-135m"
SMALL = ("test_size=6", "dev_size=6", "pool_size=9")
SCALE = Scale(6, 6, 9, "float32")
CURVE = {1: 2, 5: 2, 15: 2}
BETTER = {1: 4, 5: 4, 15: 4}


def curve(results: Path, *overrides: str, hits: dict[int, int] = CURVE, **changes: str) -> Path:
    (config,) = jobs("task=sst2", "method=deepthink_curve", *SMALL, *overrides)
    return put(results, config, hits, hits, **changes)


def reseal(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Change a record and make it whole again, under the name that its identity asks for."""
    record = json.loads(path.read_text())
    record.pop("checksum")
    change(record)
    record["checksum"] = digest(record)
    name = record["identity"] if isinstance(record.get("identity"), dict) else {}
    head = path.stem.rpartition("-")[0]
    new = path.with_name(f"{head}-{digest(name)[:8]}.json")
    path.unlink()
    new.write_text(json.dumps(record))
    return new


def cell(results: Path, reading: Reading, **axes: str) -> Cell:
    where = {"method": "deepthink_curve", "task": "sst2", **axes}
    runs = page.studied(page.load(results))
    return Cell((Subject(runs, MODEL, SCALE).measure("table1", reading, **where),))


def texts(results: Path | None, runs: Runs | None = None) -> dict[str, str]:
    assert results is not None
    return dict(page.texts(results, runs or page.load(results), ()))


def titles(text: str) -> list[list[tuple[str, str, str]]]:
    """What names each row of each table of a page: its section and first cell."""
    found = []
    for block in text.split("\n\n"):
        rows = [line[2:].split(" | ") for line in block.splitlines() if line[:2] == "| "]
        section, names = "", []
        for first, *others in rows:
            section = first if first.startswith("*") and not first.startswith("**") else section
            if first and others:
                names.append((section, first, others[0] if rows[0][0] == "model" else ""))
        found.append(names)
    return found


# one source for what belongs together


def test_a_new_option_of_thinking_is_never_the_papers_cell(tmp_path: Path) -> None:
    """Ten runs with an option this version does not know, beside the paper's own and alone."""

    def new(record: dict[str, Any]) -> None:
        record["identity"]["thinking"]["restarts"] = 3

    for seed in range(10):
        reseal(curve(tmp_path, f"seed={seed}", hits=BETTER), new)
    assert cell(tmp_path, FIVE).estimate is None
    assert cell(tmp_path, VANILLA).estimate is None
    for seed in range(10):
        curve(tmp_path, f"seed={seed}")
    for reading in (FIVE, VANILLA):
        estimate = cell(tmp_path, reading).estimate
        assert estimate is not None
        assert estimate.mean == pytest.approx(100 / 3)


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("task", "delimiter", ""),
        ("prompt", "separator", "\n"),
        ("selector", "temperature", 2),
        (None, "ensemble", 5),
    ],
)
def test_a_new_option_of_anything_else_neither(
    tmp_path: Path, part: str | None, name: str, value: int | str
) -> None:
    def new(record: dict[str, Any]) -> None:
        (record["identity"][part] if part else record["identity"])[name] = value

    reseal(curve(tmp_path, hits=BETTER), new)
    assert page.studied(page.load(tmp_path)).all == ()
    for reading in (FIVE, VANILLA):
        subject = Subject(Runs.load(tmp_path), MODEL, SCALE)
        axes = {"method": "deepthink_curve", "task": "sst2"}
        assert subject.measure("table1", reading, **axes).runs == {}


# what is on the page


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        ("method.step_size=0.1", "method.positions=aligned", "method.iterations=8"),
        ("task=sst2", "method=deepthink", "seed=10"),
        ("task=sst2", "method=deepthink", "method.step_size=0.5"),
        ("task=sst2", "method=deepthink", "prompt.seam=joint"),
        ("task=sst2", "method=vanilla", "demonstrations.labels=flipped"),
        ("task=trec", "method=herding", "order=1"),
    ],
)
def test_a_scratch_run_is_a_further_run_and_changes_nothing_else(
    tmp_path: Path, overrides: tuple[str, ...]
) -> None:
    curve(tmp_path)
    before = texts(tmp_path)
    (config,) = jobs(*overrides)
    put(tmp_path, config, {1: 3}, {1: 3})
    assert len(Runs.load(tmp_path).all) == 2
    after = texts(tmp_path)
    further = {name for name in after if name.startswith("tables/further.")}
    assert further == after.keys() - before.keys()
    page_before, page_after = before.pop("README.md"), after.pop("README.md")
    assert before.pop("CARD.md") != after.pop("CARD.md")  # which counts all records
    assert {name: after[name] for name in before} == before
    apart = re.sub(r"## Further runs\n.*?(?=\n## )", "", page_after, flags=re.DOTALL)
    assert "## Further runs" in page_after
    assert apart.split() == page_before.split()


def test_a_users_runs_are_ignored_and_the_published_study_is_not() -> None:
    if not (CONF.parent / ".git").exists():
        pytest.skip("not a checkout")
    assert compose([]).results == "results/local"
    names = ["results/local/records/a/b/c/seed0-00000000.json", "results/local/README.md"]
    ignored = subprocess.run(
        ["git", "check-ignore", *names, "results/README.md", "results/records/a/b/c/s.json"],
        cwd=CONF.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ignored.stdout.split() == names


# data and models behind one name


@pytest.fixture(scope="module")
def study() -> Runs:
    """The runs of the committed study of every rule that its page is about."""
    return page.load(CONF.parent / experiments.EARLIER)


def odd(run: Run, **identity: dict[str, str]) -> Run:
    values = run.record.stored()
    for part, changes in identity.items():
        values["identity"][part] |= changes
    record = parse(values)
    return Run(Path(f"seed0-{record_id(record.identity)}.json"), record)


def test_one_odd_record_beside_the_study_costs_its_own_cell(study: Runs) -> None:
    """Table 1, SST2, herding, seed 0, of data that differ from the mirror's."""
    first = next(
        run for run in study.all
        if run.record.identity.selector["name"] == "herding"
        and run.draw == (0, 0) and run.task == "sst2"
    )  # fmt: skip
    other = odd(first, task={"data": "hub"})
    runs = Runs([*study.all, other], study.broken, study.folder)
    before, after = (texts(study.folder, one) for one in (study, runs))
    (scale,) = {run.scale for run in runs.all} - {run.scale for run in study.all}
    assert str(scale).startswith(f"{first.scale}, other data ")
    page_ = after["README.md"]
    assert f"### {MODEL}: {scale}" in page_
    assert "| Herding | paper, other model | 62.0 |" in page_.split(f"### {MODEL}: {scale}")[1]
    assert "| with dev set" not in page_.split(f"### {MODEL}: {scale}")[1].split("##")[0]
    lines = set(before["README.md"].splitlines()) - set(page_.splitlines())
    assert [line[:8] for line in lines] == ["Commits "]  # which says what "other data" means
    assert set(before["tables/table1.csv"].splitlines()) < set(
        after["tables/table1.csv"].splitlines()
    )
    for rows in titles(page_):
        assert len(rows) == len(set(rows)), rows
    assert {v.claim: v for v in claims.verdicts(runs, MODEL)} == {
        v.claim: v for v in claims.verdicts(study, MODEL)
    }


def test_one_record_of_another_commit_or_weights_is_apart(tmp_path: Path) -> None:
    for seed in range(10):
        curve(tmp_path, f"seed={seed}")
    before = cell(tmp_path, FIVE).estimate

    def moved(record: dict[str, Any]) -> None:
        record["identity"]["model"]["revision"] = "b" * 40

    reseal(curve(tmp_path, "seed=3", "order=0", hits=BETTER), moved)
    assert cell(tmp_path, FIVE).estimate is None  # its own record was the one that moved
    curve(tmp_path, "seed=3")
    assert cell(tmp_path, FIVE).estimate == before
    scales = [subject.scale for subject in subjects(page.load(tmp_path), "table1", [MODEL])]
    assert [str(scale).partition("other model ")[1] for scale in scales] == ["", "other model "]


def test_other_weights_are_told_on_a_scale_of_their_own_too(tmp_path: Path) -> None:
    """They are the only ones there, and the name is still that of the model of all other runs."""
    for seed in range(2):
        curve(tmp_path, f"seed={seed}")

    def moved(record: dict[str, Any]) -> None:
        record["identity"]["model"] = {"weights": "b" * 64, "dtype": "float32"}

    reseal(curve(tmp_path, "seed=0", "test_size=5"), moved)

    def halved(record: dict[str, Any]) -> None:
        record["identity"]["model"]["dtype"] = "bfloat16"
        record["identity"]["protocol"] = PROTOCOL

    reseal(curve(tmp_path, "seed=0", "test_size=4"), halved)
    others = {run.scale.test: run.scale.other for run in page.load(tmp_path).all}
    assert {test: other[:12] for test, other in others.items()} == {6: "", 5: "other model ", 4: ""}
    text = texts(tmp_path)["README.md"]
    assert "runs of the same name whose rows or weights are not those of most runs" in text


def test_two_halves_are_not_one_number(tmp_path: Path) -> None:
    """Five draws of one set of data and five of another; the first of equals is the main one."""
    for seed in range(10):
        hits = CURVE if seed < 5 else BETTER
        curve(tmp_path, f"seed={seed}", hits=hits, data=f"data {seed // 5}")
    runs = page.load(tmp_path)
    halves = list(subjects(runs, "table1", [MODEL]))
    assert len(halves) == len({str(half) for half in halves}) == 2
    means = []
    for half in halves:
        part = half.measure("table1", FIVE, method="deepthink_curve", task="sst2")
        found = Cell((part,))
        assert (found.seeds, found.estimate) == (5, None)
        assert found.so_far is not None
        means.append(round(found.so_far.mean, 1))
    assert sorted(means) == [33.3, 66.7]


def test_answers_that_differ_are_other_data(tmp_path: Path) -> None:
    curve(tmp_path)
    (config,) = jobs("task=sst2", "method=repeat", *SMALL)
    gold = Gold(dev="1 1 1 1 1 1", test="0 1 1 1 1 1")
    put(tmp_path, config, {1: 2}, {1: 2}, gold=gold)
    assert len({run.scale for run in page.load(tmp_path).all}) == 2
    assert "other data" in texts(tmp_path)["README.md"]


def test_a_suites_members_are_of_one_source(tmp_path: Path) -> None:
    """Each member was run twice, from two places with other rows: no average has some of each."""
    for place, hits in (("/one", 0), ("/two", 6)):
        overrides = ("task=bbh", "method.scored=ends", "test_size=6", f"data_root={place}")
        for job in jobs(*overrides):
            put(tmp_path, job, {1: hits, 5: hits}, data=f"{place} {job.task.name}")
    extra = jobs("task=bbh", "method.scored=ends", "test_size=6", "method.iterations=9")[0]
    put(tmp_path, extra, {1: 6, 9: 6}, data=f"/two {extra.task.name}")
    runs = page.load(tmp_path)
    parts = [subject.measure("table3", FIVE, task="bbh") for subject in subjects(runs, "table3")]
    estimates = [Cell((part,)).estimate for part in parts]
    means = [estimate.mean for estimate in estimates if estimate is not None]
    assert sorted(means) == [0, 100]


def test_figures_of_other_data_have_files_of_their_own(tmp_path: Path) -> None:
    for name in ("continued", "aligned"):
        axes = ("method.step_size=0.1", f"method.positions={name}", "seed=0")
        for data in ("a", "b"):
            curve(tmp_path, *axes, data=data)
        for model in ("'a b'", "a-b"):
            curve(tmp_path, f"model.name={model}", *axes)
    drawn = [one for one, _ in figures.every(page.load(tmp_path), lambda _: None)]
    files = [one.file for one in drawn]
    assert len(files) == len(set(files)) >= 6
    assert all("/" not in file for file in files)


# claims


def test_a_claim_is_counted_once_whatever_the_scales(tmp_path: Path) -> None:
    for seed in range(6):
        curve(tmp_path, f"seed={seed}", hits={1: 0, 5: 6, 15: 6})
        (config,) = jobs("task=sst2", "method=deepthink_curve", "test_size=5", f"seed={seed}")
        put(tmp_path, config, {1: 6, 5: 0, 15: 0}, {1: 6, 5: 0, 15: 0}, data="other rows")
    runs = page.load(tmp_path)
    found = claims.verdicts(runs, MODEL)
    assert len(found) == len(claims.CLAIMS) == len({v.claim for v in found})
    (one,) = (v for v in found if v.claim.endswith("same demonstrations, t = 5"))
    large, small = one.evidence.split("<br>")
    assert one.verdict == "in part"
    assert large.startswith("6 test rows, 6 dev rows, a pool of 9, float32: significantly ahead")
    assert small.startswith("5 test rows, float32: **not here**, significantly behind on SST2")
    text = texts(tmp_path)["README.md"]
    papers = [claim for claim in claims.CLAIMS if claim.where]
    assert f"Of the paper's {len(papers)} claims, " in text
    for rows in titles(text):
        assert len(rows) == len(set(rows)), rows
    assert "- On 6 test rows, 6 dev rows, a pool of 9, float32: **Thinking in" in text
    assert "- On 5 test rows, float32: **Thinking in" in text


def test_the_whole_goes_before_subsets_and_larger_ones_before_smaller() -> None:
    scales = [
        Scale(6, 6, 9, "float32"),
        Scale(100, 50, 300, "float32"),
        Scale(-1, -1, -1, "float32", "other data 1"),
        Scale(-1, 50, -1, "float32"),
        Scale(-1, -1, -1, "float32"),
    ]
    ordered = sorted(scales, key=lambda scale: scale.rank)
    assert [scales.index(scale) for scale in ordered] == [4, 3, 1, 0, 2]


# commands


def filled(command: str) -> list[tuple[str, str, str]]:
    """The requests of a printed command, each with the folder its record goes to."""
    words = shlex.split(command)
    assert words[:2] == ["python", "run.py"]
    found = [compose(one) for one in expand(words[2:])]
    return [(asked(config), config.model.name, config.results) for config in found]


@pytest.mark.parametrize("name", ["elsewhere", "my results", "it's [here], a=b", "2", "null"])
def test_the_command_beside_a_cell_is_its_missing_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path(name)
    words = ("pool.overlap=keep", 'model.revision="1e5"', "model.name=mine")
    for seed in range(9):
        curve(folder, f"seed={seed}", "data_root=/mirror", *words)
    runs = page.load(folder)
    axes = {"method": "deepthink_curve", "task": "sst2"}
    ((command, _),) = fill([Subject(runs, "mine", SCALE).measure("table1", FIVE, **axes)])
    (job,) = jobs("task=sst2", "method=deepthink_curve", *SMALL, *words, "seed=9")
    dtyped = replace(job, model=replace(job.model, dtype="float32"))
    assert filled(command) == [(asked(dtyped), "mine", name)]
    config = compose(expand(shlex.split(command)[2:])[0])
    assert (config.data_root, config.model.revision, config.pool.overlap) == (None, "1e5", "keep")


def test_records_from_before_overlap_was_a_setting_kept_it(tmp_path: Path) -> None:
    for seed in range(9):
        reseal(curve(tmp_path, f"seed={seed}"), lambda record: record["config"].pop("pool"))
    ((command, _),) = fill(cell(tmp_path, FIVE).parts)
    assert command.endswith(f"seed=9 pool.overlap=keep results={tmp_path}")
    curve(tmp_path, "seed=9", "task=trec")
    ((command, _),) = fill(cell(tmp_path, FIVE, task="trec").parts)
    assert "pool.overlap" not in command


def test_the_default_folder_is_not_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    curve(experiments.own_results())
    ((command, _),) = fill(cell(experiments.own_results(), FIVE).parts)
    assert "results=" not in command


def test_a_model_of_a_commit_is_asked_for_by_it(tmp_path: Path) -> None:
    (config,) = jobs("model=gpt2-large", "task=sst2", "method=deepthink_curve", *SMALL)
    path = put(tmp_path, config, CURVE, CURVE)

    def pinned(record: dict[str, Any]) -> None:
        record["identity"]["model"]["revision"] = "c" * 40

    reseal(path, pinned)
    subject = Subject(page.load(tmp_path), "gpt2-large", SCALE)
    axes = {"method": "deepthink_curve", "task": "sst2"}
    ((command, _),) = fill([subject.measure("table1", FIVE, **axes)])
    assert f"model.revision={'c' * 40} " in command
    assert "model.hub_id" not in command


def test_a_plan_is_of_the_folder_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for seed in (0, 3):
        curve(Path("elsewhere"), f"seed={seed}")
    script = str(CONF.parent / "scripts" / "plan.py")
    words = ["table1", f"model={MODEL}", *SMALL, "task=sst2", "method=deepthink_curve"]

    def left(*more: str) -> list[str]:
        monkeypatch.setattr(sys, "argv", ["plan.py", *words, "--jobs", *more])
        runpy.run_path(script, run_name="__main__")
        return capsys.readouterr().out.splitlines()

    assert len(left()) == 10
    assert len(left("results=elsewhere")) == 8
    assert len(left("results=elsewhere", "pool.overlap=keep")) == 10
    assert len(left("results=elsewhere", "model.dtype=bfloat16")) == 10
    for line in left("results=elsewhere"):
        ((_, _, folder),) = filled(line)
        assert folder == "elsewhere"


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("results=one,two", "names 2 folders: one command has one"),
        ("experiment=table2", "a plan is of one experiment, table1 here"),
    ],
)
def test_a_plan_is_of_one_experiment_in_one_folder(
    monkeypatch: pytest.MonkeyPatch, word: str, hint: str
) -> None:
    script = str(CONF.parent / "scripts" / "plan.py")
    monkeypatch.setattr(sys, "argv", ["plan.py", "table1", f"model={MODEL}", word])
    with pytest.raises(SystemExit, match=hint):
        runpy.run_path(script, run_name="__main__")


def test_what_a_plan_calls_done_is_what_was_asked(tmp_path: Path) -> None:
    runs = Runs([])
    assert device_rates.rates(runs, set())[0].device == "NVIDIA A100"
    reseal(curve(tmp_path), lambda record: record["config"].pop("pool"))
    (record,) = (record for _, record in records.load_all(tmp_path).records)
    (config,) = jobs("task=sst2", "method=deepthink_curve", *SMALL, "pool.overlap=keep")
    assert answered(record.identity, record.config) == asked(config)
    (config,) = jobs("task=sst2", "method=deepthink_curve", *SMALL)
    assert answered(record.identity, record.config) != asked(config)


# what is no record


def paths(value: dict[str, Any], prefix: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every place of a nested mapping, three levels deep."""
    for key, inner in value.items():
        yield (*prefix, key)
        if isinstance(inner, dict) and len(prefix) < 2:
            yield from paths(inner, (*prefix, key))


@pytest.mark.parametrize("null", [False, True])
def test_the_page_is_made_whatever_a_record_lacks(study: Runs, null: bool) -> None:
    """Take out of a real record, or make null, all that may be missing from a complete one."""
    whole = next(
        run for run in study.all
        if run.task == "sst2" and run.iterations == 15 and run.draw == (0, 0)
        and run.record.identity.thinking.step_size == 0.1
    )  # fmt: skip
    record, taken = whole.record.stored(), []
    for place in (one for one in paths(whole.record.stored()) if one[0] != "identity"):
        tried = copy.deepcopy(record)
        inside: dict[str, Any] | None = tried
        for key in place[:-1]:
            inside = (inside or {}).get(key)
        if not inside:
            continue  # taken out with what it was part of
        if null:
            inside[place[-1]] = None
        else:
            del inside[place[-1]]
        with suppress(ValidationError):
            parse(tried)
            record = tried
            taken.append(place[0])
    assert "curve" not in taken
    assert "config" in taken
    runs = Runs([Run(whole.path, parse(record))])
    assert texts(study.folder, runs)["README.md"]
    alone = [
        figure.draw(subject)
        for figure in figures.FIGURES for subject in subjects(runs, figure.experiment)
    ]  # fmt: skip
    assert any(alone)
    assert device_rates.rates(runs, set())


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(curve=[]),
        lambda record: record.pop("curve"),
        lambda record: record.update(config=None),
        lambda record: record.update(gold={}),
        lambda record: record["curve"].pop(),
        lambda record: record["curve"][0].update(predicted="1"),
        lambda record: record["curve"][0].update(count=0),
        lambda record: record["config"]["method"].update(iterations="5"),
        lambda record: record.update(drift=[]),
    ],
)
def test_a_resealed_record_is_not_a_complete_record(
    tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    path = curve(tmp_path)
    reseal(path, change)
    with pytest.raises(records.BrokenRecord, match=r"is not a complete record$"):
        records.read(path)
    text = texts(tmp_path)["README.md"]
    assert f"- `{path.relative_to(tmp_path)}` is not a complete record\n" in text


def test_a_job_does_again_what_has_no_curve(run: Command, tmp_path: Path) -> None:
    assert run("seed=0")[0] == 0
    ((path, record),) = stored(tmp_path)
    reseal(path, lambda record: record.update(curve=[]))
    code, out, err = run("seed=0")
    assert (code, err) == (0, "")
    assert "is not a complete record: set aside as" in out
    ((again, other),) = stored(tmp_path)
    assert (again, other["curve"]) == (path, record["curve"])


@pytest.mark.parametrize("kind", ["folder", "pipe", "loop"])
def test_a_job_whose_record_is_no_file_is_done(run: Command, tmp_path: Path, kind: str) -> None:
    assert run("seed=0")[0] == 0
    ((path, record),) = stored(tmp_path)
    path.unlink()
    lay(path, kind)
    code, _, err = run("seed=0")
    assert (code, err) == (0, "")
    ((again, other),) = stored(tmp_path)
    assert (again, other["curve"]) == (path, record["curve"])


def lay(path: Path, kind: str) -> None:
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(path.name if kind == "loop" else "nowhere.json")


def test_what_lies_among_records_is_told_and_stops_nothing(tmp_path: Path) -> None:
    path = curve(tmp_path)
    before = Runs.load(tmp_path).all
    for kind in ("folder", "pipe", "loop", "link"):
        lay(path.with_name(f"{kind}.json"), kind)
    os.mkfifo(path.with_name("pipe"))
    path.parent.joinpath("round").symlink_to(path.parent, target_is_directory=True)
    path.parent.joinpath("stray folder").mkdir()
    shutil.copy(path, path.with_name(f"copy-{path.name}"))
    path.with_name("other.json").write_text('{"a": NaN}')
    Path(os.fsdecode(bytes(path.with_name("a")) + b"\xff\n.json")).write_text("{}")
    runs = Runs.load(tmp_path)
    assert len(runs.all) == len(before) == 1
    told = {found.name: why for found, why in runs.broken.items()}
    assert told == {
        "folder.json": "is not a file",
        "pipe.json": "is not a file",
        "loop.json": f"cannot be read ({os.strerror(40)})",
        "link.json": f"cannot be read ({os.strerror(2)})",
        path.name: f"is a second record of the job of {MODEL}/sst2/deepthink/copy-{path.name}",
        "other.json": "is not a complete record",
        os.fsdecode(b"a\xff\n.json"): "is not a complete record",
    }
    text = texts(tmp_path)["README.md"]
    assert text.encode()
    assert r"a\udcff\n.json` is not a complete record" in text
    assert text.count("- `records/") == len(told)


def test_a_folder_that_cannot_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    curve(tmp_path)
    locked = tmp_path / "records" / "locked"
    locked.mkdir()
    scan = os.scandir

    def refusing(path: str) -> Any:
        if Path(path) == locked:
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refusing)
    found = records.load_all(tmp_path)
    assert len(found.records) == 1
    assert found.broken == {locked: "cannot be read (Permission denied)"}


def test_records_that_are_a_file_are_told(tmp_path: Path) -> None:
    (tmp_path / "records").write_text("")
    assert records.load_all(tmp_path).broken == {
        tmp_path / "records": f"cannot be read ({os.strerror(20)})"
    }


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_is_no_number_is_not_stored(tmp_path: Path, number: float) -> None:
    path = tmp_path / "records" / "seed0-00000000.json"
    record = made(compose([]), {1: 3}, selection=Selection(values=(number,), log={}, stages=()))
    with pytest.raises(UserError, match="not finite"):
        records.write(path, record, pd.DataFrame({"score": [number]}))
    assert not path.parent.exists()


# the command


def script(monkeypatch: pytest.MonkeyPatch, *words: Path | str) -> None:
    monkeypatch.setattr(sys, "argv", ["tables.py", *map(str, words)])
    runpy.run_path(str(CONF.parent / "scripts" / "tables.py"), run_name="__main__")


def test_tables_of_one_folder_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A relative folder that results= made; the others stay as they are."""
    monkeypatch.chdir(tmp_path)
    for folder in ("elsewhere", "results", "results/local"):
        curve(Path(folder))
    script(monkeypatch, "--results", "elsewhere")
    assert "begin with elsewhere/README.md" in capsys.readouterr().out
    assert not list(Path("results").rglob("README.md"))
    text = Path("elsewhere/README.md").read_text()
    assert "`deepthink/report/paper/NOTES.md` audits" in text
    assert " results=elsewhere`" in text
    with pytest.raises(SystemExit, match=r"^error: nowhere has no records: python run.py results="):
        script(monkeypatch, "--results", "nowhere")
    assert not Path("nowhere").exists()


@pytest.mark.parametrize("method", ["deepthink", "vanilla"])
def test_tables_of_the_study_and_of_ones_own_experiments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.chdir(tmp_path)
    written = []

    def noted(folder: Path, *_: object) -> Written:
        written.append(folder)
        return Written()

    monkeypatch.setattr(page, "write", noted)
    curve(Path("results"))
    (config,) = jobs("task=sst2" if method == "deepthink" else "task=verdicts", f"method={method}")
    put(Path("results/local"), config, {1: 3, **({5: 3} if method == "deepthink" else {})})
    script(monkeypatch)
    assert written == [Path("results"), Path("results/local")]
    assert len(Runs.load(Path("results")).all) == 1


class Written:
    written = ()


def test_an_interruption_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    curve(tmp_path)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(page, "write", stop)
    with pytest.raises(SystemExit, match=r"^error: interrupted: "):
        script(monkeypatch, "--results", tmp_path)
    monkeypatch.setattr(plan, "work", stop)
    monkeypatch.setattr(sys, "argv", ["plan.py", "table1", f"results={tmp_path}"])
    with pytest.raises(SystemExit, match=r"^error: interrupted: "):
        runpy.run_path(str(CONF.parent / "scripts" / "plan.py"), run_name="__main__")


@pytest.mark.parametrize("name", ["tables", "plan"])
def test_a_closed_terminal_is_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    curve(tmp_path)
    monkeypatch.setattr(page, "write", lambda *_: Written())
    words = ["figure5_orders", "--jobs"] if name == "plan" else []
    monkeypatch.setattr(sys, "argv", [name, *words, "--results", str(tmp_path)])
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as closed:
        monkeypatch.setattr(sys, "stdout", closed)
        runpy.run_path(str(CONF.parent / "scripts" / f"{name}.py"), run_name="__main__")
        print("what Python still writes at its end", flush=True)


# what the page says of its records


def test_the_page_says_by_which_rules_records_were_made(tmp_path: Path) -> None:
    old = reseal(curve(tmp_path, "seed=0"), lambda record: record["config"].pop("pool"))
    reseal(old, lambda record: record["code"].update(commit="a" * 40))
    path = curve(tmp_path, "seed=1")

    def tied(record: dict[str, Any]) -> None:
        for point in record["curve"]:
            point["ties"] = 1

    text = texts(tmp_path)["README.md"]
    assert "All records were made before ties were counted (commits 00000000, aaaaaaaa)." in text
    assert "1 of 2 records were made with `pool.overlap=keep` (commits aaaaaaaa)" in text
    reseal(path, tied)
    text = texts(tmp_path)["README.md"]
    assert "1 of 2 records were made before ties were counted (commits aaaaaaaa)" in text
    assert "Of 36 predictions whose ties were counted, 6 were ties." in text


def test_a_job_without_ties_counted_them(run: Command, tmp_path: Path) -> None:
    assert run("test_size=4", "dev_size=4")[0] == 0
    runs = page.load(tmp_path / "results")
    assert {point.ties for run_ in runs.all for point in run_.record.curve} == {0}
    text = "".join(what_was_run.rules(runs))
    assert "before ties were counted" not in text
    assert "Of 24 predictions whose ties were counted, 0 were ties." in text


def test_the_published_study_is_told_for_what_it_is(study: Runs) -> None:
    text = texts(study.folder, study)["README.md"]
    assert "All records were made with `pool.overlap=keep` (commits " in text
    assert "All records were made before ties were counted (commits " in text
    assert tables.build(study, LAYOUTS[0]).blocks[-1].subject.model == MODEL


def test_a_models_folder_is_planned_and_shown_under_its_own_words(
    run: Command, tmp_path: Path
) -> None:
    """A local model is known by its files: its identity holds no hub id and no package."""
    sizes = ("test_size=6", "dev_size=6", "pool_size=9", "method.scored=sparse")
    code, _, err = run("model.name=mine", "method=deepthink_curve", "seed=3", *sizes)
    assert (code, err) == (0, "")
    (run_,) = page.load(tmp_path / "results").all
    assert run_.record.identity.model.hub_id == ""
    table = tables.build(page.load(tmp_path / "results"), LAYOUTS[0])
    (block,) = (one for one in table.blocks if one.subject.model == "mine")
    missing = " ".join(line for row in block.rows for c in row.cells for line, _ in fill(c.parts))
    assert f"model.hub_id={run_.record.config.model.hub_id} " in missing
    assert "model.package=null" in missing
    words = [f"model.hub_id={run_.record.config.model.hub_id}", "model.package=null"]
    start = ["model=smollm2-135m", "task=sst2", "method=deepthink_curve", "method.iterations=15"]
    config = compose([*start, *words, *sizes, "seed=3", "method.iterations=3"])
    assert answered(run_.record.identity, run_.record.config) == asked(config)
