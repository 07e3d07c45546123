"""Real disks that fill up or cannot be written, and clocks that jump: told, and nothing lost."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Command, assert_one_line, stored

from deepthink.store import records


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a memory disk of some bytes as the results folder, again with other options too."""
    folder = tmp_path / "results"
    folder.mkdir()

    def mounted(options: str) -> Path:
        again = ["-o", f"remount,{options}"] if folder.is_mount() else ["-o", options]
        done = subprocess.run(
            ["mount", "-t", "tmpfs", *again, "tmpfs", str(folder)], capture_output=True, check=False
        )
        if done.returncode:
            pytest.skip("may not mount a disk here: run as root")
        return folder

    if os.name != "posix" or os.geteuid():
        pytest.skip("only root may mount a disk")
    yield mounted
    if folder.is_mount():
        subprocess.run(["umount", "-l", str(folder)], check=True)


SIZES = [
    pytest.param(
        size,
        [way],
        id=f"{size}k {way}",
        marks=() if size == quick else pytest.mark.slow,
    )
    for way, quick in (("-m", 44), ("launcher=basic", 24))
    for size in (8, 24, 44, 60, 76)
]
"""Kilobytes at which one write or another is the first to fail, and ways to run a sweep."""


@pytest.mark.parametrize(("size", "way"), SIZES)
def test_a_full_disk_is_told_and_loses_nothing(
    run: Command, mount: Callable[[str], Path], tmp_path: Path, size: int, way: list[str]
) -> None:
    """Whatever the write at which it fills up: whole records or none, and the rest later."""
    mount(f"size={size}k")
    jobs = "seed=range(6)"
    code, _, err = run(*way, jobs)
    assert code == 1
    assert "No space left on device" in err
    assert "Traceback" not in err
    kept = {path: record["checksum"] for path, record in stored(tmp_path)}
    assert len(kept) < 6
    assert not records.load_all(tmp_path / "results").broken
    mount("size=16m")
    code, out, err = run(*way, jobs)
    assert (code, err) == (0, "")
    assert f"jobs: {6 - len(kept)} done, {len(kept)} read" in out
    now = {path: record["checksum"] for path, record in stored(tmp_path)}
    assert len(now) == 6
    assert now.items() >= kept.items()


def test_a_read_only_disk_is_one_line_and_its_records_are_still_read(
    run: Command, mount: Callable[[str], Path], tmp_path: Path
) -> None:
    mount("size=16m")
    assert run("seed=0")[0] == 0
    mount("ro")
    code, out, _ = run("seed=0")
    assert code == 0
    assert "read, not run again" in out
    code, _, err = run("seed=1")
    assert_one_line(code, err, "Read-only file system")
    mount("rw")
    assert len(stored(tmp_path)) == 1


def test_a_clock_that_jumps_changes_nothing(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every reading of the wall clock is years from the last, in either direction."""
    assert run("-m", "seed=0,1")[0] == 0
    steady = {path.name: record["curve"] for path, record in stored(tmp_path)}
    walls = [1e9, 4e9, 1.0, 2e9]

    def jumping() -> float:
        walls.append(walls.pop(0))
        return walls[-1]

    monkeypatch.setattr(time, "time", jumping)
    assert run("-m", "seed=0,1", f"results={tmp_path / 'jumps' / 'results'}")[0] == 0
    assert {path.name: r["curve"] for path, r in stored(tmp_path / "jumps")} == steady
