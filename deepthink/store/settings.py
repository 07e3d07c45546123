"""The config in a record: those of its fields that this program uses."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import (
    ConfigDict,
    StrictFloat,
    StrictInt,
    StrictStr,
    TypeAdapter,
    model_validator,
    with_config,
)

from deepthink.store.parts import Part


@dataclass(frozen=True, kw_only=True)
class ModelSetting:
    """The model of the config."""

    name: StrictStr
    """Its name in paths and tables."""
    hub_id: StrictStr
    """The repository on the hub, or a folder."""
    revision: StrictStr
    """A branch, tag or commit of the repository."""
    package: StrictStr | None
    """The installed package that holds the weights."""


@dataclass(frozen=True, kw_only=True)
class TaskSetting:
    """The task of the config."""

    name: StrictStr
    """The task's name; a member of a suite is suite/member."""


@dataclass(frozen=True, kw_only=True)
class MethodSetting:
    """The method of the config. At T = 1 it has values that the identity leaves out."""

    iterations: StrictInt
    """T."""
    scored: StrictStr
    """Which iterations are scored: "all", "sparse" or "ends"."""
    step_size: StrictFloat
    """η."""
    positions: StrictStr
    """The positions of rereading: "continued", "aligned" or "rotated"."""


@dataclass(frozen=True, kw_only=True)
class PoolSetting:
    """The training rows that demonstrations may come from."""

    overlap: StrictStr = "keep"
    """Whether pool rows whose text is also that of a dev or test row were left out, "drop", or
    not, "keep". The oldest records have no `pool`; nothing was left out then."""


@dataclass(frozen=True, kw_only=True)
class WandbSetting:
    """How the finished job was to be sent to Weights & Biases."""

    mode: StrictStr
    """"offline", "online" or "disabled"."""


@with_config(ConfigDict(extra="ignore"))
@dataclass(frozen=True, kw_only=True)
class Settings(Part):
    """The config of a job. The file has all of its fields; the program uses those below."""

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
        """The settings in a resolved config; ValidationError if one of these fields is missing."""
        return _SETTINGS.validate_python(dict(config))


_SETTINGS = TypeAdapter(Settings)
