"""What of a task can change a number."""

from dataclasses import dataclass
from typing import Any

from pydantic import StrictInt, StrictStr

from deepthink.config.tasks import TaskSpec
from deepthink.store.parts import Part


@dataclass(frozen=True, kw_only=True)
class TaskIdentity(Part):
    """The task as the model saw it."""

    name: StrictStr
    """The task's name; a member of a suite is suite/member."""
    version: StrictInt
    """Raised whenever rows become examples or splits in another way."""
    template: StrictStr
    """What a query says, with its columns in braces; {text} is the column of the text."""
    labels: tuple[StrictStr, ...]
    """The label words. It is empty where each question has options of its own."""
    answer: StrictStr | None = None
    """How listed options are answered: "text" or "letter". Only tasks without labels have it."""
    delimiter: StrictStr = " "
    """What stands between an example's text and its answer."""
    open: dict[str, Any] | None = None
    """How open answers were measured, see `deepthink.config.open_tasks`; null for other tasks."""
    harness: dict[str, Any] | None = None
    """The `task` of lm-evaluation-harness whose rows and prompts these are, its `version`, and that
    of the program, `lm_eval`; null for other tasks."""
    data: StrictStr
    """SHA-256 of the examples of pool, dev and test."""


def task_identity(task: TaskSpec, data: str) -> TaskIdentity:
    """A task as its jobs' identities have it; data: SHA-256 of its examples."""
    return TaskIdentity(
        name=task.name,
        version=task.version,
        template=task.parsed.plain,
        labels=tuple(task.labels),
        answer=None if task.labels or task.open else task.answer,
        delimiter=task.delimiter,
        open=task.open.known if task.open else None,
        harness=task.harness.known if task.harness else None,
        data=data,
    )
