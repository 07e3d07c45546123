"""From Hydra's composed config to one frozen, checked request."""

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import TypeAdapter, ValidationError

from deepthink.config import harness_tasks, search
from deepthink.config.checks import MOST, check_choice, check_text, with_breaks
from deepthink.config.job import Config
from deepthink.config.models import taken_place
from deepthink.config.own import task_values
from deepthink.config.request import Request
from deepthink.config.tasks import SuiteSpec
from deepthink.errors import UserError, first_line, shown
from deepthink.files import at_home
from deepthink.installation import called
from deepthink.redaction import refuse_secrets
from deepthink.settings import VERBOSITIES

SHARING = ("workers", "worker", "sweep")
"""Keys that belong to a sweep that several processes share. No job has them."""


def parse(composed: DictConfig) -> Request:
    """Check a composed config and freeze it; UserError for the first key that is wrong."""
    try:
        values: Any = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise UserError(first_line(error)) from error
    except RecursionError as error:
        raise UserError("a key of the config refers to itself: set it to a value") from error
    for name in SHARING:
        values.pop(name, None)
    for key, value in _leaves(values):
        _check_leaf(key, value)
    refuse_secrets((key, value) for key, value in _leaves(values) if isinstance(value, str))
    verbosity = values.pop("verbosity", "normal")
    check_choice("verbosity", verbosity, VERBOSITIES)
    _keep_plain(values)
    if isinstance(model := values.get("model"), dict):
        values["model"] = taken_place(model)
    for name in ("results", "plugins"):
        if isinstance(folder := values.get(name), str):
            values[name] = at_home(folder)
    task = values.get("task")
    if isinstance(task, dict):
        for name in ("template", "delimiter"):
            if isinstance(typed := task.get(name), str):
                task[name] = with_breaks(typed)
        if "file" in task:
            values["task"] = _own(task)
        elif "lm_eval" in task:
            values["task"] = harness_tasks.task_values(task)
    if not (isinstance(task, dict) and "categories" in task):
        return Request((_checked(Config, values),), verbosity=verbosity)
    spec = _checked(SuiteSpec, task, "task.")
    members = [spec.member(name) for names in spec.chosen.values() for name in names]
    first = _checked(Config, {**values, "task": asdict(members[0])})
    return Request(tuple(replace(first, task=task) for task in members), spec, verbosity)


def _own(task: dict[str, Any]) -> dict[str, Any]:
    """The values of a task in a file of the user's own."""
    values = task_values(task)
    if values["name"] in search.names("task"):
        raise UserError(
            f"task.name is {values['name']}, which is another task of this program: name yours "
            "otherwise, as in task.name=mine"
        )
    return values


def notes(composed: DictConfig) -> tuple[str, ...]:
    """A line for each value of a composed config that has no effect."""
    method = composed.method
    if method.get("thinks", True) or (iterations := method.iterations) == 1:
        return ()
    return (
        f"method=vanilla is T = 1 whatever method.iterations says ({iterations} here): "
        f"method=deepthink method.iterations={iterations} thinks over the same demonstrations",
    )


def _keep_plain(values: dict[str, Any]) -> None:
    """Set T = 1 for plain in-context learning, whatever T a sweep has for its other methods."""
    method = values.get("method")
    if isinstance(method, dict) and method.pop("thinks", True) is False:
        method["iterations"] = 1


def _leaves(values: Any, inside: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no list and no dict, and every name in a dict, with its dotted key."""
    if isinstance(values, dict):
        for name, value in values.items():
            key = f"{inside}.{name}" if inside else str(name)
            yield f"a name in {inside or 'the config'}", str(name)
            yield from _leaves(value, key)
    elif isinstance(values, list):
        for value in values:
            yield from _leaves(value, inside)
    else:
        yield inside, values


def _check_leaf(key: str, value: Any) -> None:
    """Raise UserError for a value that no key allows."""
    match value:
        case bool() | None:
            return
        case str():
            check_text(key, value)
        case int():
            if abs(value) > MOST:
                raise UserError(f"{key} has {len(str(value))} digits: no number may exceed {MOST}")
        case float():
            if not math.isfinite(value):
                raise UserError(f"{key} is {value}: it must be a finite number")
        case _:
            raise UserError(f"{key} is {shown(value)}: it must be a text or a number")


_Checked = TypeVar("_Checked")


def _checked(kind: type[_Checked], values: Any, inside: str = "") -> _Checked:
    """`values` as a dataclass of this kind; UserError names the key, `inside` is its beginning."""
    try:
        return TypeAdapter(kind).validate_json(json.dumps(values))
    except ValidationError as error:
        first = error.errors()[0]
        where = inside + ".".join(map(str, first["loc"])).replace("task.own.", "task.").replace(
            "task.harness.", "task."
        )
        if first["type"] == "unexpected_keyword_argument":
            raise UserError(f"unknown key '{where}': {called()} --help lists the keys") from error
        if first["type"] in ("missing", "missing_argument"):
            raise UserError(
                f"{where} has no value: {called()} --help shows the keys and their values"
            ) from error
        reason = first["msg"][0].lower() + first["msg"][1:]
        if first["type"] == "string_type" and isinstance(first["input"], bool | int | float | None):
            reason += (
                " (in YAML, words such as no, yes, true, null and numbers need quotation marks)"
            )
        raise UserError(f"{where} is {shown(first['input'])}: {reason}") from error
