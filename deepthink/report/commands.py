"""The words of a command that ask for a stored job once more."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from deepthink.config import search
from deepthink.config.overrides import requested
from deepthink.config.own import named_after
from deepthink.errors import UserError
from deepthink.store.schema import Record

_SKIPPED = (
    *("results", "wandb.", "force", "device", "token_budget", "verbosity", "plugins"),
    *("task.rows.", "task.sources", "task.own.", "task.name", "task.member", "task.version"),
    *("model.parameters", "task.given", "task.open.", "calibration.name"),
)
"""How keys begin that change no number, or follow from other words."""


def words_of(record: Record) -> list[str]:
    """The words that differ from the defaults: the model, the task, the method, then single keys.

    A key that a later version added has its default. The words of a task in a file of your own name
    the file as it was named then.
    """
    whole = record.config.whole
    words = [*_groups(whole)]
    usual = dict(_composed(tuple(words)))
    overlap = {"pool": {"overlap": record.config.pool.overlap}}  # the oldest records have none
    for key, value in _flat({**overlap, **whole}):
        if key.startswith(_SKIPPED) or (key in usual and usual[key] == value):
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
    return tuple(_flat(asdict(job)))


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


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
