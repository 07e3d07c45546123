"""Which process does which job: a file that one process at a time holds, in any shared folder.

    results/leases/<name>.<generation>      {"host": …, "pid": …, "token": …}

A process takes a lease by creating the file of the next generation. Only one process can do that,
since exclusive creation is atomic on local disks and on NFS 3 and later. It keeps the lease by
changing the file's time at intervals. If it dies, the lease is lost. Another process knows that

- at once, if it runs on the same host and sees no such process;
- otherwise when the file did not change for `expiry` seconds of its own steady clock. No two clocks
  are compared, so clocks that differ or jump do no harm.

Then it may take the next generation. If the former holder was only asleep, it sees the file of the
next generation when it wakes: see `Lease.held`.
"""

import json
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import TypeVar
from uuid import getnode, uuid4

import psutil

from deepthink.errors import UserError
from deepthink.files import unwritable
from deepthink.store.identity import Identity, digest

EXPIRY = 180.0
"""Seconds. NFS clients may see old file times for a minute, so it must be longer."""


@dataclass(frozen=True)
class Holder:
    """A process that may hold leases.

    machine: the host, its boot and its process namespace. Within it, a process id is unique.
    started: when the process began, see `started`. token: random digits that no other process has.
    """

    host: str
    machine: str
    pid: int
    started: float
    token: str

    @classmethod
    def here(cls) -> "Holder":
        """This process."""
        pid = os.getpid()
        return cls(platform.node(), _machine(), pid, started(pid), uuid4().hex)

    def gone(self, seen_from: "Holder") -> bool:
        """Whether this process is known to have ended. That is never known across machines."""
        if self.machine != seen_from.machine:
            return False
        try:
            return started(self.pid) != self.started
        except psutil.NoSuchProcess:
            return True
        except psutil.Error:  # another user's process, which may not be inspected
            return False

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def started(pid: int) -> float:
    """When a process began: on Linux in ticks since the boot, elsewhere in seconds.

    On Linux psutil would add the time of the boot, which moves when the clock is set. A process
    that has ended and was not waited for counts as none. Raises psutil.Error.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        state, *numbers = stat.rpartition(")")[2].split()
        if state in "ZX":
            raise psutil.NoSuchProcess(pid)
        return float(numbers[18])
    except (OSError, IndexError):
        if sys.platform == "linux" and psutil.pid_exists(pid):
            raise psutil.AccessDenied(pid) from None
        return float(psutil.Process(pid).create_time())


def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        space = str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:  # not Linux
        boot, space = f"{psutil.boot_time():.0f}", ""
    return f"{platform.node()} {getnode():x} {boot} {space}"


class Lease:
    """A job that no other process does until `release`, or until this process ends.

    path: the file. lost_by: how many processes in a row held the lease and died with it.
    """

    def __init__(self, path: Path, holder: Holder, beat: float) -> None:
        self.path, self._holder = path, holder
        self.lost_by = int(path.name.rpartition(".")[2]) - 1
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._keep, args=(beat,), daemon=True)
        self._thread.start()

    def _keep(self, beat: float) -> None:
        ticks = 0
        while not self._done.wait(beat):
            ticks += 1
            with suppress(OSError):  # a network folder may be gone for a while
                os.utime(self.path, (ticks, ticks))

    @property
    def held(self) -> bool:
        """Whether no other process has taken it over."""
        name, _, generation = self.path.name.rpartition(".")
        later = _generations(self.path.parent, name)
        return _holder(self.path) == self._holder and max(later, default=0) == int(generation)

    def release(self) -> None:
        """Let other processes take it. A second call does nothing."""
        if self._done.is_set():
            return
        name, _, generation = self.path.name.rpartition(".")
        with suppress(OSError):
            for earlier in _generations(self.path.parent, name):
                if earlier < int(generation):
                    (self.path.with_name(f"{name}.{earlier}")).unlink(missing_ok=True)
        self.leave()

    def leave(self) -> None:
        """Release the lease without resetting the count of processes that died holding it."""
        self.fall_silent()
        with suppress(OSError):  # a file that remains is lost when this process ends
            if _holder(self.path) == self._holder:
                self.path.unlink(missing_ok=True)

    def fall_silent(self) -> None:
        """Stop changing the file's time, and leave the file, as a process that dies does."""
        self._done.set()
        self._thread.join()

    def __enter__(self) -> "Lease":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()


