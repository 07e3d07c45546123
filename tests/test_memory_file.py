"""A memory that is kept in a file comes back to the bit, or is refused in one line."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tiny_models import CONFIGS, SMALL, made_from, tiny
from torch import Tensor
from transformers import GPT2Config, MistralConfig, PreTrainedModel

import deepthink
from deepthink import Memory, score, think
from deepthink.engine import memory_file
from deepthink.engine.generation import continuations
from deepthink.engine.prepack import prepack
from deepthink.errors import UserError
from deepthink.models.by_name import load

ROOT = Path(__file__).resolve().parent.parent
SHOTS = [3, 14, 15, 92, 65, 35, 89, 79, 32, 38]


def thought(model: PreTrainedModel, iterations: int = 3) -> Memory:
    *_, memory = think(model, SHOTS, iterations, step_size=0.3, positions="aligned")
    return memory


def parts(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name).clone() for name in file.keys()}, file.metadata()  # noqa: SIM118


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """A file with a memory of the tiny llama."""
    path = tmp_path / "thought.safetensors"
    thought(tiny("llama", torch.float32)).save(path)
    return path


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_a_memory_comes_back_to_the_bit(tmp_path: Path, dtype: torch.dtype) -> None:
    model, path = tiny("llama", dtype), tmp_path / "a memory.safetensors"
    memory = thought(model)
    memory.save(str(path))
    again = Memory.load(str(path), model)
    assert all(map(torch.equal, again.tensors, memory.tensors))
    assert [x.dtype for x in again.tensors] == [x.dtype for x in memory.tensors]
    assert (again.step, again.origin) == (3, memory.origin)
    assert [path] == [*tmp_path.iterdir()]
    again.save(path)  # what was loaded can be kept again
    assert Memory.load(path, model).origin == memory.origin


@pytest.mark.parametrize("name", CONFIGS)
def test_any_layout_of_the_same_weights_is_recognised(tmp_path: Path, name: str) -> None:
    path = tmp_path / "m.safetensors"
    thought(tiny(name, torch.float32)).save(path)
    packed = prepack(tiny(name, torch.float32))
    packed.config = deepcopy(packed.config)
    packed.config.pad_token_id = 7  # what changes no key does not matter
    assert Memory.load(path, packed).length == len(SHOTS)


PROGRAM = """
import sys, torch
sys.path.insert(0, "tests")
from tiny_models import tiny
from deepthink import Memory, score
from deepthink.engine.generation import continuations
model = tiny("llama", torch.float32)
memory = Memory.load(sys.argv[1], model)
print([[x.hex() for x in row] for row in score(model, memory, [[4, 5]], [[[6], [7, 8]]])])
print(continuations(model, memory, [[4, 5], [6]], 0, max_new_tokens=8))
"""


@pytest.mark.slow
def test_another_process_goes_on_from_it(kept: Path) -> None:
    model = tiny("llama", torch.float32)
    memory = thought(model)
    scores = score(model, memory, [[4, 5]], [[[6], [7, 8]]])
    expected = [
        str([[x.hex() for x in row] for row in scores]),
        str(continuations(model, memory, [[4, 5], [6]], 0, max_new_tokens=8)),
    ]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(kept)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert done.stdout.splitlines() == expected


def refused(path: Path, model: PreTrainedModel) -> str:
    with pytest.raises(UserError) as error:
        Memory.load(path, model)
    assert "\n" not in str(error.value)
    return str(error.value)


def nudged(model: PreTrainedModel) -> PreTrainedModel:
    """The same config, and weights as after a little fine-tuning."""
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(1 + 0.02 * torch.randn(weight.shape, dtype=weight.dtype))
    return model


def of_commit(commit: str) -> PreTrainedModel:
    model = tiny("llama", torch.float32)
    model.config = deepcopy(model.config)
    model.config._commit_hash = commit
    return model


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (lambda: tiny("gpt2", torch.float32), "made by LlamaForCausalLM, but this model is a GPT2"),
        (lambda: made_from(MistralConfig(**SMALL), torch.float32), "is a MistralForCausalLM"),
        (lambda: tiny("llama", torch.bfloat16), "dtype=torch.float32"),
        (lambda: nudged(tiny("llama", torch.float32)), "other weights"),
    ],
    ids=["architecture", "family", "dtype", "weights"],
)
def test_another_model_is_refused(
    kept: Path, other: Callable[[], PreTrainedModel], says: str
) -> None:
    torch.manual_seed(0)
    assert says in refused(kept, other())


def test_another_config_and_another_commit_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    small: dict[str, Any] = {"n_head": 2, "n_embd": 8, "vocab_size": 97, "n_positions": 64}
    one, two = (made_from(GPT2Config(n_layer=n, **small), torch.float32) for n in (1, 2))
    thought(one).save(path)
    assert "another config" in refused(path, two)
    model = of_commit("a" * 40)
    memory = thought(model)
    memory.save(path)
    assert f"of commit {'b' * 40}" in refused(path, of_commit("b" * 40))
    assert Memory.load(path, tiny("llama", torch.float32)).step == 3  # it does not say of which
    with pytest.raises(UserError, match="commit"):
        score(of_commit("b" * 40), memory, [[4]], [[[5]]])


def rewrite(path: Path, change: Callable[[dict[str, Tensor], dict[str, str]], object]) -> None:
    tensors, told = parts(path)
    change(tensors, told)
    save_file(tensors, path, metadata=told)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda tensors, told: tensors["keys.1"].add_(1e-6), "changed after"),
        (lambda tensors, told: tensors["ids"][:1].add_(1), "changed after"),
        (lambda tensors, told: told.update(step="5"), "changed after"),
        (lambda tensors, told: told.update(options='{"step_size": 0.5}'), "changed after"),
        (lambda tensors, told: tensors.update(extra=torch.zeros(2)), "changed after"),
        (lambda tensors, told: tensors.pop("values.2"), "lacks values.2"),
        (lambda tensors, told: tensors.pop("probe.keys"), "lacks probe.keys"),
        (lambda tensors, told: told.pop("step"), "lacks step"),
        (lambda tensors, told: told.pop("checksum"), "lacks checksum"),
        (lambda tensors, told: told.update({"format version": "3"}), "version 3"),
        (lambda tensors, told: told.update({"format version": "2"}), "lacks groups"),
        (lambda tensors, told: told.clear(), "holds no memory"),
    ],
)
def test_a_changed_file_is_refused(kept: Path, change: Callable[..., object], says: str) -> None:
    rewrite(kept, change)
    assert says in refused(kept, tiny("llama", torch.float32))


def pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("fill", "says"),
    [
        (lambda path: path.unlink(), "there is no file"),
        (lambda path: path.write_bytes(path.read_bytes()[:-100]), "is not whole"),
        (lambda path: path.write_bytes(path.read_bytes() + b"more"), "is not whole"),
        (lambda path: path.write_bytes(path.read_bytes()[:100]), "safetensors"),
        (lambda path: path.write_bytes(b""), "safetensors"),
        (lambda path: path.write_text(json.dumps({"keys": [1, 2]})), "no safetensors"),
        (lambda path: (path.unlink(), path.mkdir()), "is not a file"),
        (pipe, "is not a file"),
        (lambda path: save_file({"weight": torch.ones(2)}, path), "holds no memory"),
    ],
)
def test_what_is_no_memory_is_refused(
    kept: Path, fill: Callable[[Path], object], says: str
) -> None:
    fill(kept)
    assert says in refused(kept, tiny("llama", torch.float32))


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser reads every file")
def test_a_file_that_may_not_be_read_is_refused(kept: Path) -> None:
    kept.chmod(0)
    assert "cannot be read" in refused(kept, tiny("llama", torch.float32))


def test_what_cannot_be_kept_is_said_in_one_line(tmp_path: Path) -> None:
    memory = thought(tiny("llama", torch.float32))
    for path, says in (
        (tmp_path, "is a folder"),
        (tmp_path / "none" / "m.safetensors", "cannot write"),
    ):
        with pytest.raises(UserError, match=says) as error:
            memory.save(path)
        assert "\n" not in str(error.value)
    with pytest.raises(UserError, match="computed of others"):
        memory.plus(memory).save(tmp_path / "sum.safetensors")
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_the_file_as_it_was(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = kept.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(memory_file, "save_file", full)
    with pytest.raises(UserError, match="No space left"):
        thought(tiny("llama", torch.float32), 1).save(kept)
    assert kept.read_bytes() == before and [*kept.parent.iterdir()] == [kept]


def test_a_loaded_memory_does_not_follow_its_file(kept: Path) -> None:
    model = tiny("llama", torch.float32)
    memory = Memory.load(kept, model)
    before = memory.copy()
    kept.write_bytes(b"\0" * kept.stat().st_size)
    assert all(map(torch.equal, memory.tensors, before.tensors))


def test_memories_that_do_not_belong_together_are_not_added() -> None:
    model = tiny("llama", torch.float32)
    one, two = (next(think(model, ids)) for ids in (SHOTS, SHOTS[1:]))
    for call in (one.plus, one.minus):
        with pytest.raises(UserError, match=r"10 slots .* 9 slots"):
            call(two)


def test_the_origin_says_what_was_done() -> None:
    memory = thought(tiny("gpt2", torch.float32))
    assert memory.origin is not None and memory.copy().origin is memory.origin
    assert memory.origin.ids == tuple(SHOTS) and memory.origin.refinement == "iterate"
    assert memory.origin.options["step_size"] == 0.3
    assert memory.to(torch.bfloat16).origin is memory.origin
    assert memory.minus(memory).origin is None
    assert repr(memory) == (
        "Memory(t=3, 3 layers of 4 heads × 10 slots × 8, float32, cpu, of GPT2LMHeadModel)"
    )


def test_the_page_on_memories_runs_from_top_to_bottom(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(deepthink, "load", lambda name: load(tiny_folder), raising=False)
    text = (ROOT / "docs" / "memory.md").read_text()
    names: dict[str, Any] = {}
    for code in re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        exec(code, names)
    assert [len(names[name]) for name in ("texts", "several", "beams")] == [2, 6, 1]
    assert names["again"] == names["texts"] and names["same"].step == 5
    assert names["made"].shape == (2, 7) and (tmp_path / "reviews.safetensors").exists()
