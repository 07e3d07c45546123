"""The schema of a record: each part a frozen dataclass, each field with its meaning and unit.

A record is one JSON object. The names and the order of the fields below are those of the file. See
`parts.Part` for what optional fields and fields of other versions become.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import (
    ConfigDict,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    TypeAdapter,
    model_validator,
    with_config,
)

from deepthink.store.parts import Part

SCHEMA = 2
"""The version of this layout. A record of another version is not read."""


@dataclass(frozen=True, kw_only=True)
class ModelIdentity(Part):
    """The model that gave the numbers: a repository's, a package's, or files of this machine."""

    weights: StrictStr = ""
    """SHA-256 of the files of a local model. It takes the place of the next three."""
    hub_id: StrictStr = ""
    """The repository on the hub."""
    revision: StrictStr = ""
    """The commit on the hub; the name that was asked for where no commit is known."""
    package: StrictStr | None = ""
    """The installed package that holds the weights. It is null for a model of the hub."""
    dtype: StrictStr
    """The dtype of the computation: "float32", "bfloat16" or "float16"."""


@dataclass(frozen=True, kw_only=True)
class TaskIdentity(Part):
    """The task as the model saw it."""

    name: StrictStr
    """The task's name; a member of a suite is suite/member."""
    version: StrictInt
    """Raised whenever the task is read or divided in another way."""
    template: StrictStr
    """The text of an example, with {text} where its own text stands."""
    labels: tuple[StrictStr, ...]
    """The words of the labels. It is empty where each question lists options of its own."""
    answer: StrictStr | None = None
    """How listed options are answered: "text" or "letter". Only tasks without labels have it."""
    delimiter: StrictStr = " "
    """What stands between an example's text and its answer."""
    data: StrictStr
    """SHA-256 of the examples of pool, dev and test."""


@dataclass(frozen=True, kw_only=True)
class Thinking(Part):
    """How the memory was refined. At T = 1 nothing is, and only `iterations` is written."""

    iterations: StrictInt
    """T: how often the demonstrations are read."""
    step_size: StrictFloat | None = None
    """η of Eq. 5."""
    momentum: StrictFloat | None = None
    """β: how much of the last step is taken again."""
    positions: StrictStr | None = None
    """Where rereading stands: "continued" at L…2L, "aligned" at 0…L."""
    memory_dtype: StrictStr | None = None
    """The dtype of the memory between two iterations: "float32" or "model"."""


@dataclass(frozen=True, kw_only=True)
class Prompt(Part):
    """How text became tokens; see `deepthink.tasks.prompts`."""

    seam: StrictStr
    """How demonstrations and query are tokenised: "apart" or "joint"."""
    overflow: StrictStr
    """What happens to demonstrations that do not fit: "drop", "truncate" or "error"."""


@dataclass(frozen=True, kw_only=True)
class Identity(Part):
    """Everything that can change a number of the record, and nothing that cannot.

    The record's id is the beginning of its SHA-256; see `deepthink.store.identity`.
    """

    protocol: StrictInt
    """Raised whenever the same identity gives other numbers."""
    model: ModelIdentity
    task: TaskIdentity
    selector: dict[str, Any]
    """The selection rule: its `name` and its options. It is {"name": "given"} where the benchmark
    gives the demonstrations."""
    thinking: Thinking
    scored: tuple[StrictInt, ...] | None = None
    """The iterations after which queries were scored. It is left out where all were."""
    demonstrations: StrictInt
    """k: how many demonstrations were drawn."""
    labels: StrictStr = "gold"
    """Which labels the demonstrations show: "gold", "flipped" or "random"."""
    copies: StrictInt = 1
    """How often the prompt was to repeat the demonstrations."""
    prompt: Prompt
    answer_score: StrictStr
    """How the tokens of an answer become one score: "sum", "mean" or "probability"."""
    seed: StrictInt
    """The draw of the demonstrations."""
    order: StrictInt
    """The permutation of the demonstrations; 0 keeps the rule's order."""


