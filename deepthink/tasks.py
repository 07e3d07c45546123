"""From a task's config to its pool, dev and test examples. No prompts, no tokens."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub.errors import LocalEntryNotFoundError

from deepthink import choices, hub, worked
from deepthink.config import SourceSpec, TaskSpec, WorkedExamples
from deepthink.errors import UserError, first_line
from deepthink.structures import Example, Source, Splits

BUNDLED = Path(__file__).parent / "data"
_SPLIT_SEED = 20240811


def load(
    task: TaskSpec,
    data_root: str | None = None,
    test_size: int | None = None,
    dev_size: int | None = None,
    pool_size: int | None = None,
) -> Splits:
    """Read a task and split it.

    The test examples are the source's. As many rows as those (at most half) are set aside from
    the source's training rows, by a fixed seed, for the dev set; the others are the pool, which
    therefore depends on neither size. Given demonstrations are all pool. `test_size`, `dev_size`
    (default: as many as test) and `pool_size` (default: all) take a seeded, stratified subset, the
    same for every seed of a job; smaller subsets are part of larger ones.

    Raises:
        UserError: data that is missing, unreachable or not as the config says, or too few rows.
    """
    source = read(task, data_root)
    pool, test = source.pool, source.test
    order = stratified_order([e.label for e in pool], np.random.default_rng(_SPLIT_SEED))
    reserved = 0 if task.given else min(len(test), len(pool) // 2)
    if test_size is not None and test_size > len(test):
        raise UserError(f"test_size is {test_size}, but {task.name} has {len(test)} test examples")
    test = _subset(test, test_size)
    wanted = len(test) if dev_size is None else dev_size
    if dev_size is not None and dev_size > reserved:
        raise UserError(f"dev_size is {dev_size}, but {task.name} has {reserved} dev examples")
    free = order[reserved:]
    if pool_size is not None and pool_size > len(free):
        raise UserError(
            f"pool_size is {pool_size}, but {task.name} has {len(free)} examples to choose from"
        )
    return Splits(
        pool=tuple(pool[i] for i in sorted(free[:pool_size])),
        dev=tuple(pool[i] for i in sorted(order[: min(wanted, reserved)])),
        test=test,
        repository=source.repository,
        commit=source.commit,
        read_rows={"pool": len(pool), "test": len(source.test)},
        left_out=source.left_out,
    )


def _subset(examples: tuple[Example, ...], size: int | None) -> tuple[Example, ...]:
    order = stratified_order([e.label for e in examples], np.random.default_rng(_SPLIT_SEED))
    return tuple(examples[i] for i in sorted(order[:size]))


def stratified_order(labels: Sequence[int], rng: np.random.Generator) -> list[int]:
    """A shuffled order whose every beginning holds the classes in (almost) their proportions."""
    shuffled = rng.permutation(len(labels))
    totals = np.bincount(labels)
    seen = np.zeros_like(totals)
    keys = np.empty(len(labels))
    for place, index in enumerate(shuffled):
        label = labels[index]
        keys[place] = (seen[label] + 0.5) / totals[label]
        seen[label] += 1
    return [int(i) for i in shuffled[np.argsort(keys, kind="stable")]]


def fingerprint(splits: Splits, task: TaskSpec) -> str:
    """SHA-256 of all texts, labels and own candidates: what a result owes to the data."""
    digest = hashlib.sha256()
    for name in ("pool", "dev", "test"):
        for example in getattr(splits, name):
            own = () if task.labels else example.candidates
            parts = (name, example.text, str(example.label), *own)
            digest.update(("\x1f".join(parts) + "\x1e").encode())
    return digest.hexdigest()


def read(task: TaskSpec, data_root: str | None) -> Source:
    """All rows of a task's pool and test splits, from the first source that has them."""
    if data_root is not None and not Path(data_root).is_dir():
        raise UserError(f"data_root '{data_root}' is not a folder")
    failures = []
    for source in task.sources:
        try:
            rows = {role: _rows(source, role, task.member, data_root) for role in ("pool", "test")}
        except UserError as error:
            failures.append(str(error))
        else:
            usual = _usual(rows["test"], source)
            return Source(
                source.repository,
                commit=None if source.bundled or data_root else _folder(source, None).name,
                pool=tuple(_examples(rows["pool"], source, task)),
                test=tuple(_examples(usual, source, task)),
                left_out=_count(rows["test"]) - _count(usual),
            )
    others = ", ".join(source.repository for source in task.sources[1:])
    raise UserError(f"{task.name}: {failures[0]}" + (f" (also tried {others})" if others else ""))


