"""One holder at a time, whatever dies, sleeps or jumps."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from deepthink.errors import UserError
from deepthink.store import leases
from deepthink.store.leases import Holder, Lease, Leases

HERE = Holder.here()


def another(**changes: Any) -> Holder:
    """Somebody else, by default alive on another machine."""
    return replace(
        HERE, **{"token": "other", "machine": "elsewhere", "host": "elsewhere", **changes}
    )


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def of(tmp_path: Path, clock: Clock) -> Callable[..., Leases]:
    """The leases of a folder as a process sees them."""
    return lambda holder=HERE, **more: Leases(tmp_path, clock=clock, me=holder, **more)


def test_one_holder_at_a_time(of: Callable[..., Leases]) -> None:
    first, second = of(), of(another())
    lease = first.take("a")
    assert isinstance(lease, Lease)
    assert lease.held
    assert second.take("a") == HERE
    assert isinstance(second.take("b"), Lease)
    lease.release()
    assert not lease.held
    assert isinstance(second.take("a"), Lease)


def test_of_many_that_try_at_once_one_gets_it(tmp_path: Path) -> None:
    for round_ in range(20):
        everyone = [Leases(tmp_path, me=another(machine=f"machine {i}")) for i in range(16)]
        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(lambda leases, r=round_: leases.take(f"job{r}"), everyone))
        assert sum(isinstance(one, Lease) for one in found) == 1


def test_a_process_that_ended_on_this_machine_is_followed_at_once(
    of: Callable[..., Leases],
) -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    dead = another(machine=HERE.machine, pid=child.pid)
    of(dead).take("a").fall_silent()
    taken = of().take("a")
    assert isinstance(taken, Lease)
    assert taken.held


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at Linux's processes")
def test_a_process_that_ended_and_was_not_waited_for_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(99)"])
    holder = replace(Holder.here(), pid=child.pid, started=leases.started(child.pid))
    assert not holder.gone(Holder.here())
    child.kill()
    until = time.monotonic() + 20
    while not holder.gone(Holder.here()):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert Path(f"/proc/{child.pid}").exists()
    child.wait()


def test_a_process_id_that_is_used_again_is_another_process(of: Callable[..., Leases]) -> None:
    of(another(machine=HERE.machine, started=HERE.started - 5)).take("a").fall_silent()
    assert isinstance(of().take("a"), Lease)


def test_a_process_elsewhere_is_followed_when_it_shows_no_life(
    of: Callable[..., Leases], clock: Clock
) -> None:
    lease = of(another(), expiry=60).take("a")
    mine = of(expiry=60)
    for _ in range(3):  # it lives
        assert isinstance(mine.take("a"), Holder)
        clock.now += 50
        os.utime(lease.path, (_, _))
    assert isinstance(mine.take("a"), Holder)
    clock.now += 59
    assert isinstance(mine.take("a"), Holder)
    clock.now += 2
    taken = mine.take("a")
    assert isinstance(taken, Lease)
    assert taken.held
    assert not lease.held  # it wakes, and sees
    lease.release()
    assert taken.held


def test_the_wall_clock_may_jump(
    of: Callable[..., Leases], clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    of(another(), expiry=60).take("a")
    mine = of(expiry=60)
    assert isinstance(mine.take("a"), Holder)
    for wall in (0.0, 4e9):
        monkeypatch.setattr(time, "time", lambda wall=wall: wall)
        clock.now += 20
        assert isinstance(mine.take("a"), Holder)


def test_a_lease_lives_while_its_process_does(of: Callable[..., Leases], clock: Clock) -> None:
    """Each sign of life begins the time anew that others wait."""
    mine = of(expiry=60)
    with of(another(), expiry=0.06).take("a") as lease:
        for _ in range(4):
            assert isinstance(mine.take("a"), Holder)
            seen, until = lease.path.stat().st_mtime_ns, time.monotonic() + 60
            while lease.path.stat().st_mtime_ns == seen:
                assert time.monotonic() < until
                time.sleep(0.005)
            clock.now += 50
        assert isinstance(mine.take("a"), Holder)
        assert lease.held


def test_a_lease_that_was_never_written_expires_too(
    of: Callable[..., Leases], clock: Clock, tmp_path: Path
) -> None:
    (tmp_path / "a.1").touch()
    mine = of(expiry=60)
    assert mine.take("a") is None
    clock.now += 61
    assert isinstance(mine.take("a"), Lease)


def test_release_leaves_nothing(of: Callable[..., Leases], tmp_path: Path) -> None:
    (tmp_path / "a.1").write_text(json.dumps(vars(another(machine=HERE.machine, started=0.0))))
    lease = of().take("a")
    assert {path.name for path in tmp_path.iterdir()} == {"a.1", "a.2"}
    lease.release()
    lease.release()
    assert not list(tmp_path.iterdir())


def test_the_time_of_the_boot_may_move(
    of: Callable[..., Leases], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Psutil says when a process began by it, and it moves when the clock is set."""
    of(another(machine=HERE.machine)).take("a").fall_silent()
    began = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: began(self) + 1)
    assert isinstance(of().take("a"), Holder)


def test_a_process_that_may_not_be_looked_at_is_not_taken_for_dead(
    of: Callable[..., Leases], monkeypatch: pytest.MonkeyPatch
) -> None:
    def hidden(pid: int) -> None:
        raise psutil.AccessDenied(pid)

    monkeypatch.setattr(leases, "started", hidden)
    of(another(machine=HERE.machine)).take("a").fall_silent()
    assert isinstance(of().take("a"), Holder)


def test_a_new_holder_is_not_taken_for_an_old_one(of: Callable[..., Leases], clock: Clock) -> None:
    """Names are used again, and so are file times."""
    mine = of(expiry=60)
    with of(another()).take("a") as theirs:
        os.utime(theirs.path, (3, 3))
        assert isinstance(mine.take("a"), Holder)
    clock.now += 3600
    with of(another(token="third")).take("a") as theirs:
        os.utime(theirs.path, (3, 3))
        assert isinstance(mine.take("a"), Holder)
        assert theirs.held


def test_a_lease_says_how_many_died_of_it(of: Callable[..., Leases]) -> None:
    for deaths in range(3):
        lease = of(another(machine=HERE.machine, started=0.0, token=str(deaths))).take("a")
        assert lease.lost_by == deaths
        lease.fall_silent()
    lease = of().take("a")
    assert lease.lost_by == 3
    lease.release()
    assert of().take("a").lost_by == 0


def test_a_folder_that_became_read_only_hides_no_result(
    of: Callable[..., Leases], monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = of().take("a")

    def read_only(*_args: object, **_kwargs: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", read_only)
    lease.release()


def test_names_do_not_mix(of: Callable[..., Leases]) -> None:
    assert isinstance(of().take("a"), Lease)
    assert isinstance(of(another()).take("a.b"), Lease)


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot write to"):
        Leases(tmp_path / "file" / "leases").take("a")


def test_a_full_disk_leaves_nothing(
    of: Callable[..., Leases], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object, **_kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(json, "dump", full)
    with pytest.raises(UserError, match="No space left"):
        of().take("a")
    assert not list(tmp_path.iterdir())
