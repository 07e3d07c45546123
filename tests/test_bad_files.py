"""Files of a user's own that cannot be a task: each is one line that says what to do."""

import io
import json
from pathlib import Path

import pandas as pd
import pytest
from conftest import Command, assert_one_line
from own_rows import lines, loaded, opinions, write

from deepthink.config.overrides import compose
from deepthink.errors import UserError
from deepthink.tasks import own


def parquet(rows: list[tuple[str, str]]) -> bytes:
    buffer = io.BytesIO()
    pd.DataFrame(rows, columns=["body", "stars"]).to_parquet(buffer)
    return buffer.getvalue()


ROWS = opinions()
TEXT = lines(ROWS)
NUMBERS = lines([(text, 3 + 7 * i) for i, (text, _) in enumerate(ROWS)])

BAD: dict[str, tuple[str, str | bytes, tuple[str, ...], str]] = {
    "empty": ("reviews.csv", "", (), "reviews.csv has no rows: is it empty?"),
    "a heading alone": ("reviews.csv", "body,stars\n", (), "has no rows but a heading"),
    "an empty list": ("reviews.json", "[]", (), "has no rows: is it empty?"),
    "one class": (
        "reviews.csv",
        lines([(text, "good") for text, _ in ROWS]),
        ("task.label=stars",),
        "column 'stars' of reviews.csv has 'good' in all 60 rows",
    ),
    "numbers to predict": ("reviews.csv", NUMBERS, (), "60 different values in 60 rows ('3', '10'"),
    "texts that are empty": (
        "reviews.csv",
        lines([*ROWS, (" ", "good"), ("", "poor")]),
        (),
        "2 rows have nothing in column 'body', the first is row 61 of reviews.csv",
    ),
    "texts that are null": (
        "reviews.jsonl",
        "\n".join(
            json.dumps({"body": t if i else None, "stars": s}) for i, (t, s) in enumerate(ROWS)
        ),
        (),
        "a row has nothing in column 'body', row 1 of reviews.jsonl: fill it in",
    ),
    "labels that are missing": (
        "reviews.csv",
        lines([*ROWS, ("What a day", ""), ("What a night", "NaN")]),
        (),
        "2 rows have nothing in column 'stars', the first is row 61",
    ),
    "semicolons": (
        "reviews.csv",
        lines(ROWS, "body;stars", ";"),
        (),
        "'body;stars', divided by semicolons: save it with commas",
    ),
    "tabs in a csv": ("reviews.csv", lines(ROWS, "body\tstars", "\t"), (), "divided by tabs"),
    "commas in a tsv": ("reviews.tsv", TEXT, (), "divided by commas: save it with tabs"),
    "another encoding": (
        "reviews.csv",
        TEXT.replace("day", "né").replace("joy", "né").encode("latin-1"),
        (),
        "it is no UTF-8 text: save it in that encoding",
    ),
    "two bytes for each letter": ("reviews.csv", TEXT.encode("utf-16"), (), "no UTF-8 text"),
    "a broken line of JSON": (
        "reviews.jsonl",
        "\n".join(json.dumps({"body": t, "stars": s}) for t, s in ROWS[:20]) + '\n{"body": "so',
        (),
        "row 21 is cut or no JSON",
    ),
    "a row too long": ("reviews.csv", TEXT + "Dull, dark,poor\n", (), "row 61 has 3 cells where"),
    "a row too short": ("reviews.csv", TEXT + "Dull\n", (), "row 61 has 1 cells where"),
    "a column twice": (
        "reviews.csv",
        lines([(t, t, s) for t, s in ROWS], "body,body,stars"),
        (),
        "it has 2 columns 'body'",
    ),
    "a number for a text": (
        "reviews.jsonl",
        "\n".join(json.dumps({"body": i, "stars": s}) for i, (_, s) in enumerate(ROWS)),
        (),
        "row 1 of reviews.jsonl has 0 in column 'body', which is no text",
    ),
    "a class of one row": (
        "reviews.csv",
        lines([*ROWS, ("It is fine", "goood")]),
        (),
        "the class 'goood' of column 'stars' has one row, row 61 of reviews.csv",
    ),
    "a class in two ways": (
        "reviews.csv",
        lines([*ROWS, ("It is fine", "Good"), ("It is nice", "Good")]),
        (),
        "'good' and 'Good', which differ in capitals",
    ),
    "a list for a label": (
        "reviews.jsonl",
        "\n".join(json.dumps({"body": t, "stars": [s]}) for t, s in ROWS),
        (),
        "column 'stars' of reviews.jsonl holds ['good'], which is no class",
    ),
    "binary in a csv": ("reviews.csv", bytes(range(256)) * 20, (), "reviews.csv cannot be read"),
    "another ending": ("reviews.docx", TEXT, (), "has none of the endings .parquet, .jsonl"),
    "no ending": ("reviews", TEXT, (), "has none of the endings"),
    "too few rows": (
        "reviews.csv",
        lines(ROWS[:9]),
        (),
        "reviews.csv has 9 rows: 12 are the fewest",
    ),
    "parquet that is cut": ("reviews.parquet", parquet(ROWS)[:400], (), "cannot be read (Parquet"),
    "csv called parquet": ("reviews.parquet", TEXT, (), "reviews.parquet cannot be read"),
    "no heading": (
        "reviews.csv",
        lines(ROWS[1:], ",".join(ROWS[0])),
        (),
        "add a first line with names",
    ),
    "one column": (
        "reviews.csv",
        lines([(t,) for t, _ in ROWS], "body"),
        (),
        "say task.label=COLUMN",
    ),
    "two columns of labels": (
        "reviews.csv",
        lines([(*row, i % 3) for i, row in enumerate(ROWS)], "body,stars,topic"),
        (),
        "label may be stars or topic: say task.label=COLUMN (the columns are body, stars, topic)",
    ),
    "two columns of texts": (
        "reviews.csv",
        lines([(t, f"On {t}", s) for t, s in ROWS], "body,review,stars"),
        (),
        "the column of the text may be body or review: say task.text=COLUMN",
    ),
    "a column that is not there": (
        "reviews.csv",
        TEXT,
        ("task.label=star",),
        "task.label is 'star': unknown column 'star': did you mean stars? (reviews.csv)",
    ),
    "a template with another column": (
        "reviews.csv",
        TEXT,
        ("task.template={text} {titel}?",),
        "unknown column 'titel': valid: body, stars.",
    ),
    "a label in the template": (
        "reviews.csv",
        TEXT,
        ("task.label=stars", "task.template={body} {stars}?"),
        "would show column 'stars', which is the label",
    ),
    "a label for the text": (
        "reviews.csv",
        TEXT,
        ("task.label=stars", "task.text=stars"),
        "would show column 'stars', which is the label",
    ),
    "an object of columns": (
        "reviews.json",
        json.dumps({"body": [t for t, _ in ROWS], "stars": [s for _, s in ROWS]}),
        (),
        "reviews.json is one object that holds whole columns: write an object for each row",
    ),
    "too few words": ("reviews.csv", TEXT, ("task.labels=[fine]",), "has 2 classes (good, poor)"),
    "a word for another class": (
        "reviews.csv",
        TEXT,
        ("task.labels={god: fine}",),
        "column 'stars' of reviews.csv) 'god': did you mean good?",
    ),
    "words in another order": (
        "reviews.csv",
        TEXT,
        ("task.labels=[poor,good]",),
        "put the classes in the order of the words",
    ),
    "two classes of one word": (
        "reviews.csv",
        TEXT,
        ("task.labels={good: poor}",),
        "task.labels has 'poor' twice",
    ),
    "more held out than there is": (
        "reviews.csv",
        TEXT,
        ("task.held_out=58",),
        "task.held_out is 58, but reviews.csv has 60 rows",
    ),
    "a split that is none": (
        "reviews.csv",
        TEXT,
        ("task.split=stars",),
        "row 1 of reviews.csv has 'good' in column 'stars', which must say train or test",
    ),
    "a split without test": (
        "reviews.csv",
        lines([(*row, "train") for row in ROWS], "body,stars,part"),
        ("task.split=part",),
        "says of no row that it is a test row",
    ),
    "a file that is the test file": (
        "reviews.csv",
        TEXT,
        ("task.test_file=reviews.csv",),
        "demonstrations would show test rows with their labels, choose another task.test_file",
    ),
    "options that are none": (
        "reviews.csv",
        lines([(t, "yes", "no", "maybe") for t, _ in ROWS], "body,left,right,gold"),
        ("task.choices=[left,right]",),
        "has 'maybe', which is none of the options left, right",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_is_no_task_is_one_line(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, held, words, hint = BAD[kind]
    monkeypatch.chdir(tmp_path)
    write(tmp_path, name, held)
    with pytest.raises(UserError) as told:
        loaded(f"task.file={name}", *words)
    assert hint in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["task.file=reviws.csv"], "which does not exist: did you mean reviews.csv?"),
        (["task.file=none/at/all.csv"], "which does not exist: look at its name and folder"),
        (["task.file=folder"], "has no file of split 'train'"),
        (["task.file=folder", "task.test_file=reviews.csv"], "name a file beside task.test_file"),
        (["task.file=reviews.csv", "task.test_file=folder"], "which is no file"),
        (["task.file=null"], "it must be the name of a file of rows"),
        (["task.text=body"], "task.text belongs to a task in a file of your own: set task.file="),
        (["task=sst2", "task.file=reviews.csv"], "leave out task=NAME"),
        (["task.file=reviews.csv", "task.name=sst2"], "which is another task of this program"),
        (["task.file=reviews.csv", "task.name=a/b"], "it must be a plain name"),
        (
            ["task.file=reviews.csv", "task.txt=body"],
            "unknown key 'task.txt': did you mean task.text",
        ),
        (
            ["task.file=reviews.csv", "task.held_out=9", "task.split=part"],
            "task.split and task.held_out: each says where test rows are",
        ),
        (
            ["task.file=reviews.csv", "task.text=body", "task.template={stars} is"],
            "task.text is 'body', but task.template '{stars} is' has no {text}",
        ),
        (["task.file=reviews.csv", "task.choices=[a]"], "it takes two or more different columns"),
        (
            ["task.file=reviews.csv", "task.choices=[a,b]", "task.labels=[c,d]"],
            "the rows have options of their own",
        ),
        (["task.file=reviews.csv", "task.labels=[true,false]"], "need quotation marks in YAML"),
        (["task.file=reviews.csv", "+task.open={metric: bleu}"], "has labels or options: leave it"),
    ],
)
def test_words_that_name_no_task_are_one_line(
    words: list[str], hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    write(tmp_path)
    with pytest.raises(UserError) as told:
        own.resolved(compose(words).task)
    assert hint in str(told.value)
    assert "\n" not in str(told.value)


def test_the_terminal_shows_the_line_and_no_more(run: Command, tmp_path: Path) -> None:
    write(tmp_path, text=lines(ROWS[:9]))
    code, _, err = run("task.file=reviews.csv")
    assert_one_line(code, err, "12 are the fewest")


def test_a_column_that_the_test_file_lacks_is_told_with_that_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    write(tmp_path, "test.csv", lines(opinions(20), "body,star"))
    with pytest.raises(UserError, match=r"did you mean star\? \(test\.csv\)"):
        loaded("task.file=reviews.csv", "task.test_file=test.csv", "task.label=stars")


def test_texts_with_two_labels_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may be meant: two people may judge one text otherwise. So they are no error."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, text=lines([*ROWS, (ROWS[2][0].upper(), "poor")]))
    _, splits = loaded("task.file=reviews.csv")
    (line,) = [line for line in splits.told if "different labels" in line]
    assert line == (
        "a text has different labels in different rows, such as row 3 of reviews.csv and row 61 of "
        "reviews.csv"
    )
