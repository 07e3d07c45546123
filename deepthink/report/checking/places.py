"""Places: whether a record's folders and name say what the record holds."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from deepthink.config.job import label_of
from deepthink.config.method import MethodSpec
from deepthink.errors import UserError
from deepthink.report.checking.findings import Finding
from deepthink.report.runs import Run
from deepthink.store.identity import record_id
from deepthink.store.schema import Record


def check(run: Run) -> Iterator[Finding]:
    """A finding if the record lies where another job's record would."""
    expected = _expected(run.record, run.path.parent.name)
    if run.path != expected:
        yield Finding(run.path, "lies where another record belongs", f"move it to {expected}")


def _expected(record: Record, folder: str) -> Path:
    """folder: the method's folder, taken where the config is too old to give it."""
    key, config = record.identity, record.config
    order = f"-order{key.order}" if key.order else ""
    name = f"seed{key.seed}{order}-{record_id(key)}.json"
    method = _method(config.whole) or folder
    return Path("records", config.model.name, config.task.name, method, name)


def _method(whole: Mapping[str, Any]) -> str | None:
    """The method's name in paths; None for the config of a version with other settings."""
    try:
        return label_of(
            MethodSpec(**whole["method"]),
            whole["demonstrations"]["labels"],
            whole["calibration"]["name"],
        )
    except (UserError, KeyError, TypeError):
        return None
