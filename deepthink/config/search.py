"""The places of configs: this package's folder `conf`, and the folders of plugins."""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import combinations
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from deepthink import plugins
from deepthink.config import harness_tasks
from deepthink.config.own import CONFIG
from deepthink.errors import UserError
from deepthink.installation import CONF

GROUPS = ("model", "task", "method", "calibration", "experiment", "scale", "launcher")
"""The folders of `conf`: a word such as task=sst2 takes a file of its folder."""


def plugins_of(words: Sequence[str]) -> str | None:
    """The folder that `plugins=` names in a command line; None where it names none.

    Raises:
        UserError: it names several. All jobs of a sweep have the same folder.

    >>> plugins_of(["task=sst2", "plugins=lab"])
    'lab'
    """
    given = [word.lstrip("+") for word in words if word.lstrip("+").startswith("plugins=")]
    if not given:
        return None
    try:
        override = OverridesParser.create().parse_override(given[-1])
    except HydraException:
        return None  # composing reports what is wrong with the word
    if override.is_sweep_override() or len(given) > 1:
        raise UserError(f"{given[-1]}: a command has one folder of plugins")
    return str(value) if (value := override.value()) is not None else None


def folders(words: Sequence[str]) -> tuple[Path, ...]:
    """The `conf` of this package, then those of the plugins that a command line may use.

    Raises:
        UserError: a folder of plugins does not exist, or two files have the same name.
    """
    outside = (folder / "conf" for folder in plugins.folders(plugins_of(words)))
    places = (CONF, *(folder for folder in outside if folder.is_dir()))
    for first, second in combinations(places, 2):
        for group in GROUPS:
            if both := {*_files(first, group)} & {*_files(second, group)}:
                path = second / group / f"{min(both)}.yaml"
                raise UserError(f"{path} has the name of a file in {first / group}: rename it")
    return places


def names(group: str, words: Sequence[str] = ()) -> list[str]:
    """The names of a group's configs that a command line may choose from; UserError as `folders`.

    >>> "slurm" in names("launcher")
    True
    """
    every = {name for folder in folders(words) for name in _files(folder, group)}
    return sorted(name for name in every if not name.startswith("_"))


def search_path(words: Sequence[str]) -> list[str]:
    """The word by which Hydra searches the folders of plugins; an empty list without plugins."""
    places = [quoted(f"file://{folder}") for folder in folders(words)[1:]]
    return [f"hydra.searchpath=[{','.join(places)}]"] if places else []


def settled(words: Sequence[str]) -> list[str]:
    r"""The words of a command line as Hydra takes them.

    task.file= takes the keys of a task of one's own where no other task is named, and so does
    task=lm_eval/NAME those of a task of lm-evaluation-harness. A template with braces is put in
    quotation marks, which shells remove. One with a comma stays as it is: it may be several.

    >>> settled(["task.file=reviews.csv", "task.template={text} It is:"])
    ['task=_own', 'task.file=reviews.csv', "task.template='{text} It is:'"]
    """
    names = {word.lstrip("+").partition("=")[0] for word in words}
    own = [f"task={CONFIG}"] if "task.file" in names and "task" not in names else []
    first = next((i for i, word in enumerate(words) if "=" in word and word[0] != "-"), 0)
    taken = [_quoted_template(each) for word in words for each in harness_tasks.settled(word)]
    return [*taken[:first], *own, *taken[first:]]


def _quoted_template(word: str) -> str:
    key, _, value = word.partition("=")
    if key != "task.template" or "{" not in value or {*value} & {*"'\",$"}:
        return word
    return f"{key}={quoted(value)}"


def _files(folder: Path, group: str) -> list[str]:
    """The names of all files of a group, those included that only other files use."""
    if folder == CONF:
        return _packaged(group)
    return [path.stem for path in (folder / group).glob("*.yaml")]


@lru_cache
def _packaged(group: str) -> list[str]:
    return [path.stem for path in (CONF / group).glob("*.yaml")]


def quoted(text: str | Path) -> str:
    r"""A text in quotation marks, so that Hydra takes it literally.

    >>> quoted("it's")
    "'it\\'s'"
    """
    doubled = re.sub(r"(\\+)(?='|$)", r"\1\1", str(text))  # backslashes before a mark
    return "'{}'".format(doubled.replace("'", r"\'"))