@dataclass(frozen=True, kw_only=True)
class ModelSetting:
    """The model that was asked for."""

    name: StrictStr
    """What it is called in paths and tables."""
    hub_id: StrictStr
    """The repository on the hub, or a folder."""
    revision: StrictStr
    """A branch, tag or commit of the repository."""
    package: StrictStr | None
    """The installed package that holds the weights."""


@dataclass(frozen=True, kw_only=True)
class TaskSetting:
    """The task that was asked for."""

    name: StrictStr
    """The task's name; a member of a suite is suite/member."""


@dataclass(frozen=True, kw_only=True)
class MethodSetting:
    """The method that was asked for. At T = 1 it says more than the identity does."""

    iterations: StrictInt
    """T."""
    scored: StrictStr
    """Which iterations are scored: "all", "sparse" or "ends"."""
    step_size: StrictFloat
    """η."""
    positions: StrictStr
    """Where rereading stands: "continued" or "aligned"."""


@dataclass(frozen=True, kw_only=True)
class PoolSetting:
    """Which training rows demonstrations might come from."""

    overlap: StrictStr = "keep"
    """What became of pool rows whose text is also a dev or test row's: "drop" or "keep". Records
    from before there was a choice kept them, and have no `pool`."""


@dataclass(frozen=True, kw_only=True)
class WandbSetting:
    """Where the finished job was to be sent."""

    mode: StrictStr
    """"offline", "online" or "disabled"."""


