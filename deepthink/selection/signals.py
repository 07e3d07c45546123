"""Asking a model about a pool once: what it says is kept on disk, for all selectors and seeds.

    <cache>/signals/<model>-<task>-<id>/identity.json      what the answers depend on
    <cache>/signals/<model>-<task>-<id>/<hash>.safetensors  answers to one batch of prompts

A batch is recognised by a hash of its examples, so interrupted work goes on at the first batch that
is missing, and whoever asks again is answered from the file, if its checksum is right. <cache> is
DEEPTHINK_CACHE.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from deepthink import hub
from deepthink.config.job import Config
from deepthink.engine.scoring import TokenBudget, score_after, score_with_states
from deepthink.errors import UserError
from deepthink.files import atomically
from deepthink.models.loading import LM
from deepthink.selection.pool import Array, Progress, Usage
from deepthink.store.identity import Identity, digest
from deepthink.structures import Example
from deepthink.tasks import prompts

_BATCH = 512
"""Prompts to a file: what an interruption costs at most (a small model on a CPU, half a minute)."""


class ModelReader:
    """Answers a `Pool` with a model, or from what the model answered before.

    key: the identity of the job, of whose parts the answers depend on model, task and prompt.
    """

    def __init__(self, lm: LM, config: Config, key: Identity, budget: TokenBudget) -> None:
        task = {name: value for name, value in key.task.stored().items() if name != "data"}
        self.usage = Usage()
        self.answer_score = config.answer_score
        self._lm = lm
        self._task = config.task
        self._prompt = config.prompt
        self._budget = budget
        identity = {
            "protocol": key.protocol,
            "model": key.model.stored(),
            "task": task,
            "prompt": key.prompt.stored(),
            "answer_score": key.answer_score,
        }
        name = f"{config.model.name}-{config.task.name}-{digest(identity)[:8]}"
        self._folder = hub.cache_folder() / "signals" / name
        self._identity = identity

    @cached_property
    def answer_tokens(self) -> list[int]:
        """Tokens of each label word."""
        words = self._encode((), [Example("x", tuple(self._task.labels), 0)]).candidates[0]
        return [len(ids) for ids in words]

    def zero_shot(self, examples: Sequence[Example], progress: Progress) -> tuple[Array, Array]:
        """As `pool.Reader`, float32."""
        parts = []
        for begin in range(0, len(examples), _BATCH):
            batch = examples[begin : begin + _BATCH]

            def read(batch: Sequence[Example] = batch) -> dict[str, Array]:
                encoded = self._encode((), batch)
                scores, states = score_with_states(
                    self._lm.model,
                    [encoded.demonstrations + query for query in encoded.queries],
                    encoded.candidates,
                    self.answer_score,
                    self._budget,
                    progress,
                )
                return {"hidden": states.numpy(), "scores": np.array(scores, np.float32)}

            asked = ["zero-shot", *map(_words, batch)]
            parts.append(self._answers(asked, len(batch), progress, read))
        return (
            np.concatenate([part["hidden"] for part in parts]),
            np.concatenate([part["scores"] for part in parts]),
        )

    def after(
        self, sets: Sequence[Sequence[Example]], queries: Sequence[Example], progress: Progress
    ) -> Array:
        """As `pool.Reader`, float32, from plain prompts (T = 1).

        The demonstrations are written and cut as a job's own are.
        """
        size = max(1, _BATCH // len(queries))
        questions = digest([*map(_words, queries)])
        parts = []
        for begin in range(0, len(sets), size):
            batch = sets[begin : begin + size]

            def read(batch: Sequence[Sequence[Example]] = batch) -> dict[str, Array]:
                encoded = [self._encode(shown, queries) for shown in batch]
                scores = score_after(
                    self._lm.model,
                    [one.demonstrations for one in encoded],
                    [one.queries for one in encoded],
                    [one.candidates for one in encoded],
                    self.answer_score,
                    self._budget,
                    progress,
                )
                pairs = zip(encoded, batch, strict=True)
                cut = sum(one.kept < len(shown) or one.truncated for one, shown in pairs)
                return {"scores": np.array(scores, np.float32), "shortened": np.array(cut)}

            asked = ["after", questions, *("\x1d".join(map(_words, shown)) for shown in batch)]
            answers = self._answers(asked, len(batch) * len(queries), progress, read)
            self.usage.shortened += int(answers["shortened"])
            parts.append(answers["scores"])
        return np.concatenate(parts)

    def _encode(self, shown: Sequence[Example], queries: Sequence[Example]) -> prompts.Encoded:
        return prompts.encode(
            self._lm.tokenizer,
            self._task.template,
            shown,
            queries,
            self._prompt.seam,
            self._prompt.overflow,
            self._lm.positions,
            delimiter=self._task.delimiter,
        )

    def _answers(
        self,
        asked: Sequence[str],
        prompts_asked: int,
        progress: Progress,
        read: Callable[[], dict[str, Array]],
    ) -> dict[str, Array]:
        """The stored answers to what was asked; if there are none, or spoilt ones, read anew."""
        path = self._folder / f"{digest(list(asked))[:24]}.safetensors"
        if (kept := _load(path)) is not None:
            answers = kept
            self.usage.kept += prompts_asked
            progress(prompts_asked)
        else:
            with self._counting() as tokens:
                answers = read()
            answers["tokens"] = np.array(sum(tokens))
            self.usage.forwards += len(tokens)
            self.usage.read += prompts_asked
            self._keep(path, answers)
        self.usage.tokens += int(answers["tokens"])
        return answers

    @contextmanager
    def _counting(self) -> Iterator[list[int]]:
        """The tokens of each of the model's forwards."""
        tokens: list[int] = []

        def count(_module: object, _args: object, kwargs: dict[str, Any], _out: object) -> None:
            tokens.append(kwargs["input_ids"].numel())

        hook = self._lm.model.register_forward_hook(count, with_kwargs=True)
        try:
            yield tokens
        finally:
            hook.remove()

    def _keep(self, path: Path, arrays: dict[str, Array]) -> None:
        described = json.dumps(self._identity, indent=1, ensure_ascii=False) + "\n"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            about = self._folder / "identity.json"
            if not about.exists():
                atomically(about, lambda file: file.write_text(described, encoding="utf-8"))
            about_arrays = {"checksum": _checksum(arrays)}
            atomically(path, lambda file: save_file(arrays, file, about_arrays))
        except OSError as error:
            raise UserError(
                f"cannot keep signals in {self._folder} ({error.strerror or error}): free it, or "
                "set DEEPTHINK_CACHE to another folder"
            ) from error


def _load(path: Path) -> dict[str, Array] | None:
    """The arrays of a file; None if it is not there, was cut, or holds other than was written."""
    try:
        with safe_open(path, "np") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            told = file.metadata() or {}
    except (OSError, SafetensorError):
        return None
    return arrays if told.get("checksum") == _checksum(arrays) else None


def _checksum(arrays: Mapping[str, Array]) -> str:
    """SHA-256 of names, types, shapes and values."""
    sha = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        sha.update(f"{name} {array.dtype} {array.shape} ".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()


def _words(example: Example) -> str:
    return f"{example.text}\x1f{example.label}\x1e"
