"""The schema of a record: each part a frozen dataclass, each field with its meaning and unit.

A record is one JSON object. The names and the order of the fields below are those of the file.
`parts.Part` says how optional fields and fields of other versions are written.
"""

from dataclasses import dataclass
from typing import Any

from pydantic import (
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    TypeAdapter,
)

from deepthink.store.chosen import Demonstrations, Selection
from deepthink.store.curves import LeftOut, Point
from deepthink.store.identity import Identity
from deepthink.store.open_points import OpenPoint
from deepthink.store.parts import Part
from deepthink.store.settings import Settings

SCHEMA = 2
"""The version of this layout. A record of another version is not read."""


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
    """Rows that were set aside, on which t is chosen."""
    test: StrictInt
    """Rows that accuracies are computed on."""


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
    """The lines on the data that were printed with the result. Earlier records do not have it."""
    published_rows: Sizes
    """The rows of the published data set."""


@dataclass(frozen=True, kw_only=True)
class Tokens(Part):
    """Tokens to score dev and test once, the demonstrations not counted."""

    queries: StrictInt
    """Tokens of all queries."""
    candidates: StrictInt
    """Tokens of all answers of all queries."""
    beginnings: StrictInt = 0
    """In how many queries the tokens of one answer begin those of another."""
    looks_special: StrictInt = 0
    """In how many examples a text looked like a special token."""

    @property
    def all(self) -> int:
        """Queries and answers together."""
        return self.queries + self.candidates


@dataclass(frozen=True, kw_only=True)
class Gold(Part):
    """The gold label of every scored example, as the index of a candidate, in one line."""

    dev: StrictStr = ""
    """Of the dev set. It is left out if there is none."""
    test: StrictStr
    """Of the test set."""

    def of(self, split: str) -> list[str]:
        """The labels of a split, as words."""
        return (self.dev if split == "dev" else self.test).split()


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
    """Of the linear layers over every token of the selection, as if none had been known before."""
    thinking: tuple[StrictInt, ...]
    """Of each iteration, from t = 1 to T."""
    scoring: StrictInt
    """Of scoring dev and test once."""
    anchors: StrictInt = 0
    """Of whatever else a readout reads at each scored step, such as labelled rows of the pool."""
    texts: StrictInt = 0
    """Of scoring once what calibrations ask besides, that of the job and its `readings`. What
    stands without demonstrations is counted too, although it is scored at the first step alone."""
    left_out: StrictInt = 0
    """Of reading the demonstrations once for `left_out`, at each scored step."""


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
    anchors: StrictFloat = 0.0
    """Whatever else a readout reads, after every scored iteration."""
    left_out: StrictFloat = 0.0
    """Asking for the demonstrations' own answers after every scored iteration."""

    @property
    def all(self) -> float:
        """The whole job."""
        before = self.load + self.select + self.tokenise + self.think
        return before + self.score + self.anchors + self.left_out


@dataclass(frozen=True, kw_only=True)
class Execution(Part):
    """How the job ran. It cannot change a number beyond rounding."""

    device: StrictStr
    """The GPU's name, or the processor's kind and thread count. Of a spread model: all GPUs and
    "host memory", where that held a part."""
    token_budget: StrictInt
    """Tokens of one forward pass, at most."""
    reused: StrictInt = 0
    """Operations among those of `flops` that were not done, and took none of `seconds`: an earlier
    job of the same process had scored the same queries after the same demonstrations at t = 1."""


@dataclass(frozen=True, kw_only=True)
class Code(Part):
    """The checkout that ran. Both are null outside a git checkout."""

    commit: StrictStr | None
    """The commit that was checked out."""
    dirty: StrictBool | None
    """Whether the package had uncommitted changes."""


@dataclass(frozen=True, kw_only=True)
class Record(Part):
    """A finished job: its key, how it was made, and its results.

    The file holds one more field, `checksum`: the SHA-256 of the canonical JSON of all others.

    Raises:
        ValueError: the curve does not fit its gold labels, the drift or `left_out`.
    """

    schema: StrictInt
    """The version of this layout, 2."""
    identity: Identity
    """What the numbers depend on."""
    config: Settings
    """The config of the job. Numbers depend on it only through the identity."""
    demonstrations: Demonstrations
    data: Data
    tokens: Tokens
    selection: Selection
    gold: Gold
    curve: tuple[Point, ...]
    """One point for every scored iteration and split. It is empty for an open task."""
    step_by_dev: StrictInt | None
    """The iteration that is best on dev, the earliest of equals. It is null without a dev set."""
    drift: tuple[Drift, ...]
    """One for every scored iteration after the first."""
    flops: Flops
    seconds: Seconds
    peak_memory_bytes: StrictInt
    """Of the GPUs together, or of the process since its start where there is none."""
    execution: Execution
    model_commit: StrictStr | None
    """The commit of the model's repository on the hub, if it is known."""
    versions: dict[str, StrictStr]
    """The versions of Python, this package and the libraries that compute."""
    code: Code
    finished: StrictStr
    """When, in ISO 8601, UTC."""
    scores: StrictStr = ""
    """SHA-256 of the file of scores beside the record; see `deepthink.store.scores`. Earlier
    records do not have it, and their scores are not read."""
    open: tuple[OpenPoint, ...] = ()
    """One point for every scored iteration of an open task. Other tasks do not have it."""
    readout: tuple[dict[str, Any], ...] = ()
    """What a readout noted, such as the layer that it chose: an object for every scored iteration
    and group, with `step` and names that the readout chose. Most readouts note nothing."""
    left_out: tuple[LeftOut, ...] = ()
    """One for every scored iteration. It is left out at T = 1, of open tasks, where queries have
    demonstrations of their own, where fewer than two different demonstrations are left to ask
    about, and in earlier records."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self._fits():
            raise ValueError("the curve fits neither its gold labels nor its drift")

    def _fits(self) -> bool:
        steps: dict[str, list[int]] = {}
        if self.open:
            steps["test"] = [point.step for point in self.open]
            count = len(self.gold.of("test"))
            if self.curve or not all(point.count == count > 0 for point in self.open):
                return False
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
            and sorted(each.step for each in self.left_out) in ([], scored)
        )


_RECORD = TypeAdapter(Record)


def parse(values: Any) -> Record:
    """A record from its JSON object; ValidationError if it is not a complete record."""
    return _RECORD.validate_python(values)
