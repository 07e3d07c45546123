"""A task in a file of the user's own: what a command line says of it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import PurePath
from typing import Any

from pydantic import with_config

from deepthink.config.checks import STRICT, check_at_least
from deepthink.config.templates import TEXT, Template
from deepthink.errors import UserError, shown

CONFIG = "_own"
"""The file of conf/task that has the keys of such a task."""

KEYS = tuple(
    f"task.{name}"
    for name in ("file", "test_file", "split", "held_out", "text", "label", "choices")
)
"""Its keys that other tasks do not have."""

MISPLACED = (
    "{key} belongs to a task in a file of your own: set task.file=FILE, and leave out task=NAME"
)
"""What is said of such a key in the config of another task."""

_PACKED = (".gz", ".bz2", ".xz")


@with_config(STRICT)
@dataclass(frozen=True)
class OwnSpec:
    """A file of rows, and what is known of its columns; what is None is found in the file.

    file: the file, or a folder whose files are named after train and test.
    test_file: the file of the test rows.
    split: the column that says of each row whether it is for training or for test.
    held_out: how many rows of a single file are held out for test.
    text, label: the columns of the text and the label.
    choices: the column of each row's options, or a column for each option.
    labels: a word for each class in order, or class → word for some of them.
    demonstrations: how many are shown.

    Raises:
        UserError: two of these contradict each other, or a number is too small.
    """

    file: str
    test_file: str | None = None
    split: str | None = None
    held_out: int | None = None
    text: str | None = None
    label: str | None = None
    choices: str | list[str] | None = None
    labels: list[str] | dict[str, str] | None = None
    demonstrations: int | None = None

    def __post_init__(self) -> None:
        check_at_least("task.held_out", self.held_out, 1)
        check_at_least("task.demonstrations", self.demonstrations, 1)
        named = ("test_file", "split", "held_out")
        given = [f"task.{name}" for name in named if getattr(self, name) is not None]
        if len(given) > 1:
            raise UserError(f"{' and '.join(given)}: each says where test rows are, leave one out")
        if self.choices is not None and self.labels is not None:
            raise UserError(
                "task.labels are words for classes, but the rows have options of their own "
                "(task.choices): leave one of them out"
            )
        if isinstance(self.choices, list) and len({*self.choices}) < max(2, len(self.choices)):
            raise UserError(
                f"task.choices is {shown(self.choices)}: it takes two or more different columns, "
                "or the name of one column that holds lists"
            )


def task_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a `TaskSpec` whose rows are not read yet, from those of conf/task/_own.yaml.

    Raises:
        UserError: there is no file, or a value contradicts the template.
    """
    own = {field.name: values[field.name] for field in fields(OwnSpec) if field.name in values}
    others = {key: value for key, value in values.items() if key not in own}
    if not isinstance(file := own.get("file"), str) or not file:
        raise UserError(f"task.file is {shown(file)}: it must be the name of a file of rows")
    if others.get("open") is not None:
        raise UserError(
            "task.open asks for answers that the model writes, but a task in a file of your own "
            "has labels or options: leave it out, or write a task as conf/task/e2e.yaml is"
        )
    for key in ("choices", "labels"):
        own[key] = _words(f"task.{key}", own.get(key))
    answers = "Label" if own["choices"] is None else "Answer"
    template = others.get("template") or f"{{text}}\n{answers}:"
    if own.get("text") is not None and TEXT not in Template.parse(str(template)).columns:
        raise UserError(
            f"task.text is {shown(own['text'])}, but task.template {shown(template)} has no "
            "{text}: leave out one of them"
        )
    return {
        **others,
        "name": others.get("name") or named_after(file),
        "template": template,
        "labels": [],
        "demonstrations": own.get("demonstrations") or 1,
        "rows": {"pool": 0, "test": 0},
        "sources": [],
        "own": own,
    }


def named_after(file: str) -> str:
    """The name of a task that is given no other: its file's without its endings.

    >>> named_after("data/reviews.csv.gz"), named_after("reviews/")
    ('reviews', 'reviews')
    """
    path = PurePath(file)
    return PurePath(path.stem).stem if path.suffix.lower() in _PACKED else path.stem


def _words(key: str, given: Any) -> Any:
    """A list or dict of texts, with numbers as texts; UserError for what YAML takes for no text."""
    if isinstance(given, list):
        return [_word(key, item) for item in given]
    if isinstance(given, dict):
        return {name: _word(key, item) for name, item in given.items()}
    return given


def _word(key: str, item: Any) -> str:
    if isinstance(item, bool) or not isinstance(item, str | int | float):
        raise UserError(
            f"{key} has {shown(item)}, which is no word: words such as true, yes and null need "
            "quotation marks in YAML"
        )
    return str(item)
