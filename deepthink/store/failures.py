"""Why jobs failed: a file for each, for users, which is deleted when the job succeeds.

Beside the records there may be broken ones that their jobs set aside, `….json.broken`.

results/failures/<model>/<task>/<method>/seed<k>[-order<j>]-<id>.json
"""

import json
import platform
import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deepthink.config.job import Config
from deepthink.errors import UserError, first_line
from deepthink.files import atomically
from deepthink.redaction import redacted, without_secrets
from deepthink.store import records
from deepthink.store.identity import request


def path_of(config: Config) -> Path:
    """The file that says why a job failed. It does not depend on where its data lie."""
    return Path(config.results) / "failures" / records.within(config, request(config)[:8])


def note(config: Config, error: BaseException) -> UserError:
    """Store why a job failed, if the disk allows it, and return the reason as one line."""
    path = path_of(config)
    account = {
        "error": str(error) or type(error).__name__,
        "traceback": "".join(traceback.format_exception(error)).splitlines(),
        "config": config.resolved(),
        "host": platform.node(),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    text = json.dumps(redacted(account), indent=1) + "\n"
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomically(path, lambda file: file.write_text(text, encoding="utf-8"))
    if isinstance(error, UserError):
        return UserError(without_secrets(str(error)))
    name = f"{config.model.name}, {config.task.name}, {config.label}, seed {config.draw}"
    what = f"{type(error).__name__}: {without_secrets(first_line(error))}"
    return UserError(f"{name} failed unexpectedly ({what}): {path} has the traceback, report it")


def clear(config: Config) -> None:
    """Delete the file of a job that succeeded, if there is one."""
    with suppress(OSError):
        path_of(config).unlink(missing_ok=True)


@dataclass(frozen=True)
class Failure:
    """A job that failed and has not succeeded since.

    path: its file. reason: one line. when: in UTC, as ISO 8601; empty if unknown. config: the whole
    config of the job; None if the file cannot be read.
    """

    path: Path
    reason: str
    when: str
    config: Mapping[str, Any] | None


def every(results: Path) -> list[Failure]:
    """The failures of a results folder, in the order of their files. It never raises."""
    return [_read(path) for path in sorted((results / "failures").rglob("*.json"))]


def _read(path: Path) -> Failure:
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        lines = str(stored["error"]).splitlines()
        config = stored["config"] if isinstance(stored["config"], dict) else None
        return Failure(path, lines[0] if lines else "", str(stored["when"]), config)
    except (OSError, ValueError, KeyError, TypeError) as error:
        return Failure(path, f"the file cannot be read ({first_line(error)})", "", None)


def set_aside(results: Path) -> list[Path]:
    """Broken records that were set aside, and the scores beside them."""
    return sorted(path for path in (results / "records").rglob("*.broken*") if path.is_file())


def clear_all(results: Path) -> Iterator[Path]:
    """Delete the files of all failures and all records that were set aside; yields each.

    Raises:
        OSError: a file cannot be deleted.
    """
    for path in (*(failure.path for failure in every(results)), *set_aside(results)):
        path.unlink(missing_ok=True)
        yield path
