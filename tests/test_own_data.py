"""A task in a file of the user's own: columns, classes, splits, keys, and a run."""

import gzip
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import Command, stored
from own_rows import GOOD, THINGS, lines, loaded, opinions, task, write

from deepthink.config.overrides import compose, expand
from deepthink.config.templates import Template
from deepthink.errors import UserError
from deepthink.report import commands
from deepthink.store import records
from deepthink.store.identity import answered, asked, identity, record_id, request
from deepthink.study.texts import Corpus, Instance
from deepthink.tasks import own, sources
from deepthink.tasks.frames import from_frame

ROWS = opinions()
FRAME = pd.DataFrame(ROWS, columns=["body", "stars"])


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands are given in the folder of the files."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def key(*words: str) -> str:
    job = compose(words)
    spec = own.resolved(job.task)
    data = sources.fingerprint(sources.load(spec), spec)
    return record_id(identity(replace(job, task=spec), "float32", data))


# What is found


def test_columns_and_classes_are_found_and_told(here: Path) -> None:
    write(here)
    told: list[str] = []
    spec = own.resolved(compose(["task.file=reviews.csv"]).task, told.append)
    assert told == [
        "reviews.csv: text from 'body', label from 'stars' (good, poor), 60 rows; the prompt is "
        "'{text}\\nLabel:'"
    ]
    assert (spec.name, spec.labels, spec.demonstrations) == ("reviews", ["good", "poor"], 8)
    assert spec.rows == {"pool": 40, "test": 20}
    splits = sources.load(spec)
    assert (len(splits.pool), len(splits.dev), len(splits.test)) == (20, 20, 20)
    pairs = {(e.text, spec.labels[e.label]) for part in splits.scored() for e in part[1]}
    assert {*pairs, *((e.text, spec.labels[e.label]) for e in splits.pool)} == {*ROWS}


def test_the_line_is_told_once(here: Path) -> None:
    write(here)
    told: list[str] = []
    for _ in range(3):
        own.resolved(compose(["task.file=reviews.csv"]).task, told.append)
    assert len(told) == 1


@pytest.mark.parametrize(
    ("heading", "text", "label"),
    [
        ("text,label", "text", "label"),
        ("Body,Sentiment", "Body", "Sentiment"),
        ("what,which", "what", "which"),  # by their cells: the only phrases, the only few values
        (" body , stars ", "body", "stars"),
    ],
)
def test_columns_are_known_by_name_or_by_their_cells(
    here: Path, heading: str, text: str, label: str
) -> None:
    write(here, text=lines(ROWS, heading))
    (source,) = task("task.file=reviews.csv").sources
    assert (source.text, source.label) == (text, label)


def test_columns_called_text_and_label_are_taken_before_others(here: Path) -> None:
    rows = [(text, f"On {text}", label, i % 3) for i, (text, label) in enumerate(ROWS)]
    write(here, text=lines(rows, "Text,title,Label,topic"))
    (source,) = task("task.file=reviews.csv").sources
    assert (source.text, source.label) == ("Text", "Label")


def test_numbers_are_classes_in_their_order(here: Path) -> None:
    rows = [(f"{text} Indeed.", 10 - i % 5 * 2) for i, (text, _) in enumerate(ROWS)]
    write(here, text=lines(rows))
    spec = task("task.file=reviews.csv")
    assert spec.labels == ["2", "4", "6", "8", "10"]
    assert spec.demonstrations == 10
    assert task("task.file=reviews.csv", "task.demonstrations=5").demonstrations == 5
    few = task("task.file=reviews.csv", "task.labels={2: terrible, 10: great}")
    assert few.labels == ["terrible", "4", "6", "8", "great"]
    each = task("task.file=reviews.csv", "task.labels=[a,b,c,d,e]")
    assert (each.labels, each.sources[0].classes) == ([*"abcde"], ["2", "4", "6", "8", "10"])


