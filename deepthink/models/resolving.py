"""Which model a config asks for, and which state of it is there."""

import json
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from deepthink import content, hub
from deepthink.config.job import ModelSpec
from deepthink.config.models import INSTALLED, SPLIT
from deepthink.errors import UserError
from deepthink.files import at_home
from deepthink.models.faults import in_one_line, part_of_several
from deepthink.models.packages import digest_of, gguf_of

_TOKENIZERS = (
    *("tokenizer*.json", "vocab*", "merges.txt", "added_tokens.json", "special_tokens_map.json"),
    *("*.model", "*.spm", "*.tiktoken", "*.codes", "*.tokenizer", "dict.txt", "emoji.json"),
    *("normalizer.json", "word_*.json", "*_vocab.json", "byte_maps.json"),
    *("*tekken*.json", "tokenizer.model.*"),
)
"""Names of the files that transformers' tokenizers read."""

_FORMATS = (
    ("model.safetensors", "model.safetensors.index.json"),
    ("pytorch_model.bin", "pytorch_model.bin.index.json"),
)
"""One file of weights, or the index of several, in the order in which transformers looks."""


@dataclass(frozen=True)
class Resolved:
    """A model in one state. Two of these are equal if they are the same state of the same model.

    place: what `from_pretrained` takes, which is a folder or an id of the hub.
    folder: where the files are, as far as they are on this machine.
    gguf: the file that holds the model and is to be converted, or its parts in order; empty for
        other formats.
    commit: the commit of the hub's repository; None for a model on this machine.
    weights: SHA-256 that identifies the files of a local model; None for the hub and for
        packages of a certain version.
    with_chat: the same, with the files that hold only the tokenizer's chat template; None where
        there are none.
    """

    spec: ModelSpec
    place: str
    folder: Path
    gguf: tuple[Path, ...] = ()
    commit: str | None = None
    weights: str | None = None
    with_chat: str | None = None

    def digest(self, chat: bool) -> str | None:
        """SHA-256 of what the numbers of a job depend on; chat: whether its prompts are chats."""
        return (self.with_chat or self.weights) if chat else self.weights

    @property
    def name(self) -> str:
        """The name of a converted model's folder in the cache."""
        if self.weights is None:
            return f"{self.spec.package}-{self.spec.revision}"
        return f"{self.gguf[0].stem}-{self.weights[:16]}"

    @property
    def options(self) -> dict[str, Any]:
        """Further arguments of `from_pretrained`: this state, and no code of its own."""
        if self.commit is None:
            return {"local_files_only": True, "trust_remote_code": False}
        return {"revision": self.commit, "trust_remote_code": False}

    @property
    def stage(self) -> str:
        """What reading it begins with: its files are fetched, converted, or only loaded."""
        if self.gguf:
            known = (hub.cache_folder() / self.name).is_dir()
            return f"{'loading' if known else 'converting the weights of'} {self.spec.name}"
        files = weight_files(self.folder)
        if self.commit is None or (files and all(path.exists() for path in files)):
            return f"loading {self.spec.name}"
        return f"fetching {self.spec.name} from the hub, then loading it"


def resolve(spec: ModelSpec) -> Resolved:
    """Find the model that a config asks for, and its state.

    Local files are read once, see `content`. The hub is asked for the commit once in a process.
    Without a network, the commit is the one that its cache has for this revision.

    Raises:
        UserError: there is no such model, it is not the one that its name says, or it cannot be
            read or reached.
    """
    with in_one_line(spec):
        return _resolved(spec)


