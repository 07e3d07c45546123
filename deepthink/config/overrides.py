"""From the words of a command line to a config, with one line for whatever is wrong in them."""

import getpass
import os
import re
import shlex
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from itertools import product
from pathlib import Path
from typing import NoReturn

import hydra
import yaml
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import DictConfig, OmegaConf

from deepthink.config import own, search
from deepthink.config.checks import check_text
from deepthink.config.job import Config
from deepthink.config.parsing import parse
from deepthink.config.request import Request
from deepthink.errors import UserError, first_line, unknown
from deepthink.installation import CONF, called, make
from deepthink.redaction import refuse_secrets


def _scratch() -> str:
    """A temporary folder of this user for what Hydra writes about a sweep. It is never read."""
    user = getattr(os, "getuid", getpass.getuser)
    return str(Path(tempfile.gettempdir(), f"deepthink-{user()}"))


OmegaConf.register_new_resolver("scratch", _scratch, replace=True)
OmegaConf.register_new_resolver("called", called, replace=True)


def translate(error: Exception, words: Sequence[str] = ()) -> str:
    """An error of Hydra's in one line, with the nearest valid names.

    words: the command line.
    """
    text = str(error)
    if isinstance(error, OverrideParseException):
        return _not_understood(str(error.override))
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        if group == "hydra/launcher":
            install = make(name, f"pip install 'deepthink[{name}]'")
            return f"launcher {name} is not installed: {install}"
        return str(unknown(group or "config", name, search.names(group, words)))
    if refused := re.search(r"Could not override '([^']+)'", text):
        key = refused[1].partition("@")[0]
        if key in (keys := _keys(words)):
            return f"{key} cannot be set, since another word takes away what it belongs to (~)"
        if key in own.KEYS:
            return own.MISPLACED.format(key=key)
        return str(unknown("key", key, keys))
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        return f"{error.problem_mark.name}, line {error.problem_mark.line + 1}: {error.problem}"
    if "Ambiguous value" in text or "requires --multirun" in text:
        return f"{first_line(error)}: add -m to run every value"
    return f"{first_line(error)} ({called()} --help shows the keys and examples)"


def _not_understood(word: str) -> str:
    """The line for a word that does not follow Hydra's grammar."""
    key, equals, value = word.partition("=")
    if not equals or {"'", '"'} & set(value):
        return f"{word} is not understood: {called()} --help shows keys and examples"
    items = value[1:-1].split(",") if value.startswith("[") and value.endswith("]") else None
    if items is None:
        typed = f'"{value}"'
    else:  # in quotation marks as a whole it would be no list
        typed = "[" + ",".join(f'"{item.strip()}"' for item in items) + "]"
    quoted = shlex.quote(f"{key}={typed}")
    return f"{word} is not understood: such a value needs quotation marks of its own, {quoted}"


def compose(words: Sequence[str]) -> Config:
    """The checked job of a command line without sweeps.

    Raises:
        UserError: the words are wrong, or name a suite, which is many jobs.

    >>> compose(["task=sst2", "method.iterations=3"]).method.iterations
    3
    """
    request = requested(words)
    if request.suite is not None:
        raise UserError(
            f"{request.suite.name} is a suite of {len(request.jobs)} tasks, not one job"
        )
    (job,) = request.jobs
    return job


def requested(words: Sequence[str]) -> Request:
    """The checked request of a command line without sweeps; UserError for words that are wrong.

    >>> [job.task.name for job in requested(["task=mmlu", "task.members=[virology]"]).jobs]
    ['mmlu/virology']
    """
    return parse(composed(words))


def composed(words: Sequence[str]) -> DictConfig:
    """The config that Hydra makes of a command line, before any check; UserError as `requested`."""
    words = search.settled(words)
    places = search.search_path(words)
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            return hydra.compose("config", overrides=[*words, *places])
    except Exception as error:  # Hydra and its plugins raise many kinds
        raise UserError(translate(error, words)) from error


def expand(words: Sequence[str]) -> list[list[str]]:
    """The overrides of each job of a sweep: every combination of the listed values.

    The axes of an `experiment=` come first. Values in `words` replace those of its file. UserError
    as in `compose`.

    >>> expand(["task=sst2", "seed=0,1"])
    [['task=sst2', 'seed=0'], ['task=sst2', 'seed=1']]
    """
    words = search.settled(words)
    try:
        given = {o.get_key_element(): o for o in OverridesParser.create().parse_overrides([*words])}
        named = given.get("experiment")
        check_experiment(words)
        plugins = search.plugins_of(words)
        swept = axes(str(named.value()), plugins) if named else {}
    except UserError:
        raise
    except Exception as error:
        raise UserError(translate(error, words)) from error
    choices = {
        key: [f"{key}={value}" for value in values]
        for key, values in swept.items()
    }  # fmt: skip
    for key, override in given.items():
        choices[key] = (
            [f"{key}={value!s}" for value in override.sweep_string_iterator()]
            if override.is_sweep_override()
            else [str(override.input_line)]
        )
    return [list(combination) for combination in product(*choices.values())]


