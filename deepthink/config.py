"""From Hydra's composed config to one frozen, checked `Config`. The only reader of omegaconf."""

import json
from dataclasses import asdict, dataclass, fields
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from deepthink.errors import UserError, first_line, unknown
from deepthink.options import ANSWER_SCORES, OVERFLOWS, SEAMS, check_thinking

STRICT = ConfigDict(strict=True, extra="forbid")

DTYPES = ("auto", "float32", "bfloat16", "float16")
DEVICES = ("auto", "cpu", "cuda", "mps")
WANDB_MODES = ("offline", "online", "disabled")


def _choice(name: str, value: str, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise unknown(f"value of {name}", value, valid)


def _at_least(name: str, value: int | None, least: int) -> None:
    if value is not None and value < least:
        raise UserError(f"{name} is {value}: it must be {least} or more")


@with_config(STRICT)
@dataclass(frozen=True)
class ModelSpec:
    """A causal language model: `hub_id` at `revision`, or the GGUF file of an installed `package`.

    dtype: "auto" is bfloat16 on CUDA and float32 elsewhere.
    """

    name: str
    hub_id: str
    revision: str
    package: str | None
    dtype: str

    def __post_init__(self) -> None:
        _choice("model.dtype", self.dtype, DTYPES)


@with_config(STRICT)
@dataclass(frozen=True)
class SourceSpec:
    """Where a task's rows come from: a dataset repository of the hub, or a bundled folder.

    files: split to file pattern, where the library cannot tell them by itself, else null.
    classes: the raw values of column `label`, in the order of the task's label words.
    """

    repository: str
    bundled: bool
    revision: str | None
    files: dict[str, str] | None
    text: str
    label: str
    classes: list[Any]
    pool: str
    test: str


@with_config(STRICT)
@dataclass(frozen=True)
class TaskSpec:
    """A classification task as data (Table 4).

    template: a query's text, with {text} for the instance; a label word follows after a space.
    demonstrations: how many the paper uses (§4.3).
    rows: pool and test rows of the full data set, to be compared with what was read.
    version: raised by hand whenever a change here changes a number.
    """

    name: str
    version: int
    template: str
    labels: list[str]
    demonstrations: int
    rows: dict[str, int]
    sources: list[SourceSpec]

    def __post_init__(self) -> None:
        if self.template.count("{text}") != 1 or self.template.endswith("{text}"):
            raise UserError(
                f"task.template '{self.template}' needs one {{text}} and words after it"
            )
        _at_least("task.demonstrations", self.demonstrations, 1)
        _at_least("the number of task.labels", len(self.labels), 2)
        for source in self.sources:
            if len(source.classes) != len(self.labels):
                raise UserError(
                    f"task.labels has {len(self.labels)} words, but {source.repository} "
                    f"{len(source.classes)} classes"
                )


@with_config(STRICT)
@dataclass(frozen=True)
class MethodSpec:
    """A selector of demonstrations and how they are thought over; T = 1 is vanilla ICL.

    selector: `name` of a module in deepthink/selectors and the options of its `select`.
    The rest are the arguments of `deepthink.think`.
    """

    selector: dict[str, Any]
    iterations: int
    step_size: float
    momentum: float
    positions: str
    memory_dtype: str

    def __post_init__(self) -> None:
        check_thinking(**self.thinking)

    @property
    def thinking(self) -> dict[str, Any]:
        """The keyword arguments of `think`."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "selector"}

    @property
    def label(self) -> str:
        """What this method is called in paths and tables."""
        chosen, thinks = self.selector["name"], self.iterations > 1
        if chosen == "random":
            return "deepthink" if thinks else "vanilla"
        return f"{chosen}+deepthink" if thinks else chosen


@with_config(STRICT)
@dataclass(frozen=True)
class DemonstrationSpec:
    """count: how many demonstrations; null takes the task's own number."""

    count: int | None

    def __post_init__(self) -> None:
        _at_least("demonstrations.count", self.count, 1)


@with_config(STRICT)
@dataclass(frozen=True)
class PromptSpec:
    """How text becomes tokens; see `deepthink.prompts`."""

    seam: str
    overflow: str

    def __post_init__(self) -> None:
        _choice("prompt.seam", self.seam, SEAMS)
        _choice("prompt.overflow", self.overflow, OVERFLOWS)


@with_config(STRICT)
@dataclass(frozen=True)
class WandbSpec:
    """Where finished jobs are also sent."""

    mode: str
    project: str
    entity: str | None
    group: str | None

    def __post_init__(self) -> None:
        _choice("wandb.mode", self.mode, WANDB_MODES)


@with_config(STRICT)
@dataclass(frozen=True)
class Config:
    """One job. Everything down to `dev_size` can change a number; the rest cannot."""

    model: ModelSpec
    task: TaskSpec
    method: MethodSpec
    demonstrations: DemonstrationSpec
    prompt: PromptSpec
    answer_score: str
    seed: int
    order: int
    test_size: int | None
    dev_size: int | None
    data_root: str | None
    results: str
    force: bool
    device: str
    token_budget: int | None
    wandb: WandbSpec

    def __post_init__(self) -> None:
        _choice("answer_score", self.answer_score, ANSWER_SCORES)
        _choice("device", self.device, DEVICES)
        _at_least("seed", self.seed, 0)
        _at_least("order", self.order, 0)
        _at_least("test_size", self.test_size, 1)
        _at_least("dev_size", self.dev_size, 0)
        _at_least("token_budget", self.token_budget, 1)

    @property
    def count(self) -> int:
        """k: how many demonstrations are drawn."""
        return self.demonstrations.count or self.task.demonstrations

    def resolved(self) -> dict[str, Any]:
        """The whole config as plain values, for the record."""
        return asdict(self)


def parse(composed: DictConfig) -> Config:
    """Check a composed config and freeze it; UserError names the first key that is wrong."""
    try:
        values = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
        return TypeAdapter(Config).validate_json(json.dumps(values))
    except OmegaConfBaseException as error:
        raise UserError(first_line(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        if first["type"] == "unexpected_keyword_argument":
            raise UserError(
                f"unknown key '{where}': python run.py --help lists the keys"
            ) from error
        told = first["msg"][0].lower() + first["msg"][1:]
        raise UserError(f"{where} is {first['input']!r}: {told}") from error
