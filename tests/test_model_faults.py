"""Models that are not what was asked for, and what is loaded or said instead."""

import os
import shutil

import pytest

from deepthink import content


@pytest.fixture
def settled(monkeypatch):
    """Files count as settled at once, as they do two seconds after they were written."""
    monkeypatch.setattr(content, "_TICK", -1)


def test_files_are_recognised_by_what_they_hold(tmp_path, settled):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("one")
    (tmp_path / "a" / "y").write_text("two")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (tmp_path / "c").symlink_to(tmp_path / "a")

    def of(folder):
        return content.fingerprint(reversed([*(tmp_path / folder).iterdir()]), tmp_path / folder)

    before = of("a")
    assert before == of("b") == of("c")
    os.utime(tmp_path / "a" / "x", ns=(5, 5))
    assert of("a") == before
    (tmp_path / "a" / "x").write_text("six")  # as long as before, and with its old time
    os.utime(tmp_path / "a" / "x", ns=(5, 5))
    assert of("a") != before


def test_a_file_is_read_once(tmp_path, settled, monkeypatch):
    (tmp_path / "x").write_text("one")
    found = content.digest(tmp_path / "x")
    monkeypatch.setattr(content.hashlib, "file_digest", None)
    assert content.digest(tmp_path / "x") == found


def test_two_changes_within_one_tick_of_the_clock_are_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(content.os, "fstat", lambda handle: os.stat(tmp_path))  # always the same
    (tmp_path / "x").write_text("one")
    before = content.digest(tmp_path / "x")
    (tmp_path / "x").write_text("two")
    assert content.digest(tmp_path / "x") != before
