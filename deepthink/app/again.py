"""The command that does a job again, made from the config that a file of its failure has."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

from deepthink.config import search
from deepthink.config.job import Config
from deepthink.config.method import MethodSpec
from deepthink.config.overrides import compose, requested
from deepthink.errors import UserError
from deepthink.report.experiments import word

_GROUPS = ("model", "task", "method", "calibration")
_ABSENT = object()


def words(config: Mapping[str, Any]) -> list[str] | None:
    """The words of a job, each as it is typed in a shell.

    config: the whole resolved config of the job. None is returned where no words give it, for
    example because the file that names its task is gone, or was changed.

    >>> from deepthink.config.overrides import compose
    >>> words(compose(["model=opt-125m", "method=vanilla", "seed=3"]).resolved())
    ['model=opt-125m', 'method=vanilla', 'seed=3']
    """
    try:
        return _words(config)
    except (UserError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _words(config: Mapping[str, Any]) -> list[str] | None:
    plugins = config.get("plugins")
    named = [word("plugins", plugins)] if plugins else []
    chosen = {group: _nearest(group, config[group], tuple(named)) for group in _GROUPS}
    suite, _, member = config["task"]["name"].partition("/")
    if member:
        chosen["task"] = suite
    defaults = {group: _nearest(group, _plain(compose([]))[group], ()) for group in _GROUPS}
    typed = [f"{g}={name}" for g, name in chosen.items() if name and name != defaults[g]]
    if member:
        typed += [f"task.members=[{member}]"]
    found = [*named, *typed]
    for key, value, known in _differences(config, _plain(_job(found))):
        if value is _ABSENT:
            return None
        found.append(_typed(key if known else f"+{key}", value))
    return found if _plain(_job(found)) == config else None


def _job(typed: Sequence[str]) -> Config:
    """The one job of words as they are typed in a shell."""
    (job,) = requested([shlex.split(each)[0] for each in typed]).jobs
    return job


def _plain(job: Config) -> dict[str, Any]:
    """A job's whole config as a file in JSON has it."""
    stored: dict[str, Any] = json.loads(json.dumps(job.resolved()))
    return stored


def _nearest(group: str, values: Mapping[str, Any], named: tuple[str, ...]) -> str | None:
    """The file of a group whose values are nearest to these; None if the group has none.

    Of methods that are equally near, it is the one that tables call so.
    """
    known = _known(group, named)
    if group != "method" and values.get("name") in known:
        return str(values["name"])
    apart = {
        name: sum(1 for _ in _differences(values, body)) for name, body in known.items() if body
    }
    if not apart:
        return None
    label = MethodSpec(**values).label
    return min(apart, key=lambda name: (apart[name], name != label, name))


@lru_cache
def _known(group: str, named: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """The files of a group by name, and of methods their values."""
    found: dict[str, dict[str, Any]] = {}
    for name in search.names(group, [shlex.split(each)[0] for each in named]):
        found[name] = {}
        if group == "method":
            found[name] = _plain(_job([*named, f"method={name}"]))["method"]
    return found


def _differences(
    wanted: Mapping[str, Any], given: Mapping[str, Any], inside: str = ""
) -> Iterator[tuple[str, Any, bool]]:
    """Each value of `wanted` that is another in `given`, with its key and whether that exists."""
    for name in dict.fromkeys([*wanted, *given]):
        key, value, other = f"{inside}{name}", wanted.get(name, _ABSENT), given.get(name, _ABSENT)
        if isinstance(value, dict) and isinstance(other, dict):
            yield from _differences(value, other, f"{key}.")
        elif value != other:
            yield key, value, other is not _ABSENT


def _typed(key: str, value: Any) -> str:
    """An override as it is typed in a shell."""
    if value is None or isinstance(value, str):
        return word(key, value)
    return shlex.quote(f"{key}={_grammar(value)}")


def _grammar(value: Any) -> str:
    """A value in Hydra's grammar."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_grammar, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{name}:{_grammar(each)}" for name, each in value.items()) + "}"
    return repr(value)
