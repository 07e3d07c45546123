"""What conf/experiment asks for: the jobs behind each number of a table or figure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from typing import Any

import yaml

from deepthink.config import Config, Suite
from deepthink.overrides import CONF, axes, compose, values
from deepthink.report.runs import Draw, Scale

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
    def resolved(self) -> tuple[dict[str, Any], ...]:
        """The configs as plain values."""
        return tuple(config.resolved() for config in self.configs)


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
        request = compose([*fixed, *([f"model={model}"] if model else []), *asked])
        configs = request.jobs if isinstance(request, Suite) else (request,)
        reached = draws
        if all(config.task.given for config in configs):
            reached = tuple(sorted({(0, order) for _, order in draws}))
        found.append(Setting(experiment, chosen, configs, reached))
    return tuple(found)


def setting(experiment: str, **axes: str) -> Setting:
    """The one setting of an experiment with these values."""
    (found,) = (s for s in settings(experiment) if axes.items() <= s.axes.items())
    return found


@lru_cache
def scales() -> dict[str, dict[str, Any]]:
    """The files of conf/scale, by name."""
    folder = CONF / "scale"
    return {path.stem: yaml.safe_load(path.read_text()) for path in sorted(folder.glob("*.yaml"))}


@lru_cache
def parameters(model: str) -> int | None:
    """How many parameters a model of conf/model has; None if it does not say or is not there."""
    path = CONF / "model" / f"{model}.yaml"
    if not path.is_file():
        return None
    found = yaml.safe_load(path.read_text()).get("parameters")
    return None if found is None else int(found)


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
    data_root: str | None,
    scored: str | None = None,
) -> str:
    """The command that does these draws of a sweep; jobs that are done it only reads.

    The dtype is named, since it would else follow the machine's device. scored: the value of
    method.scored that the draws which are there were run with, if it is not the scale's.
    """
    own = axes(experiment)
    words = [f"experiment={experiment}"]
    if own["model"] != [model]:
        words.append(f"model={model}")
    words += [*of_scale(scale), f"model.dtype={scale.dtype}"]
    if scored is not None:
        words.append(f"method.scored={scored}")
    words += [f"{key}={','.join(values)}" for key, values in swept if own.get(key) != [*values]]
    for at, name in enumerate(DRAWS):
        wanted = list(map(str, sorted({draw[at] for draw in draws})))
        if wanted != own.get(name, ["0"]):
            words.append(f"{name}={','.join(wanted)}")
    if data_root:
        words.append(f"data_root={data_root}")
    return " ".join(["python run.py", *words])