@pytest.mark.parametrize(
    ("values", "words"),
    [([0, 1], ["0", "1"]), ([0.0, 1.0], ["0", "1"]), ([True, False], ["False", "True"])],
)
def test_classes_of_json_become_words(
    here: Path, values: Sequence[object], words: list[str]
) -> None:
    rows = [{"body": text, "stars": values[i % 2]} for i, (text, _) in enumerate(ROWS)]
    write(here, "reviews.jsonl", "\n".join(map(json.dumps, rows)))
    spec, splits = loaded("task.file=reviews.jsonl")
    assert spec.labels == words
    gold = {e.text: spec.labels[e.label] for e in splits.test}
    as_word = {row["body"]: str(row["stars"]).removesuffix(".0") for row in rows}
    assert all(as_word[text] == word for text, word in gold.items())


def test_names_of_classes_in_parquet_are_the_words(here: Path) -> None:
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"body": Value("string"), "stars": ClassLabel(names=["poor", "good"])})
    rows = {"body": [t for t, _ in ROWS], "stars": [int(s == "good") for _, s in ROWS]}
    Dataset.from_dict(rows, features=features).to_parquet(here / "reviews.parquet")
    spec, splits = loaded("task.file=reviews.parquet")
    assert spec.labels == ["poor", "good"]
    assert {(e.text, spec.labels[e.label]) for e in splits.test} <= {*ROWS}


# Which rows are which


def test_held_out_rows_are_few_of_many_and_as_many_as_wanted(here: Path) -> None:
    write(here, text=lines(opinions(4000)))
    assert task("task.file=reviews.csv").rows == {"pool": 3000, "test": 1000}
    _, splits = loaded("task.file=reviews.csv", "task.held_out=50")
    assert len(splits.test) == 50
    assert [line for line in splits.told if line.startswith("50 of the 4,000 rows are held out")]


def test_held_out_rows_have_the_proportions_of_the_labels(here: Path) -> None:
    rows = [(text, "good" if i < 90 else "poor") for i, (text, _) in enumerate(opinions(120))]
    write(here, text=lines(rows))
    spec, splits = loaded("task.file=reviews.csv")
    for part in (splits.test, splits.dev, splits.pool):
        assert Counter(spec.labels[e.label] for e in part) == {"good": 30, "poor": 10}


def test_test_rows_may_be_in_a_file_of_their_own(here: Path) -> None:
    write(here, "train.csv", lines(ROWS[:40]))
    write(here, "new.jsonl", "\n".join(json.dumps({"stars": s, "body": t}) for t, s in ROWS[40:]))
    spec, splits = loaded("task.file=train.csv", "task.test_file=new.jsonl", "task.name=mine")
    assert [e.text for e in splits.test] == [text for text, _ in ROWS[40:]]
    assert spec.rows == {"pool": 40, "test": 20}
    assert not splits.told


@pytest.mark.parametrize("test", ["test.csv", "validation.csv", "test/part.csv"])
def test_a_folder_may_hold_train_and_test(here: Path, test: str) -> None:
    train = "train/part.csv" if "/" in test else "train.csv"
    write(here / "shop", train, lines(ROWS[:40]))
    write(here / "shop", test, lines(ROWS[40:]))
    spec, splits = loaded("task.file=shop")
    assert (spec.name, len(splits.test)) == ("shop", 20)


@pytest.mark.parametrize("words", [(), ("task.split=split",)])
def test_a_column_may_say_which_rows_are_test(here: Path, words: tuple[str, ...]) -> None:
    parts = ["train"] * 40 + ["TEST"] * 15 + ["validation"] * 5
    rows = [(*row, part) for row, part in zip(ROWS, parts, strict=True)]
    write(here, text=lines(rows, "body,stars,split"))
    _, splits = loaded("task.file=reviews.csv", *words)
    assert [e.text for e in splits.test] == [text for text, _ in ROWS[40:55]]
    assert splits.told == ("the 5 rows whose 'split' is 'validation' are not used",)
    write(here, text=lines([row for row in rows if row[2] != "TEST"], "body,stars,split"))
    _, splits = loaded("task.file=reviews.csv", *words)
    assert len(splits.test) == 5
    assert "are the test rows, since there are no others" in splits.told[0]


