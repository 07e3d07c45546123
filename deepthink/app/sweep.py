"""The folder of a sweep that several processes share.

results/sweeps/<time>-<…>-<group>/sweep.json       the jobs, each member of a suite by itself
results/sweeps/<time>-<…>-<group>/worker<k>.jsonl  a line for each job that worker k reached
results/sweeps/<time>-<…>-<group>/worker<k>.log    what it would have shown in a terminal
results/sweeps/<time>-<…>-<group>/launcher.log     what the launcher printed
results/sweeps/<time>-<…>-<group>/leases           which workers live, and which jobs they do
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from deepthink.config import overrides
from deepthink.files import atomically, unwritable

FILE = "sweep.json"
METHOD = ("method", "calibration")
"""How words begin that name what is done with the same rows and the same draw of demonstrations."""

Words = list[str]
Members = tuple[Words, list[int]]
"""The words of a suite, and the places of its members among the jobs."""


@dataclass(frozen=True)
class Sweep:
    """A sweep whose jobs several workers share.

    jobs: the words of each job, those of a suite one member at a time.
    suites: the words of each suite, and the places of its members among `jobs`.
    workers: how many there are.
    local: whether all run on this machine, and so divide its cores among them.
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
        """The sweep that a folder holds; OSError as it comes."""
        stored = json.loads((folder / FILE).read_text(encoding="utf-8"))
        return cls(**{**stored, "suites": [(words, places) for words, places in stored["suites"]]})

    def write(self, results: Path) -> Path:
        """Make the sweep's folder in a folder of results; UserError if it cannot be written."""
        from deepthink.store import records  # slow to import: a mistyped word is reported before

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

        Jobs of one model follow each other, among them those of one task, and among these those
        that differ in their method alone: what they have in common is computed once in a process.
        Each worker begins at another place.

        >>> words = ["method=vanilla seed=0", "method=vanilla seed=1", "method=herding seed=0"]
        >>> jobs = [["model=a", "task=sst2", *each.split()] for each in words]
        >>> sweep = Sweep(jobs, [], 2, local=True, gpus=None, group="", cwd=".")
        >>> sweep.order(worker=0), sweep.order(worker=1)
        ([0, 2, 1], [2, 1, 0])
        """

        def first(words_of: Callable[[Words], Words]) -> list[int]:
            """For each job, the place of the first job that has the same of these words."""
            seen: dict[tuple[str, ...], int] = {}
            return [seen.setdefault((*words_of(job),), at) for at, job in enumerate(self.jobs)]

        models = first(lambda job: [word for word in job if word.startswith("model")])
        tasks = first(lambda job: [word for word in job if word.startswith(("model", "task"))])
        alike = first(lambda job: [word for word in job if not word.startswith(METHOD)])
        places = sorted(range(len(self.jobs)), key=lambda at: (models[at], tasks[at], alike[at]))
        start = len(self.jobs) * worker // self.workers
        return places[start:] + places[:start]


def taken_apart(expanded: Sequence[Words]) -> tuple[list[Words], list[Members]]:
    """The jobs, each member of a suite by itself, and the suites with their members' places.

    >>> taken_apart([["task=sst2"], ["task=mmlu", "task.members=[virology]"]])[1]
    [(['task=mmlu', 'task.members=[virology]'], [1])]
    """
    jobs: list[Words] = []
    suites: list[Members] = []
    for words in expanded:
        members = overrides.members(words)
        if members is not None:
            suites.append((words, list(range(len(jobs), len(jobs) + len(members)))))
        jobs += members or [words]
    return jobs, suites
