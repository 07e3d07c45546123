"""Rows of open tasks as examples: a text, and the reference answers to it as its candidates."""

from collections.abc import Iterator

from deepthink.config.tasks import SourceSpec, TaskSpec
from deepthink.errors import UserError
from deepthink.structures import Example
from deepthink.tasks.examples import texts_of, words_of
from deepthink.tasks.final_answers import final_answer
from deepthink.tasks.rows import Rows


def open_examples_of(rows: Rows, source: SourceSpec, task: TaskSpec) -> Iterator[Example]:
    """One example for each text, in the order of the first row that has it.

    Rows of the same text are one example with several references. Its label is 0: a demonstration
    shows the first reference.

    Raises:
        UserError: a row without a text or a reference, or a reference without a final answer.
    """
    references: dict[str, dict[str, None]] = {}
    mark = task.open.final if task.open else None
    template = task.parsed
    for index, cells in enumerate(zip(*rows.columns.values(), strict=True)):
        row = dict(zip(rows.columns, cells, strict=True))
        try:
            question = template.instance(texts_of(row, source, template))
            answer = words_of(row[source.label], "no reference answer")
            if mark is not None:
                final_answer(answer, mark)
        except ValueError as error:
            raise UserError(f"{rows.where(index)} {error}") from error
        references.setdefault(question, {})[answer] = None
    for question, answers in references.items():
        yield Example(question, tuple(answers), 0)
