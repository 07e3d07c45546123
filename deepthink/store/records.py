"""One JSON file per finished job: its key, how it was made, and its results.

    results/records/<model>/<task>/<method>/seed<k>[-order<j>]-<id>.json
    results/records/<model>/<suite>/<member>/<method>/seed0[-order<j>]-<id>.json
    results/records/…/…-<id>.parquet         every candidate's score

The words in the path are for users. The program recognises a job by `id`, a hash of its identity,
which holds everything that can change a number and nothing else. A record exists only if the job
finished. Its fields are those of `deepthink.store.schema`.
"""

import json
import os
import stat
import tempfile
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import NoReturn

import pandas as pd
from pydantic import ValidationError

from deepthink.config.job import Config
from deepthink.errors import UserError
from deepthink.files import atomically, unwritable
from deepthink.garbage import uncollected
from deepthink.store import scores
from deepthink.store.identity import Identity, digest, protocol_of, record_id
from deepthink.store.schema import SCHEMA, Record, parse


def path_of(config: Config, key: Identity) -> Path:
    """The path of a job's record."""
    return Path(config.results) / "records" / within(config, record_id(key))


def within(config: Config, number: str) -> Path:
    """The path of a job's file within a folder of such files.

    number: hexadecimal digits that tell the job from others with the same words.

    >>> from deepthink.config.overrides import compose
    >>> within(compose(["model=opt-125m", "task=trec", "method=vanilla"]), "0a1b2c3d").as_posix()
    'opt-125m/trec/vanilla/seed0-0a1b2c3d.json'
    """
    order = f"-order{config.order}" if config.order else ""
    name = f"seed{config.draw}{order}-{number}.json"
    return Path(config.model.name, config.task.name, config.label, name)


def check_writable(folder: Path) -> None:
    """Make `folder`; UserError if it cannot be written, before hours are spent on a job."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"\0" * 4096)
            probe.flush()
    except OSError as error:
        raise unwritable(folder, error) from error


def write(path: Path, record: Record, table: pd.DataFrame) -> Record:
    """Store a finished job and its scores; return the record with the digest of the scores.

    The scores are written first and the record last, each under a temporary name that is then
    renamed.

    Raises:
        UserError: the folder cannot be written, or the record would hold NaN or infinity, which
            JSON does not have.
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
    """The text of a record's file, with its checksum; ValueError for NaN and infinity."""
    whole = {**record.stored(), "checksum": checksum(record)}
    return json.dumps(whole, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def checksum(record: Record) -> str:
    """SHA-256 of a record's canonical JSON."""
    return digest(record.stored())


INCOMPLETE = "is not a complete record"


class BrokenRecord(UserError):
    """A record that is cut, edited, or of another version. The file is kept."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} {reason}")
        self.reason = reason


def read(path: Path) -> Record:
    """A stored record, checked.

    Raises:
        BrokenRecord: it is no file, is cut or edited, lacks a field, or has another schema or
            protocol than this version reads.
        UserError: the file cannot be read.
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
    for what, stored, known in (("schema", version, SCHEMA), ("protocol", protocol, ours)):
        if stored != known:
            raise BrokenRecord(path, f"has {what} {stored}, this version reads {known}")
    if not whole:
        raise BrokenRecord(path, "was changed after it was written")
    try:
        return parse(values)
    except ValidationError as error:
        raise BrokenRecord(path, INCOMPLETE) from error


def _refuse(constant: str) -> NoReturn:
    """Refuse NaN and infinity, which JSON does not have."""
    raise ValueError(constant)


def _unreadable(error: OSError) -> str:
    return f"cannot be read ({error.strerror or error})"


def set_aside(path: Path) -> Path:
    """Rename a broken record and its scores, so that its job can be done; returns the new path."""
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
    """The records of a results folder.

    records: paths and records. broken: path → why that file is not read.
    """

    records: list[tuple[Path, Record]]
    broken: dict[Path, str]


def load_all(results: Path) -> Stored:
    """Every record of a folder of results, as `load_under`."""
    return load_under(results / "records")


def load_under(folder: Path) -> Stored:
    """Every record under a folder. Any other JSON file there counts as broken, with the reason."""
    by_identity: dict[str, tuple[Path, Record]] = {}
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
    with uncollected():
        for path in paths:
            try:
                record = _read(path)
            except BrokenRecord as error:
                broken[path] = error.reason
            except OSError as error:
                broken[path] = _unreadable(error)
            else:
                key = digest(record.identity.stored())
                first, _ = by_identity.setdefault(key, (path, record))
                if first != path:
                    broken[path] = f"is a second record of the job of {first.relative_to(folder)}"
    return Stored([*by_identity.values()], broken)
