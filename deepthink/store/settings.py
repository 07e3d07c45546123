"""What a record says of what was asked for: of its config, the fields that are read."""

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
