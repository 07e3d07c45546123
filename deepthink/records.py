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
from collections.abc import Iterator
from dataclasses import asdict
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
        raise _unwritable(folder, error) from error


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
        raise _unwritable(path.parent, error) from error
    return record


def read(path: Path) -> Record:
    """A stored record, checked; UserError names a file that is cut, edited or of another schema."""
    advice = f"remove {path} or run with force=true"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        checksum = record.pop("checksum")
        schema, key = record["schema"], record["identity"]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not a complete record: {advice}") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from error
    if schema != SCHEMA:
        raise UserError(f"{path} has schema {schema}, this version reads {SCHEMA}: {advice}")
    if digest(record) != checksum or not path.stem.endswith(f"-{record_id(key)}"):
        raise UserError(f"{path} was changed after it was written: {advice}")
    return {**record, "checksum": checksum}


def load_all(results: Path) -> Iterator[tuple[Path, Record]]:
    """Every record under `results`, in the order of their paths."""
    for path in sorted((results / "records").rglob("*.json")):
        yield path, read(path)


def digest(value: Any) -> str:
    """SHA-256 of a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _unwritable(folder: Path, error: OSError) -> UserError:
    reason = error.strerror or error
    return UserError(f"cannot write to {folder} ({reason}): free it, or set results=FOLDER")