def test_no_text_is_in_two_splits(here: Path) -> None:
    write(here, text=lines([*ROWS, *ROWS[:6]]))
    _, splits = loaded("task.file=reviews.csv")
    parts = [{e.text for e in part} for part in (splits.pool, splits.dev, splits.test)]
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]


@pytest.mark.parametrize("count", [12, 13, 20, 30])
def test_few_rows_are_enough(here: Path, count: int) -> None:
    write(here, text=lines(ROWS[:count]))
    spec, splits = loaded("task.file=reviews.csv")
    assert 2 <= spec.demonstrations <= len(splits.pool)
    assert {e.label for e in splits.pool} == {e.label for e in splits.test} == {0, 1}


# Several columns


def test_a_template_has_the_columns_of_the_file(here: Path) -> None:
    rows = [(f"The {THINGS[i % 5]} {GOOD[i % 4]}.", f"Is item {i} fine", i % 2) for i in range(60)]
    write(here, "pairs.csv", lines(rows, "premise,claim,gold"))
    words = r"task.template={premise}\nQuestion: {claim} - true or false?"
    spec, splits = loaded("task.file=pairs.csv", words, "task.labels=[wrong,right]")
    assert spec.parsed == Template.parse("{premise}\nQuestion: {claim} - true or false?")
    assert splits.test[0].text.startswith("The ") and "\nQuestion: Is item " in splits.test[0].text


@pytest.mark.parametrize(
    "marks", [(0, 1), (1, 2), ("A", "B"), ("a", "b"), ("left", "right")], ids=str
)
def test_options_may_stand_in_columns(here: Path, marks: tuple[object, object]) -> None:
    rows = [
        (f"How to {t}?", f"pour {i}", f"drink {i}", marks[i % 2]) for i, (t, _) in enumerate(ROWS)
    ]
    write(here, "goals.csv", lines(rows, "goal,left,right,sol"))
    spec, splits = loaded(
        "task.file=goals.csv",
        "task.choices=[left,right]",
        "task.label=sol",
        r"task.template={goal}\nAnswer:",
    )
    assert spec.labels == []
    example = splits.test[0]
    number = example.candidates[0].split()[1]
    assert example.candidates == (f"pour {number}", f"drink {number}")
    assert example.label == int(number) % 2


# Keys


def as_csv(path: Path) -> None:
    FRAME.to_csv(path, index=False)


def as_packed_csv(path: Path) -> None:
    path.write_bytes(gzip.compress(FRAME.to_csv(index=False).encode()))


def as_tsv(path: Path) -> None:
    FRAME.to_csv(path, index=False, sep="\t")


def as_json_lines(path: Path) -> None:
    FRAME.to_json(path, orient="records", lines=True)


def as_json(path: Path) -> None:
    FRAME.to_json(path, orient="records")


def as_parquet(path: Path) -> None:
    FRAME.to_parquet(path)


WAYS: dict[str, Callable[[Path], None]] = {
    "reviews.csv.gz": as_packed_csv,
    "reviews.tsv": as_tsv,
    "reviews.jsonl": as_json_lines,
    "reviews.json": as_json,
    "reviews.parquet": as_parquet,
}


