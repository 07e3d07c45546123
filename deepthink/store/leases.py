"""Which process does which job: a file that one process at a time holds, on any shared folder.

    results/leases/<name>.<generation>      {"host": …, "pid": …, "token": …}

A lease is taken by creating the file of the next generation, which only one process can (exclusive
creation is atomic on local disks and on NFS 3 and later), and kept by changing the file's time
every few seconds. It is lost with its process. Others know that

- at once, if they run on the same host: the process is gone;
- else when they have watched the file for `expiry` seconds by their own steady clock and it did not
  change. No two clocks are compared, so clocks that differ or jump do no harm.

A process that finds a lease lost may take the next generation. If the former holder was only
asleep, it finds another process's file the next time it looks: see `Lease.held`.
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
"""Seconds: above the minute for which NFS clients may see old file times."""


@dataclass(frozen=True)
class Holder:
    """A process that may hold leases.

    machine: the host, its boot and its process namespace, within which a process id means one
        process.
    token: a random word that no other process has, past or to come.
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
        return cls(platform.node(), _machine(), pid, _started(pid), uuid4().hex)

    def gone(self, seen_from: "Holder") -> bool:
        """Whether this process is known to have ended; it is not known of another machine's."""
        if self.machine != seen_from.machine:
            return False
        try:
            return _started(self.pid) != self.started
        except psutil.NoSuchProcess:
            return True
        except psutil.Error:  # somebody else's process, which may not be looked at
            return False

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def _started(pid: int) -> float:
    """When a process began, by a clock that is never set: on Linux in ticks since the boot.

    psutil adds the time of the boot, which moves when the clock is set. Raises psutil.Error; one
    that has ended and was not waited for is no process.
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

    lost_by: how many processes in a row held it before and ended without releasing it.
    """

    def __init__(self, path: Path, holder: Holder, beat: float) -> None:
        self._path, self._holder = path, holder
        self.lost_by = int(path.name.rpartition(".")[2]) - 1
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._keep, args=(beat,), daemon=True)
        self._thread.start()

    def _keep(self, beat: float) -> None:
        ticks = 0
        while not self._done.wait(beat):
            ticks += 1
            with suppress(OSError):  # a folder that is away for a while
                os.utime(self._path, (ticks, ticks))

    @property
    def held(self) -> bool:
        """Whether no other process has taken it over."""
        name, _, generation = self._path.name.rpartition(".")
        later = _generations(self._path.parent, name)
        return _holder(self._path) == self._holder and max(later, default=0) == int(generation)

    def release(self) -> None:
        """Let other processes take it. A second call does nothing."""
        if self._done.is_set():
            return
        name, _, generation = self._path.name.rpartition(".")
        with suppress(OSError):
            for earlier in _generations(self._path.parent, name):
                if earlier < int(generation):
                    (self._path.with_name(f"{name}.{earlier}")).unlink(missing_ok=True)
        self.leave()

    def leave(self) -> None:
        """Release the lease without resetting the count of processes that died holding it."""
        self._done.set()
        self._thread.join()
        with suppress(OSError):  # what is left ends with this process
            if _holder(self._path) == self._holder:
                self._path.unlink(missing_ok=True)

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

    clock: seconds of a steady clock.
    """

    folder: Path
    expiry: float = EXPIRY
    clock: Callable[[], float] = time.monotonic
    _me: Holder = field(default_factory=Holder.here)
    _seen: dict[Path, tuple[tuple[Holder | None, int], float]] = field(default_factory=dict)

    def take(self, name: str) -> Lease | Holder | None:
        """The lease of this name; else the process that holds it, None while that is not known.

        Raises UserError where the folder cannot be written.
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
                    json.dump(vars(self._me), file)
                    file.flush()
                except OSError:
                    path.unlink()
                    raise
        except FileExistsError:  # somebody was quicker
            return None
        except OSError as error:
            raise unwritable(self.folder, error) from error
        return Lease(path, self._me, self.expiry / 6)

    def _make(self) -> None:
        """Make the folder. A file of its name must not pass for a process that was quicker."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self.folder, error) from error

    def names(self, beginning: str) -> list[str]:
        """The names of all leases, held or lost, that begin so."""
        paths = self.folder.glob(f"{beginning}*")
        return sorted({path.name.rpartition(".")[0] for path in paths})

    def _lost(self, path: Path, holder: Holder | None) -> bool:
        """Whether the process that held it has ended, or showed no life for too long."""
        if holder is not None and holder.gone(self._me):
            return True
        try:
            with path.open() as file:  # NFS looks at the server when a file is opened
                life = holder, os.fstat(file.fileno()).st_mtime_ns
        except FileNotFoundError:
            return False  # released this moment
        last, since = self._seen.get(path, (None, 0.0))
        if life != last:
            self._seen[path] = life, self.clock()
            return False
        return self.clock() - since > self.expiry


def name_of(key: Identity) -> str:
    """What the lease of a job is called: to do it, and to send its record."""
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
    """The process that wrote a lease; None if the file is not there, or not written yet."""
    try:
        return Holder(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


POLL = 2.0
"""Seconds between two looks at jobs that other processes do."""


def pause() -> None:
    """Wait until the next look."""
    time.sleep(POLL)


class Busy(Exception):
    """Another process is at this job; the message says which."""


Job = TypeVar("Job")


def until_done(jobs: Iterable[Job], attempt: Callable[[Job], object]) -> None:
    """Attempt each job, and repeat those that are Busy until none is.

    The record of a job that another process finishes is read then. A job whose process dies is
    done here.
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
