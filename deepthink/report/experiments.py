"""What conf/experiment asks for: the jobs behind each number of a table or figure."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from deepthink.config.job import Config
from deepthink.config.overrides import axes, compose, named_model, requested, values
from deepthink.config.tasks import SuiteSpec, TaskSpec
from deepthink.installation import CONF, usual
from deepthink.report.runs import Draw, Family, Run, Runs, Scale
from deepthink.store import records

PUBLISHED = Path("results")
"""The folder of the committed study; a user's own runs lie in `own_results()`."""

DRAWS = ("seed", "order")
SIZES = ("test_size", "dev_size", "pool_size")


@dataclass(frozen=True)
class Setting:
    """Jobs that differ in their draw alone, and together make one number.

    axes: the values of the experiment's axes that single it out, without model and draws.
    configs: one job's config, or one for each member of a suite.
    draws: seed and order of each repetition.
    """

    experiment: str
    axes: dict[str, str]
    configs: tuple[Config, ...]
    draws: tuple[Draw, ...]

    @cached_property
    def families(self) -> tuple[Family, ...]:
        """What the runs of each config have in common."""
        return tuple(Family.of(records.identity(config, "", "")) for config in self.configs)


def names() -> list[str]:
    """Every experiment there is."""
    return sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))


@lru_cache
def settings(experiment: str, *overrides: str) -> tuple[Setting, ...]:
    """The settings of an experiment in the order of its sweep, of its first model.

    overrides: as on the command line; they replace values and axes of the experiment.
    """
    swept = dict(axes(experiment))
    fixed = [f"experiment={experiment}"]
    for override in overrides:
        key = override.partition("=")[0]
        if key in swept or len(values(override)) > 1:
            swept[key] = values(override)
        else:
            fixed.append(override)
    model = swept.pop("model", [""])[0]
    draws = tuple(
        (int(seed), int(order))
        for seed, order in product(*(swept.pop(name, ["0"]) for name in DRAWS))
    )
    found = []
    for combination in product(*swept.values()):
        chosen = dict(zip(swept, combination, strict=True))
        asked = [f"{key}={value}" for key, value in chosen.items()]
        configs = requested([*fixed, *([f"model={model}"] if model else []), *asked]).jobs
        reached = draws
        if all(config.task.given for config in configs):
            reached = tuple(sorted({(0, order) for _, order in draws}))
        found.append(Setting(experiment, chosen, configs, reached))
    return tuple(found)


def setting(experiment: str, **axes: str) -> Setting:
    """The one setting of an experiment with these values."""
    (found,) = (s for s in settings(experiment) if axes.items() <= s.axes.items())
    return found


def studied(runs: Runs, names: Iterable[str]) -> Runs:
    """The runs that these experiments ask for, on any scale and of any model."""
    asked = {
        (family, draw)
        for name in names
        for setting in settings(name)
        for family in setting.families
        for draw in setting.draws
    }
    return runs.only(lambda run: (run.family, run.draw) in asked)


@lru_cache
def own_results() -> Path:
    """The folder a user's runs go to unless told otherwise."""
    return Path(yaml.safe_load((CONF / "config.yaml").read_text())["results"])


