"""One JSON file per finished job: its key, what made it, and what came out.

    results/records/<model>/<task>/<method>/seed<k>[-order<j>]-<id>.json
    results/records/<model>/<suite>/<member>/<method>/seed0[-order<j>]-<id>.json
    results/records/…/…-<id>.parquet         every candidate's score

The words in the path are for eyes. A job is recognised by `id`, a hash of its identity: everything
that can change a number and nothing that cannot. A record exists only if the job finished. Its
fields are those of `deepthink.store.schema`.
"""

import gc
import json
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import NoReturn

import pandas as pd
from pydantic import ValidationError

from deepthink.config.job import Config
from deepthink.errors import UserError
from deepthink.files import atomically, unwritable
from deepthink.store import scores
from deepthink.store.identity import Identity, digest, protocol_of, record_id
from deepthink.store.schema import SCHEMA, Record, parse


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


def write(path: Path, record: Record, table: pd.DataFrame) -> Record:
    """Store a finished job and its scores; return the record with the digest of the scores.

    The scores go first, the record last, each under a temporary name that is then renamed.
    UserError for a record that would hold NaN or infinity: that is no JSON, and no result.
    """
    try:
        as_text(record)
    except ValueError as error:
        raise UserError(
            "the model's numbers are not finite (NaN or infinity), so nothing is stored: check its "
            "weights, or use a wider dtype"
        ) from error
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = replace(record, scores=scores.write(path, table))
        text = as_text(whole)
        atomically(path, lambda file: file.write_text(text, encoding="utf-8"))
    except OSError as error:
        raise unwritable(path.parent, error) from error
    return whole


def as_text(record: Record) -> str:
    """A record's file, its checksum included; ValueError for NaN and infinity."""
    whole = {**record.stored(), "checksum": checksum(record)}
    return json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def checksum(record: Record) -> str:
    """SHA-256 of a record's canonical JSON."""
    return digest(record.stored())


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
        values = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
        stated = values.pop("checksum")
        version, key = values["schema"], values["identity"]
        protocol, ours = key["protocol"], protocol_of(key["model"]["dtype"])
        whole = digest(values) == stated and path.stem.endswith(f"-{digest(key)[:8]}")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BrokenRecord(path, INCOMPLETE) from error
    for what, found, known in (("schema", version, SCHEMA), ("protocol", protocol, ours)):
        if found != known:
            raise BrokenRecord(path, f"has {what} {found}, this version reads {known}")
    if not whole:
        raise BrokenRecord(path, "was changed after it was written")
    try:
        return parse(values)
    except ValidationError as error:
        raise BrokenRecord(path, INCOMPLETE) from error


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
        table = scores.place(path)
        if table.exists():
            table.rename(aside.with_name(f"{aside.name}.parquet"))
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
    with _without_collection():
        for path in paths:
            try:
                record = _read(path)
            except BrokenRecord as error:
                broken[path] = error.reason
            except OSError as error:
                broken[path] = _unreadable(error)
            else:
                first, _ = found.setdefault(digest(record.identity.stored()), (path, record))
                if first != path:
                    broken[path] = f"is a second record of the job of {first.relative_to(folder)}"
    return Stored([*found.values()], broken)


@contextmanager
def _without_collection() -> Iterator[None]:
    """Let no garbage be looked for among thousands of new objects that all stay: half the time."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
