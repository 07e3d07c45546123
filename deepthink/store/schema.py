"""What every reader of a record relies on: the fields it must have, and how they fit together."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError


class _Part(BaseModel):
    """Some fields of a record; others may stand beside them."""

    model_config = ConfigDict(strict=True)


class _Model(_Part):
    dtype: str


class _Task(_Part):
    name: str
    labels: list[str]
    data: str


class _Thinking(_Part):
    iterations: int


class _Identity(_Part):
    protocol: int
    model: _Model
    task: _Task
    selector: dict[str, Any]
    thinking: _Thinking
    seed: int
    order: int
    copies: int = 1


class _NamedModel(_Part):
    name: str
    hub_id: str
    revision: str
    package: str | None


class _NamedTask(_Part):
    name: str


class _Method(_Part):
    iterations: int
    scored: str
    step_size: float
    positions: str


class _Pool(_Part):
    overlap: str


class _Config(_Part):
    model: _NamedModel
    task: _NamedTask
    method: _Method
    test_size: int | None
    dev_size: int | None
    pool_size: int | None
    data_root: str | None
    pool: _Pool | None = None


class _Demonstrations(_Part):
    indices: list[int]
    kept: int
    truncated: bool
    copies: int
    tokens: int


class _Size(_Part):
    pool: int
    test: int


class _Rows(_Size):
    dev: int


class _Data(_Part):
    rows: _Rows
    read_rows: _Size
    published_rows: _Size
    left_out: int


class _Tokens(_Part):
    queries: int
    candidates: int


class _Gold(_Part):
    test: str
    dev: str = ""


class _Point(_Part):
    step: int
    split: Literal["dev", "test"]
    correct: int
    count: int
    predicted: str
    ties: int = 0


class _Drift(_Part):
    step: int
    keys: list[float]
    values: list[float]


class _Stage(_Part):
    name: str
    tokens: int


class _Selection(_Part):
    stages: list[_Stage]


class _Flops(_Part):
    selection: int
    thinking: list[int]
    scoring: int


class _Seconds(_Part):
    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float]
    think: float
    score: float


class _Execution(_Part):
    device: str


class _Code(_Part):
    commit: str | None
    dirty: bool | None


class _Record(_Part):
    identity: _Identity
    config: _Config
    demonstrations: _Demonstrations
    data: _Data
    tokens: _Tokens
    gold: _Gold
    selection: _Selection
    curve: list[_Point]
    drift: list[_Drift]
    flops: _Flops
    seconds: _Seconds
    execution: _Execution
    versions: dict[str, str]
    code: _Code


def complete(record: Any) -> bool:
    """Whether a record has every field that is read, and its curve fits its gold labels."""
    try:
        found = _Record.model_validate(record)
    except ValidationError:
        return False
    if any(moved.step < 2 for moved in found.drift):
        return False
    gold = {"dev": found.gold.dev.split(), "test": found.gold.test.split()}
    steps: dict[str, list[int]] = {}
    for point in found.curve:
        steps.setdefault(point.split, []).append(point.step)
        if not len(gold[point.split]) == len(point.predicted.split()) == point.count > 0:
            return False
    scored = sorted(steps.get("test", ()))
    return (
        len(scored) == len(set(scored)) > 0
        and [1, *sorted(moved.step for moved in found.drift)] == scored
        and all(sorted(of) == scored for of in steps.values())
    )
