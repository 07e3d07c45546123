"""What a job was, under the words that a command has for it: `method.step_size` was 0.1.

Axes are read from a record, or from the config of a job that has none. A value without effect is
None: at T = 1 nothing is updated, so `method.step_size` is None whatever the config had.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from deepthink.config.job import Config
from deepthink.errors import UserError
from deepthink.store.identity import Identity, identity
from deepthink.store.parts import Part
from deepthink.store.schema import Record
from deepthink.store.settings import Settings
from deepthink.structures import flattened

Axes = Mapping[str, Any]
"""The words of a job with their values, in the order in which tables name them."""

PLACE = ("model", "task", "task.member")
DRAW = ("seed", "order")
"""Which demonstrations were drawn, and in which order they were read."""
UNRESOLVED = frozenset({"model.dtype", "model.weights", "model.commit", "task.data"})
"""Axes that are known only once a job has read its model and its data."""

_PROMPTING = ("copies", "groups", "orders", "query", "direction")
"""What a method says of prompts."""

_THINKING = ("step_size", "momentum", "positions", "memory_dtype")
"""What a refinement may take besides its own options; see `MethodSpec.refining`."""


def of_record(record: Record, method: str) -> dict[str, Any]:
    """The axes of a finished job.

    method: the method's name, which is that of the record's folder.
    """
    key, config = record.identity, record.config
    known = {
        "model.dtype": key.model.dtype,
        "model.weights": key.model.weights or None,
        "model.commit": record.model_commit,
        "task.data": key.task.data,
    }
    return {**_axes(key, config, method), **known}


def of_config(config: Config) -> dict[str, Any]:
    """The axes of a job that has no record, without those of `UNRESOLVED` that are not known.

    If the file of a rule, refinement, readout or calibration is wrong, they are those of its names.
    """
    try:
        key = identity(config, "", "")
    except UserError:
        place = _place(config)
        return {**place, "method": config.label, "seed": config.draw, "order": config.order}
    dtype = config.model.dtype
    return _axes(key, config, config.label) | ({} if dtype == "auto" else {"model.dtype": dtype})


def _place(config: Config | Settings) -> dict[str, Any]:
    suite, _, member = config.task.name.partition("/")
    return {"model": config.model.name, "task": suite, "task.member": member or None}


def _axes(key: Identity, config: Config | Settings, method: str) -> dict[str, Any]:
    """All axes but those that only a record knows. Unknown parts of an identity keep their names.

    The first of them are those that tables prefer to name where several say the same.
    """
    values = _values(key)
    del values["protocol"], values["model"]
    task = values.pop("task")
    draw = {name: values.pop(name) for name in DRAW}
    calibration = dict(values.pop("calibration") or {"name": "none"})
    readout = values.pop("readout") or {"name": "candidates"}
    readings = tuple(named["name"] for named in values.pop("readings"))
    labels = values.pop("labels")
    axes: dict[str, Any] = {
        **_place(config),
        "method": method,
        "calibration": calibration.pop("name"),
        **_flat("calibration", calibration),
        **_flat("method.selector", values.pop("selector")),
        **_thinking(values.pop("thinking")),
        **_flat("method.readout", readout),
        **{f"method.{name}": values.pop(name) for name in _PROMPTING},
        "method.scored": config.method.scored if values.pop("scored") else "all",
        "demonstrations.count": values.pop("demonstrations"),
        "demonstrations.labels": labels,
        "readings": readings,
        **{name: value for at, part in values.items() for name, value in _flat(at, part).items()},
        **_flat("task", {name: task[name] for name in task if name not in ("name", "data")}),
        "test_size": config.test_size,
        "dev_size": config.dev_size,
        "pool_size": config.pool_size,
        "pool.overlap": config.pool.overlap,
        **draw,
        "model.hub_id": config.model.hub_id,
        "model.revision": config.model.revision,
        "model.package": config.model.package,
        "data_root": config.data_root,
    }
    return axes


def _thinking(thinking: dict[str, Any]) -> dict[str, Any]:
    """Of T, and of the refinement with its options; those that all refinements may take first."""
    refinement = dict(thinking.pop("refinement") or {})
    taken = {name: refinement.pop(name, thinking.pop(name)) for name in _THINKING}
    iterations = thinking.pop("iterations")
    refinement.setdefault("name", "iterate" if iterations > 1 else None)
    return {
        "method.iterations": iterations,
        **_flat("method.refinement", refinement),
        **_flat("method", taken | thinking),
    }


def _values(part: Part) -> dict[str, Any]:
    """All values of a part, those at their defaults included."""
    every = {field.name: getattr(part, field.name) for field in fields(part)} | dict(part.unknown)
    del every["unknown"]
    return {
        name: _values(value) if isinstance(value, Part) else value for name, value in every.items()
    }


def _flat(prefix: str, value: Any) -> dict[str, Any]:
    """A value under its dotted names. Lists become tuples, so that every value can be a key."""
    if isinstance(value, Mapping):
        return {name: frozen(inner) for name, inner in flattened(value, f"{prefix}.")}
    return {prefix: frozen(value)}


def frozen(value: Any) -> Any:
    """A value that can be a key: its lists as tuples."""
    return tuple(map(frozen, value)) if isinstance(value, list | tuple) else value


def distinguishing(
    every: Sequence[Axes], missing: Sequence[Axes] = (), within: Sequence[str] = PLACE
) -> tuple[str, ...]:
    """The fewest axes, in their order, that tell apart what differs in more than its draw.

    An axis counts only if it tells apart what those before it do not. So of a method's name and
    its T, where these go together, only the name counts.

    missing: jobs without a record. within: axes whose values are told apart from the start.

    >>> a, b = {"method": "vanilla", "method.iterations": 1}, {"method": "lens", "seed": 1}
    >>> distinguishing([a, b, {**b, "seed": 2}])
    ('method',)
    """
    both = [*every, *missing]
    told = [tuple(axes.get(key) for key in within) for axes in both]
    chosen = []
    for key in dict.fromkeys(key for axes in both for key in axes):
        if key in DRAW or key in within:
            continue
        count = len(every) if key in UNRESOLVED else len(both)
        finer = [(*one, axes.get(key)) for one, axes in zip(told, both, strict=True)]
        if len({*finer[:count]}) > len({*told[:count]}):
            chosen.append(key)
            told = finer
    return tuple(chosen)


def values(every: Iterable[Axes], key: str) -> list[Any]:
    """The values of an axis, each once, in the order in which they come."""
    return [*dict.fromkeys(axes.get(key) for axes in every)]


def shown(value: Any) -> str:
    """A value as a command would have it.

    >>> shown(0.10), shown(None), shown(True), shown(("good", "bad"))
    ('0.1', 'null', 'true', '[good,bad]')
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f"[{','.join(map(shown, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
