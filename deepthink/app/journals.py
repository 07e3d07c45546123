"""What became of the jobs of a shared sweep: each worker writes a file of lines that all read.

{"job": 3, "seconds": 12.3, "done": 1, "read": 0, "failed": 0, "reasons": [], "unsent": 0}
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from deepthink.files import append


@dataclass(frozen=True)
class Tally:
    """What became of some jobs, as counts.

    done: jobs done here. read: jobs that were done before, whose records were read.
    failed: jobs that failed. reasons: why, in one line each, which may stand for several jobs.
    unsent: results that could not be sent to Weights & Biases; the next command that reads their
        records sends them.
    """

    done: int = 0
    read: int = 0
    failed: int = 0
    reasons: tuple[str, ...] = field(default_factory=tuple)
    unsent: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.done + other.done,
            self.read + other.read,
            self.failed + other.failed,
            self.reasons + other.reasons,
            self.unsent + other.unsent,
        )

    @property
    def jobs(self) -> int:
        """All of them."""
        return self.done + self.read + self.failed

    def __str__(self) -> str:
        return f"{self.done} done, {self.read} read, {self.failed} failed"


def grouped(reasons: Iterable[str]) -> tuple[str, ...]:
    """Reasons without repetition: "a: …" and "b: …" with the same end become "a, b: …"."""
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
    """The lines of a sweep's folder, by job; no line is read from the disk twice."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}
        self._ended: dict[int, Tally] = {}

    def ended(self) -> Mapping[int, Tally]:
        """What became of each job that has ended by now.

        Several workers may have written of a job: the line of the one that did it counts, else that
        of one that read its record.
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
            tally = Tally(line["done"], line["read"], line["failed"], reasons, line["unsent"])
        except (ValueError, KeyError, TypeError):
            return  # a worker was killed while it wrote
        if not isinstance(job, int):
            return

        def rank(counts: Tally) -> tuple[int, int]:
            return counts.done, counts.read

        if job not in self._ended or rank(tally) > rank(self._ended[job]):
            self._ended[job] = tally


def add(folder: Path, worker: int, job: int, seconds: float, tally: Tally) -> None:
    """Write the line of a job that has ended."""
    about = {"job": job, "seconds": round(seconds, 3), **asdict(tally)}
    line = json.dumps(about).encode() + b"\n"
    append(folder / f"worker{worker}.jsonl", line)
