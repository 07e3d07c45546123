"""The folder of a sweep that several processes share, and what its workers must know.

results/sweeps/<time>-<…>-<group>/sweep.json       the jobs, a suite's one by one
results/sweeps/<time>-<…>-<group>/worker<k>.jsonl  a line for each job that worker k came to
results/sweeps/<time>-<…>-<group>/worker<k>.log    what it would have shown in a terminal
results/sweeps/<time>-<…>-<group>/launcher.log     what the engine that runs the workers said
results/sweeps/<time>-<…>-<group>/leases           which worker lives, and who is at which job
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from deepthink.config import overrides
from deepthink.files import atomically, unwritable

FILE = "sweep.json"

Words = list[str]
Members = tuple[Words, list[int]]
"""The words of a suite, and the places of its members among the jobs."""


@dataclass(frozen=True)
class Sweep:
    """A sweep whose jobs several workers share.

    jobs: the words of each job, those of a suite one member at a time.
    suites: the words of each suite, and the places of its members among `jobs`.
    workers: how many there are.
    local: whether all are on this machine, so that they divide its cores among them.
    gpus: CUDA_VISIBLE_DEVICES of the command that started them; None where it was not set.
    group: what W&B calls the runs.
    cwd: the folder in which the command was given.
    """

    jobs: list[Words]
    suites: list[Members]
    workers: int
    local: bool
    gpus: str | None
    group: str
    cwd: str

    @classmethod
    def read(cls, folder: Path) -> "Sweep":
        """The sweep of a folder."""
        kept = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return cls(**{**kept, "suites": [(words, places) for words, places in kept["suites"]]})

    def write(self, results: Path) -> Path:
        """Make the sweep's folder among these results; UserError where that is not possible."""
        from deepthink.store import records  # slow to import: a typo should not wait

        name = f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid4().hex[:4]}-{self.group}"
        folder = results / "sweeps" / name
        records.check_writable(folder)
        text = json.dumps(asdict(self), indent=1)
        try:
            atomically(folder / FILE, lambda path: path.write_text(text, encoding="utf-8"))
            for worker in range(self.workers):  # network folders are slow to show a new file
                (folder / f"worker{worker}.jsonl").touch()
        except OSError as error:
            raise unwritable(folder, error) from error
        return folder

    def order(self, worker: int) -> list[int]:
        """The places of all jobs as a worker goes through them.

        Jobs of one model follow each other, and each worker begins at another place.
        """

        def model(place: int) -> Words:
            return [word for word in self.jobs[place] if word.startswith("model")]

        places = sorted(range(len(self.jobs)), key=model)
        start = len(self.jobs) * worker // self.workers
        return places[start:] + places[:start]


def taken_apart(expanded: Sequence[Words]) -> tuple[list[Words], list[Members]]:
    """The jobs, those of a suite one by one; and the suites, with the places of their members."""
    jobs: list[Words] = []
    suites: list[Members] = []
    for words in expanded:
        members = overrides.members(words)
        if members is not None:
            suites.append((words, list(range(len(jobs), len(jobs) + len(members)))))
        jobs += members or [words]
    return jobs, suites
