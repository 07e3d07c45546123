"""Tasks of lm-evaluation-harness that say where the demonstrations stand in their prompts."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from lm_eval.api.samplers import FirstNSampler
from lm_eval.tasks import TaskManager

from deepthink.errors import UserError
from deepthink.harness import marks
from deepthink.harness.marks import Shown

ATTRIBUTE = "demonstrations"
"""The attribute of a request that holds the fields of its `Shown`."""


@contextmanager
def demonstrations_marked(first_n: bool = False) -> Iterator[None]:
    """Have every task that the harness loads meanwhile say where its demonstrations stand.

    Prompts and requests stay as they are; each request gets a further attribute, which only
    `deepthink.harness.model` reads.

    first_n: whether all questions of a task are shown its first n training rows. By default many
        tasks draw new ones for every question.
    """
    load = TaskManager.load

    def marked(self: Any, task_list: Any) -> Any:
        loaded = load(self, task_list)
        for task in loaded["tasks"].values():
            mark(task, first_n)
        return loaded

    TaskManager.load = marked
    try:
        yield
    finally:
        TaskManager.load = load


def mark(task: Any, first_n: bool = False) -> None:
    """Have one task say where its demonstrations stand; arguments as above.

    A task whose class writes its own prompts has no delimiters to mark, and stays as it is.
    """
    if first_n and hasattr(task, "sampler"):
        task.sampler = FirstNSampler(list(task.fewshot_docs()))
    if hasattr(task, "fewshot_cfg") and not isinstance(
        getattr(task.fewshot_context, "__self__", None), _Marked
    ):
        _Marked(task)


class _Marked:
    """Stands in for two methods of a task: the one that writes a prompt, and its successor."""

    def __init__(self, task: Any) -> None:
        self._task = task
        self._write, self._request = task.fewshot_context, task.construct_requests
        self._shown: dict[str, Shown] = {}
        task.fewshot_context, task.construct_requests = self.write, self.request

    def write(self, doc: Any, num_fewshot: int = 0, **options: Any) -> Any:
        """A question's prompt, or a prompt for each of its options."""
        if template := options.get("chat_template"):
            options["chat_template"] = partial(marks.chat, template)
        with marks.delimiters(self._task.fewshot_cfg):
            written = self._write(doc, num_fewshot=num_fewshot, **options)
        prompts = [marks.parsed(text) for text in ([written] if _is_one(written) else written)]
        self._shown = dict(prompts)
        if any(len(shown.spans) > num_fewshot for shown in self._shown.values()):
            raise UserError(
                f"a row of {self._task.config.task} holds one of the characters U+FDD0 to U+FDD2, "
                "which no text should hold: leave the row out"
            )
        texts = [text for text, _ in prompts]
        return texts[0] if _is_one(written) else texts

    def request(self, doc: Any, ctx: Any, **options: Any) -> Any:
        """The requests of a question; those without a prompt of their own show nothing."""
        made = self._request(doc, ctx, **options)
        for instance in made if isinstance(made, list) else [made]:
            shown = self._shown.get(instance.args[0], Shown())
            setattr(instance, ATTRIBUTE, (shown.spans, shown.answers))
        return made


def shown_by(instance: Any) -> Shown | None:
    """Where a request's demonstrations stand; None where its task did not say it."""
    fields = getattr(instance, ATTRIBUTE, None)
    return None if fields is None else Shown(*fields)


def _is_one(written: Any) -> bool:
    return isinstance(written, str)