def members(words: Sequence[str]) -> list[list[str]] | None:
    """The overrides of each member of a suite's job; None for a job of one task.

    It is None for an invalid command, too: the process that runs it reports the error.

    >>> len(members(["task=mmlu"])), members(["task=mmlu"])[0]
    (57, ['task=mmlu', 'task.members=[astronomy]'])
    >>> members(["task=sst2"]) is None
    True
    """
    fixed = any("${" in word for word in words)  # the task depends on another key
    about = [word for word in words if fixed or not word.startswith(("model=", "seed=", "order="))]
    names = _members(tuple(about))
    if names is None:
        return None
    return [[*words, f"task.members=[{name}]"] for name in names]


@lru_cache
def _members(words: tuple[str, ...]) -> list[str] | None:
    try:
        suite = requested(words).suite
    except UserError:
        return None
    if suite is None:
        return None
    return [name for names in suite.chosen.values() for name in names]


def check(words: Sequence[str]) -> None:
    """Raise UserError for words that must not reach Hydra, which stores its words and obeys them.

    Such words hold a secret, name configs or jobs that are not this package's, or are flags that do
    not exist.
    """
    for word in words:
        check_text("a word of the command line", word)
    refuse_secrets((word.partition("=")[0], part) for word in words for part in _parts(word))
    parser = get_args_parser()

    def refuse(message: str) -> NoReturn:
        what, _, left = message.partition(": ")
        if what == "unrecognized arguments" and not re.search(r"(^|\s)-", left):
            message = f"flags such as -m go before all other words or after all, not before {left}"
        raise UserError(f"{message} ({called()} --help shows the keys and examples)")

    parser.error = refuse  # type: ignore[method-assign]
    flags = parser.parse_args([*words])
    if flags.experimental_rerun is not None:
        refuse("--experimental-rerun takes a pickled job, which may run anything: give its words")
    elsewhere = [flags.config_path, flags.config_name, flags.config_dir]
    if any(value is not None for value in elsewhere):
        refuse("the configs are those of this package and of plugins: plugins=FOLDER names yours")
    if any(word.lstrip("+").startswith("hydra.searchpath=") for word in words):
        refuse("hydra.searchpath is set by plugins=FOLDER, whose conf is searched")
    check_experiment(words)
    search.folders(words)


def _parts(word: str) -> tuple[str, str]:
    """A word and its value. Either may be a secret."""
    return word, word.partition("=")[2]


def check_experiment(words: Sequence[str]) -> None:
    """Raise UserError for a list of experiments, since each is a sweep by itself."""
    several = [word for word in words if re.match(r"experiment=.*[,(]", word)]
    if several:
        raise UserError(f"{several[0]}: an experiment is a sweep, give one command for each")


def group(words: Sequence[str]) -> str:
    """The name of a sweep's group of runs in W&B: the same for the same jobs, however started.

    >>> group(["seed=0,1", "-m"]) == group(["launcher=local", "seed=0,1"])
    True
    """
    about = ("-", "launcher=", "workers=", "hydra.", "results=", "plugins=", "wandb.", "verbosity=")
    kept = sorted(word for word in words if not word.startswith(about))
    named = [word.partition("=")[2] for word in kept if word.startswith("experiment=")]
    return f"{named[0] if named else 'sweep'}-{sha256(' '.join(kept).encode()).hexdigest()[:6]}"


@lru_cache
def axes(experiment: str, plugins: str | None = None) -> dict[str, list[str]]:
    """Each axis of an experiment's sweep with its values, as conf/experiment has them.

    plugins: the folder of `plugins=`, which may have experiments too.

    Raises:
        UserError: the experiment does not exist.

    >>> axes("table1")["task"][:2]
    ['sst2', 'sst5']
    """
    words = [] if plugins is None else [f"plugins={search.quoted(plugins)}"]
    names = search.names("experiment", words)
    if experiment not in names:
        raise unknown("experiment", experiment, names)
    words += [f"experiment={experiment}", *search.search_path(words)]
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        composed = hydra.compose("config", overrides=words, return_hydra_config=True)
    params = composed.hydra.sweeper.params or {}
    return {key: values(f"{key}={value}") for key, value in params.items()}


def values(override: str) -> list[str]:
    """The values that an override gives to its key; UserError for what is no override.

    >>> values("seed=0,1"), values("task=sst2")
    (['0', '1'], ['sst2'])
    """
    try:
        (parsed,) = OverridesParser.create().parse_overrides([override])
    except HydraException as error:
        raise UserError(translate(error)) from error
    if parsed.is_sweep_override():
        return [str(value) for value in parsed.sweep_string_iterator()]
    return [str(parsed.get_value_element_as_str())]


def _keys(words: Sequence[str]) -> list[str]:
    """Every dotted key of the config with the command line's task and method, and every group."""
    words = search.settled(words)
    named = [word for word in words if re.fullmatch(r"(task|method)=\w+", word)]
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        composed = hydra.compose("config", overrides=[*named, *search.search_path(words)])
    keys = {*search.GROUPS}

    def visit(node: DictConfig, prefix: str) -> None:
        for key, value in node.items_ex(resolve=False):
            keys.add(f"{prefix}{key!s}")
            if isinstance(value, DictConfig):
                visit(value, f"{prefix}{key!s}.")

    visit(composed, "")
    return sorted(keys)
