"""From a task's config to its pool, dev and test examples. No prompts, no tokens."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
from huggingface_hub.errors import (
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from deepthink import hub
from deepthink.config.tasks import SourceSpec, TaskSpec, WorkedExamples
from deepthink.errors import UserError, first_line
from deepthink.files import at_home
from deepthink.installation import called
from deepthink.structures import Example, Source, Splits
from deepthink.tasks import listed_options, overlaps, rows, worked_examples
from deepthink.tasks.classes import Classes, classes_of
from deepthink.tasks.rows import Rows

BUNDLED = Path(__file__).parent / "bundled"
_SPLIT_SEED = 20240811


def load(
    task: TaskSpec,
    data_root: str | None = None,
    test_size: int | None = None,
    dev_size: int | None = None,
    pool_size: int | None = None,
    overlap: str = "drop",
) -> Splits:
    """Read a task and split it.

    The test examples are the source's. As many rows as those (at most half) are set aside from
    the source's training rows, by a fixed seed, for the dev set; the others are the pool, which
    therefore depends on neither size. Given demonstrations are all pool. `test_size`, `dev_size`
    (default: as many as test) and `pool_size` (default: all) take a seeded, stratified subset, the
    same for every seed of a job; smaller subsets are part of larger ones.

    No text is in two splits (`overlap` "drop"): pool rows that are also in the whole test split or
    among all rows set aside for dev are left out, and so are dev rows that are also in the test
    split. Given demonstrations cannot be left out: there the test rows are. "keep" counts them.

    Raises:
        UserError: data that is missing, unreachable or not as the config says, or too few rows.
    """
    source = read(task, data_root)
    pool, test = source.pool, source.test
    order, tested = _order(pool), _order(test)
    reserved = 0 if task.given else min(len(test), len(pool) // 2)
    free, aside = order[reserved:], order[:reserved]
    twice = overlaps.find(source, free, aside, task)
    if overlap == "drop":
        free = [i for i in free if i not in twice.pool]
        aside = [i for i in aside if i not in twice.dev]
        tested = [i for i in tested if i not in twice.test]
    for split, left in (("test examples", tested), ("examples to choose from", free)):
        if not left:
            raise UserError(
                f"{task.name} has no {split} whose text is not in another split too: choose other "
                "splits, or keep them with pool.overlap=keep"
            )
    for name, size, left, what in (
        ("test_size", test_size, tested, "test examples"),
        ("dev_size", dev_size, aside, "dev examples"),
        ("pool_size", pool_size, free, "examples to choose from"),
    ):
        if size is not None and size > len(left):
            raise UserError(f"{name} is {size}, but {task.name} has {len(left)} {what}")
    wanted = len(tested[:test_size]) if dev_size is None else dev_size
    splits = Splits(
        pool=tuple(pool[i] for i in sorted(free[:pool_size])),
        dev=tuple(pool[i] for i in sorted(aside[:wanted])),
        test=tuple(test[i] for i in sorted(tested[:test_size])),
        repository=source.repository,
        commit=source.commit,
        read_rows={"pool": len(pool), "test": len(test)},
        left_out=source.left_out,
        overlap=twice.counts,
    )
    told = (*source.told, *twice.told(overlap), *_told_of_classes(splits, task))
    return replace(splits, told=told)


def _order(examples: Sequence[Example]) -> list[int]:
    return stratified_order([e.label for e in examples], np.random.default_rng(_SPLIT_SEED))


def _told_of_classes(splits: Splits, task: TaskSpec) -> Iterator[str]:
    """Splits of one class, and classes of which no demonstration can be."""
    for name in ("pool", "dev", "test"):
        examples: tuple[Example, ...] = getattr(splits, name)
        labels = {example.label for example in examples}
        lacking = [word for label, word in enumerate(task.labels) if label not in labels]
        if len(labels) == 1 and len(examples) > 1:
            (label,) = labels
            answer = f"the label {task.labels[label]}" if task.labels else f"option {label + 1}"
            yield f"the right answer of all {len(examples)} {name} rows is {answer}"
        elif name == "pool" and lacking:
            yield f"no pool row has the label {', '.join(lacking)}"


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
            own = () if task.labels else (*example.candidates, *_listed_twice(example, name))
            parts = (name, example.text, str(example.label), *own)
            digest.update(("\x1f".join(parts) + "\x1e").encode())
    return digest.hexdigest()


def _listed_twice(example: Example, split: str) -> tuple[str, ...]:
    """A mark where one answer is listed twice and counts as one, which changes numbers.

    Of a demonstration, only its right answer matters.
    """
    right = example.candidates[example.label]
    once = len(set(example.candidates)) == len(example.candidates)
    shown_once = split == "pool" and example.candidates.count(right) == 1
    return () if once or shown_once else ("listed twice",)


def read(task: TaskSpec, data_root: str | None) -> Source:
    """All rows of a task's pool and test splits, from the first source that is there.

    A source that is there but cut, or not as the config says, is told and not passed over.
    """
    root = None if data_root is None else Path(at_home(data_root))
    if root is not None and not root.is_dir():
        raise UserError(f"data_root '{data_root}' is not a folder")
    absent: list[str] = []
    for source in task.sources:
        try:
            found = _read(source, task, root)
        except rows.Absent as error:
            absent.append(str(error))
            continue
        except UserError as error:
            raise UserError(f"{task.name}: {error}") from error
        told = [f"the rows are those of {found.repository}: {reason}" for reason in absent]
        return replace(found, told=tuple(told))
    others = ", ".join(source.repository for source in task.sources[1:])
    raise UserError(f"{task.name}: {absent[0]}" + (f" (also tried {others})" if others else ""))


def _read(source: SourceSpec, task: TaskSpec, root: Path | None) -> Source:
    found: dict[str, Rows] = {}
    absent: list[rows.Absent] = []
    for role in ("pool", "test"):
        try:
            found[role] = _split_rows(source, role, task, root)
        except rows.Absent as error:
            absent.append(error)
    if absent:  # one of two is not absent but broken
        raise UserError(str(absent[0])) if found else absent[0]
    pool, test = found["pool"], found["test"]
    if common := rows.shared(pool, test):
        raise UserError(
            f"pool '{source.pool}' and test '{source.test}' of {source.repository} have {common} "
            "rows of one file in common: demonstrations would show test rows with their labels, "
            "choose another split as pool"
        )
    names = [part.names.get(source.label) for part in (pool, test)]
    numbered = not all(isinstance(one, str) for one in source.classes or ())
    if None not in names and names[0] != names[1] and numbered:
        raise UserError(
            f"pool and test of {source.repository} name the classes of '{source.label}' "
            "differently: write names in classes, not numbers"
        )
    usual = _usual(test, source)
    return Source(
        source.repository,
        commit=None if source.bundled or root else _folder(source, None).name,
        pool=tuple(_examples(pool, source, task)),
        test=tuple(_examples(usual, source, task)),
        left_out=len(test) - len(usual),
    )


def _split_rows(source: SourceSpec, role: str, task: TaskSpec, root: Path | None) -> Rows:
    """The rows of a source's pool or test split."""
    split, member = getattr(source, role), task.member or ""
    if isinstance(split, WorkedExamples):
        path, found = worked_examples.read(split, member, root)
        questions, answers = zip(*found, strict=True)
        places = [(path, number) for number in range(1, len(found) + 1)]
        return Rows({source.text: questions, source.label: answers}, places, {})
    patterns = source.files and {
        name: pattern.replace("{member}", escape(member)) for name, pattern in source.files.items()
    }
    wanted = dict.fromkeys((source.text, source.label, source.choices or source.text))
    return rows.read(_folder(source, root), split, patterns, list(wanted))


