"""From a source's raw rows to examples with a text, candidates and a label."""

from collections.abc import Iterator
from typing import Any

from deepthink.config.tasks import SourceSpec, TaskSpec
from deepthink.errors import UserError
from deepthink.structures import Example
from deepthink.tasks import listed_options
from deepthink.tasks.classes import Classes, classes_of
from deepthink.tasks.rows import Rows


def _listed(source: SourceSpec) -> bool:
    """Whether a row's options are listed at the end of its text."""
    return source.choices == source.text


def usual_rows(rows: Rows, source: SourceSpec) -> Rows:
    """The rows with the usual number of listed options, as the paper keeps them (Table 6)."""
    if not _listed(source) or source.classes is not None:
        return rows
    texts = rows.columns[source.text]
    numbers = [
        len(listed_options.parse(text).options) if isinstance(text, str) else 0 for text in texts
    ]
    usual = listed_options.usual(numbers)
    return rows.take(i for i, number in enumerate(numbers) if number == usual)


def examples_of(rows: Rows, source: SourceSpec, task: TaskSpec) -> Iterator[Example]:
    """The rows as examples, in their order.

    Raises:
        UserError: a row without a text or with a label or options that the config does not name.
    """
    names = rows.names.get(source.label, ())
    classes = source.classes and classes_of(source.classes, names, task.labels, source.label)
    columns = (source.text, source.label, source.choices or source.text)
    cells = zip(*(rows.columns[name] for name in columns), strict=True)
    for index, (text, gold, options) in enumerate(cells):
        try:
            yield _example(text, gold, options, classes or None, source, task)
        except ValueError as error:
            raise UserError(f"{rows.where(index)} {error}") from error


def _example(
    text: Any, gold: Any, options: Any, classes: Classes | None, source: SourceSpec, task: TaskSpec
) -> Example:
    """One row as an example; ValueError says what the row has or lacks.

    Where the row has its own options, `gold` is the index of one, or its mark if they are listed.
    """
    letters = task.answer == "letter"
    text = words_of(text, "no text")
    candidates: tuple[str, ...] = tuple(task.labels)
    if _listed(source):
        listed = listed_options.parse(text)
        if classes is None:
            if not listed.marks:
                raise ValueError("lists no options at its end")
            classes = Classes(listed.marks)
            candidates = listed.marks if letters else listed.options
        text = text if letters else listed.question
    elif source.choices is not None:
        if not isinstance(options, list) or not options:
            raise ValueError(f"has options {options!r}, which is no list of texts")
        candidates = tuple(words_of(option, f"options {options!r}") for option in options)
        classes = classes or Classes(tuple(range(len(options))))
        if letters:
            text, candidates = listed_options.with_letters(text, candidates)
    assert classes is not None  # or the rows have options, see SourceSpec
    label = classes.index(gold)
    if label is None:
        mixed = isinstance(gold, str) and any(isinstance(value, bool) for value in classes.written)
        hint = " (YAML reads no and yes as false and true: put quotation marks)" if mixed else ""
        raise ValueError(f"has label {gold!r}, which is none of {list(classes.written)}{hint}")
    return Example(text, candidates, label)


def words_of(value: Any, without: str) -> str:
    """A cell's text without the space around it; ValueError where there is none."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"has {without}")
    value.encode()  # fails for half of a surrogate pair, which JSON can hold
    return value.strip()
