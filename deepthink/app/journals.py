"""How the jobs of a shared sweep ended: each worker appends lines to a file that all workers read.

{"job": 3, "seconds": 12.3, "done": 1, "read": 0, "failed": 0, "reasons": [], "unsent": 0,
 "records": ["results/local/records/….json"], "missing": []}
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from deepthink.files import append


@dataclass(frozen=True)
class Tally:
    """How some jobs ended, as counts.

    done: jobs done here. read: jobs that were done before, whose records were read.
    failed: jobs that failed. reasons: one line for each reason, which several jobs may have.
    unsent: results that could not be sent to Weights & Biases; the next command that reads their
        records sends them.
    records: the paths of their records. missing: what the failed jobs were, as
        `deepthink.report.axes` names it.

    >>> print(Tally(done=2) + Tally(failed=1, reasons=("no space left",)))
    2 done, 0 read, 1 failed
    """

    done: int = 0
    read: int = 0
    failed: int = 0
    reasons: tuple[str, ...] = field(default_factory=tuple)
    unsent: int = 0
    records: tuple[str, ...] = field(default=(), compare=False)
    missing: tuple[Mapping[str, Any], ...] = field(default=(), compare=False)

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.done + other.done,
            self.read + other.read,
            self.failed + other.failed,
            self.reasons + other.reasons,
            self.unsent + other.unsent,
            self.records + other.records,
            self.missing + other.missing,
        )

    @property
    def jobs(self) -> int:
        """How many jobs ended, in whatever way."""
        return self.done + self.read + self.failed

    def __str__(self) -> str:
        return f"{self.done} done, {self.read} read, {self.failed} failed"


def grouped(reasons: Iterable[str]) -> tuple[str, ...]:
    """Reasons without repetition: those that differ only in the name before the colon become one.

    >>> grouped(["a: no space left", "b: no space left", "the folder is gone"])
    ('a, b: no space left', 'the folder is gone')
    """
    names: dict[str, list[str]] = {}
    for reason in dict.fromkeys(reasons):
        name, colon, said = reason.partition(": ")
        whole = not colon or " " in name  # a sentence, not a name
        names.setdefault(reason if whole else said, []).extend([] if whole else [name])
    lines = []
    for said, several in names.items():
        others = f" and {len(several) - 3} more" if len(several) > 3 else ""
        lines.append(f"{', '.join(several[:3])}{others}: {said}" if several else said)
    return tuple(lines)


class Journals:
    """How each job of a sweep's folder ended. No line is read from the disk twice."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}
        self._ended: dict[int, Tally] = {}

    def ended(self) -> Mapping[int, Tally]:
        """How each job ended that has ended by now, by its place among the jobs.

        Several workers may have written a line on a job. The line of the worker that did the job
        counts. If none did it, the line of a worker that read its record counts.
        """
        for path in self._folder.glob("worker*.jsonl"):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                text = file.read()
            whole = text[: text.rfind(b"\n") + 1]
            self._read[path] = self._read.get(path, 0) + len(whole)
            for line in whole.splitlines():
                self._take(line)
        return self._ended

    def _take(self, text: bytes) -> None:
        try:
            line = json.loads(text)
            job, reasons = line["job"], tuple(line["reasons"])
            ends = tuple(line.get("records", ())), tuple(line.get("missing", ()))
            counts = line["done"], line["read"], line["failed"]
            tally = Tally(*counts, reasons, line["unsent"], *ends)
        except (ValueError, KeyError, TypeError):
            return  # a worker was killed while it wrote the line
        if not isinstance(job, int):
            return

        def rank(counts: Tally) -> tuple[int, int]:
            return counts.done, counts.read

        if job not in self._ended or rank(tally) > rank(self._ended[job]):
            self._ended[job] = tally


def add(folder: Path, worker: int, job: int, seconds: float, tally: Tally) -> None:
    """Append the line of a job that has ended to the file of a worker; OSError as it comes.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     add(Path(folder), worker=0, job=3, seconds=12.3, tally=Tally(done=1))
    ...     Journals(Path(folder)).ended()[3].done
    1
    """
    about = {"job": job, "seconds": round(seconds, 3), **asdict(tally)}
    line = json.dumps(about).encode() + b"\n"
    append(folder / f"worker{worker}.jsonl", line)
