"""`deepthink check`: a clean folder passes, and each kind of tampering is found and named."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Command
from made_records import jobs, put

from deepthink import content
from deepthink.app import commands
from deepthink.report import checking, experiments, page
from deepthink.report.checking import draws, tables
from deepthink.report.checking.findings import Finding
from deepthink.report.runs import Runs
from deepthink.store import records, scores
from deepthink.store.identity import record_id
from deepthink.store.schema import Code, Record

_template: list[Path] = []


@pytest.fixture
def folder(run: Command, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight real records with scores: two methods, raw and calibrated, two seeds."""
    if not _template:
        words = ("method=vanilla,deepthink", "calibration=none,batch", "seed=0,1")
        code, _, err = run("-m", *words, "test_size=12", "dev_size=8", "pool_size=20")
        assert code == 0, err
        _template.append(tmp_path_factory.mktemp("template") / "results")
        shutil.copytree(tmp_path / "results", _template[0])
        for path in _template[0].rglob("*.json"):  # as if this checkout had no change
            rewritten(path, lambda r: replace(r, code=Code(commit="0" * 40, dirty=False)))
    shutil.copytree(_template[0], tmp_path / "judged")
    return tmp_path / "judged"


def found(folder: Path) -> list[Finding]:
    return [*checking.of_records(folder, Runs.load(folder))]


def errors(folder: Path) -> list[str]:
    return [str(finding) for finding in found(folder) if finding.error]


def paths(folder: Path, method: str = "deepthink") -> list[Path]:
    return sorted(folder.glob(f"records/*/*/{method}/*.json"))


def rewritten(path: Path, change: Callable[[Record], Record]) -> Path:
    """The record as somebody who knows the checksum would forge it, under the name of its id."""
    record = change(records.read(path))
    name = f"{path.stem.rpartition('-')[0]}-{record_id(record.identity)}.json"
    table = scores.place(path)
    path.unlink()
    if table.exists():
        table.rename(table.with_name(name).with_suffix(".parquet"))
    path = path.with_name(name)
    path.write_text(records.as_text(record), encoding="utf-8")
    return path


def edited(path: Path, **values: Any) -> None:
    whole = json.loads(path.read_text())
    path.write_text(json.dumps({**whole, **values}))


def of_last_point(record: Record, **changes: Any) -> Record:
    return replace(record, curve=(*record.curve[:-1], replace(record.curve[-1], **changes)))


def turned(record: Record) -> Record:
    """With one prediction turned over, and everything in the record counted anew."""
    point = record.curve[-1]
    words = point.predicted.split()
    right = words[0] == record.gold.of(point.split)[0]
    words[0] = str(1 - int(words[0]))
    correct = point.correct + (-1 if right else 1)
    return of_last_point(record, predicted=" ".join(words), correct=correct, macro_f1=None)


def test_a_clean_folder_passes(folder: Path) -> None:
    assert found(folder) == []
    assert len(Runs.load(folder).all) == 8


def changed_accuracy(folder: Path) -> None:
    edited(paths(folder)[0], curve=[])


def forged_accuracy(folder: Path) -> None:
    rewritten(paths(folder)[0], lambda r: of_last_point(r, correct=r.curve[-1].correct - 1))


def forged_prediction(folder: Path) -> None:
    rewritten(paths(folder)[0], turned)


def forged_prediction_of_a_calibrated_job(folder: Path) -> None:
    rewritten(paths(folder, "deepthink-batch")[0], turned)


def forged_likelihood(folder: Path) -> None:
    rewritten(paths(folder)[0], lambda r: of_last_point(r, log_likelihood=-0.1))


def chosen_on_test(folder: Path) -> None:
    def other(record: Record) -> Record:
        return replace(record, step_by_dev=1 if record.step_by_dev != 1 else 2)

    rewritten(paths(folder)[0], other)


def changed_scores(folder: Path) -> None:
    place = scores.place(paths(folder)[0])
    table = scores.read(paths(folder)[0], content.digest(place))
    assert table is not None
    scores.write(paths(folder)[0], table.assign(score=table["score"] - 1))


def forged(folder: Path, change: Callable[[Any], Any]) -> None:
    """Scores that were changed together with the digest that the record has of them."""
    path = paths(folder)[0]
    table = scores.read(path, records.read(path).scores)
    digest = scores.write(path, change(table))
    rewritten(path, lambda record: replace(record, scores=digest))


def forged_scores(folder: Path) -> None:
    forged(folder, lambda table: table.assign(score=table["score"].to_numpy()[::-1]))


def scores_that_are_nan(folder: Path) -> None:
    forged(folder, lambda table: table.assign(score=np.nan))


def labels_that_are_text(folder: Path) -> None:
    forged(folder, lambda table: table.assign(label=table["label"].astype(str)))


