"""keep_memory=true: a job's memories lie beside its record, and change nothing in it."""

import shutil
from collections import namedtuple
from pathlib import Path

import pytest
import torch
from conftest import Command, assert_one_line, stored
from tiny_models import tiny

from deepthink import Memory, think
from deepthink.config.overrides import compose
from deepthink.models import loading
from deepthink.store.memories import Keeper

SMALL = ("test_size=4", "dev_size=0", "pool_size=20", "method.iterations=3")


def memories(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*.safetensors"))


def test_the_memory_of_every_scored_step_is_kept(
    run: Command, tiny_folder: Path, tmp_path: Path
) -> None:
    code, out, _ = run(*SMALL, "keep_memory=true", "method.step_size=0.2")
    assert code == 0
    ((path, record),) = stored(tmp_path)
    stem = path.stem
    files = [f"{stem}-t{step}.safetensors" for step in (1, 2, 3)]
    assert memories(path.parent) == files
    size = sum((path.parent / name).stat().st_size for name in files) / 1e6
    (line,) = [line for line in out.splitlines() if line.startswith("keeping")]
    said = float(line.split(" memories, ")[1].split(" MB")[0])
    assert 0 < said <= size and f"{stem}-t*.safetensors" in line.replace("\n", "")
    spec = compose([f"model.hub_id={tiny_folder}", "model.package=null"]).model
    model = loading.load(spec, torch.device("cpu")).model
    kept = Memory.load(path.parent / files[2], model)
    assert kept.origin is not None and kept.step == 3
    assert kept.length == record["demonstrations"]["tokens"]
    *_, again = think(model, kept.origin.ids, 3, step_size=0.2)
    assert all(map(torch.equal, kept.tensors, again.tensors))


def test_only_the_scored_steps_are_kept(run: Command, tmp_path: Path) -> None:
    run(*SMALL, "keep_memory=true", "method.scored=ends")
    assert [name.partition("-t")[2][0] for name in memories(tmp_path)] == ["1", "3"]


def test_a_job_that_was_done_without_says_how_to_get_them(run: Command, tmp_path: Path) -> None:
    run(*SMALL)
    before = stored(tmp_path)
    assert memories(tmp_path) == []
    _, out, _ = run(*SMALL, "keep_memory=true")
    assert "without keeping its memories: force=true" in " ".join(out.split())
    assert memories(tmp_path) == [] and stored(tmp_path) == before
    run(*SMALL, "keep_memory=true", "force=true")
    assert len(memories(tmp_path)) == 3
    ((path, record),) = stored(tmp_path)
    assert (path, record["curve"]) == (before[0][0], before[0][1]["curve"])
    _, out, _ = run(*SMALL, "keep_memory=true")
    assert "without" not in out


def test_a_full_disk_is_told_before_anything_is_written(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10, 9, 1))
    code, _, err = run(*SMALL, "keep_memory=true")
    assert_one_line(code, err, "leave out keep_memory")
    assert memories(tmp_path) == [] and stored(tmp_path) == []


def test_each_group_of_demonstrations_has_its_own_files(tmp_path: Path) -> None:
    model, said = tiny("llama", torch.float32), list[str]()
    shots = ([5, 6, 7], [8, 9])
    keeper = Keeper(tmp_path / "seed0-0a.json", [3, 2], [1, 2], said.append)
    for group, ids in enumerate(shots):
        for memory in think(model, ids, 2):
            keeper.keep(memory, group)
    assert len(said) == 1 and "4 memories" in said[0] and "seed0-0a-group*-t*" in said[0]
    assert memories(tmp_path) == [
        f"seed0-0a-group{group}-t{step}.safetensors" for group in (0, 1) for step in (1, 2)
    ]
    assert Memory.load(tmp_path / "seed0-0a-group1-t2.safetensors", model).length == 2