def _resolved(spec: ModelSpec) -> Resolved:
    """As `resolve`; what the hub's client raises comes as it is."""
    if spec.package is not None:
        gguf = gguf_of(spec, spec.package)
        weights = digest_of(gguf) if spec.revision == INSTALLED else None
        return Resolved(spec, str(gguf[0].parent), gguf[0].parent, gguf, weights=weights)
    path = Path(at_home(spec.hub_id))
    if path.suffix.lower() == ".gguf" and not path.is_dir():
        return _of_gguf(spec, path)
    if path.is_file():
        raise UserError(f"{path} is a file: model.hub_id takes the folder of a model")
    if path.is_dir():
        _check_files(path)
        files = [path / "config.json", *weight_files(path), *_tokenizer_files(path)]
        chat = _chat_files(path)
        return Resolved(
            spec,
            str(path),
            path,
            weights=content.fingerprint(files, path),
            with_chat=content.fingerprint([*files, *chat], path) if chat else None,
        )
    if path.is_absolute() or spec.hub_id.startswith((".", "~")) or spec.hub_id.count("/") > 1:
        raise UserError(f"there is no folder '{path}': model.hub_id takes one, or an id of the hub")
    folder = hub.model_folder(spec.hub_id, spec.revision)
    _check_adapter(folder, spec.hub_id)
    return Resolved(spec, spec.hub_id, folder, commit=folder.name)


def _of_gguf(spec: ModelSpec, path: Path) -> Resolved:
    if not path.is_file():
        raise UserError(f"there is no file '{path}': model.gguf takes the path of a GGUF file")
    if (split := SPLIT.search(path.stem)) and int(split[1]) > 1:
        raise part_of_several(path, int(split[1]))
    return Resolved(spec, str(path.parent), path.parent, (path,), weights=content.digest(path))


def _check_files(folder: Path) -> None:
    """Raise UserError if a folder does not hold a whole model of transformers."""
    _check_adapter(folder, str(folder))
    config, weights = (folder / "config.json").is_file(), bool(weight_files(folder))
    if config and weights and _tokenizer_files(folder):
        return
    if ggufs := sorted(folder.glob("*.gguf")):
        raise UserError(f"{folder} holds GGUF files: name one of them, model.gguf={ggufs[0]}")
    missing = "weights (model.safetensors)" if config else "config.json"
    if config and weights:
        missing = "tokenizer (tokenizer.json)"
    raise UserError(
        f"{folder} holds no {missing}: model.hub_id takes a folder to which save_pretrained of "
        "transformers wrote a model and its tokenizer"
    )


def _check_adapter(folder: Path, name: str) -> None:
    if (folder / "adapter_config.json").exists():
        raise UserError(
            f"{name} holds an adapter (adapter_config.json), alone or beside weights: merge it "
            "into its model (PEFT's merge_and_unload) and save the whole to a folder of its own"
        )


def weight_files(folder: Path) -> list[Path]:
    """The files from which transformers reads a model's weights; none where there are none."""
    config = folder / "config.json"
    named = read_json(config).get("transformers_weights") if config.is_file() else None
    for single, index in [(named, named)] if isinstance(named, str) else _FORMATS:
        if (folder / single).is_file() and not single.endswith(".index.json"):
            return [folder / single]
        if (folder / index).is_file():
            parts = read_json(folder / index).get("weight_map", {})
            return [folder / index, *(folder / name for name in sorted(set(parts.values())))]
    return []


def check_cached(model: Resolved) -> None:
    """Raise UserError if a model's files in the hub's cache are not as the hub gave them."""
    if model.commit is None:
        return
    config = [path for path in [model.folder / "config.json"] if path.is_file()]
    tokenizer = (*_tokenizer_files(model.folder), *_chat_files(model.folder))
    for path in (*config, *weight_files(model.folder), *tokenizer):
        if not hub.as_given(path):
            raise UserError(
                f"{path.resolve()} is not as the hub gave {path.name} of {model.place}, it was "
                f"damaged or edited: remove it and {path}, then fetch the model again"
            )


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file; UserError where there is none."""
    try:
        parsed = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is no JSON, it may have been cut ({error})") from error
    if not isinstance(parsed, dict):
        raise UserError(f"{path} does not hold the object in JSON that its name promises")
    return parsed


def _tokenizer_files(folder: Path) -> list[Path]:
    return [
        path
        for path in folder.iterdir()
        if path.is_file() and any(fnmatch(path.name, pattern) for pattern in _TOKENIZERS)
    ]


def _chat_files(folder: Path) -> list[Path]:
    """The files of a chat template; it may stand in the tokenizer's config instead."""
    return [*folder.glob("chat_template*"), *folder.glob("additional_chat_templates/*.jinja")]
