"""One JSON file per finished job: its key, what made it, and what came out.

    results/records/<model>/<task>/<method>/seed<k>[-order<j>]-<id>.json
    results/records/<model>/<suite>/<member>/<method>/seed0[-order<j>]-<id>.json
    results/records/…/…-<id>.parquet         every candidate's score, not committed

The words in the path are for eyes; a job is recognised by `id`, a hash of its identity: everything
that can change a number and nothing that cannot. A record exists only if the job finished.
"""

import hashlib
import json
import tempfile
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd

from deepthink.config import Config
from deepthink.errors import UserError
from deepthink.files import atomically

SCHEMA = 2
PROTOCOL = 1
"""Raised by hand, with a line in CHANGELOG.md, whenever the same identity gives other numbers."""

Record = dict[str, Any]


def identity(config: Config, dtype: str, data: str, weights: str | None = None) -> dict[str, Any]:
    """What a job's numbers depend on.

    dtype: the model's, resolved; data: fingerprint of the pool, dev and test examples; weights:
    fingerprint of a local model folder, left out where there is none.
    Settings of thinking are left out at T = 1, where nothing is updated; and so is what there was
    before there was a choice: one copy, gold labels, every step scored.
    """
    thinking = config.method.thinking
    task = config.task
    own = {"answer": task.answer} if not task.labels else {}
    steps = config.method.steps
    every = len(steps) == config.method.iterations
    return {
        "protocol": PROTOCOL,
        "model": {
            "hub_id": config.model.hub_id,
            "revision": config.model.revision,
            "package": config.model.package,
            "dtype": dtype,
            **({"weights": weights} if weights else {}),
        },
        "task": {
            "name": task.name,
            "version": task.version,
            "template": task.template,
            "labels": task.labels,
            **own,
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


def record_id(key: dict[str, Any]) -> str:
    """Eight hexadecimal digits that name an identity."""
    return digest(key)[:8]


def path_of(config: Config, key: dict[str, Any]) -> Path:
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
    """
    record = {**body, "checksum": digest(body)}
    text = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomically(path.with_suffix(".parquet"), lambda file: scores.to_parquet(file, index=False))
        atomically(path, lambda file: file.write_text(text, encoding="utf-8"))
    except OSError as error:
        raise unwritable(path.parent, error) from error
    return record


class BrokenRecord(UserError):
    """A file that was cut, edited, or made by another version: not to be read, and not lost."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} {reason}")
        self.reason = reason


def read(path: Path) -> Record:
    """A stored record, checked.

    Raises:
        BrokenRecord: it is cut or edited, or of another schema or protocol than this version's.
        UserError: it cannot be read at all.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        checksum = record.pop("checksum")
        schema, key = record["schema"], record["identity"]
        protocol = key["protocol"]
        whole = digest(record) == checksum and path.stem.endswith(f"-{record_id(key)}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BrokenRecord(path, "is not a complete record") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from error
    for what, found, ours in (("schema", schema, SCHEMA), ("protocol", protocol, PROTOCOL)):
        if found != ours:
            raise BrokenRecord(path, f"has {what} {found}, this version reads {ours}")
    if not whole:
        raise BrokenRecord(path, "was changed after it was written")
    return {**record, "checksum": checksum}


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
    """Every record under `results`; UserError as in `read` for a file that cannot be opened."""
    found, broken = [], {}
    for path in sorted((results / "records").rglob("*.json")):
        try:
            found.append((path, read(path)))
        except BrokenRecord as error:
            broken[path] = error.reason
    return Stored(found, broken)


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def unwritable(folder: Path, error: OSError) -> UserError:
    """What to say of a folder that cannot be written."""
    reason = error.strerror or error
    return UserError(f"cannot write to {folder} ({reason}): free it, or set results=FOLDER")
