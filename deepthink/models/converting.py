"""GGUF files as folders of safetensors, dequantised once, kept in the cache, checked at each use.

<cache>/<name>/             what save_pretrained wrote, and CHECKSUM: a fingerprint of all of it
<cache>/converting-<name>/  where it is written, beside the file that is put together from parts;
                            leftovers of killed processes are removed
"""

import shutil
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from safetensors import SafetensorError
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

from deepthink import content, hub
from deepthink.errors import UserError, first_line
from deepthink.models import checkpoints, gguf_files

_CHECKSUM = "CHECKSUM"


def converted(parts: Sequence[Path], name: str, tell: Callable[[str], object]) -> Path:
    """The folder of a converted GGUF file. It is made if it is absent or not as it was written.

    parts: the file, or the parts of it in order.

    Raises:
        UserError: the file cannot be read, or the cache cannot be written.
    """
    cache = hub.cache_folder()
    hub.hold(cache)
    target, staging = cache / name, cache / f"converting-{name}"
    if _whole(target):
        return target
    source = parts[0].name if len(parts) == 1 else parts[0].stem
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / "converting.lock"):
            if _whole(target):  # another process was faster
                return target
            for left in cache.glob("converting-*/"):
                shutil.rmtree(left)
            if target.exists():
                tell(f"{target} is not as it was written: {source} is converted anew")
                shutil.rmtree(target)
            try:
                staging.mkdir()
                made = staging / "made"
                _convert(parts[0] if len(parts) == 1 else _joined(parts, staging / source), made)
                (made / _CHECKSUM).write_text(_fingerprint(made))
                for file in made.iterdir():  # some are written for their owner alone
                    file.chmod((made / _CHECKSUM).stat().st_mode)
                made.rename(target)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or first_line(error)
        raise UserError(
            f"cannot keep the weights of {source} in {cache} ({reason}): set DEEPTHINK_CACHE "
            "to a folder of your own that has room for them in float32 (600 MB for 135M parameters)"
        ) from error
    return target


def _joined(parts: Sequence[Path], whole: Path) -> Path:
    """One file after the other, in one."""
    with whole.open("wb") as file:
        for path in parts:
            with path.open("rb") as part:
                shutil.copyfileobj(part, file)
    return whole


def _convert(source: Path, folder: Path) -> None:
    reader = gguf_files.opened(source)
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
    # now, because what is saved holds every tensor, and random numbers for those that were missing
    checkpoints.check_tensors(model, report, str(source))
    gguf_files.check_read(source, reader, model)
    folder.mkdir()
    tokenizer.save_pretrained(folder)
    model.save_pretrained(folder)


def _whole(folder: Path) -> bool:
    try:
        return (folder / _CHECKSUM).read_text() == _fingerprint(folder)
    except (OSError, UnicodeDecodeError):  # it is absent or cannot be read
        return False


def _fingerprint(folder: Path) -> str:
    files = [path for path in folder.iterdir() if path.name != _CHECKSUM]
    return content.fingerprint(files, folder)
