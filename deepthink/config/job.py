"""One job as frozen, checked data."""

from dataclasses import asdict, dataclass
from typing import Any

from pydantic import with_config

from deepthink.config.checks import (
    STRICT,
    check_at_least,
    check_choice,
    check_name,
    check_named,
    check_readings,
)
from deepthink.config.controls import check_controls
from deepthink.config.method import MethodSpec
from deepthink.config.open_tasks import check_job
from deepthink.config.tasks import TaskSpec
from deepthink.errors import UserError
from deepthink.plugins import RULES
from deepthink.settings import (
    ANSWER_SCORES,
    LABELS,
    OVERFLOWS,
    OVERLAPS,
    SEAMS,
    check_groups,
)

DTYPES = ("auto", "float32", "bfloat16", "float16")
DEVICES = ("auto", "cpu", "cuda", "mps", "spread")
WANDB_MODES = ("offline", "online", "disabled")


@with_config(STRICT)
@dataclass(frozen=True)
class ModelSpec:
    """A causal language model: `hub_id` at `revision`, or the GGUF file of an installed `package`.

    dtype: "auto" is bfloat16 on CUDA and float32 elsewhere.
    parameters: the number of weights, for estimates of time; null if unknown.
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
class DemonstrationSpec:
    """How many demonstrations are shown, and with which labels.

    count: null takes the task's number. labels: "gold", "flipped" or "random", see
    `deepthink.tasks.labels`. Demonstrations are always chosen by their gold labels.
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

    overlap: "drop" leaves out rows whose text is also that of a dev or test row, "keep" does not.

    Not measured: overlap.
    """

    overlap: str

    def __post_init__(self) -> None:
        check_choice("pool.overlap", self.overlap, OVERLAPS)


@with_config(STRICT)
@dataclass(frozen=True)
class PromptSpec:
    """How text becomes tokens; see `deepthink.tasks.prompts`.

    chat: whether prompts are written by the tokenizer's chat template, see `deepthink.tasks.chat`.

    Not measured: overflow, chat.
    """

    seam: str
    overflow: str
    chat: bool

    def __post_init__(self) -> None:
        check_choice("prompt.seam", self.seam, SEAMS)
        check_choice("prompt.overflow", self.overflow, OVERFLOWS)


@with_config(STRICT)
@dataclass(frozen=True)
class WandbSpec:
    """How finished jobs are sent to Weights & Biases."""

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

    readings: names of calibrations that the report applies later. What they ask the model is scored
        too. The job's own curve is that of `calibration`.

    Not measured: answer_score, readings.
    """

    model: ModelSpec
    task: TaskSpec
    method: MethodSpec
    demonstrations: DemonstrationSpec
    prompt: PromptSpec
    pool: PoolSpec
    answer_score: str
    calibration: dict[str, Any]
    readings: list[str]
    seed: int
    order: int
    test_size: int | None
    dev_size: int | None
    pool_size: int | None
    data_root: str | None
    plugins: str | None
    results: str
    force: bool
    keep_memory: bool
    device: str
    token_budget: int | None
    wandb: WandbSpec

    def __post_init__(self) -> None:
        check_choice("answer_score", self.answer_score, ANSWER_SCORES)
        check_named("calibration", self.calibration, "none")
        corrects = [name for name in (self.calibration["name"], *self.readings) if name != "none"]
        check_readings(self.readings, self.calibration["name"])
        if self.answer_score == "probability" and corrects:
            raise UserError(
                f"calibration {corrects[0]} corrects log-probabilities: leave out "
                "answer_score=probability"
            )
        check_choice("device", self.device, DEVICES)
        self._check_groups()
        check_at_least("seed", self.seed, 0)
        check_at_least("order", self.order, 0)
        check_at_least("test_size", self.test_size, 1)
        check_at_least("dev_size", self.dev_size, 0)
        check_at_least("pool_size", self.pool_size, 1)
        check_at_least("token_budget", self.token_budget, 1)
        if self.task.open is not None:
            if self.prompt.chat:
                raise UserError(
                    f"prompt.chat is true, but the answers of {self.task.name} are written, not "
                    "scored, and this suite writes them in running text alone: leave it out"
                )
            name = corrects[0] if corrects else "none"
            labels = self.demonstrations.labels
            check_job(self.task.name, name, self.answer_score, labels, self.dev_size)
        prompt = self.prompt
        check_controls(self.method, self.task, self.answer_score, prompt.seam, prompt.chat)
        if self.task.given:
            self._check_given()
        if self.method.readout["name"] != "candidates":
            self._check_readout()

    def _check_readout(self) -> None:
        name, task = self.method.readout["name"], self.task.name.partition("/")[0]
        if self.task.open is not None or self.task.given:
            why = "are written" if self.task.open else "stand behind given demonstrations"
            raise UserError(
                f"readout {name} compares label words and learns from rows of the pool, and the "
                f"answers of {task} {why}: leave out method.readout"
            )
        if self.method.direction == "channel" or self.method.groups > 1:
            key = "direction" if self.method.direction == "channel" else "groups"
            raise UserError(
                f"method.{key} is {getattr(self.method, key)}, but the readout {name} reads "
                "queries behind one plain prompt: leave one of the two out"
            )
        if self.answer_score != "sum":
            raise UserError(
                f"answer_score is {self.answer_score}, but the readout {name} makes scores of its "
                "own: leave it out"
            )

    def _check_groups(self) -> None:
        groups, opened = self.method.groups, self.task.open
        check_groups(groups, self.prompt.seam, self.method.copies)
        if groups > self.count:
            raise UserError(
                f"method.groups is {groups}, but {self.task.name} shows {self.count} "
                "demonstrations: set it lower, or demonstrations.count higher"
            )
        weighs = self.method.refinement["name"] == "gain" and self.method.iterations > 1
        if opened is not None and opened.generate != "none" and (groups > 1 or weighs):
            raise UserError(
                "no answer can be written behind groups of demonstrations or slots with gains "
                f"({self.method.label}): set task.open.generate=none, which scores the references"
            )

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
    def seeded(self) -> bool:
        """Whether the seed changes anything.

        It does not where demonstrations are given, or chosen by a rule that draws nothing, and
        nothing else draws.
        """
        if self.demonstrations.labels == "random":
            return True
        if self.task.given:
            return False
        method = self.method
        plain = (
            (method.iterations == 1 or method.refinement["name"] == "iterate")
            and method.readout["name"] == "candidates"
            and self.calibration["name"] == "none"
            and not self.readings
        )
        return not plain or RULES.constant("SEEDED", method.selector, self.plugins, True)

    @property
    def draw(self) -> int:
        """The seed, or 0 if no seed changes anything."""
        return self.seed if self.seeded else 0

    @property
    def label(self) -> str:
        """The name of the method in paths and tables, with its labels and its calibration.

        >>> from deepthink.config.overrides import compose
        >>> compose(["method=deepthink", "demonstrations.labels=flipped"]).label
        'deepthink-flipped'
        """
        return label_of(self.method, self.demonstrations.labels, self.calibration["name"])

    def resolved(self) -> dict[str, Any]:
        """The whole config as dicts, lists and plain values, for the record."""
        return asdict(self)


def label_of(method: MethodSpec, labels: str, calibration: str) -> str:
    """The name of a method in paths and tables.

    labels: those of the demonstrations. calibration: its name.
    """
    shown_labels = labels if labels != "gold" else ""
    corrected = calibration if calibration != "none" else ""
    return "-".join(filter(None, (method.label, shown_labels, corrected)))
