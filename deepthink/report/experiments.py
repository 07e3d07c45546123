"""The experiments of conf/experiment: the jobs behind each number of a table or figure."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from deepthink.config import search
from deepthink.config.job import Config
from deepthink.config.models import named_model
from deepthink.config.overrides import axes, compose, requested, values
from deepthink.config.tasks import SuiteSpec, TaskSpec
from deepthink.installation import CONF, usual
from deepthink.report import composed
from deepthink.report.runs import Draw, Family, Run, Runs, Scale
from deepthink.store.identity import identity
from deepthink.tasks import own

PUBLISHED = Path("results")
"""The folder of the committed study. A user's own runs lie in `own_results()`."""
EARLIER = PUBLISHED / "small-pools"
"""The folder of the committed study before this one: parts of two data sets, without scores."""

DRAWS = ("seed", "order")
SIZES = ("test_size", "dev_size", "pool_size")


@dataclass(frozen=True)
class Setting:
    """Jobs that differ in their draw alone, and that make one number together.

    axes: the values of the experiment's axes that single the setting out, without model and draws.
    configs: one job's config, or one for each member of a suite.
    draws: seed and order of each repetition, one seed where no seed changes anything.
    """

    experiment: str
    axes: dict[str, str]
    configs: tuple[Config, ...]
    draws: tuple[Draw, ...]

    @cached_property
    def seeded(self) -> bool:
        """Whether the seed changes any of its jobs."""
        return any(config.seeded for config in self.configs)

    def reached(self, draw: Draw) -> Draw:
        """The draw whose job gives the numbers of this one."""
        seed, order = draw
        return (seed if self.seeded else 0), order

    @cached_property
    def families(self) -> tuple[Family, ...]:
        """For each config, what all its runs have in common."""
        return tuple(Family.of(identity(config, "", "")) for config in self.configs)


def names() -> list[str]:
    """The names of all experiments, in alphabetical order."""
    return sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))


@lru_cache
def settings(experiment: str, *overrides: str) -> tuple[Setting, ...]:
    """The settings of an experiment for its first model, in the order of its sweep.

    overrides: words as on the command line, which replace values and axes of the experiment.
    """
    return composed.kept(experiment, overrides, lambda: _composed(experiment, overrides))


def _composed(experiment: str, overrides: Sequence[str]) -> tuple[Setting, ...]:
    """As `settings`, with Hydra, each setting with its families."""
    swept = dict(axes(experiment))
    fixed = [f"experiment={experiment}"]
    for override in search.settled(overrides):
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
        words = [f"{key}={value}" for key, value in chosen.items()]
        jobs = requested([*fixed, *([f"model={model}"] if model else []), *words]).jobs
        configs = tuple(replace(job, task=own.resolved(job.task)) for job in jobs)
        asked = Setting(experiment, chosen, configs, draws)
        reached = dict.fromkeys(map(asked.reached, draws))
        setting = replace(asked, draws=tuple(reached))
        assert setting.families  # computed here, so that it is kept
        found.append(setting)
    return tuple(found)


def setting(experiment: str, **axes: str) -> Setting:
    """The one setting of an experiment with these values."""
    (only,) = (s for s in settings(experiment) if axes.items() <= s.axes.items())
    return only


def asks_for(names: frozenset[str], run: Run) -> bool:
    """Whether any of these experiments asks for a run, on whatever scale and of whatever model."""
    return (run.family, run.iterations, run.draw) in _asked(names)


@lru_cache
def _asked(names: frozenset[str]) -> frozenset[tuple[Family, int, Draw]]:
    return frozenset(
        (family, config.method.iterations, draw)
        for name in names
        for setting in settings(name)
        for config, family in zip(setting.configs, setting.families, strict=True)
        for draw in setting.draws
    )


@lru_cache
def own_results() -> Path:
    """The folder that a user's runs go to by default."""
    return Path(yaml.safe_load((CONF / "config.yaml").read_text())["results"])


