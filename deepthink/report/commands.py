"""The words of a command that ask for a job once more: a stored one, or one that failed."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any

from deepthink.config import search
from deepthink.config.overrides import requested
from deepthink.config.own import named_after
from deepthink.errors import UserError
from deepthink.store.schema import Record
from deepthink.structures import flattened
from deepthink.tasks import own

_FOLLOWING = (
    *("task.rows.", "task.sources", "task.own.", "task.name", "task.member", "task.version"),
    *("model.parameters", "task.given", "task.open.", "calibration.name", "plugins"),
)
"""How keys begin that follow from other words."""

_EXECUTION = ("results", "wandb.", "force", "keep_memory", "device", "token_budget")
"""How keys begin that change no number."""


def words_of(record: Record) -> list[str]:
    """The words that differ from the defaults: the model, the task, the method, then single keys.

    A key that a later version added has its default. The words of a task in a file of your own name
    the file as it was named then.
    """
    overlap = {"pool": {"overlap": record.config.pool.overlap}}  # the oldest records have none
    return _words({**overlap, **record.config.whole}, (*_FOLLOWING, *_EXECUTION))


def words_for(config: Mapping[str, Any]) -> list[str] | None:
    """The words that ask for exactly the job of a config; None if no words do.

    config: a whole resolved config, as the file of a failure has it. No words give it if, for
    example, the file that names its task is gone, or was changed.

    >>> words_for({}) is None
    True
    """
    try:
        words = _words(config, _FOLLOWING)
        (job,) = requested(words).jobs
        job = replace(job, task=own.resolved(job.task))
    except (UserError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return words if json.loads(json.dumps(job.resolved())) == config else None


def _words(whole: Mapping[str, Any], skipped: tuple[str, ...]) -> list[str]:
    """skipped: how keys begin that are not among the words."""
    words = [*_groups(whole)]
    usual = dict(_composed(tuple(words)))
    for key, value in flattened(whole):
        if key.startswith(skipped) or (key in usual and usual[key] == value):
            continue
        if key in ("task.labels", "task.demonstrations") and usual.get("task.own.file"):
            continue  # found in the file, or among the words that name it
        if key.startswith("task.") and usual.get("task.name") != whole["task"]["name"]:
            continue
        plus = "" if key in usual else "+"
        words.append(f"{plus}{key}={_shown(value)}")
    return words


def _groups(whole: Mapping[str, Any]) -> Iterator[str]:
    """The words that take a file of conf each."""
    plugins = whole.get("plugins")
    places = [f"plugins={search.quoted(plugins)}"] if plugins else []
    yield from places

    def has(group: str, name: str) -> bool:
        try:
            return name in search.names(group, places)
        except UserError:  # the folder of plugins is not there any more
            return name in search.names(group)

    model, task, method = whole["model"]["name"], whole["task"], whole["method"]
    if has("model", model):
        yield f"model={model}"
    suite, _, member = task["name"].partition("/")
    if own := task.get("own"):
        yield from (f"task.{k}={_shown(v)}" for k, v in own.items() if v is not None)
        if task["name"] != named_after(own["file"]):
            yield f"task.name={_shown(task['name'])}"
    elif has("task", suite):
        yield f"task={suite}"
        if member:
            yield f"task.members=[{member}]"
    rule, thinks = method["selector"]["name"], method["iterations"] > 1
    plain = "deepthink" if thinks else "vanilla"
    yield f"method={rule if rule != 'random' and has('method', rule) else plain}"
    if (calibration := whole.get("calibration", {"name": "none"})["name"]) != "none":
        yield (
            f"calibration={calibration}"
            if has("calibration", calibration)
            else (f"calibration.name={calibration}")
        )


@lru_cache
def _composed(words: tuple[str, ...]) -> tuple[tuple[str, Any], ...]:
    """The keys of the job that these words ask for; those of the default job if they are wrong."""
    try:
        job = requested(words).jobs[0]
    except UserError:
        job = requested(()).jobs[0]
    return tuple(flattened(asdict(job)))


def _shown(value: Any) -> str:
    """A value as Hydra's grammar has it.

    >>> _shown(None), _shown(True), _shown(0.1), _shown("it is"), _shown(["a", 1])
    ('null', 'true', '0.1', "'it is'", '[a,1]')
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_shown, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(f'{_shown(k)}: {_shown(v)}' for k, v in value.items())}}}"
    if isinstance(value, str) and not re.fullmatch(r"[\w./-]+", value):
        return search.quoted(value)
    return str(value)
