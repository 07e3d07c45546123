"""Templates over several columns, and options in columns of their own."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from deepthink.config.overrides import compose
from deepthink.config.tasks import SourceSpec, TaskSpec
from deepthink.config.templates import Template
from deepthink.errors import UserError
from deepthink.store.identity import identity
from deepthink.structures import Example
from deepthink.study.texts import Corpus, Instance
from deepthink.tasks import sources, templates

PAIRS = "{premise}\nQuestion: {claim} True or false?"


def spec(template: str, labels: Sequence[str] = ("true", "false"), **source: Any) -> TaskSpec:
    about: dict[str, Any] = {
        **{"repository": "made/up", "bundled": False, "revision": "main", "files": None},
        **{"text": "premise", "label": "gold", "classes": [0, 1], "pool": "train", "test": "test"},
    }
    return TaskSpec(
        name="made",
        version=1,
        template=template,
        labels=list(labels),
        demonstrations=2,
        rows={"pool": 8, "test": 4},
        sources=[SourceSpec(**{**about, **source})],
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Eight training and four test rows of several columns."""
    folder = tmp_path / "made" / "up"
    folder.mkdir(parents=True)
    for split, count in (("train", 8), ("test", 4)):
        rows = [
            {
                "premise": f"The {split} cup {i} is full.",
                "claim": f"Cup {i} holds tea.",
                "number": i,
                "share": i / 4,
                "left": f"pour {i}",
                "right": f"drink {i}",
                "gold": i % 2,
            }
            for i in range(count)
        ]
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path


def shown(task: TaskSpec, example: Example) -> str:
    """What a demonstration says."""
    return templates.shot(task.parsed.prompt, example, task.delimiter).text


def test_a_prompt_shows_every_column_where_the_template_has_it(root: Path) -> None:
    task = spec(PAIRS)
    first = sources.load(task, str(root), test_size=4).test[0]
    assert shown(task, first) == (
        "The test cup 0 is full.\nQuestion: Cup 0 holds tea. True or false? true\n\n"
    )


@pytest.mark.parametrize(
    ("template", "prompt"),
    [
        ("{text} It is", "The test cup 1 is full. It is false\n\n"),
        (
            "{text} ({text}) It is",
            "The test cup 1 is full. (The test cup 1 is full.) It is false\n\n",
        ),
        ("No. {number}: {text} It is", "No. 1: The test cup 1 is full. It is false\n\n"),
        ("{share} of {claim}:", "0.25 of Cup 1 holds tea.: false\n\n"),
        ("{{{claim}}} {{x}} { } {}:", "{Cup 1 holds tea.} {x} { } {}: false\n\n"),
        ("{claim} after {premise}:", "Cup 1 holds tea. after The test cup 1 is full.: false\n\n"),
    ],
)
def test_templates_are_filled_as_python_would_fill_them(
    root: Path, template: str, prompt: str
) -> None:
    task = spec(template)
    assert shown(task, sources.load(task, str(root)).test[1]) == prompt


@pytest.mark.parametrize(
    ("template", "hint"),
    [
        ("{premise} is it?{claim}", "words after the last"),
        ("Is it so?", "needs {text}, or other columns in braces"),
        ("{{text}} {premise}?", "write it otherwise"),
    ],
)
def test_templates_that_ask_nothing_are_one_line(template: str, hint: str) -> None:
    with pytest.raises(UserError) as told:
        spec(template)
    assert hint in str(told.value) and "\n" not in str(told.value)


def test_a_column_that_is_not_there_is_told_with_those_that_are(root: Path) -> None:
    with pytest.raises(UserError, match=r"no column 'sic' but premise, claim, number"):
        sources.load(spec("{premise} {sic}?"), str(root))


def test_an_empty_cell_of_a_column_is_told_with_its_row(root: Path) -> None:
    file = root / "made" / "up" / "test.jsonl"
    file.write_text(file.read_text().replace("Cup 2 holds tea.", " "))
    with pytest.raises(UserError, match=r"row 3 of .*test.jsonl has nothing in column 'claim'"):
        sources.load(spec(PAIRS), str(root))


def test_rows_are_the_same_only_if_all_of_their_columns_are(root: Path) -> None:
    """The texts of the columns together are the text that may stand in one split only."""
    folder = root / "made" / "up"
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    test = [json.loads(line) for line in (folder / "test.jsonl").read_text().splitlines()]
    for row in rows:
        row["premise"] = test[0]["premise"]
    rows[3]["claim"] = test[0]["claim"]
    (folder / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    overlap = sources.load(spec(PAIRS), str(root)).overlap
    assert overlap["test"] + overlap["dev_in_test"] == 2  # rows 0 and 3 hold both texts
    with pytest.raises(UserError, match="all 8 pool rows"):
        sources.load(spec("{premise} Is it?"), str(root))


def test_a_template_of_the_text_alone_is_in_the_key_as_it_was() -> None:
    job = compose(["task=sst2"])
    assert identity(job, "float32", "d").task.template == "Review: {text}\nSentiment:"


def test_the_key_has_the_columns_and_braces_as_prompts_show_them() -> None:
    job = replace(compose([]), task=spec("{{so}} {premise} {claim}?"))
    assert identity(job, "float32", "d").task.template == "{so} {premise} {claim}?"


def test_a_calibrations_texts_fill_every_column() -> None:
    corpus = Corpus(("so\nQuestion: is it",), Template.parse(PAIRS))
    assert corpus.written("N/A") == "N/A\nQuestion: N/A"
    assert corpus.written(corpus[0]) == corpus[0]  # a text of the pool stands there as it is
    assert corpus.written(Instance("any")) == "any"


@pytest.mark.parametrize("classes", [None, ["0", "1"]])
def test_options_may_stand_in_columns_of_their_own(root: Path, classes: list[Any] | None) -> None:
    task = spec("{claim} So:", (), choices=["left", "right"], classes=classes)
    example = sources.load(task, str(root)).test[1]
    assert example.candidates == ("pour 1", "drink 1")
    assert shown(task, example) == "Cup 1 holds tea. So: drink 1\n\n"
    lettered = sources.load(replace(task, answer="letter"), str(root)).test[1]
    assert lettered.text == "Cup 1 holds tea.\nA. pour 1\nB. drink 1"
    assert lettered.candidates == ("A", "B")


def test_the_label_may_count_options_from_one(root: Path) -> None:
    folder = root / "made" / "up"
    for split in ("train", "test"):
        rows = [json.loads(line) for line in (folder / f"{split}.jsonl").read_text().splitlines()]
        text = "\n".join(json.dumps({**row, "gold": row["gold"] + 1}) for row in rows)
        (folder / f"{split}.jsonl").write_text(text)
    task = spec("{claim} So:", (), choices=["left", "right"], classes=[1, 2])
    assert [e.label for e in sources.load(task, str(root)).test] == [0, 1, 0, 1]


def test_a_label_beyond_the_options_is_told(root: Path) -> None:
    task = spec("{claim} So:", (), choices=["left"], classes=[0, 1])
    with pytest.raises(UserError, match="has label 1"):
        sources.load(task, str(root))


def test_worked_examples_have_no_other_columns(tmp_path: Path) -> None:
    from deepthink.config.overrides import requested

    words = ["task=bbh", "task.members=[snarks]", "task.template='{text} {kind}:'"]
    task = requested(words).jobs[0].task
    for source in task.sources:
        (tmp_path / source.repository).mkdir(parents=True)
    with pytest.raises(UserError, match=r"have no column but \{text\}"):
        sources.load(task, str(tmp_path))
