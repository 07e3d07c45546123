"""Demonstrations, texts and labels as Python code gives them, as checked examples."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from deepthink.config.templates import TEXT, Template
from deepthink.errors import UserError, shown
from deepthink.structures import Example

Labels = Sequence[str] | Mapping[Any, str]
"""The label words, or each value of a label with its word."""


def label_words(labels: Labels | None, demonstrations: object) -> dict[Any, str]:
    """Each value of a label with its word, in the order in which the candidates are scored.

    labels: None takes the candidates of the first demonstration, which must then be an `Example`.

    >>> label_words(["bad", "good"], []), label_words({0: "bad", 1: "good"}, [])
    ({'bad': 'bad', 'good': 'good'}, {0: 'bad', 1: 'good'})

    Raises:
        UserError: they are not two or more different words.
    """
    if labels is None and isinstance(demonstrations, list | tuple) and demonstrations:
        labels = getattr(demonstrations[0], "candidates", None)
    if isinstance(labels, str) or not isinstance(labels, Iterable):
        raise UserError(
            f"labels must be a list of words such as ['negative', 'positive'], not {shown(labels)}"
        )
    pairs = labels.items() if isinstance(labels, Mapping) else [(word, word) for word in labels]
    words: dict[Any, str] = {}
    for value, word in pairs:
        if not isinstance(word, str) or not word.strip() or word != word.strip():
            raise UserError(
                f"labels has {shown(word)}: a label is a word without space around it, and "
                "labels={0: 'negative', 1: 'positive'} gives values their words"
            )
        if word in words.values():
            raise UserError(f"labels has '{word}' twice: every label needs a word of its own")
        words[value] = word
    if len(words) < 2:
        raise UserError(f"labels has {len(words)} words: a prediction needs two or more")
    return words


def examples(demonstrations: object, words: Mapping[Any, str], template: Template) -> list[Example]:
    """Labelled examples from pairs, rows or a frame, with these label words as candidates.

    demonstrations: a list of (text, label), of `Example` or of {"text": …, "label": …}; or a pandas
        frame with the columns text and label. A label is one of the keys of `words`. Where the
        template has other columns than text, a row has these, and a pair has such a row for a text.

    >>> words, template = {0: "bad", 1: "good"}, Template.parse("{text}:")
    >>> made = examples([("so dull", 0)], words, template)
    >>> made == examples([{"text": "so dull", "label": 0}], words, template)
    True

    Raises:
        UserError: there is none, or one is no text with one of the labels.
    """
    rows = _rows(demonstrations, "demonstrations", (*template.columns, "label"))
    made = [
        _example(given, words, template, f"demonstration {number}")
        for number, given in enumerate(rows, 1)
    ]
    if not made:
        raise UserError("demonstrations is empty: there is nothing to read without any")
    return made


def queries(texts: object, words: Mapping[Any, str], template: Template) -> list[Example]:
    """Texts as examples to score, from a list, an array, a series, or the columns of a frame.

    Their label is the first, which nothing reads.

    >>> template = Template.parse("If {a}, then {b}? So:")
    >>> queries([{"a": "it rains ", "b": "it is wet"}], {0: "no", 1: "yes"}, template)[0].text
    'it rains, then it is wet'

    Raises:
        UserError: one of them is no text, or blank.
    """
    candidates = tuple(words.values())
    return [
        Example(_text(given, template, f"text {number}"), candidates, 0)
        for number, given in enumerate(_rows(texts, "texts", template.columns), 1)
    ]


def _rows(given: Any, what: str, columns: Sequence[str]) -> list[Any]:
    """The rows of a frame as dicts of its columns, or the items of a list."""
    if isinstance(given, pd.DataFrame):
        if absent := [name for name in columns if name not in given.columns]:
            named = ", ".join(map(str, given.columns)) or "none"
            raise UserError(f"the frame of {what} has no column '{absent[0]}': it has {named}")
        cells = (given[name].tolist() for name in columns)
        return [dict(zip(columns, row, strict=True)) for row in zip(*cells, strict=True)]
    if isinstance(given, str | bytes | Mapping | Example) or not isinstance(given, Iterable):
        raise UserError(f"{what} must be a list, not {shown(given)}")
    return list(given)


def _example(given: Any, words: Mapping[Any, str], template: Template, where: str) -> Example:
    candidates = tuple(words.values())
    if isinstance(given, Example):
        if given.candidates != candidates:
            raise UserError(
                f"{where} has the candidates {shown(given.candidates)}, but labels are "
                f"{shown(candidates)}"
            )
        return Example(_cell(given.text, where), candidates, given.label)
    if isinstance(given, Mapping) and "label" in given:
        given = (given, given["label"])
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise UserError(f"{where} is {shown(given)}: it must be a pair (text, label)")
    text, label = given
    if not _among(label, words):
        turned = ", and the first part is one: write (text, label)" if _among(text, words) else ""
        raise UserError(
            f"{where} has the label {shown(label)}, which is none of "
            f"{', '.join(map(repr, words))}{turned}"
        )
    return Example(_text(text, template, where), candidates, [*words].index(label))


def _among(label: Any, words: Mapping[Any, str]) -> bool:
    try:
        return label in words
    except TypeError:  # a list is no label
        return False


def _text(given: Any, template: Template, where: str) -> str:
    """The text of an example from its own text, or from a row with the template's columns."""
    if not isinstance(given, Mapping):
        if {*template.columns} != {TEXT}:
            listed = ", ".join(dict.fromkeys(template.columns))
            raise UserError(
                f"{where} is {shown(given)}: the template has the columns {listed}, so it must be "
                "a dict with these, or all of them a frame"
            )
        return template.instance({TEXT: _cell(given, where)})
    if absent := [name for name in template.columns if name not in given]:
        raise UserError(f"{where} has no '{absent[0]}', a column of the template: {shown(given)}")
    cells = {name: _cell(given[name], f"'{name}' of {where}") for name in template.columns}
    return template.instance(cells)


def _cell(given: Any, where: str) -> str:
    if not isinstance(given, str):
        raise UserError(f"{where} is {shown(given)}: it must be a text")
    if not given.strip():
        raise UserError(f"{where} is blank: leave it out")
    return given.strip()
