"""`deepthink.load`: one name, and a model that can think; or one line."""

import re
from pathlib import Path

import pytest
import torch
from gguf_writing import write_gguf
from transformers import PreTrainedTokenizerBase

import deepthink
from deepthink.config.overrides import compose
from deepthink.errors import UserError
from deepthink.models import loading, notices

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEPTHINK_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize("given", [str, Path])
def test_a_folder_is_loaded_ready_to_think(tiny_folder: Path, given: type) -> None:
    model, tokenizer = deepthink.load(given(tiny_folder))
    assert isinstance(tokenizer, PreTrainedTokenizerBase)
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    ids = tokenizer("Review: fine")["input_ids"]
    assert [memory.step for memory in deepthink.think(model, ids, 2)] == [1, 2]


def test_a_gguf_file_is_loaded_as_a_job_loads_it(tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "tiny.gguf")
    model, _ = deepthink.load(file, device="cpu", dtype="float32")
    job = loading.load(compose([f"model.gguf={file}", "model.dtype=float32"]).model, CPU)
    assert job.model is model  # the same name, files and dtype: it came from memory


def test_dtype_and_device_may_be_those_of_torch(tiny_folder: Path) -> None:
    model, _ = deepthink.load(tiny_folder, device=CPU, dtype=torch.bfloat16)
    assert model.dtype is torch.bfloat16
    assert deepthink.load(tiny_folder, device="cpu", dtype="bfloat16")[0] is model
    assert deepthink.load(tiny_folder)[0].dtype is (
        torch.bfloat16 if torch.cuda.is_available() else torch.float32
    )


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("smolm2-135m", "did you mean smollm2-135m"),
        ("nonsense-of-no-kind", "It may be gemma3-270m, "),
        ("./absent", "there is no folder 'absent'"),
        ("a/b/c", "there is no folder 'a/b/c'"),
        (Path("absent"), "there is no folder 'absent'"),
        ("absent.gguf", "there is no file 'absent.gguf'"),
        ("x" * 5000, "there is no model"),
        ("made/absent", "made/absent is no folder here, not cached"),
        (3, "is a text, not 3"),
        ("", "is a text, not ''"),
        ("a\0b", "holds bytes that are no text"),
    ],
)
def test_a_name_of_no_model_is_said_in_one_line(name: object, hint: str) -> None:
    with pytest.raises(UserError) as told:
        deepthink.load(name)  # type: ignore[arg-type]
    assert hint in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        ({"device": "gpu"}, "did you mean cpu"),
        ({"device": "cuda:99"}, "PyTorch sees"),
        ({"dtype": "int8"}, "unknown value of model.dtype 'int8'"),
        ({"dtype": torch.int8}, "unknown value of model.dtype 'int8'"),
        ({"revision": "main"}, "is no model of the hub"),
    ],
)
def test_what_a_model_cannot_be_loaded_as_is_said(
    tiny_folder: Path, given: dict[str, object], hint: str
) -> None:
    with pytest.raises(UserError, match=hint):
        deepthink.load(tiny_folder, **given)  # type: ignore[arg-type]


def test_terms_of_use_are_told_where_weights_are_read(
    tiny_folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    loading.unload()
    deepthink.load(tiny_folder)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(notices, "_GEMMA", {"llama"})
    loading.unload()
    for _ in range(2):
        deepthink.load(tiny_folder)
    line = "Gemma's terms of use apply to .*: https://ai.google.dev/gemma/terms\n"
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1
    assert re.fullmatch(line, err)