def _folder(source: SourceSpec, root: Path | None) -> Path:
    """Where a source's files lie on this machine, fetched from the hub if need be."""
    if source.bundled:
        return BUNDLED / source.repository
    if root is not None:
        folder = root / source.repository
        if not folder.is_dir():
            raise rows.Absent(f"data_root has no folder {source.repository}")
        return folder
    patterns = [p.replace("{member}", "*") for p in (source.files or {}).values()] or ["*"]
    try:
        return hub.dataset_folder(source.repository, source.revision, tuple(patterns))
    except (ConnectionError, LocalEntryNotFoundError) as error:
        raise rows.Absent(
            f"{source.repository} is not cached and the hub cannot be reached: set data_root to a "
            f"local mirror, or run '{called()} prefetch' where there is a network"
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise rows.Absent(
            f"the hub does not have {source.repository} at {source.revision}, or not for you"
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(
            f"{source.repository} cannot be fetched from the hub ({first_line(error)})"
        ) from error


def _listed(source: SourceSpec) -> bool:
    """Whether a row's options are listed at the end of its text."""
    return source.choices == source.text


def _usual(found: Rows, source: SourceSpec) -> Rows:
    """The rows with the usual number of listed options, as the paper keeps them (Table 6)."""
    if not _listed(source) or source.classes is not None:
        return found
    texts = found.columns[source.text]
    numbers = [
        len(listed_options.parse(text).options) if isinstance(text, str) else 0 for text in texts
    ]
    usual = listed_options.usual(numbers)
    return found.take(i for i, number in enumerate(numbers) if number == usual)


def _examples(found: Rows, source: SourceSpec, task: TaskSpec) -> Iterator[Example]:
    names = found.names.get(source.label, ())
    classes = source.classes and classes_of(source.classes, names, task.labels, source.label)
    columns = (source.text, source.label, source.choices or source.text)
    cells = zip(*(found.columns[name] for name in columns), strict=True)
    for index, (text, gold, options) in enumerate(cells):
        try:
            yield _example(text, gold, options, classes or None, source, task)
        except ValueError as error:
            raise UserError(f"{found.where(index)} {error}") from error


def _example(
    text: Any, gold: Any, options: Any, classes: Classes | None, source: SourceSpec, task: TaskSpec
) -> Example:
    """One row as an example; ValueError says what it has or lacks.

    In a row of options, `gold` is an index or, if listed, a mark.
    """
    letters = task.answer == "letter"
    text = _words(text, "no text")
    candidates: tuple[str, ...] = tuple(task.labels)
    if _listed(source):
        listed = listed_options.parse(text)
        if classes is None:
            if not listed.marks:
                raise ValueError("lists no options at its end")
            classes = Classes(listed.marks)
            candidates = listed.marks if letters else listed.options
        text = text if letters else listed.question
    elif source.choices is not None:
        if not isinstance(options, list) or not options:
            raise ValueError(f"has options {options!r}, which is no list of texts")
        candidates = tuple(_words(one, f"options {options!r}") for one in options)
        classes = classes or Classes(tuple(range(len(options))))
        if letters:
            text, candidates = listed_options.with_letters(text, candidates)
    assert classes is not None  # or the rows have options, see SourceSpec
    label = classes.index(gold)
    if label is None:
        mixed = isinstance(gold, str) and any(isinstance(one, bool) for one in classes.written)
        hint = " (YAML reads no and yes as false and true: put quotation marks)" if mixed else ""
        raise ValueError(f"has label {gold!r}, which is none of {list(classes.written)}{hint}")
    return Example(text, candidates, label)


def _words(value: Any, without: str) -> str:
    """A cell's text without the space around it."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"has {without}")
    value.encode()  # half of a character, as JSON can have it, is none
    return value.strip()
