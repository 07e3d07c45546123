"""A task of lm-evaluation-harness: what a command line says of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import with_config

from deepthink.config.checks import STRICT, check_at_least, check_name
from deepthink.errors import UserError, shown

CONFIG = "_lm_eval"
"""The file of conf/task that has the keys of such a task."""

PREFIX = "lm_eval/"


@with_config(STRICT)
@dataclass(frozen=True)
class HarnessSpec:
    """A task of the harness, and what is known of it once it is read.

    lm_eval: its name there. include_path: a folder of further tasks.
    demonstrations: how many are shown; None takes the number in the task's config, or 5.
    version, program: the task's version and the harness's; None until the task is read.
    """

    lm_eval: str
    include_path: str | None = None
    demonstrations: int | None = None
    version: str | None = None
    program: str | None = None

    def __post_init__(self) -> None:
        check_name("task.lm_eval", self.lm_eval)
        check_at_least("task.demonstrations", self.demonstrations, 1)

    @property
    def known(self) -> dict[str, Any]:
        """What an identity says of it.

        >>> HarnessSpec("arc_easy", version="1.0", program="0.4.13").known
        {'task': 'arc_easy', 'version': '1.0', 'lm_eval': '0.4.13'}
        """
        return {"task": self.lm_eval, "version": self.version, "lm_eval": self.program}


def settled(word: str) -> list[str]:
    """A word of a command line as Hydra takes it: task=lm_eval/NAME takes the keys of such a task.

    >>> settled("task=lm_eval/arc_easy,lm_eval/boolq"), settled("task=sst2")
    (['task=_lm_eval', 'task.lm_eval=arc_easy,boolq'], ['task=sst2'])

    Raises:
        UserError: a list of such tasks and others.
    """
    key, _, value = word.partition("=")
    names = value.split(",")
    ours = [name.strip().startswith(PREFIX) for name in names]
    if key != "task" or not any(ours):
        return [word]
    if not all(ours):
        raise UserError(
            f"{word}: a list holds tasks of lm-evaluation-harness or others, give one command for "
            "each kind"
        )
    listed = ",".join(name.strip().removeprefix(PREFIX) for name in names)
    return [f"task={CONFIG}", f"task.lm_eval={listed}"]


def task_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a `TaskSpec` whose rows are not read yet; UserError where no task is named.

    values: those of conf/task/_lm_eval.yaml.
    """
    name = values.get("lm_eval")
    if not isinstance(name, str) or not name:
        raise UserError(f"task.lm_eval is {shown(name)}: name a task, as in task=lm_eval/arc_easy")
    return {
        "name": f"lm_eval-{name}",
        "version": 1,
        "template": "{text}\n",
        "labels": [],
        "demonstrations": values.get("demonstrations") or 1,
        "rows": {"pool": 0, "test": 0},
        "sources": [],
        "harness": dict(values),
    }
