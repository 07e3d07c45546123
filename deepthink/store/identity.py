"""Which jobs give the same numbers, and so share a record, a cell of a table, a request."""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import StrictFloat, StrictInt, StrictStr

from deepthink.config.job import Config, ModelSpec
from deepthink.plugins import CALIBRATIONS, REFINEMENTS, RULES
from deepthink.store.parts import Part
from deepthink.store.settings import Settings

PROTOCOL = 2
"""Raised by hand, with a line in CHANGELOG.md, whenever the same identity gives other numbers."""

HALF = ("bfloat16", "float16")

THROUGH_DATA = frozenset(
    {"data_root", "test_size", "dev_size", "pool_size", "pool.overlap", "task.sources"}
    | {"task.member", "task.given"}
)
"""Fields of a config that matter through the examples they lead to, whose fingerprint is taken."""

IRRELEVANT = frozenset(
    {"results", "plugins", "force", "device", "token_budget", "wandb"}
    | {"model.name", "model.parameters", "task.rows"}
)
"""Fields of a config that cannot change a number. (A device sets the dtype, which can.)"""


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
    refinement: dict[str, Any] | None = None
    """A refinement other than `iterate`: its `name`, the values of its options, and `source`, the
    SHA-256 of its file if it is a plugin's. The next four are then left out."""
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
    calibration: dict[str, Any] | None = None
    """How scores were corrected: the `name` and options of a calibration, and `source` as above. It
    is left out where they were not."""
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


def protocol_of(dtype: str) -> int:
    """The protocol that last changed the numbers of a model of this dtype.

    Protocol 2 takes the logits of half precision from an output layer in float32; in float32
    nothing changed, so those records keep their keys.
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
    later is a field of `Identity` whose default is the old behaviour, so that older keys stay
    valid.

    Args:
        config: the job.
        dtype: the model's, resolved.
        data: fingerprint of the pool, dev and test examples.
        weights: fingerprint of a local model's files, which takes the place of their path.
        commit: that of the hub's repository, which takes the place of the revision that was asked
            for.
    """
    return _key(config, _described(config), dtype, data, weights, commit)


@dataclass(frozen=True)
class _Method:
    """The parts of an identity that name a rule, a refinement and a calibration."""

    selector: dict[str, Any]
    thinking: Thinking
    calibration: dict[str, Any] | None


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
        task=TaskIdentity(
            name=task.name,
            version=task.version,
            template=task.template,
            labels=tuple(task.labels),
            answer=None if task.labels else task.answer,
            delimiter=task.delimiter,
            data=data,
        ),
        selector={"name": "given"} if task.given else how.selector,
        thinking=how.thinking if method.iterations > 1 else Thinking(iterations=1),
        calibration=how.calibration,
        scored=None if len(method.steps) == method.iterations else tuple(method.steps),
        demonstrations=config.count,
        labels=config.demonstrations.labels,
        copies=method.copies,
        prompt=Prompt(**asdict(config.prompt)),
        answer_score=config.answer_score,
        seed=config.draw,
        order=config.order,
    )


def _described(config: Config) -> _Method:
    """With all options, and what a plugin's file holds; UserError for a file that is wrong."""
    method, plugins = config.method, config.plugins
    if method.refinement["name"] == "iterate" or method.iterations == 1:
        thinking = Thinking(**method.thinking)
    else:
        refining = REFINEMENTS.described(method.refining(plugins), plugins)
        thinking = Thinking(iterations=method.iterations, refinement=refining)
    corrects = config.calibration["name"] != "none"
    return _Method(
        selector=RULES.described(method.selector, plugins),
        thinking=thinking,
        calibration=CALIBRATIONS.described(config.calibration, plugins) if corrects else None,
    )


def _as_written(config: Config) -> _Method:
    """As the config has it, whatever the files hold."""
    method = config.method
    other = method.refinement if method.refinement["name"] != "iterate" else None
    return _Method(
        selector=method.selector,
        thinking=Thinking(**method.thinking, refinement=other),
        calibration=config.calibration if config.calibration["name"] != "none" else None,
    )


def _model(model: ModelSpec, dtype: str, weights: str | None, commit: str | None) -> ModelIdentity:
    if weights:
        return ModelIdentity(weights=weights, dtype=dtype)
    revision = commit or model.revision
    return ModelIdentity(hub_id=model.hub_id, revision=revision, package=model.package, dtype=dtype)


def family(key: Identity, thinking: bool = True) -> dict[str, Any]:
    """What the runs behind one number have in common: an identity less what differs.

    Left out are the draw (seed and order), where it was run (protocol, model and data) and after
    which steps it was scored, T included. thinking: False for plain in-context learning, which is
    t = 1 of a job however it is thought over.
    """
    found = key.stored()
    for name in ("protocol", "model", "seed", "order", "scored"):
        found.pop(name, None)
    del found["task"]["data"], found["thinking"]["iterations"]
    return found if thinking else {**found, "thinking": {}}


def request(config: Config) -> str:
    """A hash of what is asked for, known before any data or model is: see `THROUGH_DATA`.

    Two configs of one request differ in nothing that can change a number, but for where their data
    and model lie, and for what a plugin's files hold, which may not even be readable.
    """
    key = _key(config, _as_written(config), "", "")
    return digest([_request(key, config), config.model.dtype])


def asked(config: Config) -> str:
    """A hash of a request wherever its data and model lie, and whatever dtype a device gives."""
    return _request(identity(config, "", ""), config)


def answered(key: Identity, config: Settings) -> str:
    """The request that a record of this identity answers, as `asked` has it of a config."""
    return _request(key, config)


def _request(key: Identity, config: Config | Settings) -> str:
    sizes = [config.test_size, config.dev_size, config.pool_size, config.pool.overlap]
    model = config.model
    named = {"hub_id": model.hub_id, "revision": model.revision, "package": model.package}
    found = key.stored()
    del found["task"]["data"]
    return digest({**found, "protocol": None, "model": named, "sizes": sizes})


def record_id(key: Identity) -> str:
    """Eight hexadecimal digits that name an identity."""
    return digest(key.stored())[:8]


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON, in hexadecimal digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