@dataclass
class Leases:
    """The leases of a folder, as one process sees them.

    expiry: seconds. clock: seconds of a steady clock. me: this process.
    """

    folder: Path
    expiry: float = EXPIRY
    clock: Callable[[], float] = time.monotonic
    me: Holder = field(default_factory=Holder.here)
    _seen: dict[Path, tuple[tuple[Holder | None, int], float]] = field(default_factory=dict)

    def take(self, name: str) -> Lease | Holder | None:
        """The lease of this name; else the process that holds it, None while that is not known.

        Raises:
            UserError: the folder cannot be written.
        """
        self._make()
        try:
            latest = max(_generations(self.folder, name), default=0)
            if latest:
                path = self.folder / f"{name}.{latest}"
                if path.exists() and not path.is_file():
                    raise UserError(f"{path} is in the way, and no file: remove it")
                holder = _holder(path)
                if not self._lost(path, holder):
                    return holder
            path = self.folder / f"{name}.{latest + 1}"
            with path.open("x", encoding="utf-8") as file:
                try:
                    json.dump(vars(self.me), file)
                    file.flush()
                except OSError:
                    path.unlink()
                    raise
        except FileExistsError:  # another process was quicker
            return None
        except OSError as error:
            raise unwritable(self.folder, error) from error
        return Lease(path, self.me, self.expiry / 6)

    def _make(self) -> None:
        """Make the folder; UserError also if a file has its name."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self.folder, error) from error

    def names(self, beginning: str) -> list[str]:
        """The names of all leases with this beginning, held or lost."""
        paths = self.folder.glob(f"{beginning}*")
        return sorted({path.name.rpartition(".")[0] for path in paths})

    def _lost(self, path: Path, holder: Holder | None) -> bool:
        """Whether the holder has ended, or did not change the file for `expiry` seconds."""
        if holder is not None and holder.gone(self.me):
            return True
        try:
            with path.open() as file:  # NFS looks at the server when a file is opened
                life = holder, os.fstat(file.fileno()).st_mtime_ns
        except FileNotFoundError:
            return False  # it was released at this moment
        last, since = self._seen.get(path, (None, 0.0))
        if life != last:
            self._seen[path] = life, self.clock()
            return False
        return self.clock() - since > self.expiry


def name_of(key: Identity) -> str:
    """The name of a job's lease, which is held to do the job and to send its record."""
    return digest(key.stored())[:16]


def of(results: Path) -> Leases:
    """The leases of a results folder, as this process sees them."""
    return _of(results, os.getpid())


@lru_cache
def _of(results: Path, _pid: int) -> Leases:
    return Leases(results / "leases")


def _generations(folder: Path, name: str) -> list[int]:
    ends = (path.name.removeprefix(f"{name}.") for path in folder.glob(f"{name}.*"))
    return [int(end) for end in ends if end.isdecimal()]


def _holder(path: Path) -> Holder | None:
    """The process that wrote a lease; None if the file is missing, or not written yet."""
    try:
        return Holder(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


POLL = 2.0
"""Seconds between two attempts at jobs that other processes do."""


def pause() -> None:
    """Wait until the next attempt."""
    time.sleep(POLL)


class Busy(Exception):
    """Another process does this job; the message says which."""


Job = TypeVar("Job")


def until_done(jobs: Iterable[Job], attempt: Callable[[Job], object]) -> None:
    """Attempt each job, and again those that raise Busy, until none does.

    If another process finishes a job, the next attempt reads its record. If that process dies, the
    next attempt does the job.
    """
    left = list(jobs)
    while left:
        passed = []
        for job in left:
            try:
                attempt(job)
            except Busy:
                passed.append(job)
        if len(passed) == len(left):
            pause()
        left = passed