@with_config(ConfigDict(extra="ignore"))
@dataclass(frozen=True, kw_only=True)
class Settings(Part):
    """What is read of the config of a job. The file has the whole config as it was composed."""

    model: ModelSetting
    task: TaskSetting
    method: MethodSetting
    pool: PoolSetting
    test_size: StrictInt | None
    """Test examples; null: all."""
    dev_size: StrictInt | None
    """Dev examples; null: the task's own number."""
    pool_size: StrictInt | None
    """Rows that demonstrations are chosen from; null: all."""
    data_root: StrictStr | None
    """The folder of the data; null: the hub."""
    wandb: WandbSetting
    whole: Mapping[str, Any]
    """The whole config. It is the JSON object of the file, not a field of it."""

    @model_validator(mode="before")
    @classmethod
    def _keep(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        pool: dict[str, Any] = {"pool": {}} if values.get("pool") is None else {}
        return {**values, **pool, "whole": values}

    def stored(self) -> dict[str, Any]:
        """The whole config."""
        return dict(self.whole)

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> "Settings":
        """Of a resolved config; ValidationError if it lacks what is read of it."""
        return _SETTINGS.validate_python(dict(config))


_SETTINGS = TypeAdapter(Settings)


@dataclass(frozen=True, kw_only=True)
class Demonstrations(Part):
    """The demonstrations that were shown."""

    indices: tuple[StrictInt, ...]
    """Rows of the pool, in reading order."""
    labels: tuple[StrictInt, ...]
    """The label that each of them shows, as the index of a candidate."""
    kept: StrictInt
    """How many fit into the context, from the end."""
    truncated: StrictBool
    """Whether they were cut to the context's length by tokens."""
    copies: StrictInt
    """How many copies of them fit into the context."""
    tokens: StrictInt
    """L: the length of all copies in tokens."""

    @property
    def dropped(self) -> int:
        """How many did not fit."""
        return len(self.indices) - self.kept


@dataclass(frozen=True, kw_only=True)
class Sizes(Part):
    """Rows of the two splits of a data source."""

    pool: StrictInt
    """Training rows, or given demonstrations."""
    test: StrictInt
    """Test rows."""


@dataclass(frozen=True, kw_only=True)
class Rows(Part):
    """Rows of the three splits of a job."""

    pool: StrictInt
    """Rows that demonstrations were chosen from."""
    dev: StrictInt
    """Rows that were set aside to choose on."""
    test: StrictInt
    """Rows that accuracies are of."""


@dataclass(frozen=True, kw_only=True)
class Data(Part):
    """Where the examples came from."""

    repository: StrictStr
    """The repository or folder that was read."""
    commit: StrictStr | None
    """The repository's commit on the hub. It is null for local rows."""
    rows: Rows
    """The rows that the job used."""
    read_rows: Sizes
    """The rows that the source held before they were divided."""
    left_out: StrictInt
    """Test rows beyond `read_rows` whose number of options is not the task's usual one."""
    overlap: dict[str, StrictInt] | None = None
    """How many rows have a text that is in another split too; see `deepthink.structures.Splits`.
    Earlier records do not have it."""
    told: tuple[StrictStr, ...] | None = None
    """What a reader of the output was told of the data, a line each. Earlier records do not have
    it."""
    published_rows: Sizes
    """The rows of the published data set."""


@dataclass(frozen=True, kw_only=True)
class Tokens(Part):
    """Tokens read to score dev and test once, the demonstrations not counted."""

    queries: StrictInt
    """Tokens of all queries."""
    candidates: StrictInt
    """Tokens of all answers of all queries."""
    beginnings: StrictInt = 0
    """In how many queries the tokens of one answer begin those of another."""
    looks_special: StrictInt = 0
    """In how many examples text looked like a special token."""

    @property
    def all(self) -> int:
        """Queries and answers together."""
        return self.queries + self.candidates


@dataclass(frozen=True, kw_only=True)
class Stage(Part):
    """One part of a selection: what it was to read of the model, and what it read."""

    name: StrictStr
    """What was read, in words."""
    predicted: StrictInt
    """Prompts that were foreseen."""
    bound: StrictBool
    """Whether `predicted` is an upper bound."""
    read: StrictInt
    """Prompts that the model read."""
    kept: StrictInt
    """Prompts whose answers were known from an earlier job."""
    forwards: StrictInt
    """Forward passes."""
    tokens: StrictInt
    """Tokens of all prompts, also of those whose answers were known."""
    shortened: StrictInt
    """Sets of demonstrations that lost some to the context's limit."""
    seconds: StrictFloat
    """Wall-clock seconds."""


@dataclass(frozen=True, kw_only=True)
class Selection(Part):
    """How the demonstrations were chosen."""

    values: tuple[StrictFloat | None, ...] | None
    """What the rule found in each demonstration when it chose it: a score, a distance, a gain. It
    is null for a rule that measures nothing."""
    log: dict[str, Any]
    """Whatever else the rule noted. Its names are the rule's own."""
    stages: tuple[Stage, ...]
    """What the selection read of the model. It is empty for a rule that reads nothing."""


@dataclass(frozen=True, kw_only=True)
class Gold(Part):
    """The gold label of every scored example, as the index of a candidate, in one line."""

    dev: StrictStr = ""
    """Of the dev set. It is left out where there is none."""
    test: StrictStr
    """Of the test set."""

    def of(self, split: str) -> list[str]:
        """The labels of a split, as words."""
        return (self.dev if split == "dev" else self.test).split()


@dataclass(frozen=True, kw_only=True)
class Point(Part):
    """One point of a curve: a split, scored after an iteration."""

    step: StrictInt
    """t: after how many readings of the demonstrations; 1 is plain in-context learning."""
    split: Literal["dev", "test"]
    """Which examples were scored."""
    correct: StrictInt
    """How many predictions are the gold label."""
    count: StrictInt
    """Of how many examples."""
    predicted: StrictStr
    """Every example's predicted label, as the index of a candidate, in one line."""
    ties: StrictInt | None = None
    """Of how many examples different candidates share the highest score. Earlier
    records did not count them."""
    followed: StrictInt | None = None
    """How many predictions are the example's flipped label. Only jobs whose demonstrations show
    flipped labels have it."""

    @property
    def accuracy(self) -> float:
        """The fraction of right predictions."""
        return self.correct / self.count


@dataclass(frozen=True, kw_only=True)
class Drift(Part):
    """How far the memory is from that of t = 1, relative to it: see `deepthink.Memory.drift`."""

    step: StrictInt
    """t, from 2 on."""
    keys: tuple[StrictFloat, ...]
    """Of the keys of each layer, to four digits."""
    values: tuple[StrictFloat, ...]
    """Of the values of each layer, to four digits."""


@dataclass(frozen=True, kw_only=True)
class Flops(Part):
    """Operations, a multiplication and an addition counted as two; see `deepthink.engine.flops`."""

    selection: StrictInt
    """Of the linear layers over every token of the selection, also of what was known before."""
    thinking: tuple[StrictInt, ...]
    """Of each reading of the demonstrations, from t = 1 to T."""
    scoring: StrictInt
    """Of scoring dev and test once."""


@dataclass(frozen=True, kw_only=True)
class Seconds(Part):
    """Wall-clock seconds of each part of the job."""

    load: StrictFloat
    """Loading the model."""
    select: StrictFloat
    """Choosing the demonstrations."""
    tokenise: StrictFloat
    """From text to tokens."""
    think: StrictFloat
    """Reading the demonstrations T times."""
    score: StrictFloat
    """Scoring dev and test after every scored iteration."""

    @property
    def all(self) -> float:
        """The whole job."""
        return self.load + self.select + self.tokenise + self.think + self.score


@dataclass(frozen=True, kw_only=True)
class Execution(Part):
    """On what the job ran. It cannot change a number beyond rounding."""

    device: StrictStr
    """The GPU's name, or the processor's kind and thread count."""
    token_budget: StrictInt
    """Tokens of one forward pass, at most."""


@dataclass(frozen=True, kw_only=True)
class Code(Part):
    """The checkout that ran. Both are null outside a git checkout."""

    commit: StrictStr | None
    """The commit that was checked out."""
    dirty: StrictBool | None
    """Whether the package had uncommitted changes."""


@dataclass(frozen=True, kw_only=True)
class Record(Part):
    """A finished job: its key, what made it, and what came out.

    The file holds one more field, `checksum`: the SHA-256 of the canonical JSON of all others.

    Raises:
        ValueError: the curve does not fit its gold labels or the drift.
    """

    schema: StrictInt
    """The version of this layout, 2."""
    identity: Identity
    """What the numbers depend on."""
    config: Settings
    """What was asked for. No number depends on it but through the identity."""
    demonstrations: Demonstrations
    data: Data
    tokens: Tokens
    selection: Selection
    gold: Gold
    curve: tuple[Point, ...]
    """One point for every scored iteration and split."""
    step_by_dev: StrictInt | None
    """The iteration that is best on dev, the earliest of equals. It is null without a dev set."""
    drift: tuple[Drift, ...]
    """One for every scored iteration after the first."""
    flops: Flops
    seconds: Seconds
    peak_memory_bytes: StrictInt
    """Of the GPU, or of the process since its start where there is none."""
    execution: Execution
    model_commit: StrictStr | None
    """The commit of the model's repository on the hub, where one is known."""
    versions: dict[str, StrictStr]
    """Of Python, this package and the libraries whose numerics matter."""
    code: Code
    finished: StrictStr
    """When, in ISO 8601, UTC."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self._fits():
            raise ValueError("the curve fits neither its gold labels nor its drift")

    def _fits(self) -> bool:
        steps: dict[str, list[int]] = {}
        for point in self.curve:
            steps.setdefault(point.split, []).append(point.step)
            gold = self.gold.of(point.split)
            if not len(gold) == len(point.predicted.split()) == point.count > 0:
                return False
        moved = sorted(drift.step for drift in self.drift)
        scored = sorted(steps.get("test", ()))
        return (
            not any(step < 2 for step in moved)
            and len(scored) == len(set(scored)) > 0
            and [1, *moved] == scored
            and all(sorted(of) == scored for of in steps.values())
        )


_RECORD = TypeAdapter(Record)


def parse(values: Any) -> Record:
    """A record from its JSON object; ValidationError if it is not a complete record."""
    return _RECORD.validate_python(values)
