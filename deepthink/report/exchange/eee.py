"""Writing records in the exchange format Every Eval Ever: a file for each, and one of its rows."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from deepthink.files import atomically
from deepthink.report.exchange import logs, samples
from deepthink.report.exchange.logs import COLLECTION, Evaluator
from deepthink.report.runs import Run


@dataclass(frozen=True)
class Written:
    """What was written: files of records, files of rows, and the lines of the latter."""

    logs: int = 0
    samples: int = 0
    lines: int = 0


def write(
    runs: Iterable[Run],
    to: Path,
    by: Evaluator,
    rows: bool,
    stage: Callable[[str], object] = lambda _: None,
) -> Written:
    """Write every run under `to`, as data/deepthink/<developer>/<model>/<uuid>.json.

    The same records give the same files. rows: whether to write each test row too, in
    <uuid>_samples.jsonl. stage: called with the name of what comes next.

    Raises:
        OSError: the folder cannot be written.
        UserError: the scores beside a record are not its own.
    """
    written = Written()
    for number, run in enumerate(runs, start=1):
        stage(f"record {number}")
        lines = [*samples.lines(run)] if rows else []
        _write(run, to, by, "".join(f"{line}\n" for line in lines), len(lines))
        written = Written(
            written.logs + 1, written.samples + bool(lines), written.lines + len(lines)
        )
    return written


def _write(run: Run, to: Path, by: Evaluator, rows: str, count: int) -> None:
    """The file of a run. rows: the text of the file of its rows, which has `count` lines."""
    developer, model = logs.model_id(run.record).split("/")
    name = str(logs.number(run.record))
    place = Path("data", COLLECTION, developer, model)
    log = logs.log(run, by)
    (to / place).mkdir(parents=True, exist_ok=True)
    if rows:
        beside = place / f"{name}_samples.jsonl"
        log["detailed_evaluation_results"] = {
            "format": "jsonl",
            "file_path": beside.as_posix(),
            "hash_algorithm": "sha256",
            "checksum": hashlib.sha256(rows.encode()).hexdigest(),
            "total_rows": count,
        }
        _put(to / beside, rows)
    text = json.dumps(log, indent=1, ensure_ascii=False, allow_nan=False)
    _put(to / place / f"{name}.json", f"{text}\n")


def _put(path: Path, text: str) -> None:
    atomically(path, lambda file: file.write_text(text, encoding="utf-8"))
