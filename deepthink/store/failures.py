"""Why jobs failed: one file each, gone when the job succeeds. For eyes; no number rests on it.

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
from deepthink.store.identity import request


def path_of(config: Config) -> Path:
    """Where the failure of a job is told, wherever its data were looked for."""
    order = f"-order{config.order}" if config.order else ""
    return (
        Path(config.results)
        / "failures"
        / config.model.name
        / config.task.name
        / config.label
        / f"seed{config.draw}{order}-{request(config)[:8]}.json"
    )


def note(config: Config, error: BaseException) -> UserError:
    """Store what went wrong, as far as the disk allows; returns it as one line."""
    path = path_of(config)
    told = {
        "error": str(error) or type(error).__name__,
        "traceback": "".join(traceback.format_exception(error)).splitlines(),
        "config": config.resolved(),
        "host": platform.node(),
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    text = json.dumps(redacted(told), indent=1) + "\n"
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomically(path, lambda file: file.write_text(text, encoding="utf-8"))
    if isinstance(error, UserError):
        return UserError(without_secrets(str(error)))
    name = f"{config.model.name}, {config.task.name}, {config.label}, seed {config.draw}"
    what = f"{type(error).__name__}: {without_secrets(first_line(error))}"
    return UserError(f"{name} failed unexpectedly ({what}): {path} has the traceback, report it")


def clear(config: Config) -> None:
    """The job is done."""
    with suppress(OSError):
        path_of(config).unlink(missing_ok=True)
