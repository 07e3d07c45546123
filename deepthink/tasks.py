"""From a task's config to its pool, dev and test examples. No prompts, no tokens."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepthink import hub
from deepthink.config import SourceSpec, TaskSpec
from deepthink.errors import UserError, first_line
from deepthink.structures import Example, Source, Splits

BUNDLED = Path(__file__).parent / "data"
_SPLIT_SEED = 20240811


def load(
    task: TaskSpec,
    data_root: str | None = None,
    test_size: int | None = None,
    dev_size: int | None = None,
) -> Splits:
    """Read a task and split it.

    The test examples are the source's. As many rows as those (at most half) are set aside from
    the source's training rows, by a fixed seed, for the dev set; the others are the pool, which
    therefore depends on neither size. `test_size` and `dev_size` (default: as many as test) take
    a seeded, stratified subset; smaller subsets are part of larger ones.

    Raises:
        UserError: data that is missing, unreachable or not as the config says, or too few rows.
    """
    source = read(task, data_root)
    pool, test = source.pool, source.test
    order = stratified_order([e.label for e in pool], np.random.default_rng(_SPLIT_SEED))
    reserved = min(len(test), len(pool) // 2)
    if test_size is not None and test_size > len(test):
        raise UserError(f"test_size is {test_size}, but {task.name} has {len(test)} test examples")
    test = _subset(test, test_size)
    wanted = len(test) if dev_size is None else dev_size
    if dev_size is not None and dev_size > reserved:
        raise UserError(f"dev_size is {dev_size}, but {task.name} has {reserved} dev examples")
    return Splits(
        pool=tuple(pool[i] for i in sorted(order[reserved:])),
        dev=tuple(pool[i] for i in sorted(order[: min(wanted, reserved)])),
        test=test,
        repository=source.repository,
        read_rows={"pool": len(pool), "test": len(source.test)},
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


def fingerprint(splits: Splits) -> str:
    """SHA-256 of all texts and labels: what a result owes to the data."""
    digest = hashlib.sha256()
    for name in ("pool", "dev", "test"):
        for example in getattr(splits, name):
            digest.update(f"{name}\x1f{example.text}\x1f{example.label}\x1e".encode())
    return digest.hexdigest()


def read(task: TaskSpec, data_root: str | None) -> Source:
    """All rows of a task's pool and test splits, from the first source that has them."""
    if data_root is not None and not Path(data_root).is_dir():
        raise UserError(f"data_root '{data_root}' is not a folder")
    failures = []
    for source in task.sources:
        try:
            pool, test = (_read_split(source, split, data_root) for split in ("pool", "test"))
        except UserError as error:
            failures.append(str(error))
        else:
            rows = (tuple(_examples(split, source, task)) for split in (pool, test))
            return Source(source.repository, *rows)
    others = ", ".join(source.repository for source in task.sources[1:])
    raise UserError(f"{task.name}: {failures[0]}" + (f" (also tried {others})" if others else ""))


def _read_split(source: SourceSpec, role: str, data_root: str | None) -> Any:
    """One split of a source as a `datasets.Dataset`."""
    local = source.bundled or data_root is not None
    if not local:
        hub.settle()  # before the import below, which reads the mode
    import datasets

    datasets.disable_progress_bars()
    datasets.logging.set_verbosity(datasets.logging.CRITICAL)  # told once, by the error below
    where: dict[str, Any] = {"path": source.repository, "revision": source.revision}
    if source.bundled:
        where = {"path": str(BUNDLED / source.repository)}
    elif data_root is not None:
        folder = Path(data_root) / source.repository
        if not folder.is_dir():
            raise UserError(f"data_root has no folder {source.repository}")
        where = {"path": str(folder)}
    split = getattr(source, role)
    try:
        return datasets.load_dataset(**where, data_files=source.files, split=split)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(_explain(error, source, split, where["path"], local)) from error
    except datasets.exceptions.DatasetGenerationError as error:
        cause = _explain(error.__cause__ or error, source, split, where["path"], local=True)
        raise UserError(cause) from error


def _explain(error: Exception, source: SourceSpec, split: str, path: str, local: bool) -> str:
    if local:
        return f"{path}: split '{split}' cannot be read ({first_line(error)})"
    if isinstance(error, ConnectionError) or os.environ.get("HF_HUB_OFFLINE"):
        return (
            f"{source.repository} is not cached and the hub cannot be reached: set data_root to a "
            "local mirror, or run scripts/prefetch.py where there is a network"
        )
    return f"{source.repository} cannot be loaded from the hub ({first_line(error)})"


def _examples(rows: Any, source: SourceSpec, task: TaskSpec) -> list[Example]:
    columns: Mapping[str, Any] = rows.features
    for column in (source.text, source.label):
        if column not in columns:
            raise UserError(
                f"{task.name}: {source.repository} has no column '{column}' "
                f"(it has {', '.join(columns)})"
            )
    index = {value: i for i, value in enumerate(source.classes)}
    examples = []
    for text, value in zip(rows[source.text], rows[source.label], strict=True):
        if value not in index or not isinstance(text, str) or not text.strip():
            raise UserError(
                f"{task.name}: {source.repository} has a row without text or with label "
                f"{value!r}, which is none of {source.classes}"
            )
        examples.append(Example(text.strip(), index[value]))
    return examples
