"""From a source's raw rows to examples with a text, candidates and a label."""

from collections.abc import Iterator, Mapping
from math import isnan
from typing import Any

from deepthink.config.tasks import SourceSpec, TaskSpec
from deepthink.config.templates import TEXT, Template
from deepthink.errors import UserError, shown
from deepthink.structures import Example
from deepthink.tasks import listed_options
from deepthink.tasks.classes import Classes, classes_of
from deepthink.tasks.rows import Rows


def _listed(source: SourceSpec) -> bool:
    """Whether a row's options are listed at the end of its text."""
    return source.choices == source.text


def columns_of(source: SourceSpec, task: TaskSpec) -> list[str]:
    """The columns of a source that a task needs, each once: of the template, label and options.

    Raises:
        UserError: the template shows the label.
    """
    named = task.columns(source).values()
    if source.label in named and not _listed(source):
        raise UserError(
            f"a prompt {shown(task.template)} would show column '{source.label}', which is the "
            "label: take it out of task.template, or name another column as the text or the label"
        )
    return list(dict.fromkeys((*named, source.label, *source.options)))


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
    template = task.parsed
    for index, cells in enumerate(zip(*rows.columns.values(), strict=True)):
        row = dict(zip(rows.columns, cells, strict=True))
        try:
            yield _example(row, classes or None, source, task, template)
        except ValueError as error:
            raise UserError(f"{rows.where(index)} {error}") from error


def _example(
    row: Mapping[str, Any],
    classes: Classes | None,
    source: SourceSpec,
    task: TaskSpec,
    template: Template,
) -> Example:
    """One row as an example; ValueError says what the row has or lacks.

    Where the row has its own options, its label is the index of one, or its mark if they are
    listed.
    """
    letters = task.answer == "letter"
    texts = texts_of(row, source, template)
    candidates: tuple[str, ...] = tuple(task.labels)
    if _listed(source):
        listed = listed_options.parse(words_of(row[source.text], "no text"))
        if classes is None:
            if not listed.marks:
                raise ValueError("lists no options at its end")
            classes = Classes(listed.marks)
            candidates = listed.marks if letters else listed.options
        if not letters:
            texts[TEXT] = listed.question
    text = template.instance(texts)
    if source.choices is not None and not _listed(source):
        candidates = _options(row, source)
        classes = classes or Classes(tuple(range(len(candidates))))
        if letters:
            text, candidates = listed_options.with_letters(text, candidates)
    assert classes is not None  # or the rows have options, see SourceSpec
    gold = row[source.label]
    label = classes.index(gold)
    if label is None or label >= len(candidates):
        mixed = isinstance(gold, str) and any(isinstance(value, bool) for value in classes.written)
        hint = " (YAML reads no and yes as false and true: put quotation marks)" if mixed else ""
        raise ValueError(f"has label {gold!r}, which is none of {list(classes.written)}{hint}")
    return Example(text, candidates, label)


def texts_of(row: Mapping[str, Any], source: SourceSpec, template: Template) -> dict[str, str]:
    """What a row has for each column of the template; ValueError where it has nothing."""
    return {name: _cell(row, name, source) for name in template.columns}


def _cell(row: Mapping[str, Any], name: str, source: SourceSpec) -> str:
    """What a row has for a column of the template. Other columns than the text may hold numbers."""
    if name == TEXT:
        return words_of(row[source.text], "no text")
    value = row[name]
    numeric = isinstance(value, int | float) and not (isinstance(value, float) and isnan(value))
    return words_of(str(value) if numeric else value, f"nothing in column '{name}'")


def _options(row: Mapping[str, Any], source: SourceSpec) -> tuple[str, ...]:
    """A row's options, from the column that lists them or from a column for each."""
    if isinstance(source.choices, list):
        return tuple(_cell(row, name, source) for name in source.choices)
    options = row[source.options[0]]
    if not isinstance(options, list) or not options:
        raise ValueError(f"has options {options!r}, which is no list of texts")
    return tuple(words_of(option, f"options {options!r}") for option in options)


def words_of(value: Any, without: str) -> str:
    """A cell's text without the space around it; ValueError where there is none."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"has {without}")
    value.encode()  # fails for half of a surrogate pair, which JSON can hold
    return value.strip()
