"""One job as frozen, checked data."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from pydantic import with_config

from deepthink.config.checks import STRICT, check_at_least, check_choice, check_name, check_named
from deepthink.config.tasks import TaskSpec
from deepthink.errors import UserError
from deepthink.options import REQUIRED
from deepthink.plugins import REFINEMENTS
from deepthink.settings import (
    ANSWER_SCORES,
    LABELS,
    MOST_COPIES,
    OVERFLOWS,
    OVERLAPS,
    SCORED,
    SEAMS,
    THINKING,
    check_thinking,
    scored_steps,
)

DTYPES = ("auto", "float32", "bfloat16", "float16")
DEVICES = ("auto", "cpu", "cuda", "mps")
WANDB_MODES = ("offline", "online", "disabled")


@with_config(STRICT)
@dataclass(frozen=True)
class ModelSpec:
    """A causal language model: `hub_id` at `revision`, or the GGUF file of an installed `package`.

    dtype: "auto" is bfloat16 on CUDA and float32 elsewhere.
    parameters: how many there are, for estimates of time; null: unknown.
    """

    name: str
    hub_id: str
    revision: str
    package: str | None
    dtype: str
    parameters: int | None = None

    def __post_init__(self) -> None:
        check_name("model.name", self.name)
        check_choice("model.dtype", self.dtype, DTYPES)


@with_config(STRICT)
@dataclass(frozen=True)
class MethodSpec:
    """A selector of demonstrations and how they are thought over; T = 1 is vanilla ICL.

    selector: `name` of a module in deepthink/selection/rules and the options of its `select`.
    refinement: `name` of a module in deepthink/engine/refinements and the options that it has
        beside those of `thinking`.
    copies: how often the prompt repeats the demonstrations.
    scored: after which iterations queries are scored, see `options.scored_steps`.
    The rest are the arguments of `deepthink.think`.

    Not measured: momentum, memory_dtype.
    """

    selector: dict[str, Any]
    refinement: dict[str, Any]
    copies: int
    scored: str
    iterations: int
    step_size: float
    momentum: float
    positions: str
    memory_dtype: str

    def __post_init__(self) -> None:
        check_named("method.selector", self.selector, "random")
        check_named("method.refinement", self.refinement, "iterate")
        check_at_least("method.copies", self.copies, 1)
        if self.copies > MOST_COPIES:
            raise UserError(f"method.copies is {self.copies}: it must be {MOST_COPIES:,} or less")
        check_choice("method.scored", self.scored, SCORED)
        check_thinking(**self.thinking)
        for key in self.thinking:
            if key in self.refinement:
                raise UserError(
                    f"method.refinement.{key} is {self.refinement[key]!r}: it belongs to all "
                    f"refinements, so set method.{key}"
                )

    @property
    def thinking(self) -> dict[str, Any]:
        """The keyword arguments of `think`."""
        others = ("selector", "refinement", "copies", "scored")
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in others}

    def refining(self, plugins: str | None) -> dict[str, Any]:
        """The name of the refinement with the values of all its options.

        Those of `thinking` belong to every refinement that names them among its arguments.
        UserError where one that it does not take was given another value than the usual one, where
        its default is not the config's, and where it asks for T, which stays outside.
        """
        name = self.refinement["name"]
        options = REFINEMENTS.options(name, plugins)
        offered = {key: value for key, value in self.thinking.items() if key != "iterations"}
        if "iterations" in options:
            raise UserError(
                f"the refinement {name} takes iterations, but yields memories without end: "
                "method.iterations says how many are taken"
            )
        for key, value in offered.items():
            default = getattr(THINKING, key)
            if key not in options and value != default:
                raise UserError(
                    f"method.{key} is {value}, but the refinement {name} does not take it: leave "
                    "it out"
                )
            if key in options and options[key].default not in (default, REQUIRED):
                raise UserError(
                    f"the refinement {name} takes {key} with a default of its own, "
                    f"{options[key].default!r}, but the config's {default!r} takes its place: make "
                    "them alike, or give the option another name"
                )
        usual = {key: o.default for key, o in options.items() if o.default is not REQUIRED}
        taken = {key: value for key, value in offered.items() if key in options}
        return {**usual, **taken, **self.refinement}

    @property
    def steps(self) -> list[int]:
        """The iterations t after which queries are scored."""
        return scored_steps(self.scored, self.iterations)

    @property
    def label(self) -> str:
        """What this method is called in paths and tables."""
        chosen = self.selector["name"]
        parts = [] if chosen == "random" else [chosen]
        refinement = self.refinement["name"]
        thinking = "deepthink" if refinement == "iterate" else refinement
        parts += ["repeat"] * (self.copies > 1) + [thinking] * (self.iterations > 1)
        return "+".join(parts) or "vanilla"


@with_config(STRICT)
@dataclass(frozen=True)
class DemonstrationSpec:
    """How many are shown, and with which labels.

    count: null takes the task's own number. labels: "gold", "flipped" or "random", see
    `deepthink.tasks.labels`; demonstrations are chosen by their gold labels in any case.

    Not measured: labels.
    """

    count: int | None
    labels: str

    def __post_init__(self) -> None:
        check_at_least("demonstrations.count", self.count, 1)
        check_choice("demonstrations.labels", self.labels, LABELS)


@with_config(STRICT)
@dataclass(frozen=True)
class PoolSpec:
    """Which training rows demonstrations may come from.

    overlap: "drop" leaves out rows whose text is also a dev or test row's, "keep" does not.

    Not measured: overlap.
    """

    overlap: str

    def __post_init__(self) -> None:
        check_choice("pool.overlap", self.overlap, OVERLAPS)


@with_config(STRICT)
@dataclass(frozen=True)
class PromptSpec:
    """How text becomes tokens; see `deepthink.tasks.prompts`.

    Not measured: seam, overflow.
    """

    seam: str
    overflow: str

    def __post_init__(self) -> None:
        check_choice("prompt.seam", self.seam, SEAMS)
        check_choice("prompt.overflow", self.overflow, OVERFLOWS)


@with_config(STRICT)
@dataclass(frozen=True)
class WandbSpec:
    """Where finished jobs are also sent."""

    mode: str
    project: str
    entity: str | None
    group: str | None

    def __post_init__(self) -> None:
        check_choice("wandb.mode", self.mode, WANDB_MODES)


@with_config(STRICT)
@dataclass(frozen=True)
class Config:
    """One job. `deepthink.store.identity` says which of its fields can change a number.

    Not measured: answer_score.
    """

    model: ModelSpec
    task: TaskSpec
    method: MethodSpec
    demonstrations: DemonstrationSpec
    prompt: PromptSpec
    pool: PoolSpec
    answer_score: str
    calibration: dict[str, Any]
    seed: int
    order: int
    test_size: int | None
    dev_size: int | None
    pool_size: int | None
    data_root: str | None
    plugins: str | None
    results: str
    force: bool
    device: str
    token_budget: int | None
    wandb: WandbSpec

    def __post_init__(self) -> None:
        check_choice("answer_score", self.answer_score, ANSWER_SCORES)
        check_named("calibration", self.calibration, "none")
        if self.answer_score == "probability" and self.calibration["name"] != "none":
            raise UserError(
                f"calibration {self.calibration['name']} corrects log-probabilities: leave out "
                "answer_score=probability"
            )
        check_choice("device", self.device, DEVICES)
        check_at_least("seed", self.seed, 0)
        check_at_least("order", self.order, 0)
        check_at_least("test_size", self.test_size, 1)
        check_at_least("dev_size", self.dev_size, 0)
        check_at_least("pool_size", self.pool_size, 1)
        check_at_least("token_budget", self.token_budget, 1)
        if self.task.given:
            self._check_given()

    def _check_given(self) -> None:
        name = self.task.name.partition("/")[0]
        selector = self.method.selector.get("name")
        if selector != "random":
            raise UserError(
                f"selector {selector} has nothing to choose from: the demonstrations of {name} "
                "are the benchmark's own, use method=vanilla or method=deepthink"
            )
        if self.dev_size:
            raise UserError(
                f"dev_size is {self.dev_size}, but {name} has no training rows to set aside: "
                "leave it out (a subset for suites is scale=cpu_suite)"
            )
        if self.pool_size:
            raise UserError(
                f"pool_size is {self.pool_size}, but the demonstrations of {name} are given: "
                "leave it out"
            )

    @property
    def count(self) -> int:
        """k: how many demonstrations are drawn."""
        return self.demonstrations.count or self.task.demonstrations

    @property
    def draw(self) -> int:
        """The seed, or 0 where no seed changes anything: given demonstrations, as they are."""
        return 0 if self.task.given and self.demonstrations.labels != "random" else self.seed

    @property
    def label(self) -> str:
        """What this job's method is called in paths and tables, with the labels it shows."""
        labels, calibration = self.demonstrations.labels, self.calibration["name"]
        shown_labels = labels if labels != "gold" else ""
        corrected = calibration if calibration != "none" else ""
        return "-".join(filter(None, (self.method.label, shown_labels, corrected)))

    def resolved(self) -> dict[str, Any]:
        """The whole config as plain values, for the record."""
        return asdict(self)
