"""Which jobs give the same numbers: the keys of records, of cells of tables, and of requests."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import StrictInt, StrictStr

from deepthink.config.job import Config, ModelSpec
from deepthink.plugins import CALIBRATIONS, READOUTS, REFINEMENTS, RULES
from deepthink.store.identity_parts import ModelIdentity, Prompt, Thinking
from deepthink.store.parts import Part
from deepthink.store.settings import Settings
from deepthink.store.task_identity import TaskIdentity, task_identity

PROTOCOL = 2
"""Raised by hand, with a line in CHANGELOG.md, whenever an identity gives other numbers."""

HALF = ("bfloat16", "float16")

THROUGH_DATA = frozenset(
    {"data_root", "test_size", "dev_size", "pool_size", "pool.overlap", "task.sources"}
    | {"task.member", "task.given", "task.own"}
)
"""Fields of a config that act only through the examples, of which a fingerprint is taken."""

IRRELEVANT = frozenset(
    {"results", "plugins", "force", "keep_memory", "device", "token_budget", "wandb"}
    | {"model.name", "model.parameters", "task.rows"}
)
"""Fields of a config that cannot change a number. A device sets the dtype, which can."""


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
    calibration: dict[str, Any] | None = None
    """How scores were corrected: the `name` and options of a calibration, and `source` as above. It
    is left out if they were not corrected."""
    readout: dict[str, Any] | None = None
    """How a memory became scores: the `name` and options of a readout other than `candidates`, and
    `source` as above."""
    readings: tuple[dict[str, Any], ...] = ()
    """Calibrations whose texts were scored too: the `name` of each, by name, and `source` as above.
    They change what the file of scores holds, and not the curve."""
    scored: tuple[StrictInt, ...] | None = None
    """The iterations after which queries were scored. It is left out if these were all."""
    demonstrations: StrictInt
    """k: how many demonstrations were drawn."""
    labels: StrictStr = "gold"
    """Which labels the demonstrations show: "gold", "flipped" or "random"."""
    copies: StrictInt = 1
    """How many copies of the demonstrations the prompt was to have."""
    groups: StrictInt = 1
    """Into how many groups the demonstrations were shared out, each read by itself."""
    orders: StrictInt = 1
    """P: the demonstrations were read in so many orders, `order` the first of them."""
    query: StrictStr = "once"
    """Whether a query was written "once" or "twice"."""
    direction: StrictStr = "direct"
    """What was scored: the answer behind the text, "direct", or the text behind the answer,
    "channel"."""
    prompt: Prompt
    answer_score: StrictStr
    """How the tokens of an answer become one score: "sum", "mean" or "probability"."""
    seed: StrictInt
    """The draw of the demonstrations."""
    order: StrictInt
    """The permutation of the demonstrations; 0 keeps the rule's order."""


def protocol_of(dtype: str) -> int:
    """The protocol that last changed the numbers of a model of this dtype.

    Protocol 2 computes the logits of a half-precision model in float32. Nothing changed for models
    in float32, so their records keep their keys.
    """
    return PROTOCOL if dtype in HALF else 1


def identity(
    config: Config,
    dtype: str,
    data: str,
    weights: str | None = None,
    commit: str | None = None,
) -> Identity:
    """What a job's numbers depend on.

    Settings of thinking are left out at T = 1, where nothing is updated. An option that was added
    later is a field of `Identity` whose default is the old behaviour: older keys stay valid.

    Args:
        config: the job.
        dtype: the model's, resolved.
        data: SHA-256 of the pool, dev and test examples.
        weights: SHA-256 of a local model's files. It replaces their path.
        commit: that of the hub's repository. It replaces the revision of the config.

    Raises UserError if the file of a rule, a refinement, a readout or a calibration is missing or
    wrong.
    """
    return _key(config, _described(config), dtype, data, weights, commit)


@dataclass(frozen=True)
class _Method:
    """The parts of an identity that name a rule, a refinement, a readout and calibrations."""

    selector: dict[str, Any]
    thinking: Thinking
    calibration: dict[str, Any] | None
    readout: dict[str, Any] | None
    readings: tuple[dict[str, Any], ...]


