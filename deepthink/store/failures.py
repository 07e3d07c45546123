"""Why jobs failed: a file for each, for users, which is deleted when the job succeeds.

results/failures/<model>/<task>/<method>/seed<k>[-order<j>]-<id>.json
"""

import json
import platform
import traceback
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

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