def test_an_excel_file_is_read(here: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl", reason="openpyxl is not installed")
    book = openpyxl.Workbook()
    book.create_sheet("empty")
    for row in (("body", None, "stars"), (), *((text, None, label) for text, label in ROWS)):
        book.active.append(row)
    book.save(here / "reviews.xlsx")
    write(here)
    assert key("task.file=reviews.xlsx") == key("task.file=reviews.csv")
    (here / "cut.xlsx").write_bytes((here / "reviews.xlsx").read_bytes()[:3000])
    write(here, "text.xlsx")
    for name in ("cut.xlsx", "text.xlsx"):
        with pytest.raises(UserError, match=f"{name} cannot be read .it is no whole Excel file"):
            task(f"task.file={name}")
    book["empty"].append(["more", "rows"])
    book.save(here / "two.xlsx")
    with pytest.raises(UserError, match=r"2 filled sheets \(Sheet, empty\): save one alone"):
        task("task.file=two.xlsx")


@pytest.mark.parametrize("name", WAYS)
def test_the_same_rows_in_another_format_have_the_same_key(here: Path, name: str) -> None:
    as_csv(here / "reviews.csv")
    WAYS[name](here / name)
    assert key("task.file=reviews.csv") == key(f"task.file={name}")


def test_the_key_has_the_name_and_the_rows_and_not_the_place(here: Path) -> None:
    write(here)
    first = key("task.file=reviews.csv")
    write(here / "elsewhere", "reviews.csv")
    assert key("task.file=elsewhere/reviews.csv") == first
    write(here, "opinions.csv")
    assert key("task.file=opinions.csv") != first
    assert key("task.file=opinions.csv", "task.name=reviews") == first
    write(here, text=lines([*ROWS[:59], ("My radio is new.", "poor")]))
    assert key("task.file=reviews.csv") != first


@pytest.mark.parametrize(
    "word", ["task.labels=[fine,bad]", "task.template='So: {text} Is it?'", "task.held_out=21"]
)
def test_what_changes_a_number_changes_the_key(here: Path, word: str) -> None:
    write(here)
    assert key("task.file=reviews.csv", word) != key("task.file=reviews.csv")


def test_requests_of_other_columns_are_others(here: Path) -> None:
    words = ["task.file=reviews.csv"]
    assert request(compose(words)) == request(compose(words))
    assert request(compose(words)) != request(compose([*words, "task.label=stars"]))


# Commands


def test_a_template_with_braces_needs_no_second_quotation_marks() -> None:
    spec = compose(["task.file=x.csv", r"task.template={a}\n{b}?"]).task
    assert spec.template == "{a}\n{b}?"
    assert compose(["task.template='{text} So'"]).task.template == "{text} So"
    with pytest.raises(UserError, match=r"task\.template="):
        compose(["task.template={text}, so?"])


def test_a_sweep_goes_over_files_and_templates() -> None:
    words = ["task.file=a.csv,b.csv", "task.template='{text} A','{text} B'"]
    assert [compose(job).task.name for job in expand(words)] == ["a", "a", "b", "b"]


def test_five_lines_of_a_folder_make_a_task(here: Path) -> None:
    write(here)
    write(
        here,
        "mine/conf/task/shop.yaml",
        "defaults: [_own, _self_]\nfile: reviews.csv\ntext: body\nlabel: stars\n"
        "labels: [fine, bad]\n",
    )
    job = compose(["plugins=mine", "task=shop", "task.name=shop"])
    spec = own.resolved(job.task)
    assert (spec.name, spec.labels, spec.sources[0].text) == ("shop", ["fine", "bad"], "body")


def test_a_run_writes_a_record_of_the_file(run: Command, here: Path) -> None:
    write(here)
    code, out, err = run("task.file=reviews.csv")
    assert (code, err) == (0, "")
    assert out.count("reviews.csv: text from 'body'") == 1
    assert "20 of the 60 rows are held out" in " ".join(out.split())
    ((path, record),) = stored(here)
    assert path.parent.parent.name == "reviews"
    assert record["data"]["rows"] == {"pool": 20, "dev": 20, "test": 20}
    assert record["data"]["read_rows"] == record["data"]["published_rows"]
    assert record["data"]["repository"] == "reviews.csv"
    assert record["config"]["task"]["own"]["file"] == "reviews.csv"
    assert record["identity"]["task"]["labels"] == ["good", "poor"]
    code, out, _ = run("task.file=reviews.csv")
    assert code == 0 and "read, not run again" in out


def test_the_words_of_a_record_ask_for_it_again(run: Command, here: Path) -> None:
    write(here)
    words = ("task.name=shop", r"task.template=Of it: {text}\nIs it?", "task.labels={good: fine}")
    code, _, err = run("task.file=reviews.csv", *words, "test_size=6", "method=vanilla")
    assert (code, err) == (0, "")
    ((path, _),) = stored(here)
    record = records.read(path)
    again = compose(commands.words_of(record))
    again = replace(again, task=own.resolved(again.task))
    assert asked(again) == answered(record.identity, record.config)


def test_seeds_differ_in_their_demonstrations_alone(run: Command, here: Path) -> None:
    write(here)
    code, *_ = run("-m", "task.file=reviews.csv", "seed=0,1", "method.iterations=1")
    assert code == 0
    (_, first), (_, second) = stored(here)
    assert first["identity"]["task"] == second["identity"]["task"]
    assert first["demonstrations"]["indices"] != second["demonstrations"]["indices"]


# Data that other tasks have


def test_a_published_data_set_as_a_folder_is_the_task_of_this_program(mirror: Path) -> None:
    spec = compose(["task=mr"]).task
    known = sources.fingerprint(sources.load(spec, str(mirror)), spec)
    folder = mirror / spec.sources[0].repository
    mine, splits = loaded(f"task.file={folder}", "task.labels=[negative,positive]")
    assert sources.fingerprint(splits, mine) == known
    assert (mine.rows, mine.demonstrations) == (spec.rows, spec.demonstrations)


def test_a_calibration_asks_with_every_column_filled(
    run: Command, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [(text, f"It is item {i}", i % 2) for i, (text, _) in enumerate(ROWS)]
    write(here, "pairs.csv", lines(rows, "premise,claim,gold"))
    asked: list[str] = []
    written = Corpus.written

    def spied(corpus: Corpus, text: str | Instance) -> str:
        asked.append(written(corpus, text))
        return asked[-1]

    monkeypatch.setattr(Corpus, "written", spied)
    words = r"task.template={premise}\nSo {claim}?"
    code, _, err = run("task.file=pairs.csv", words, "calibration=contextual", "test_size=4")
    assert (code, err) == (0, "")
    assert "N/A\nSo N/A" in asked


# Frames


def test_a_frame_is_the_task_that_its_file_is(here: Path) -> None:
    as_csv(here / "reviews.csv")
    spec, splits = loaded("task.file=reviews.csv")
    of_frame, its_splits = from_frame(FRAME, name="reviews")
    assert (of_frame.labels, of_frame.template) == (spec.labels, spec.template)
    assert (its_splits.pool, its_splits.dev, its_splits.test) == (
        splits.pool,
        splits.dev,
        splits.test,
    )


@pytest.mark.parametrize(
    ("frame", "keys", "hint"),
    [
        (FRAME.replace("poor", None), {}, "30 rows have nothing in column 'stars'"),
        (FRAME, {"txt": "body"}, "unknown argument of from_frame 'txt': did you mean text?"),
        (FRAME, {"label": "star"}, "did you mean stars? (frame)"),
        (FRAME.rename(columns={"stars": "body"}), {}, "two columns of one name"),
        (list(ROWS), {}, "a frame of pandas is needed"),
    ],
)
def test_a_frame_that_is_no_task_is_one_line(
    frame: pd.DataFrame, keys: dict[str, Any], hint: str
) -> None:
    with pytest.raises(UserError) as told:
        from_frame(frame, **keys)
    assert hint in str(told.value) and "\n" not in str(told.value)