def scores_without_labels(folder: Path) -> None:
    forged(folder, lambda table: table.drop(columns="label"))


def no_table(folder: Path) -> None:
    path = paths(folder)[0]
    scores.place(path).write_text("no table")
    digest = content.digest(scores.place(path))
    rewritten(path, lambda record: replace(record, scores=digest))


def labels_that_are_no_numbers(folder: Path) -> None:
    def other(record: Record) -> Record:
        return of_last_point(record, predicted=" ".join(["a"] * record.curve[-1].count))

    rewritten(paths(folder)[0], other)


def fewer_scores(folder: Path) -> None:
    forged(folder, lambda table: table[table["query"] > 0])


def swapped_scores(folder: Path) -> None:
    one, two = (scores.place(path) for path in paths(folder))
    content_of_one = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(content_of_one)


def swapped_names(folder: Path) -> None:
    one, two = paths(folder)
    text = one.read_text()
    one.write_text(two.read_text())
    two.write_text(text)


def in_another_methods_folder(folder: Path) -> None:
    path = paths(folder)[0]
    other = path.parent.parent / "vanilla" / path.name
    path.rename(other)
    scores.place(path).rename(scores.place(other))


def under_another_seed(folder: Path) -> None:
    path = paths(folder)[0]
    other = path.with_name(path.name.replace("seed0", "seed9"))
    path.rename(other)
    scores.place(path).rename(scores.place(other))


def no_scores(folder: Path) -> None:
    scores.place(paths(folder)[0]).unlink()


def no_record(folder: Path) -> None:
    paths(folder)[0].unlink()


def other_dtype(folder: Path) -> None:
    def half(record: Record) -> Record:
        key = record.identity
        model = replace(key.model, dtype="bfloat16")
        return replace(record, identity=replace(key, model=model, protocol=2))

    rewritten(paths(folder)[0], half)


def other_model(folder: Path) -> None:
    def other(record: Record) -> Record:
        key = record.identity
        return replace(record, identity=replace(key, model=replace(key.model, weights="0" * 64)))

    rewritten(paths(folder)[0], other)


def fewer_rows(folder: Path) -> None:
    def fewer(record: Record) -> Record:
        rows = replace(record.data.rows, pool=19)
        return replace(record, data=replace(record.data, rows=rows))

    rewritten(paths(folder)[0], fewer)


def other_version(folder: Path) -> None:
    rewritten(paths(folder)[0], lambda r: replace(r, versions={**r.versions, "deepthink": "0.0.1"}))


def uncommitted(folder: Path) -> None:
    rewritten(paths(folder)[0], lambda r: replace(r, code=replace(r.code, dirty=True)))


def twice_with_other_numbers(folder: Path) -> None:
    path = paths(folder)[0]
    copy = path.with_name(f"a-{path.name}")
    shutil.copy(path, copy)
    rewritten(path, turned)


def cut(folder: Path) -> None:
    path = paths(folder)[0]
    path.write_text(path.read_text()[:100])


def not_a_number(folder: Path) -> None:
    path = paths(folder)[0]
    path.write_text(path.read_text().replace('"peak_memory_bytes": ', '"peak_memory_bytes": NaN'))


def a_folder_in_its_place(folder: Path) -> None:
    path = paths(folder)[0]
    scores.place(path).unlink()
    path.unlink()
    path.mkdir()


def a_link_to_itself(folder: Path) -> None:
    path = paths(folder)[0]
    scores.place(path).unlink()
    path.unlink()
    path.symlink_to(path)


TAMPERED: dict[Callable[[Path], None], str] = {
    changed_accuracy: "was changed after it was written",
    forged_accuracy: "are right, but",
    forged_prediction: "gives 1 other predictions than the record",
    forged_prediction_of_a_calibrated_job: "gives another accuracy on test at t = 3",
    forged_likelihood: "gives another log likelihood than the record",
    chosen_on_test: "but its dev accuracies choose",
    changed_scores: "is not the file that was written with its record",
    forged_scores: "other predictions than the record",
    scores_that_are_nan: "(NaN)",
    labels_that_are_text: "has a column of another type",
    scores_without_labels: "lacks the column label",
    no_table: "cannot be read as a table",
    labels_that_are_no_numbers: "has labels that are no numbers",
    fewer_scores: "has other rows or gold labels",
    swapped_scores: "is not the file that was written with its record",
    swapped_names: "was changed after it was written",
    in_another_methods_folder: "lies where another record belongs: move it to records/",
    under_another_seed: "lies where another record belongs: move it to records/",
    no_scores: "names a file of scores, but",
    no_record: "holds scores of no record",
    other_dtype: "(mixed dtype)",
    other_model: "(mixed model)",
    fewer_rows: "(mixed rows)",
    other_version: "(mixed version)",
    uncommitted: "uncommitted changes",
    twice_with_other_numbers: "with other numbers",
    cut: "is not a complete record",
    not_a_number: "is not a complete record",
    a_folder_in_its_place: "is not a file",
    a_link_to_itself: "cannot be read",
}


