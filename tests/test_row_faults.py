"""Which rows are read: files that are other than they seem, and rows that must not be shown."""

import bz2
import gzip
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import Command, assert_one_line, stored

from deepthink.config.overrides import compose, requested
from deepthink.config.tasks import SourceSpec, TaskSpec
from deepthink.errors import UserError
from deepthink.installation import CONF
from deepthink.report import experiments, paper
from deepthink.store import records
from deepthink.structures import Example
from deepthink.tasks import formats, sources
from deepthink.tasks.labels import flipped

SOURCE = {
    **{"repository": "made/up", "bundled": False, "revision": "main", "files": None},
    **{"text": "text", "label": "label", "classes": [0, 1], "pool": "train", "test": "test"},
}


def task(labels: Sequence[str] = ("bad", "good"), **source: Any) -> TaskSpec:
    sources = [SourceSpec(**{**SOURCE, **source})]
    rest: dict[str, Any] = {"demonstrations": 2, "rows": {"pool": 4, "test": 2}, "sources": sources}
    return TaskSpec("made", 1, "Say: {text}\nIt is", list(labels), **rest)


def put(root: Path, name: str, text: str | bytes, repository: str = "made/up") -> Path:
    path = root / repository / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def jsonl(texts: Iterable[str], labels: Sequence[object] = (0, 1)) -> str:
    return "\n".join(
        json.dumps({"text": text, "label": labels[i % len(labels)]}) for i, text in enumerate(texts)
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Eight training and four test rows."""
    put(tmp_path, "train.jsonl", jsonl(f"train {i}" for i in range(8)))
    put(tmp_path, "test.jsonl", jsonl(f"test {i}" for i in range(4)))
    return tmp_path


def texts(examples: Sequence[Example]) -> list[str]:
    return [example.text for example in examples]


def refusal(spec: TaskSpec, root: Path, **sizes: Any) -> str:
    with pytest.raises(UserError) as told:
        sources.load(spec, str(root), **sizes)
    assert "\n" not in str(told.value)
    return str(told.value)


# Which files


def test_a_file_rewritten_with_its_size_and_time_kept_gives_the_new_rows(root: Path) -> None:
    before = sources.load(task(), str(root))
    file = root / "made/up/test.jsonl"
    times = (file.stat().st_atime_ns, file.stat().st_mtime_ns)
    file.write_text(file.read_text().replace("test", "text"))
    file.write_text(file.read_text().replace('"text ', '"tent ', 1))
    os.utime(file, ns=times)
    after = sources.load(task(), str(root))
    assert texts(after.test) == ["tent 0", "text 1", "text 2", "text 3"]
    assert sources.fingerprint(before, task()) != sources.fingerprint(after, task())


@pytest.mark.parametrize("odd", ["st*r", "st[ao]r", "st?r", "[x]"])
def test_folders_are_literal(root: Path, tmp_path: Path, odd: str) -> None:
    for name in (odd, "star"):
        shutil.copytree(root / "made", tmp_path / "places" / name / "made")
    put(tmp_path / "places" / odd, "test.jsonl", jsonl(["mine 0", "mine 1"]))
    assert texts(sources.load(task(), str(tmp_path / "places" / odd)).test) == ["mine 0", "mine 1"]


@pytest.mark.parametrize("odd", ["u*", "u[mn]p"])
def test_repositories_are_literal(root: Path, odd: str) -> None:
    for split in ("train", "test"):
        put(root, f"{split}.jsonl", jsonl([f"odd {split} {i}" for i in range(4)]), f"made/{odd}")
    assert len(sources.load(task(repository=f"made/{odd}"), str(root)).test) == 4


def test_a_file_of_the_very_name_of_a_pattern_is_meant(root: Path) -> None:
    put(root, "some[12].jsonl", jsonl(["mine 0", "mine 1"]))
    put(root, "some1.jsonl", jsonl(["other 0", "other 1"]))
    files = {"train": "train.jsonl", "test": "some[12].jsonl"}
    assert texts(sources.load(task(files=files), str(root)).test) == ["mine 0", "mine 1"]
    (root / "made/up/some[12].jsonl").unlink()
    assert texts(sources.load(task(files=files), str(root)).test) == ["other 0", "other 1"]


def test_the_home_folder_has_a_short_name(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(root))
    assert len(sources.load(task(), "~").test) == 4


def test_two_files_that_may_be_one_split_are_refused(root: Path) -> None:
    put(root, "old/test.jsonl", jsonl(["old 0", "old 1"]))
    assert "test.jsonl: say which in the source's files" in refusal(task(), root)
    shutil.rmtree(root / "made/up/old")
    put(root, "test.csv", "text,label\nx,0\n")
    assert "may be test.csv or test.jsonl: say which" in refusal(task(), root)


def part(root: Path, number: int, total: int) -> str:
    """One of several files of the training rows."""
    name = f"data/train-{number:05}-of-{total:05}.jsonl"
    put(root, name, jsonl(f"part {number} of {total}, row {i}" for i in range(4)))
    return name


@pytest.mark.parametrize("pattern", [None, "data/train-*.jsonl", "data/*", "**/train*"])
def test_a_missing_part_of_a_split_is_told(root: Path, pattern: str | None) -> None:
    put(root, "train.jsonl", "").unlink()
    part(root, 0, 3), part(root, 2, 3)
    files = pattern and {"train": pattern, "test": "test.jsonl"}
    told = refusal(task(files=files), root)
    assert "split 'train' lacks 1 of its files (data/train-00001-of-00003.jsonl)" in told
    part(root, 1, 3)
    assert sources.load(task(files=files), str(root)).read_rows["pool"] == 12


def test_a_part_that_is_named_is_enough(root: Path) -> None:
    files = {"train": part(root, 1, 3), "test": "test.jsonl"}
    assert sources.load(task(files=files), str(root)).read_rows["pool"] == 4


def test_parts_may_be_numbered_from_one(root: Path) -> None:
    put(root, "train.jsonl", "").unlink()
    part(root, 1, 2), part(root, 2, 2)
    assert sources.load(task(), str(root)).read_rows["pool"] == 8


def test_two_divisions_of_a_split_are_refused(root: Path) -> None:
    put(root, "train.jsonl", "").unlink()
    part(root, 0, 1), part(root, 0, 2), part(root, 1, 2)
    assert "of-00001.jsonl and data/train-*-of-00002.jsonl may hold the" in refusal(task(), root)


@pytest.mark.parametrize("beside", [shutil.copy, os.link, lambda a, b: b.symlink_to(a)])
@pytest.mark.parametrize("name", ["train-2.jsonl", "train_3.jsonl"])
def test_a_file_beside_its_copy_does_not_count_twice(
    root: Path, name: str, beside: Callable[[Path, Path], object]
) -> None:
    folder = root / "made" / "up"
    beside(folder / "train.jsonl", folder / name)
    files = {"train": "train*", "test": "test.jsonl"}
    told = refusal(task(files=files), root)
    assert "hold the same and would count twice: say which in the source's files" in told
    files = {"train": "train.jsonl", "test": "test.jsonl"}
    assert sources.load(task(files=files), str(root)).read_rows["pool"] == 8


@pytest.mark.parametrize("name", ["train_old.jsonl", "train (copy).jsonl", "my-train.jsonl"])
def test_two_files_of_other_names_are_not_one_split(root: Path, name: str) -> None:
    put(root, name, jsonl(f"old {i}" for i in range(8)))
    assert "split 'train' may be" in refusal(task(), root)


def test_dev_and_validation_are_not_one_split(root: Path) -> None:
    put(root, "dev.jsonl", jsonl(["one", "two"]))
    put(root, "validation.jsonl", jsonl(["three", "four"]))
    told = refusal(task(test="validation"), root)
    assert "may be dev.jsonl or validation.jsonl: say which in the source's files" in told


@pytest.mark.parametrize("names", [("train-1", "train-2"), ("train/a", "train/b")])
def test_files_that_are_numbered_or_in_the_folder_of_a_split_are_one(
    root: Path, names: tuple[str, str]
) -> None:
    put(root, "train.jsonl", "").unlink()
    for name in names:
        put(root, f"{name}.jsonl", jsonl(f"{name} {i}" for i in range(4)))
    assert sources.load(task(), str(root)).read_rows["pool"] == 8


def test_a_card_with_several_datasets_wants_files(root: Path) -> None:
    infos = "".join(
        f"- config_name: {name}\n  features:\n  - name: text\n    dtype: string\n" for name in "ab"
    )
    put(root, "README.md", f"---\ndataset_info:\n{infos}---\n")
    assert "holds 2 datasets (a, b): say in the source's files" in refusal(task(), root)
    files = {"train": "train.jsonl", "test": "test.jsonl"}
    assert len(sources.load(task(files=files), str(root)).test) == 4


# Which source


def two_sources(root: Path) -> TaskSpec:
    for split in ("train", "test"):
        put(root, f"{split}.jsonl", jsonl(f"second {split} {i}" for i in range(4)), "an/other")
    spec = task()
    return replace(spec, sources=[spec.sources[0], replace(spec.sources[0], repository="an/other")])


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_first_source_that_is_cut_is_told_with_its_own_split(root: Path, split: str) -> None:
    spec = two_sources(root)
    file = root / f"made/up/{split}.jsonl"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2 + 9])
    told = refusal(spec, root)
    assert told.startswith(f"made: {file}, split '{split}', cannot be read (row ")
    assert "is cut or no JSON" in told


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_first_source_that_is_cut_is_told_in_parquet_too(root: Path, split: str) -> None:
    spec = two_sources(root)
    for name in ("train", "test"):
        (root / f"made/up/{name}.jsonl").unlink()
        file = root / f"made/up/{name}.parquet"
        pd.DataFrame({"text": [f"{name} a", f"{name} b"], "label": [0, 1]}).to_parquet(file)
    file = root / f"made/up/{split}.parquet"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    assert refusal(spec, root).startswith(f"made: {file}, split '{split}', cannot be read (")


def test_a_first_source_of_which_a_split_is_missing_is_told(root: Path) -> None:
    spec = two_sources(root)
    (root / "made/up/test.jsonl").unlink()
    assert f"{root}/made/up has no file of split 'test'" in refusal(spec, root)


@pytest.mark.parametrize("whole", [True, False])
def test_a_first_source_that_is_not_there_is_passed_over_and_named(root: Path, whole: bool) -> None:
    spec = two_sources(root)
    shutil.rmtree(root / "made/up")
    if not whole:
        (root / "made/up").mkdir()
    splits = sources.load(spec, str(root))
    assert splits.repository == "an/other"
    assert splits.told[0].startswith("the rows are those of an/other: ")


def test_the_terminal_and_the_record_name_the_source_that_was_used(
    run: Command, data_root: Path, tmp_path: Path
) -> None:
    for split in ("train", "validation"):
        place = data_root / "nyu-mll/glue/sst2"
        place.mkdir(parents=True, exist_ok=True)
        whole = pd.read_json(data_root / f"stanfordnlp/sst2/{split}.jsonl", lines=True)
        whole.to_parquet(place / f"{split}-0.parquet")
    shutil.rmtree(data_root / "stanfordnlp")
    code, out, _ = run("method=vanilla")
    told = "the rows are those of nyu-mll/glue: data_root has no folder stanfordnlp/sst2"
    assert (code, told in out) == (0, True)
    ((_, record),) = stored(tmp_path)
    assert record["data"]["told"] == [told]


# Cells as they stand


ODD = ("NA", "null", "None", "True", "00", "1e5", "nan", "2020-01-01", "#N/A", "-", "1_0")


def test_cells_of_text_tables_are_text(tmp_path: Path) -> None:
    put(
        tmp_path, "train.csv", "text,label\n" + "\n".join(f"{w},{i % 2}" for i, w in enumerate(ODD))
    )
    put(tmp_path, "test.tsv", "text\tlabel\n" + "\n".join(f"x{w}\t1" for w in ODD))
    source = sources.read(task(), str(tmp_path))
    assert texts(source.pool) == list(ODD)
    assert [e.label for e in source.pool] == [i % 2 for i in range(len(ODD))]
    assert texts(source.test) == [f"x{word}" for word in ODD]


def test_words_that_look_like_something_else_can_be_labels(tmp_path: Path) -> None:
    words = ["NA", "True", "00", "no"]
    for split in ("train", "test"):
        lines = [f"{split} {i},{word}" for i, word in enumerate(words)]
        put(tmp_path, f"{split}.csv", "\n".join(["text,label", *lines]))
    source = sources.read(task(words, classes=words), str(tmp_path))
    assert [e.candidates[e.label] for e in source.test] == words


def test_texts_that_look_like_times_stay_text(root: Path) -> None:
    put(root, "test.jsonl", jsonl(["2020-01-01", "2020-01-01T00:00:00"]))
    assert texts(sources.read(task(), str(root)).test) == ["2020-01-01", "2020-01-01T00:00:00"]


@pytest.mark.parametrize(
    ("found", "classes"),
    [(["0", "1"], [0, 1]), ([0, 1], ["0", "1"]), ([0.0, 1.0], [0, 1]), ([False, True], [0, 1])],
)
def test_numbers_are_classes_however_they_are_written(
    root: Path, found: list[Any], classes: list[Any]
) -> None:
    put(root, "test.jsonl", jsonl(["a", "b", "c"], found))
    assert [e.label for e in sources.read(task(classes=classes), str(root)).test] == [0, 1, 0]


@pytest.mark.parametrize("found", ["-1", '"2"', "null", '""', '"0 1"', "[0]", "NaN"])
def test_other_labels_are_refused_with_their_row(root: Path, found: list[Any]) -> None:
    put(root, "test.jsonl", jsonl(["a"]) + f'\n{{"text": "b", "label": {found}}}')
    told = refusal(task(), root)
    assert told.startswith(f"made: row 2 of {root}/made/up/test.jsonl has label ")
    assert told.endswith("which is none of [0, 1]")


def test_words_that_yaml_reads_as_truth_values_are_told(root: Path) -> None:
    put(root, "train.jsonl", jsonl((f"train {i}" for i in range(8)), ["no", "yes"]))
    told = "YAML reads no and yes as false and true: put quotation marks"
    assert told in refusal(task(classes=[False, True]), root)


def test_quotation_marks_do_not_swallow_rows_of_a_tsv_file(root: Path) -> None:
    put(root, "test.jsonl", "").unlink()
    put(root, "test.tsv", 'text\tlabel\nfine\t1\n"a joy\t1\nso dull\t0\nand a treat"\t0\n')
    assert "row 2 holds a tab and a line break" in refusal(task(), root)
    put(root, "test.tsv", 'text\tlabel\nfine\t1\n"a joy\nand a treat"\t1\n"a\ttab"\t1\n')
    found = sources.load(task(), str(root))
    assert texts(found.test) == ["fine", "a joy\nand a treat", "a\ttab"]


@pytest.mark.parametrize("name", ["test.jsonl", "test.json"])
def test_a_key_that_is_there_twice_is_told(root: Path, name: str) -> None:
    put(root, "test.jsonl", "").unlink()
    row = '{"text": "fine", "label": 1, "label": 0}'
    put(root, name, row if name == "test.jsonl" else f"[{row}]")
    assert "an object has 'label' twice" in refusal(task(), root)


@pytest.mark.parametrize("empty", ["", " ", '"  "'])
def test_an_empty_cell_is_told_with_its_row_and_file(root: Path, empty: str) -> None:
    (root / "made/up/train.jsonl").unlink()
    file = put(root, "train.csv", f"text,label\nfine,0\n\n{empty},1\n")
    assert refusal(task(), root) == f"made: row 2 of {file} has no text"


@pytest.mark.parametrize("text", ["null", "7", "true", "[]", r'"\ud800"'])
def test_what_is_no_text_is_told_with_its_row(root: Path, text: str) -> None:
    put(root, "test.jsonl", jsonl(["a", "b"]) + f'\n{{"text": {text}, "label": 0}}')
    assert refusal(task(), root).startswith(f"made: row 3 of {root}/made/up/test.jsonl ")


@pytest.mark.parametrize(
    ("name", "packed"), [("test.jsonl.gz", gzip.compress), ("test.csv.bz2", bz2.compress)]
)
def test_packed_files_are_read(root: Path, name: str, packed: Callable[[bytes], bytes]) -> None:
    (root / "made/up/test.jsonl").unlink()
    plain = "text,label\na,0\nb,1\n" if "csv" in name else jsonl(["a", "b"])
    put(root, name, packed(plain.encode()))
    assert texts(sources.read(task(), str(root)).test) == ["a", "b"]


# Classes by name


def named(root: Path, names: list[str], labels: list[int], split: str = "test") -> None:
    """A split as the hub has it, with the names of its classes."""
    from datasets import ClassLabel, Dataset, Features, Value

    (root / f"made/up/{split}.jsonl").unlink()
    features = Features({"text": Value("string"), "label": ClassLabel(names=names)})
    columns = {"text": [f"{names[label]} {i}" for i, label in enumerate(labels)], "label": labels}
    Dataset.from_dict(columns, features).to_parquet(str(root / f"made/up/{split}.parquet"))


SIGNS = ["negative", "positive"]


def test_classes_in_another_order_than_the_words_are_refused(root: Path) -> None:
    named(root, ["positive", "negative"], [0, 1])
    told = refusal(task(SIGNS), root)
    assert "'negative' is word 1 of task.labels, but class 1 of 'label' is 'positive'" in told


@pytest.mark.parametrize("names", [["pos", "neg"], ["Positive reviews", "NEGATIVE reviews"]])
def test_names_that_are_short_or_long_for_the_words_count_too(root: Path, names: list[str]) -> None:
    named(root, names, [0, 1])
    assert f"class 1 of 'label' is '{names[0]}'" in refusal(task(SIGNS), root)
    named_again = task(SIGNS, classes=names[::-1])
    put(root, "train.jsonl", jsonl((f"train {i}" for i in range(8)), names))
    assert [e.label for e in sources.read(named_again, str(root)).test] == [1, 0]


def test_a_number_that_is_another_class_name_is_refused(root: Path) -> None:
    card = "- name: label\n  dtype:\n    class_label:\n      names: {'0': '1', '1': '0'}\n"
    features = "\n".join(f"    {line}" for line in card.splitlines())
    put(root, "README.md", f"---\ndataset_info:\n  features:\n{features}\n---\n")
    assert "is it the number or the name?" in refusal(task(), root)
    found = sources.load(task(classes=["0", "1"]), str(root))
    assert {e.label == int(e.text.split()[1]) % 2 for e in found.test} == {False}


@pytest.mark.parametrize("classes", [SIGNS, ["NEGATIVE", "Positive"], [1, 0], ["1", "0"]])
def test_classes_may_be_names_or_numbers(root: Path, classes: list[Any]) -> None:
    named(root, ["positive", "negative"], [0, 1, 1])
    put(root, "train.jsonl", jsonl((f"train {i}" for i in range(8)), classes))
    test = sources.read(task(SIGNS, classes=classes), str(root)).test
    assert all(e.text.startswith(e.candidates[e.label]) for e in test)


def test_words_that_are_not_the_names_keep_their_order(root: Path) -> None:
    names = ["World", "Sports", "Business", "Sci/Tech"]
    words = ["World", "Sports", "Business", "Technology"]
    named(root, names, [0, 1, 2, 3])
    spec = task(words, classes=[0, 1, 2, 3])
    assert [e.label for e in sources.read(spec, str(root)).test] == [0, 1, 2, 3]
    (root / "made/up/test.parquet").unlink()
    put(root, "test.jsonl", "")
    named(root, [names[i] for i in (1, 0, 2, 3)], [0, 1, 2, 3])
    assert "'World' is word 1 of task.labels, but class 1" in refusal(spec, root)


def test_splits_that_number_the_classes_otherwise_want_names(root: Path) -> None:
    """The words are not the names, so that nothing else would tell."""
    named(root, SIGNS[::-1], [0, 1])
    named(root, SIGNS, [0, 1] * 4, "train")
    assert "name the classes of 'label' differently" in refusal(task(["bad", "good"]), root)
    source = sources.read(task(["bad", "good"], classes=SIGNS), str(root))
    for example in (*source.pool, *source.test):
        assert example.text.startswith(SIGNS[example.label])


def test_a_card_names_the_classes_of_text_files(root: Path) -> None:
    names = "\n        ".join(["names:", "  '0': positive", "  '1': negative"])
    put(
        root,
        "README.md",
        "---\ndataset_info:\n  features:\n  - name: text\n    dtype: string\n  - name: label\n"
        f"    dtype:\n      class_label:\n        {names}\n---\n",
    )
    assert "class 1 of 'label' is 'positive'" in refusal(task(SIGNS), root)
    test = sources.read(task(SIGNS, classes=SIGNS), str(root)).test
    assert [e.label for e in test] == [1, 0, 1, 0]


@pytest.mark.parametrize("classes", [["bad", "positive"], [0, 2], [-1, 1], ["0.5", "1"]])
def test_classes_that_the_column_does_not_have_are_refused(root: Path, classes: list[Any]) -> None:
    named(root, SIGNS, [0, 1] * 4, "train")
    assert "but column 'label' has the classes 0 negative, 1 positive" in refusal(
        task(classes=classes), root
    )


def test_unlabelled_rows_of_a_column_with_names_are_refused(root: Path) -> None:
    named(root, SIGNS, [0, -1])
    assert "label -1, which is none of [0, 1]" in refusal(task(SIGNS), root)


def test_words_turned_round_against_classes_of_text_are_refused(root: Path) -> None:
    put(root, "test.jsonl", jsonl(["a", "b"], SIGNS))
    put(root, "train.jsonl", jsonl((f"train {i}" for i in range(8)), SIGNS))
    assert "put the classes in the order of the words" in refusal(
        task(SIGNS, classes=SIGNS[::-1]), root
    )


@pytest.mark.parametrize("classes", [[0, 0], [1, True], ["0", 0], ["a", " a"]])
def test_one_class_twice_is_refused(classes: list[Any]) -> None:
    with pytest.raises(UserError, match="has one class twice"):
        task(classes=classes)


# Rows that are in two splits


@pytest.mark.parametrize(
    ("pool", "test"),
    [("test", "test"), ("train+test", "test"), ("train[:6]", "train[5:]"), ("train", "train[:2]")],
)
def test_a_pool_that_holds_test_rows_of_its_file_is_refused(
    root: Path, pool: str, test: str
) -> None:
    assert "demonstrations would show test rows" in refusal(task(pool=pool, test=test), root)
    refusal(task(pool=pool, test=test), root, overlap="keep")


@pytest.mark.parametrize("overlap", ["drop", "keep"])
@pytest.mark.parametrize("copied", ["a copy", "another order", "another kind"])
def test_a_copy_of_the_test_split_is_no_pool(root: Path, overlap: str, copied: str) -> None:
    lines = (root / "made/up/test.jsonl").read_text().splitlines()
    whole = [json.loads(line) for line in lines]
    (root / "made/up/train.jsonl").unlink()
    if copied == "another kind":
        pd.DataFrame(whole).to_parquet(root / "made/up/train.parquet")
    else:
        put(root, "train.jsonl", "\n".join(lines[::-1] if copied == "another order" else lines))
    told = refusal(task(), root, overlap=overlap)
    assert "demonstrations would show" in told
    assert "choose another split as pool" in told


def shared_rows(root: Path) -> None:
    """Of the test rows, one is in the pool twice, otherwise written; a dev row is there too."""
    splits = sources.load(task(), str(root), overlap="keep")
    dev, test = splits.dev[0].text, splits.test[0].text
    lines = jsonl([*(f"train {i}" for i in range(8))])
    more = [(test.upper(), 1), (f" {test.replace(' ', '  ')} ", 0)]
    more += [(dev, 0), (dev, 1)]
    put(
        root,
        "train.jsonl",
        lines + "".join(f"\n{json.dumps({'text': t, 'label': n})}" for t, n in more),
    )


def test_rows_in_two_splits_are_left_out_counted_and_told(root: Path) -> None:
    shared_rows(root)
    kept = sources.load(task(), str(root), overlap="keep")
    dropped = sources.load(task(), str(root))
    plain = [{" ".join(t.lower().split()) for t in texts(s)} for s in (dropped.pool, dropped.dev)]
    assert not plain[0] & set(texts(dropped.test))
    assert not plain[0] & plain[1]
    assert kept.overlap == dropped.overlap
    gone = sum(dropped.overlap[name] for name in ("test", "dev"))
    assert len(kept.pool) - len(dropped.pool) == gone > 0
    assert texts(dropped.pool) == [
        text for text in texts(kept.pool) if text in set(texts(dropped.pool))
    ]
    assert any(line.endswith("left out") for line in dropped.told)
    assert any(line.endswith("kept (pool.overlap=keep)") for line in kept.told)
    assert sources.fingerprint(kept, task()) != sources.fingerprint(dropped, task())


@pytest.mark.parametrize(
    "written", ["caf\u00e9 1", "cafe\u0301 1", "CAFE\u0301\u00a0 1", "ｃａｆé　１"]
)
def test_one_text_in_two_forms_of_unicode_is_one_text(root: Path, written: str) -> None:
    put(root, "test.jsonl", jsonl(["caf\u00e9 1", "other"]))
    put(root, "train.jsonl", jsonl([written, *(f"train {i}" for i in range(7))]))
    found = sources.load(task(), str(root))
    assert written not in texts([*found.pool, *found.dev])
    assert found.overlap["test"] + found.overlap["dev_in_test"] == 1


def test_what_is_left_out_depends_on_no_size(root: Path) -> None:
    shared_rows(root)
    whole = sources.load(task(), str(root))
    for test_size, dev_size in ((1, 0), (2, 1), (4, 0)):
        part = sources.load(task(), str(root), test_size, dev_size)
        assert (part.pool, part.overlap) == (whole.pool, whole.overlap)


def test_dev_rows_that_are_in_test_are_left_out(root: Path) -> None:
    dev = sources.load(task(), str(root)).dev
    put(root, "test.jsonl", jsonl(["test 0", "test 1", "test 2", dev[0].text]))
    splits = sources.load(task(), str(root))
    assert splits.overlap["dev_in_test"] == 1
    assert texts(splits.dev) == texts(dev[1:])
    assert "dev rows whose text is also in test (1): left out" in splits.told
    assert "dev_size is 4, but made has 3 dev examples" in refusal(task(), root, dev_size=4)
    assert sources.load(task(), str(root), overlap="keep").dev == dev


def test_a_pool_of_which_nothing_is_left_is_told(root: Path) -> None:
    put(root, "train.jsonl", jsonl(["one", "one", "one", "one", "one", "one"]))
    assert "no examples to choose from whose text is not in another split" in refusal(task(), root)


def given(root: Path, shown: str) -> TaskSpec:
    row = {"text": "Which?", "options": ["one", "two"], "label": 0}
    pool = [{**row, "text": shown}, {**row, "text": "Who?"}]
    test = [row, {**row, "options": ["two", "one"]}, {**row, "text": "Why?", "label": 1}]
    put(root, "train.jsonl", "\n".join(map(json.dumps, pool)))
    put(root, "test.jsonl", "\n".join(map(json.dumps, test)))
    return replace(task((), classes=None, choices="options"), given=True)


def test_test_rows_that_are_given_demonstrations_are_left_out(root: Path) -> None:
    """A question with other options is another question."""
    spec = given(root, "which?")
    splits = sources.load(spec, str(root))
    assert (splits.overlap["test"], len(splits.pool)) == (1, 2)
    assert [e.candidates for e in splits.test] == [("two", "one"), ("one", "two")]
    assert "test rows that are also demonstrations (1): left out" in splits.told
    assert len(sources.load(spec, str(root), overlap="keep").test) == 3
    assert sources.load(given(root, "Where?"), str(root)).overlap["test"] == 0


def test_the_record_and_the_terminal_say_what_was_left_out(
    run: Command, data_root: Path, tmp_path: Path
) -> None:
    file = data_root / "stanfordnlp/sst2/train.jsonl"
    row = json.dumps({"idx": 99, "sentence": "Validation row 3", "label": 1})
    file.write_text("\n".join([file.read_text(), *[row] * 40]))
    for overlap, done in (("drop", "left out"), ("keep", "kept (pool.overlap=keep)")):
        code, out, _ = run("method=vanilla", f"pool.overlap={overlap}")
        assert code == 0
        record = next(r for _, r in stored(tmp_path) if r["config"]["pool"]["overlap"] == overlap)
        number = record["data"]["overlap"]["test"]
        told = f"pool rows whose text is also in test ({number}) or in dev (0): {done}"
        assert 0 < number <= 40
        assert told in out
        assert told in record["data"]["told"]
    assert len(stored(tmp_path)) == 2


def test_overlaps_of_the_real_data(mirror: Path) -> None:
    found = {
        name: sources.load(compose([f"task={name}"]).task, str(mirror)).overlap
        for name in ("trec", "sst5")
    }
    assert found == {
        "trec": {"test": 11, "dev": 17, "dev_in_test": 0},
        "sst5": {"test": 2, "dev": 4, "dev_in_test": 1},
    }


def test_no_question_of_the_suites_is_a_demonstration(mirror: Path) -> None:
    """BBH's demonstrations share words with questions of other options, which are other ones."""
    for suite in ("mmlu", "bbh"):
        for job in requested([f"task={suite}"]).jobs:
            assert sources.load(job.task, str(mirror)).overlap["test"] == 0


ONE_ANSWER_TWICE = {"mmlu/international_law", "bbh/snarks"}
"""Members with a question, among the first 20, that lists one answer twice."""


TABLE_4 = ("sst2", "sst5", "trec", "mr", "agnews")


def test_the_data_have_as_many_rows_as_table_4_counts(whole_mirror: Path) -> None:
    """But for SST2's and AG News's test rows, of which the paper counts one more."""
    counted = paper.read("table4").set_index("task")
    for name in TABLE_4:
        spec = compose([f"task={name}"]).task
        splits = sources.load(spec, str(whole_mirror), overlap="keep")
        found = {"pool": len(splits.pool) + len(splits.dev), "test": len(splits.test)}
        assert found == spec.rows
        printed = counted.loc[name]
        more = name in ("sst2", "agnews")
        assert found == {"pool": printed["pool_rows"], "test": printed["test_rows"] - more}


def test_the_study_of_whole_data_reads_what_is_read_today(whole_mirror: Path) -> None:
    committed: dict[str, set[str]] = {}
    for _, record in records.load_all(CONF.parent / experiments.PUBLISHED).records:
        committed.setdefault(record.identity.task.name, set()).add(record.identity.task.data)
    for name in committed.keys() & set(TABLE_4):
        job = compose(["scale=cpu", f"task={name}"])
        sizes = (job.test_size, job.dev_size, job.pool_size)
        splits = sources.load(job.task, str(whole_mirror), *sizes)
        assert sources.fingerprint(splits, job.task) in committed[name]


def test_what_the_committed_records_read_is_what_is_read_today(mirror: Path) -> None:
    committed: dict[str, set[str]] = {}
    for study in (experiments.PUBLISHED, experiments.EARLIER):
        for _, record in records.load_all(CONF.parent / study).records:
            task = record.identity.task
            committed.setdefault(task.name, set()).add(task.data)
    jobs = [compose(["scale=cpu", f"task={name}"]) for name in TABLE_4]
    for suite in ("mmlu", "bbh"):
        jobs += requested([f"task={suite}", "scale=cpu_suite"]).jobs
    for job in jobs:
        sizes = (job.test_size, job.dev_size, job.pool_size)
        splits = sources.load(job.task, str(mirror), *sizes, overlap="keep")
        today = sources.fingerprint(splits, job.task)
        known = today in committed.get(job.task.name, {today})
        assert known == (job.task.name not in ONE_ANSWER_TWICE), job.task.name


# One class, one answer, no rows


def test_splits_of_one_class_are_told(root: Path) -> None:
    put(root, "test.jsonl", jsonl(["a", "b"], [1]))
    assert (
        "the right answer of all 2 test rows is the label good"
        in sources.load(task(), str(root)).told
    )
    put(root, "train.jsonl", jsonl((f"train {i}" for i in range(8)), [0]))
    told = sources.load(task(), str(root)).told
    assert "the right answer of all 6 pool rows is the label bad" in told
    assert "the right answer of all 2 dev rows is the label bad" in told


def test_a_class_without_a_demonstration_is_told(root: Path) -> None:
    spec = task(["bad", "good", "fair"], classes=[0, 1, 2])
    put(root, "test.jsonl", jsonl(["a", "b", "c"], [0, 1, 2]))
    assert "no pool row has the label fair" in sources.load(spec, str(root)).told


def test_one_answer_listed_twice_is_other_data(root: Path) -> None:
    spec = given(root, "Where?")
    splits = sources.load(spec, str(root))
    double = replace(splits.test[0], candidates=("one", "one"))
    changed = replace(splits, test=(double, *splits.test[1:]))
    parts = [("pool", e.text, str(e.label), *e.candidates) for e in splits.pool] + [
        ("test", e.text, str(e.label), *e.candidates) for e in changed.test
    ]
    old = hashlib.sha256("".join("\x1f".join(p) + "\x1e" for p in parts).encode()).hexdigest()
    assert sources.fingerprint(changed, spec) != old
    wrong_twice = replace(splits.pool[0], candidates=("x", "y", "y"), label=0)
    parts[0] = ("pool", wrong_twice.text, "0", "x", "y", "y")
    parts[len(splits.pool)] = ("test", splits.test[0].text, "0", *splits.test[0].candidates)
    shown = replace(splits, pool=(wrong_twice, *splits.pool[1:]))
    old = hashlib.sha256("".join("\x1f".join(p) + "\x1e" for p in parts).encode()).hexdigest()
    assert sources.fingerprint(shown, spec) == old


def test_a_flipped_label_is_another_answer() -> None:
    assert flipped(Example("?", ("one", "one", "two"), 0)).label == 2
    assert flipped(Example("?", ("one", "two", "one"), 2)).label == 1
    assert flipped(Example("?", ("one", "two"), 1)).label == 0


@pytest.mark.parametrize("number", [26, 27])
def test_letters_end_at_z(root: Path, number: int) -> None:
    spec = replace(given(root, "Where?"), answer="letter")
    row = {"text": "Which?", "options": [f"no. {i}" for i in range(number)], "label": number - 1}
    file = put(root, "test.jsonl", json.dumps(row))
    if number == 26:
        (example,) = sources.load(spec, str(root)).test
        assert example.candidates[example.label] == "Z"
    else:
        told = "has 27 options, but letters end at Z: use task.answer=text"
        assert refusal(spec, root) == f"made: row 1 of {file} {told}"
        assert len(sources.load(replace(spec, answer="text"), str(root)).test[0].candidates) == 27


@pytest.mark.parametrize("listing", ["(A) one\n- two", "(A) one\n(A) two"])
def test_options_that_are_not_marked_alike_are_refused(root: Path, listing: str) -> None:
    spec = task((), classes=None, choices="text")
    for split in ("train", "test"):
        text = f"{split}?\nOptions:\n{listing}"
        put(root, f"{split}.jsonl", json.dumps({"text": text, "label": "(A)"}))
    assert "row 1 of" in refusal(spec, root)
    assert "lists no options at its end" in refusal(spec, root)


EMPTY = {
    "no bytes": ("train.jsonl", "", "train.jsonl"),
    "blank lines": ("train.jsonl", "\n\n", "train.jsonl"),
    "an empty list": ("train.json", "[]", "split 'train' has no rows"),
    "a heading alone": ("train.csv", "text,label\n", "split 'train' has no rows"),
    "not even a heading": ("train.csv", "", "it has no column 'text' but none"),
}


@pytest.mark.parametrize("kind", EMPTY)
def test_a_file_without_rows_is_one_line(root: Path, kind: str) -> None:
    name, text, told = EMPTY[kind]
    (root / "made/up/train.jsonl").unlink()
    put(root, name, text)
    assert told in refusal(task(), root) or "split 'train' has no rows" in refusal(task(), root)


def test_no_sources_are_one_line(run: Command) -> None:
    code, _, err = run("task.sources=[]")
    assert_one_line(code, err, "task.sources is empty")


def test_words_that_yaml_reads_as_something_else_want_quotation_marks(run: Command) -> None:
    code, _, err = run("task.labels=[true,false]")
    assert_one_line(code, err, "need quotation marks")


def test_words_where_rows_have_their_own_options_are_refused() -> None:
    with pytest.raises(UserError, match=r"set task\.labels=\[\]"):
        task(classes=None, choices="options")


# Giants and wrecks


def packed(line: bytes, times: int) -> bytes:
    """A small file of many equal lines."""
    return gzip.compress(line * times, 1)


WRECKS: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "a giant line": (
        "train.csv",
        lambda: b"text,label\n" + b"x" * 11_000_000,
        "line 2 is longer than 10,000,000 characters",
    ),
    "a giant cell": ("train.csv", lambda: b'text,label\n"' + b"x\n" * 6_000_000, "limit"),
    "a giant JSON line": (
        "train.jsonl",
        lambda: b'{"text": "' + b"x" * 11_000_000,
        "line 1 is longer than 10,000,000 characters",
    ),
    "columns": (
        "train.csv",
        lambda: ",".join(f"c{i}" for i in range(1_000_000)).encode(),
        "it has 1,000,000 columns, more than 10,000",
    ),
    "a packed giant": (
        "train.jsonl.gz",
        lambda: packed(b"x" * 2**20, 2**10),
        "line 1 is longer than 10,000,000 characters",
    ),
    "a cut archive": (
        "train.csv.gz",
        lambda: gzip.compress(b"text,label\na,0\n" * 99)[:-9],
        "ended before the end-of-stream marker",
    ),
    "no archive": ("train.csv.gz", lambda: b"text,label\na,0\n", "Not a gzipped file"),
    "an open quotation mark": (
        "train.csv",
        lambda: b'text,label\na,0\n"b,1\nc,0\n',
        "unexpected end of data",
    ),
    "a comma in a text": (
        "train.csv",
        lambda: b"text,label\na, b,0\n",
        "row 1 has 3 cells where the heading has 2",
    ),
    "a cut row": (
        "train.csv",
        lambda: b"text,label\na,0\nb",
        "row 2 has 1 cells where the heading has 2",
    ),
    "two columns of a name": (
        "train.csv",
        lambda: b"text,label,text\na,0,b\n",
        "it has 2 columns 'text'",
    ),
    "another character set": (
        "train.csv",
        lambda: "text,label\né,0\n".encode("latin-1"),
        "it is no UTF-8 text: save it in that encoding",
    ),
    "no objects": ("train.jsonl", lambda: b'"text"\n', "row 1 is no object of columns"),
    "no column": (
        "train.jsonl",
        lambda: b'{"txt": "a", "label": 0}',
        "it has no column 'text' but txt, label",
    ),
    "brackets": ("train.jsonl", lambda: b'{"text":' + b"[" * 100_000, "recursion"),
    "digits": ("train.jsonl", lambda: b'{"label": ' + b"9" * 5000 + b"}", "row 1"),
    "a pointer": (
        "train.parquet",
        lambda: b"version https://git-lfs.github.com/spec/v1\n",
        "Parquet magic bytes not found",
    ),
}