@lru_cache
def scales() -> dict[str, dict[str, Any]]:
    """The files of conf/scale, by name."""
    folder = CONF / "scale"
    return {path.stem: yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml"))}


def parameters(model: str) -> int | None:
    """The number of parameters of a model of conf/model; None if it is unknown."""
    number = named_model(model).get("parameters")
    return None if number is None else int(number)


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
    """The overrides that run jobs on this scale: a name of conf/scale, else its sizes."""
    limits = {
        name: size
        for name, size in zip(SIZES, (scale.test, scale.dev, scale.pool), strict=True)
        if size >= 0
    }
    if not limits:
        return []
    for name, body in scales().items():
        if {key: body[key] for key in SIZES if key in body} == limits:
            return [f"scale={name}"]
    return [f"{key}={value}" for key, value in limits.items()]


def scored_on(scale: Scale) -> str | None:
    """The value of method.scored that a named scale sets; None if it sets none."""
    words = of_scale(scale)
    if len(words) != 1 or not words[0].startswith("scale="):
        return None
    method = scales()[words[0].partition("=")[2]].get("method") or {}
    return method.get("scored")


Axes = tuple[tuple[str, tuple[str, ...]], ...]


def merged(wanted: Iterable[tuple[Setting, Sequence[Draw]]]) -> list[tuple[Axes, list[Draw]]]:
    """Join settings of one experiment and their draws into few sweeps.

    Returns the values of each axis of each sweep, and the sweep's draws.
    """
    sweeps: dict[tuple[Axes, tuple[Draw, ...]], None] = dict.fromkeys(
        (tuple((key, (value,)) for key, value in setting.axes.items()), tuple(draws))
        for setting, draws in wanted
    )
    axes = [key for key, _ in next(iter(sweeps))[0]] if sweeps else []
    for axis in axes:
        groups: dict[tuple[Axes, tuple[Draw, ...]], list[str]] = {}
        for swept, draws in sweeps:
            (values_,) = (values for key, values in swept if key == axis)
            others = tuple((key, () if key == axis else values) for key, values in swept)
            groups.setdefault((others, draws), []).extend(values_)
        sweeps = dict.fromkeys(
            (
                tuple((key, tuple(joined) if key == axis else values) for key, values in others),
                draws,
            )
            for (others, draws), joined in groups.items()
        )
    return [(swept, list(draws)) for swept, draws in sweeps]


def command(
    experiment: str,
    swept: Axes,
    draws: Sequence[Draw],
    model: str,
    scale: Scale,
    how: Sequence[str] = (),
    scored: str | None = None,
) -> str:
    """The command that runs these draws of a sweep. Jobs that have a record are not run again.

    The command names the dtype, since the default depends on the machine's device. how: further
    words, see `as_run`. scored: the value of method.scored, if it is not the scale's.
    """
    asked = axes(experiment)
    words = [f"experiment={experiment}"]
    if asked["model"] != [model] and named_model(model):
        words.append(f"model={model}")
    elif len(asked["model"]) > 1:
        words.append(f"model={asked['model'][0]}")
    words += [*of_scale(scale), f"model.dtype={scale.dtype}"]
    if scored is not None:
        words.append(f"method.scored={scored}")
    words += [f"{key}={','.join(values)}" for key, values in swept if asked.get(key) != [*values]]
    for at, name in enumerate(DRAWS):
        wanted = list(map(str, sorted({draw[at] for draw in draws})))
        if wanted != asked.get(name, ["0"]):
            words.append(f"{name}={','.join(wanted)}")
    return " ".join([usual(), *words, *how])


def as_run(runs: Runs, model: str, scale: Scale, suite: str) -> tuple[str, ...]:
    """The words that make a further run of a task belong to the same number as existing runs.

    Beyond experiment, scale and dtype they name the model, the place of the data, the treatment of
    overlapping pool rows, and the folder of results. If the task has no run, they follow the runs
    of other tasks.
    """
    alike = runs.at(model, scale, suite)
    words: dict[str, str | None] = _other_model(alike[0], model) if alike else {}
    if {run.overlap for run in alike} == {"keep"}:
        words["pool.overlap"] = "keep"
    roots = {run.record.config.data_root for run in alike}
    if len(roots) == 1 and (root := roots.pop()):
        words["data_root"] = root
    return (*(word(key, value) for key, value in words.items()), *kept_in(runs))


def whole_command(runs: Runs, experiment: str) -> str:
    """The command that runs an experiment into the folder of these runs."""
    return " ".join([usual(), f"experiment={experiment}", *kept_in(runs)])


def kept_in(runs: Runs) -> list[str]:
    """The word that makes a command store its records in the folder of these runs, if needed."""
    if runs.folder is None or runs.folder == own_results():
        return []
    return [word("results", str(runs.folder))]


def _other_model(run: Run, model: str) -> dict[str, str | None]:
    """The overrides that give the model of a run, as far as conf/model differs from it."""
    known = named_model(model)
    asked = run.record.config.model
    commit = run.record.identity.model.revision or asked.revision
    named = {"name": model, "hub_id": asked.hub_id, "revision": commit, "package": asked.package}
    return {
        f"model.{key}": value
        for key, value in named.items()
        if key not in known or known[key] != value
    }


@lru_cache
def word(key: str, value: str | None) -> str:
    """An override as it is typed in a shell, quoted if Hydra or the shell need it."""
    plain = f"{key}={'null' if value is None else value}"
    try:
        understood = OverridesParser.create().parse_override(plain).value() == value
    except HydraException:
        understood = False
    if understood and shlex.quote(plain) == plain:
        return plain
    escaped = (value or "").replace("\\", "\\\\").replace('"', '\\"')
    return shlex.quote(f'{key}="{escaped}"')