@pytest.mark.parametrize("tamper", TAMPERED, ids=lambda tamper: tamper.__name__)
def test_each_kind_of_tampering_is_found(folder: Path, tamper: Callable[[Path], None]) -> None:
    tamper(folder)
    told = errors(folder)
    assert any(TAMPERED[tamper] in line for line in told), told
    assert all("\n" not in line for line in told)


def test_what_harms_no_number_is_a_note(folder: Path) -> None:
    path = paths(folder)[0]
    shutil.copy(path, path.with_name(f"z-{path.name}"))
    (path.parent / "remarks.txt").write_text("mine")
    (folder / "records" / "elsewhere").symlink_to(folder)
    told = found(folder)
    assert [finding.error for finding in told] == [False] * 3
    said = " ".join(map(str, told))
    assert "is a copy of" in said and "is no file of this program" in said and "is a link" in said


def test_the_same_draws_of_two_dtypes_are_two_studies(folder: Path) -> None:
    for path in paths(folder):
        record = records.read(path)
        model = replace(record.identity.model, dtype="bfloat16")
        key = replace(record.identity, model=model, protocol=2)
        name = f"{path.stem.rpartition('-')[0]}-{record_id(key)}.json"
        again = path.with_name(name)
        again.write_text(records.as_text(replace(record, identity=key)))
        shutil.copy(scores.place(path), scores.place(again))
    assert errors(folder) == []


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Records of two draws of experiment=figure5_seeds, as if it were the only experiment."""
    monkeypatch.setattr("deepthink.report.experiments.names", lambda: ["figure5_seeds"])
    for seed in range(2):
        words = ("model=opt-125m", "task=sst2", "method=deepthink_curve", f"seed={seed}")
        (job,) = jobs(*words)
        put(tmp_path, job, dict.fromkeys(job.method.steps, 3))
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    code = 0
    try:
        commands.run("check", [*map(str, words)])
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else 1
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    return code, out, err


def test_the_exit_code_says_how_it_went(
    small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = told(capsys, small)
    assert (code, out.count("\n")) == (0, 2), out
    assert "note: records/opt-125m has " in out and " draws of experiment=figure5_seeds" in out
    assert "it passes: 2 records, none with scores, 0 errors, 1 note" in out
    assert told(capsys, f"results={small}")[0] == 0
    code, out, _ = told(capsys, small, "complete=true")
    assert code == 1 and "it fails" in out and out.startswith("error: records/opt-125m has ")
    (empty := tmp_path / "empty").mkdir()
    code, out, _ = told(capsys, empty)
    assert code == 1 and "has no record of this version" in out
    for words in ((), (tmp_path / "nowhere",), (small, "complete=maybe"), (small, "more")):
        assert told(capsys, *words)[0] == 2, words


def test_no_draw_is_missing_where_all_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deepthink.report.experiments.names", lambda: ["figure5_seeds"])
    (setting,) = experiments.settings("figure5_seeds")
    for seed, order in setting.draws:
        job = replace(setting.configs[0], seed=seed, order=order)
        put(tmp_path, job, dict.fromkeys(job.method.steps, 3))
        if (seed, order) == setting.draws[-2]:
            (finding,) = draws.check(Runs.load(tmp_path))
            assert f"has {len(setting.draws) - 1} of {len(setting.draws)} draws" in str(finding)
    assert [*draws.check(Runs.load(tmp_path))] == []


@pytest.mark.slow
def test_a_table_that_the_records_do_not_give_is_found(folder: Path) -> None:
    runs = Runs.load(folder)
    assert [*tables.check(folder, runs)] == [], "without tables there is nothing to compare"
    for name, text in page.texts(folder, runs, drawn=()):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    assert [*tables.check(folder, runs)] == []
    table = folder / "tables" / "further.csv"
    moved = shutil.move(folder, folder.with_name("moved"))
    assert [*tables.check(Path(moved), Runs.load(Path(moved)))] == [], "in whatever folder it lies"
    shutil.move(moved, folder)
    header, second, *rest = table.read_text().splitlines()
    table.write_text("\n".join([header, f"{second}1", *rest, ""]))
    (folder / "tables" / "best_t.csv").write_text("t\n")
    (folder / "tables" / "table1.csv").unlink()
    said = {str(f.path): f.wrong for f in tables.check(folder, runs)}
    assert set(said) == {f"tables/{name}.csv" for name in ("further", "best_t", "table1")}
    assert said["tables/best_t.csv"] == "is no table that the records give"
    assert said["tables/further.csv"].endswith("first in row 2")
