"""A model's answers about a pool, kept on disk for all selectors and seeds.

    <cache>/signals/<model>-<task>-<id>/identity.json      what the answers depend on
    <cache>/signals/<model>-<task>-<id>/<hash>.safetensors  answers to one batch of prompts

A batch is recognised by a hash of its examples. So interrupted work goes on at the first batch that
is missing, and the same question is answered from its file, if the checksum is right. <cache> is
DEEPTHINK_CACHE.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from deepthink import hub
from deepthink.config.job import Config
from deepthink.engine.scoring import Scorer
from deepthink.engine.token_budget import TokenBudget
from deepthink.errors import UserError
from deepthink.files import atomically
from deepthink.models.loading import LM
from deepthink.selection.outer import Array
from deepthink.selection.pool import Progress, Usage
from deepthink.store.identity import Identity, digest
from deepthink.structures import Example
from deepthink.tasks import prompts


class ModelReader:
    """Answers a `Pool` with a model, or from the files of its earlier answers.

    key: the identity of the job. The answers depend on its model, task, prompt and answer score.
    batch: prompts to a file, which is the most that an interruption loses (with a small model on a
        CPU, half a minute of work).
    folder: where the answers are kept.
    """

    def __init__(
        self,
        lm: LM,
        config: Config,
        key: Identity,
        budget: TokenBudget,
        batch: int = 512,
    ) -> None:
        task = {name: value for name, value in key.task.stored().items() if name != "data"}
        self.usage = Usage()
        self.answer_score = config.answer_score
        self._lm = lm
        self._task = config.task
        self._prompt, self._method = config.prompt, config.method
        self._budget = budget
        self._batch = batch
        identity = {
            "protocol": key.protocol,
            "model": key.model.stored(),
            "task": task,
            "prompt": key.prompt.stored(),
            "answer_score": key.answer_score,
        }
        name = f"{config.model.name}-{config.task.name}-{digest(identity)[:8]}"
        cache = hub.cache_folder()
        self.folder = cache / "signals" / name
        self._cache = cache
        self._identity = identity

    @cached_property
    def answer_tokens(self) -> list[int]:
        """How many tokens each label word has."""
        words = self.encode((), [Example("x", tuple(self._task.labels), 0)]).candidates[0]
        return [len(ids) for ids in words]

    def zero_shot(self, examples: Sequence[Example], progress: Progress) -> tuple[Array, Array]:
        """Hidden states [n, d] and label scores [n, C], as in `pool.Reader`, float32."""
        scorer = Scorer(self._lm.model, self.answer_score, self._budget, progress)
        parts = []
        for begin in range(0, len(examples), self._batch):
            batch = examples[begin : begin + self._batch]

            def read(batch: Sequence[Example] = batch) -> dict[str, Array]:
                encoded = self.encode((), batch)
                scores, states = scorer.with_states(
                    [encoded.demonstrations + query for query in encoded.queries],
                    encoded.candidates,
                )
                return {"hidden": states.numpy(), "scores": np.array(scores, np.float32)}

            question = ["zero-shot", *map(_words, batch)]
            parts.append(self._answers(question, len(batch), scorer, progress, read))
        return (
            np.concatenate([part["hidden"] for part in parts]),
            np.concatenate([part["scores"] for part in parts]),
        )

    def after(
        self, sets: Sequence[Sequence[Example]], queries: Sequence[Example], progress: Progress
    ) -> Array:
        """Label scores [S, Q, C] from plain prompts (T = 1), as in `pool.Reader`, float32.

        The demonstrations are written, and shortened, as in a job. UserError where a job reads them
        in groups.
        """
        if self._method.groups > 1:
            raise UserError(
                f"the rule {self._method.selector['name']} tries demonstrations as one prompt, not "
                f"as {self._method.groups} groups: set method.groups=1, or take another rule"
            )
        scorer = Scorer(self._lm.model, self.answer_score, self._budget, progress)
        size = max(1, self._batch // len(queries))
        questions = digest([*map(_words, queries)])
        parts = []
        for begin in range(0, len(sets), size):
            batch = sets[begin : begin + size]

            def read(batch: Sequence[Sequence[Example]] = batch) -> dict[str, Array]:
                encoded = [self.encode(shown, queries) for shown in batch]
                scores = scorer.after(
                    [prompt.demonstrations for prompt in encoded],
                    [prompt.queries for prompt in encoded],
                    [prompt.candidates for prompt in encoded],
                )
                pairs = zip(encoded, batch, strict=True)
                cut = sum(prompt.kept < len(shown) or prompt.truncated for prompt, shown in pairs)
                return {"scores": np.array(scores, np.float32), "shortened": np.array(cut)}

            question = ["after", questions, *("\x1d".join(map(_words, shown)) for shown in batch)]
            count = len(batch) * len(queries)
            answers = self._answers(question, count, scorer, progress, read)
            self.usage.shortened += int(answers["shortened"])
            parts.append(answers["scores"])
        return np.concatenate(parts)

    def encode(self, shown: Sequence[Example], queries: Sequence[Example]) -> prompts.Encoded:
        """The prompts as a job with T = 1 would write them."""
        return prompts.encode(
            self._lm.tokenizer,
            self._task.parsed.prompt,
            shown,
            queries,
            self._prompt.seam,
            self._prompt.overflow,
            self._lm.positions,
            delimiter=self._task.delimiter,
            chat=self._prompt.chat,
        )

    def _answers(
        self,
        question: Sequence[str],
        count: int,
        scorer: Scorer,
        progress: Progress,
        read: Callable[[], dict[str, Array]],
    ) -> dict[str, Array]:
        """The stored answers to a question of `count` prompts; `read` gives what is missing.

        scorer: what `read` scores with, which counts its forwards.

        A file whose checksum is wrong counts as missing.
        """
        hub.hold(self._cache)
        path = self.folder / f"{digest(list(question))[:24]}.safetensors"
        if (kept := _load(path)) is not None:
            answers = kept
            self.usage.kept += count
            progress(count)
        else:
            before = len(scorer.forwards)
            answers, forwards = read(), scorer.forwards[before:]
            answers["tokens"] = np.array(sum(forwards))
            self.usage.forwards += len(forwards)
            self.usage.read += count
            self._keep(path, answers)
        self.usage.tokens += int(answers["tokens"])
        return answers

    def _keep(self, path: Path, arrays: dict[str, Array]) -> None:
        described = json.dumps(self._identity, indent=1, ensure_ascii=False) + "\n"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            about = self.folder / "identity.json"
            if not about.exists():
                atomically(about, lambda file: file.write_text(described, encoding="utf-8"))
            about_arrays = {"checksum": _checksum(arrays)}
            atomically(path, lambda file: save_file(arrays, file, about_arrays))
        except OSError as error:
            raise UserError(
                f"cannot keep signals in {self.folder} ({error.strerror or error}): free it, or "
                "set DEEPTHINK_CACHE to another folder"
            ) from error


def _load(path: Path) -> dict[str, Array] | None:
    """The arrays of a file; None if it is absent, was cut, or is not as it was written."""
    try:
        with safe_open(path, "np") as file:
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except (OSError, SafetensorError):
        return None
    return arrays if metadata.get("checksum") == _checksum(arrays) else None


def _checksum(arrays: Mapping[str, Array]) -> str:
    """SHA-256 of names, types, shapes and values."""
    sha = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        sha.update(f"{name} {array.dtype} {array.shape} ".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()


def _words(example: Example) -> str:
    return f"{example.text}\x1f{example.label}\x1e"
