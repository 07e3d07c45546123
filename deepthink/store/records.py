"""One JSON file per finished job: its key, what made it, and what came out.

    results/records/<model>/<task>/<method>/seed<k>[-order<j>]-<id>.json
    results/records/<model>/<suite>/<member>/<method>/seed0[-order<j>]-<id>.json
    results/records/…/…-<id>.parquet         every candidate's score, not committed

The words in the path are for eyes; a job is recognised by `id`, a hash of its identity: everything
that can change a number and nothing that cannot. A record exists only if the job finished.
"""

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd

from deepthink.config.job import Config, ModelSpec
from deepthink.errors import UserError
from deepthink.files import atomically, unwritable
from deepthink.store import schema

SCHEMA = 2
PROTOCOL = 2
"""Raised by hand, with a line in CHANGELOG.md, whenever the same identity gives other numbers."""

HALF = ("bfloat16", "float16")

THROUGH_DATA = frozenset(
    {"data_root", "test_size", "dev_size", "pool_size", "pool.overlap", "task.sources"}
    | {"task.member", "task.given"}
)
"""Fields of a config that matter through the examples they lead to, whose fingerprint is taken."""

IRRELEVANT = frozenset(
    {"plugins", "results", "force", "device", "token_budget", "wandb"}
    | {"model.name", "model.parameters", "task.rows"}
)
"""Fields of a config that cannot change a number. (A device sets the dtype, which can.)"""

Record = dict[str, Any]
Identity = dict[str, Any]


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

    dtype: the model's, resolved; data: fingerprint of the pool, dev and test examples; weights:
    fingerprint of a local model's files, which takes the place of their path; commit: that of the
    hub's repository, which takes the place of the revision that was asked for.
    Settings of thinking are omitted at T = 1, where nothing is updated. Options added later are
    omitted at their old behaviour (one copy, gold labels, every step scored, answers after a
    space), so that older keys stay valid.
    """
    thinking = config.method.thinking
    task = config.task
    own = {"answer": task.answer} if not task.labels else {}
    steps = config.method.steps
    every = len(steps) == config.method.iterations
    return {
        "protocol": protocol_of(dtype),
        "model": {
            **({"weights": weights} if weights else _named(config.model, commit)),
            "dtype": dtype,
        },
        "task": {
            "name": task.name,
            "version": task.version,
            "template": task.template,
            "labels": task.labels,
            **own,
            **({"delimiter": task.delimiter} if task.delimiter != " " else {}),
            "data": data,
        },
        "selector": {"name": "given"} if task.given else config.method.selector,
        "thinking": thinking if config.method.iterations > 1 else {"iterations": 1},
        **({"scored": steps} if not every else {}),
        "demonstrations": config.count,
        **({"labels": labels} if (labels := config.demonstrations.labels) != "gold" else {}),
        **({"copies": copies} if (copies := config.method.copies) > 1 else {}),
        "prompt": asdict(config.prompt),
        "answer_score": config.answer_score,
        "seed": config.draw,
        "order": config.order,
    }


def _named(model: ModelSpec, commit: str | None) -> dict[str, str | None]:
    """A model of the hub, or of a package."""
    return {
        "hub_id": model.hub_id,
        "revision": commit or model.revision,
        "package": model.package,
    }


def family(key: Identity, thinking: bool = True) -> Identity:
    """What the runs behind one number have in common: an identity less what tells them apart.

    Left out are the draw (seed and order), where it was run (protocol, model and data) and after
    which steps it was scored, T included. thinking: False for plain in-context learning, which is
    t = 1 of a job however it is thought over.
    """
    apart = ("protocol", "model", "seed", "order", "scored")
    found = {name: value for name, value in key.items() if name not in apart}
    found["task"] = {name: value for name, value in key["task"].items() if name != "data"}
    how = {name: value for name, value in key["thinking"].items() if name != "iterations"}
    return {**found, "thinking": how if thinking else {}}


def request(config: Config) -> str:
    """A hash of what is asked for, known before any data or model is: see `THROUGH_DATA`.

    Two configs of one request differ in nothing that can change a number, but for where their data
    and model lie.
    """
    return digest([asked(config), config.model.dtype])


def answered(record: Record) -> str:
    """The request that a record answers, as `asked` has it of a config."""
    config = record["config"]
    sizes = [config["test_size"], config["dev_size"], config["pool_size"], overlap(record)]
    return _answer(record["identity"], config["model"], sizes)


def asked(config: Config) -> str:
    """A hash of a request wherever its data and model lie, and whatever dtype a device gives."""
    sizes = [config.test_size, config.dev_size, config.pool_size, config.pool.overlap]
    return _answer(identity(config, "", ""), vars(config.model), sizes)


def _answer(key: Identity, model: Mapping[str, Any], sizes: list[Any]) -> str:
    named = {name: model[name] for name in ("hub_id", "revision", "package")}
    task = {name: value for name, value in key["task"].items() if name != "data"}
    return digest({**key, "protocol": None, "model": named, "task": task, "sizes": sizes})


def overlap(record: Record) -> str:
    """What became of pool rows whose text is a test or dev row's; records from before kept them."""
    return str((record["config"].get("pool") or {"overlap": "keep"})["overlap"])