@lru_cache
def scales() -> dict[str, dict[str, Any]]:
    """The files of conf/scale, by name."""
    folder = CONF / "scale"
    return {path.stem: yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml"))}


def parameters(model: str) -> int | None:
    """How many parameters a model of conf/model has; None if it does not say or is not there."""
    found = named_model(model).get("parameters")
    return None if found is None else int(found)


@lru_cache
def task(name: str) -> TaskSpec:
    """A task as conf/task has it."""
    return compose([f"task={name}"]).task


@lru_cache
def suite(name: str) -> SuiteSpec:
    """A suite as conf/task has it."""
    found = requested([f"task={name}"]).suite
    assert found is not None, name
    return found


def of_scale(scale: Scale) -> list[str]:
    """The overrides that run jobs on this scale: a name of conf/scale, or its sizes."""
    asked = {
        name: size
        for name, size in zip(SIZES, (scale.test, scale.dev, scale.pool), strict=True)
        if size >= 0
    }
    if not asked:
        return []
    for name, body in scales().items():
        if {key: body[key] for key in SIZES if key in body} == asked:
            return [f"scale={name}"]
    return [f"{key}={value}" for key, value in asked.items()]


def scored_on(scale: Scale) -> str | None:
    """The value of method.scored that a named scale sets; None where it sets none."""
    asked = of_scale(scale)
    if len(asked) != 1 or not asked[0].startswith("scale="):
        return None
    method = scales()[asked[0].partition("=")[2]].get("method") or {}
    return method.get("scored")


Axes = tuple[tuple[str, tuple[str, ...]], ...]


def merged(wanted: Iterable[tuple[Setting, Sequence[Draw]]]) -> list[tuple[Axes, list[Draw]]]:
    """Settings of one experiment and their draws as few sweeps: axes with the values of each."""
    found: dict[tuple[Axes, tuple[Draw, ...]], None] = dict.fromkeys(
        (tuple((key, (value,)) for key, value in setting.axes.items()), tuple(draws))
        for setting, draws in wanted
    )
    axes = [key for key, _ in next(iter(found))[0]] if found else []
    for axis in axes:
        groups: dict[tuple[Axes, tuple[Draw, ...]], list[str]] = {}
        for swept, draws in found:
            (values_,) = (values for key, values in swept if key == axis)
            others = tuple((key, () if key == axis else values) for key, values in swept)
            groups.setdefault((others, draws), []).extend(values_)
        found = dict.fromkeys(
            (
                tuple((key, tuple(joined) if key == axis else values) for key, values in others),
                draws,
            )
            for (others, draws), joined in groups.items()
        )
    return [(swept, list(draws)) for swept, draws in found]


def command(
    experiment: str,
    swept: Axes,
    draws: Sequence[Draw],
    model: str,
    scale: Scale,
    how: Sequence[str] = (),
    scored: str | None = None,
) -> str:
    """The command that does these draws of a sweep; jobs that are done it only reads.

    The dtype is named, since it would else follow the machine's device. how: what else the draws
    that are there were run with, see `as_run`. scored: their value of method.scored, if it is not
    the scale's.
    """
    own = axes(experiment)
    words = [f"experiment={experiment}"]
    if own["model"] != [model] and named_model(model):
        words.append(f"model={model}")
    elif len(own["model"]) > 1:
        words.append(f"model={own['model'][0]}")
    words += [*of_scale(scale), f"model.dtype={scale.dtype}"]
    if scored is not None:
        words.append(f"method.scored={scored}")
    words += [f"{key}={','.join(values)}" for key, values in swept if own.get(key) != [*values]]
    for at, name in enumerate(DRAWS):
        wanted = list(map(str, sorted({draw[at] for draw in draws})))
        if wanted != own.get(name, ["0"]):
            words.append(f"{name}={','.join(wanted)}")
    return " ".join([usual(), *words, *how])


def as_run(runs: Runs, model: str, scale: Scale, suite: str) -> tuple[str, ...]:
    """What a further run of a task must be told to share a number with those that are there.

    Beyond experiment, scale and dtype: which model, where the data lie and what of the pool, and
    where records are kept. Where the task has no run, the runs of other tasks say it.
    """
    found = runs.at(model, scale, suite)
    told: dict[str, str | None] = _other_model(found[0], model) if found else {}
    if {run.overlap for run in found} == {"keep"}:
        told["pool.overlap"] = "keep"
    roots = {run.record["config"]["data_root"] for run in found}
    if len(roots) == 1 and (root := roots.pop()):
        told["data_root"] = root
    return (*(word(key, value) for key, value in told.items()), *kept_in(runs))


def kept_in(runs: Runs) -> list[str]:
    """What a command must be told to keep its records in the folder of these runs."""
    if runs.folder is None or runs.folder == own_results():
        return []
    return [word("results", str(runs.folder))]


def _other_model(run: Run, model: str) -> dict[str, str | None]:
    """What makes the model a run is of, where conf/model does not say the same of its name."""
    known = named_model(model)
    asked = run.record["config"]["model"]
    commit = run.record["identity"]["model"].get("revision", asked["revision"])
    found = {"name": model, "hub_id": asked["hub_id"], "revision": commit}
    found["package"] = asked["package"]
    return {
        f"model.{key}": value
        for key, value in found.items()
        if key not in known or known[key] != value
    }


@lru_cache
def word(key: str, value: str | None) -> str:
    """An override as it is typed in a shell, in quotes where Hydra or the shell need them."""
    plain = f"{key}={'null' if value is None else value}"
    try:
        understood = OverridesParser.create().parse_override(plain).value() == value
    except HydraException:
        understood = False
    if understood and shlex.quote(plain) == plain:
        return plain
    escaped = (value or "").replace("\\", "\\\\").replace('"', '\\"')
    return shlex.quote(f'{key}="{escaped}"')