def _key(
    config: Config,
    how: _Method,
    dtype: str,
    data: str,
    weights: str | None = None,
    commit: str | None = None,
) -> Identity:
    task, method = config.task, config.method
    return Identity(
        protocol=protocol_of(dtype),
        model=_model(config.model, dtype, weights, commit),
        task=task_identity(task, data),
        selector={"name": "given"} if task.given else how.selector,
        thinking=how.thinking if method.iterations > 1 else Thinking(iterations=1),
        calibration=how.calibration,
        readout=how.readout,
        readings=how.readings,
        scored=None if len(method.steps) == method.iterations else tuple(method.steps),
        demonstrations=config.count,
        labels=config.demonstrations.labels,
        copies=method.copies,
        groups=method.groups,
        orders=method.orders,
        query=method.query,
        direction=method.direction,
        prompt=Prompt(**asdict(config.prompt)),
        answer_score=config.answer_score,
        seed=config.draw,
        order=config.order,
    )


def _described(config: Config) -> _Method:
    """The method with all options and with digests of plugins' files; UserError as `identity`."""
    method, plugins = config.method, config.plugins
    if method.refinement["name"] == "iterate" or method.iterations == 1:
        thinking = Thinking(**method.thinking)
    else:
        refining = REFINEMENTS.described(method.refining(plugins), plugins)
        thinking = Thinking(iterations=method.iterations, refinement=refining)
    corrects = config.calibration["name"] != "none"
    reads = method.readout["name"] != "candidates"
    return _Method(
        selector=RULES.described(method.selector, plugins),
        thinking=thinking,
        calibration=CALIBRATIONS.described(config.calibration, plugins) if corrects else None,
        readout=READOUTS.described(method.readout, plugins) if reads else None,
        readings=tuple(CALIBRATIONS.described(named, plugins) for named in _readings(config)),
    )


def _as_written(config: Config) -> _Method:
    """The method as the config has it. No plugin's file is opened."""
    method = config.method
    other = method.refinement if method.refinement["name"] != "iterate" else None
    return _Method(
        selector=method.selector,
        thinking=Thinking(**method.thinking, refinement=other),
        calibration=config.calibration if config.calibration["name"] != "none" else None,
        readout=method.readout if method.readout["name"] != "candidates" else None,
        readings=_readings(config),
    )


def _readings(config: Config) -> tuple[dict[str, Any], ...]:
    """The names of `readings`, whose order changes nothing."""
    return tuple({"name": name} for name in sorted(config.readings))


def _model(model: ModelSpec, dtype: str, weights: str | None, commit: str | None) -> ModelIdentity:
    if weights:
        return ModelIdentity(weights=weights, dtype=dtype)
    revision = commit or model.revision
    return ModelIdentity(hub_id=model.hub_id, revision=revision, package=model.package, dtype=dtype)


def family(key: Identity, thinking: bool = True) -> dict[str, Any]:
    """What the runs of one cell of a table have in common: an identity without what differs.

    It leaves out the draw (seed and order), where the job ran (protocol, model and data), the
    scored steps, T included, and what was scored to be read later. thinking: False for plain
    in-context learning: any job's t = 1.
    """
    common = key.stored()
    for name in ("protocol", "model", "seed", "order", "scored", "readings"):
        common.pop(name, None)
    del common["task"]["data"], common["thinking"]["iterations"]
    return common if thinking else {**common, "thinking": {}}


def request(config: Config) -> str:
    """A hash of a config that is known before data, model or plugins are read.

    Of equal hashes, equal data, models and plugins' files give equal numbers; see `THROUGH_DATA`.
    """
    key = _key(config, _as_written(config), "", "")
    own = [asdict(part) for part in (config.task.own, config.task.harness) if part is not None]
    return digest([_request(key, config), config.model.dtype, *own])


def asked(config: Config) -> str:
    """A hash of a config without what only its data, its model's files or the device decide."""
    return _request(identity(config, "", ""), config)


def answered(key: Identity, config: Settings) -> str:
    """The hash of a record that equals `asked` of every config that the record answers."""
    return _request(key, config)


def _request(key: Identity, config: Config | Settings) -> str:
    sizes = [config.test_size, config.dev_size, config.pool_size, config.pool.overlap]
    named = {name: getattr(config.model, name) for name in ("hub_id", "revision", "package")}
    values = key.stored()
    del values["task"]["data"]
    return digest({**values, "protocol": None, "model": named, "sizes": sizes})


def record_id(key: Identity) -> str:
    """Eight hexadecimal digits that name an identity."""
    return digest(key.stored())[:8]


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON, in hexadecimal digits.

    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