def record_id(key: Identity) -> str:
    """Eight hexadecimal digits that name an identity."""
    return digest(key)[:8]


def path_of(config: Config, key: Identity) -> Path:
    """Where the record of a job belongs."""
    order = f"-order{config.order}" if config.order else ""
    return (
        Path(config.results)
        / "records"
        / config.model.name
        / config.task.name
        / config.label
        / f"seed{config.draw}{order}-{record_id(key)}.json"
    )


def check_writable(folder: Path) -> None:
    """Raise UserError if nothing can be written to `folder`, before hours are spent on a job."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0" * 4096)
            probe.flush()
    except OSError as error:
        raise unwritable(folder, error) from error


def write(path: Path, body: Record, scores: pd.DataFrame) -> Record:
    """Store a finished job; returns the record with its checksum.

    The scores go first, the record last, each under a temporary name that is then renamed.
    UserError for a record that would hold NaN or infinity: that is no JSON, and no result.
    """
    record = {**body, "checksum": digest(body)}
    try:
        text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    except ValueError as error:
        raise UserError(
            "the model's numbers are not finite (NaN or infinity), so nothing is stored: check its "
            "weights, or use a wider dtype"
        ) from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomically(path.with_suffix(".parquet"), lambda file: scores.to_parquet(file, index=False))
        atomically(path, lambda file: file.write_text(text, encoding="utf-8"))
    except OSError as error:
        raise unwritable(path.parent, error) from error
    return record


INCOMPLETE = "is not a complete record"


class BrokenRecord(UserError):
    """A file that was cut, edited, or made by another version: not to be read, and not lost."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} {reason}")
        self.reason = reason


def read(path: Path) -> Record:
    """A stored record, checked.

    Raises:
        BrokenRecord: it is no file, is cut or edited, lacks what is read of a record, or is of
            another schema or protocol than this version's.
        UserError: it cannot be read at all.
    """
    try:
        return _read(path)
    except OSError as error:
        raise UserError(f"{path} {_unreadable(error)}") from error


def _read(path: Path) -> Record:
    """As `read`; OSError as it comes."""
    if not stat.S_ISREG(path.stat().st_mode):  # to open a pipe would wait for its writer
        raise BrokenRecord(path, "is not a file")
    try:
        record = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
        checksum = record.pop("checksum")
        version, key = record["schema"], record["identity"]
        protocol, ours = key["protocol"], protocol_of(key["model"]["dtype"])
        whole = digest(record) == checksum and path.stem.endswith(f"-{record_id(key)}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BrokenRecord(path, INCOMPLETE) from error
    for what, found, known in (("schema", version, SCHEMA), ("protocol", protocol, ours)):
        if found != known:
            raise BrokenRecord(path, f"has {what} {found}, this version reads {known}")
    if not whole:
        raise BrokenRecord(path, "was changed after it was written")
    if not schema.complete(record):
        raise BrokenRecord(path, INCOMPLETE)
    return {**record, "checksum": checksum}


def _refuse(constant: str) -> NoReturn:
    """NaN and infinities are no JSON."""
    raise ValueError(constant)


def _unreadable(error: OSError) -> str:
    return f"cannot be read ({error.strerror or error})"


def set_aside(path: Path) -> Path:
    """Rename a broken record and its scores, so that its job can be done; returns where it lies."""
    for number in count():
        aside = path.with_name(f"{path.name}.broken{number or ''}")
        if not aside.exists():
            break
    try:
        scores = path.with_suffix(".parquet")
        if scores.exists():
            scores.rename(aside.with_name(f"{aside.name}.parquet"))
        path.rename(aside)
    except OSError as error:
        raise unwritable(path.parent, error) from error
    return aside


@dataclass(frozen=True)
class Stored:
    """What lies in a results folder, by path; `broken`: why a file is not read."""

    records: list[tuple[Path, Record]]
    broken: dict[Path, str]


def load_all(results: Path) -> Stored:
    """Every record under `results`; whatever else is found there, or cannot be read, is broken."""
    folder = results / "records"
    found: dict[str, tuple[Path, Record]] = {}
    broken: dict[Path, str] = {}

    def note(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            broken[Path(error.filename)] = _unreadable(error)

    paths = sorted(
        Path(parent, name)
        for parent, folders, files in os.walk(folder, onerror=note)
        for name in (*folders, *files)
        if name.endswith(".json")
    )
    for path in paths:
        try:
            record = _read(path)
        except BrokenRecord as error:
            broken[path] = error.reason
        except OSError as error:
            broken[path] = _unreadable(error)
        else:
            first, _ = found.setdefault(digest(record["identity"]), (path, record))
            if first != path:
                broken[path] = f"is a second record of the job of {first.relative_to(folder)}"
    return Stored([*found.values()], broken)


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()