@pytest.mark.parametrize("kind", WRECKS)
def test_giants_and_wrecks_are_one_line_within_seconds(
    root: Path, kind: str, capfd: pytest.CaptureFixture[str]
) -> None:
    name, made, hint = WRECKS[kind]
    (root / "made/up/train.jsonl").unlink()
    file = put(root, name, made())
    began = time.monotonic()
    told = refusal(task(), root)
    assert time.monotonic() - began < 30
    assert told.startswith(f"made: {file}, split 'train', cannot be read (")
    assert hint in told
    assert len(told) < 500
    assert capfd.readouterr() == ("", "")


def test_more_rows_than_anybody_needs_are_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "ROWS", 1000)
    (root / "made/up/train.jsonl").unlink()
    put(root, "train.csv.gz", packed(b"text,label\n", 5000))
    assert "it has more than 1,000 rows: take a part of them" in refusal(task(), root)
    monkeypatch.setattr(formats, "SIZE", 500)
    assert "it holds more than 500 characters: make parquet files of it" in refusal(task(), root)


def test_a_parquet_file_that_unpacks_to_much_is_refused(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "SIZE", 1000)
    (root / "made/up/train.jsonl").unlink()
    frame = pd.DataFrame({"text": ["the same again"] * 1000, "label": [0] * 1000})
    frame.to_parquet(root / "made/up/train.parquet")
    assert "its columns hold more than 1,000 bytes" in refusal(task(), root)


# What was right before and is to stay so


def test_links_in_a_circle_and_pipes_are_no_data(root: Path) -> None:
    (root / "made/up/again").symlink_to(root / "made/up")
    os.mkfifo(root / "made/up/train.csv")
    assert len(sources.load(task(), str(root)).test) == 4


def test_slices_that_have_no_row_in_common_are_two_splits(root: Path) -> None:
    splits = sources.load(task(pool="train[:75%]", test="train[75%:]"), str(root))
    assert texts(splits.test) == ["train 6", "train 7"]
    assert len(splits.pool) + len(splits.dev) == 6


@pytest.mark.parametrize("split", ["train[", "no such", "train[:0]"])
def test_a_split_that_is_none_is_one_line(root: Path, split: str) -> None:
    assert "split '" in refusal(task(pool=split), root)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_text_in_another_encoding_is_told(root: Path, encoding: str) -> None:
    file = root / "made/up/test.jsonl"
    file.write_text('{"text": "d\xe9j\xe0 vu", "label": 0}\n', encoding=encoding)
    assert refusal(task(), root).endswith(
        f"{file}, split 'test', cannot be read (it is no UTF-8 text: save it in that encoding)"
    )
