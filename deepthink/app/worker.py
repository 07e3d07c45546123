"""A worker of a shared sweep: it goes through the jobs and does those that no other worker does.

Its model stays loaded between the jobs. If a worker is killed, another one does its job, but after
all other jobs, since the job itself may be what kills.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig

from deepthink.app.journals import Journals, Tally, add
from deepthink.app.sweep import Sweep
from deepthink.config import overrides
from deepthink.config.request import Request
from deepthink.errors import UserError
from deepthink.garbage import uncollected
from deepthink.store.leases import Busy, Holder, Lease, Leases, until_done

GPUS = "CUDA_VISIBLE_DEVICES"


class Worker:
    """One of the processes that share the sweep of a folder.

    number: 0 to the number of workers, excluded.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self._folder, self._number = folder, number
        self._sweep = Sweep.read(folder)
        self._journals = Journals(folder)
        self._leases = Leases(folder / "leases")
        self._put_off: set[int] = set()

    def work(self) -> None:
        """Go through the jobs until all are done, by whatever worker, then report the suites."""
        os.chdir(self._sweep.cwd)
        log = self._folder / f"worker{self._number}.log"
        with (
            log.open("a", encoding="utf-8", buffering=1) as file,
            redirect_stdout(file),
            redirect_stderr(file),
            alive(self._leases, self._number) as process,
        ):
            device = take_device(self._number, self._sweep)
            print(f"worker {self._number} of {self._sweep.workers}: {process}, {device}")
            until_done(self._sweep.order(self._number), self._attempt)
            until_done(range(len(self._sweep.suites)), self._conclude)

    def _attempt(self, place: int) -> None:
        """Do the job at this place; Busy if another worker does it."""
        words = self._sweep.jobs[place]
        asked = self._requested(words)
        alone = replace(asked, suite=None)
        where = f"job {place + 1} of {len(self._sweep.jobs)}"
        self._once(place, lambda: _performed(alone, where))

    def _conclude(self, number: int) -> None:
        """Report a suite if all of its members are done. The members are not counted again."""
        words, members = self._sweep.suites[number]
        if any(self._journals.ended()[place].failed for place in members):
            return

        def report() -> Tally:  # force=false: force was applied when the members were done
            tally = _performed(self._requested([*words, "force=false"]))
            return Tally(failed=min(tally.failed, 1), reasons=tally.reasons, unsent=tally.unsent)

        self._once(len(self._sweep.jobs) + number, report)

    def _requested(self, words: Sequence[str]) -> Request:
        return overrides.requested(words).in_group(self._sweep.group)

    def _once(self, place: int, do: Callable[[], Tally]) -> None:
        """Do what belongs to this place unless it is done, and note how it ended."""
        if place in self._journals.ended():
            return
        claim = self._leases.take(f"job{place}")
        if not isinstance(claim, Lease):
            raise Busy(f"done by {claim or 'another worker'}")
        with claim:
            if claim.lost_by and place not in self._put_off:
                self._put_off.add(place)
                claim.leave()
                raise Busy("a worker died in the middle of it: all others first")
            if place in self._journals.ended():
                return
            begin = time.perf_counter()
            try:
                tally = do()
            except UserError as error:
                tally = Tally(failed=1, reasons=(str(error),))
            add(self._folder, self._number, place, time.perf_counter() - begin, tally)


def work(composed: DictConfig) -> None:
    """The task that a launcher starts in each worker's process, with the worker's config."""
    GlobalHydra.instance().clear()  # Hydra composed the worker; each job is composed by itself
    Worker(Path(composed.sweep), composed.worker).work()


def _performed(request: Request, place: str = "") -> Tally:
    with uncollected():
        from deepthink.app import perform  # slow to import, and only workers need it
    return perform.perform(request, place)


@contextmanager
def alive(leases: Leases, number: int) -> Iterator[Holder]:
    """Hold a lease that shows that this worker lives.

    Each start of a worker takes a new lease. So it does not matter whether the process of the last
    start has ended.
    """
    for last in leases.folder.glob(f"worker{number}-*"):
        last.unlink(missing_ok=True)
    lease = leases.take(f"worker{number}-{uuid4().hex[:8]}")
    try:
        yield Holder.here()
    finally:
        if isinstance(lease, Lease):
            lease.release()


def take_device(number: int, sweep: Sweep) -> str:
    """Take a GPU, or this worker's part of the cores; returns which, in words.

    Processes with more threads together than there are cores wait for each other. That takes many
    times as long as their work.
    """
    if sweep.local:  # submitit hides all GPUs unless its options ask for some
        os.environ.pop(GPUS, None)
        if sweep.gpus is not None:
            os.environ[GPUS] = sweep.gpus
    import torch

    if count := torch.cuda.device_count():
        torch.cuda.set_device(number % count)
        return f"GPU {number % count} of {count}"
    threads = torch.get_num_threads()
    if granted := os.environ.get("SLURM_CPUS_PER_TASK"):  # not every cluster binds its tasks
        threads = min(threads, int(granted))
    if sweep.local:
        threads //= sweep.workers
    torch.set_num_threads(max(1, threads))
    return f"no GPU, {torch.get_num_threads()} threads"