Rows = Mapping[str, Sequence[Any]]
"""Columns by name."""


def _rows(source: SourceSpec, role: str, member: str | None, data_root: str | None) -> Rows:
    """The rows of a source's pool or test split."""
    split = getattr(source, role)
    if isinstance(split, WorkedExamples):
        questions, answers = zip(*worked.read(split, member or "", data_root), strict=True)
        return {source.text: questions, source.label: answers}
    folder = _folder(source, data_root)
    files = source.files and {
        name: pattern.replace("{member}", member or "") for name, pattern in source.files.items()
    }
    import datasets
    from datasets.exceptions import DatasetGenerationError

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # told once, by the error below
    try:
        return datasets.load_dataset(str(folder), data_files=files, split=split)[:]
    except (OSError, ValueError, RuntimeError, DatasetGenerationError) as error:
        told = error.__cause__ if isinstance(error, DatasetGenerationError) else None
        reason = first_line(told or error)
        raise UserError(f"{folder}: split '{split}' cannot be read ({reason})") from error


def _folder(source: SourceSpec, data_root: str | None) -> Path:
    """Where a source's files lie on this machine, fetched from the hub if need be."""
    if source.bundled:
        return BUNDLED / source.repository
    if data_root is not None:
        folder = Path(data_root) / source.repository
        if not folder.is_dir():
            raise UserError(f"data_root has no folder {source.repository}")
        return folder
    patterns = [p.replace("{member}", "*") for p in (source.files or {}).values()] or ["*"]
    try:
        return hub.dataset_folder(source.repository, source.revision, tuple(patterns))
    except (ConnectionError, LocalEntryNotFoundError) as error:
        raise UserError(
            f"{source.repository} is not cached and the hub cannot be reached: set data_root to a "
            "local mirror, or run scripts/prefetch.py where there is a network"
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(
            f"{source.repository} cannot be fetched from the hub ({first_line(error)})"
        ) from error


def _listed(source: SourceSpec) -> bool:
    """Whether a row's options are listed at the end of its text."""
    return source.choices == source.text


def _count(rows: Rows) -> int:
    return len(next(iter(rows.values())))


def _usual(rows: Rows, source: SourceSpec) -> Rows:
    """The rows with the usual number of listed options, as the paper keeps them (Table 6)."""
    if source.text not in rows or not _listed(source) or source.classes is not None:
        return rows
    numbers = [len(choices.parse(text).options) for text in rows[source.text]]
    usual = choices.usual(numbers)
    return {
        name: [value for value, number in zip(column, numbers, strict=True) if number == usual]
        for name, column in rows.items()
    }


def _examples(rows: Rows, source: SourceSpec, task: TaskSpec) -> list[Example]:
    wanted = {source.text, source.label}
    if source.choices is not None:
        wanted.add(source.choices)
    for column in sorted(wanted):
        if column not in rows:
            raise UserError(
                f"{task.name}: {source.repository} has no column '{column}' "
                f"(it has {', '.join(rows)})"
            )
    columns = (rows[name] for name in (source.text, source.label, source.choices or source.text))
    return [
        _example(text, gold, options, source, task)
        for text, gold, options in zip(*columns, strict=True)
    ]


def _example(text: Any, gold: Any, options: Any, source: SourceSpec, task: TaskSpec) -> Example:
    """One row as an example. In a row of options, `gold` is an index or, if listed, a mark."""
    letters = task.answer == "letter"
    if not isinstance(text, str) or not text.strip():
        raise UserError(f"{task.name}: {source.repository} has a row without text")
    text = text.strip()
    valid: Sequence[Any]
    candidates: tuple[str, ...]
    if _listed(source):
        listed = choices.parse(text)
        valid, candidates = listed.marks, listed.marks if letters else listed.options
        text = text if letters else listed.question
    elif source.choices is not None:
        if not isinstance(options, list) or not all(
            isinstance(o, str) and o.strip() for o in options
        ):
            raise UserError(f"{task.name}: {source.repository} has a row with options {options!r}")
        valid, candidates = range(len(options)), tuple(option.strip() for option in options)
        if letters:
            text, candidates = choices.with_letters(text, candidates)
    if source.classes is not None:
        valid, candidates = source.classes, tuple(task.labels)
    if gold not in valid:
        raise UserError(
            f"{task.name}: {source.repository} has a row with label {gold!r}, "
            f"which is none of {list(valid)}"
        )
    return Example(text, candidates, valid.index(gold))
