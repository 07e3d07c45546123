"""GGUF files as folders of safetensors: dequantised once, kept in the cache, checked at each use.

<cache>/<name>/             what save_pretrained wrote, and CHECKSUM: a fingerprint of all of it
<cache>/converting-<name>/  the same while it is written; what a killed process left is removed
"""

import shutil
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from deepthink import checkpoints, content, hub
from deepthink.errors import UserError, first_line

_CHECKSUM = "CHECKSUM"


def converted(source: Path, name: str, tell: Callable[[str], object]) -> Path:
    """The folder of a GGUF file, made if it is not there or not as it was written.

    Raises:
        UserError: the file cannot be read, or the cache cannot be written.
    """
    cache = hub.cache_folder()
    target, staging = cache / name, cache / f"converting-{name}"
    if _whole(target):
        return target
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / "converting.lock"):
            if _whole(target):  # another process was faster
                return target
            for left in cache.glob("converting-*/"):
                shutil.rmtree(left)
            if target.exists():
                tell(f"{target} is not as it was written: {source.name} is converted anew")
                shutil.rmtree(target)
            try:
                _convert(source, staging)
                (staging / _CHECKSUM).write_text(_fingerprint(staging))
                for file in staging.iterdir():  # some are written for their owner alone
                    file.chmod((staging / _CHECKSUM).stat().st_mode)
                staging.rename(target)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise UserError(
            f"cannot keep the weights of {source.name} in {cache} ({reason}): set DEEPTHINK_CACHE "
            "to a folder of your own that has room for them in float32 (600 MB for 135M parameters)"
        ) from error
    return target


def _convert(source: Path, folder: Path) -> None:
    where = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    try:
        with redirect_stderr(StringIO()):  # a progress bar that cannot be switched off
            tokenizer = AutoTokenizer.from_pretrained(**where)
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                **where,
                dtype=torch.float32,
                quantization_config=GgufConfig(dequantize=True),
                output_loading_info=True,
            )
    except Exception as error:
        raise UserError(
            f"transformers cannot read the GGUF file {source} ({first_line(error)}): name a folder "
            "that save_pretrained wrote"
        ) from error
    model, report = loaded
    # here, for what is saved holds every tensor: those that were missing, as random numbers
    checkpoints.check_tensors(model, report, str(source))
    folder.mkdir()
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)


def _whole(folder: Path) -> bool:
    try:
        return (folder / _CHECKSUM).read_text() == _fingerprint(folder)
    except (OSError, UnicodeDecodeError):  # not there, or not to be read
        return False


def _fingerprint(folder: Path) -> str:
    files = [path for path in folder.iterdir() if path.name != _CHECKSUM]
    return content.fingerprint(files, folder)
