"""From a task's config to its pool, dev and test examples. It knows no prompts and no tokens."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from glob import escape
from pathlib import Path

from huggingface_hub.errors import (
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from deepthink import content, hub
from deepthink.config.tasks import SourceSpec, TaskSpec, WorkedExamples
from deepthink.config.templates import TEXT
from deepthink.errors import UserError, first_line
from deepthink.files import at_home
from deepthink.installation import called
from deepthink.kept import Kept
from deepthink.structures import Example, Source, Splits
from deepthink.tasks import github_files, harness_tasks, own, rows, worked_examples
from deepthink.tasks.examples import columns_of, examples_of, usual_rows
from deepthink.tasks.open_examples import open_examples_of
from deepthink.tasks.rows import Rows
from deepthink.tasks.split_files import Absent, listed
from deepthink.tasks.splitting import divide

BUNDLED = Path(__file__).parent / "bundled"
LIMIT = 200_000
"""The most examples that are kept for later jobs of the process: some 100 MB of short reviews."""


@dataclass(frozen=True)
class _Known:
    """Splits, and the `_state` of each source that was tried for them."""

    splits: Splits
    states: tuple[object, ...]


KEPT: Kept[_Known] = Kept(LIMIT)
"""The splits that `load` has read, by all that it was asked."""


def load(
    task: TaskSpec,
    data_root: str | None = None,
    test_size: int | None = None,
    dev_size: int | None = None,
    pool_size: int | None = None,
    overlap: str = "drop",
) -> Splits:
    """Read a task and split it.

    The test examples are the source's. For the dev set, as many of the source's training rows (at
    most half) are set aside by a fixed seed. The other training rows are the pool, which therefore
    depends on neither size. Where a benchmark gives its demonstrations, all of them are the pool.
    `test_size`, `dev_size` (default: as many as test) and `pool_size` (default: all) take a
    seeded, stratified subset. It is the same for every seed of a job, and smaller subsets are part
    of larger ones.

    With `overlap` "drop", no text is in two splits. Pool rows that are also in the whole test split
    or among all rows set aside for dev are left out, and so are dev rows that are also in the test
    split. Given demonstrations cannot be left out, so there the test rows are. "keep" leaves all
    rows in and only counts them.

    Splits that were read before in this process are read again only if a file below the folder of
    their source has changed since.

    >>> from deepthink.config.overrides import compose
    >>> splits = load(compose(["task=verdicts"]).task, test_size=10)  # the package carries its rows
    >>> len(splits.pool), len(splits.dev), len(splits.test)
    (160, 10, 10)

    Raises:
        UserError: data that is missing, unreachable or not as the config says, or too few rows.
    """
    task, root = own.resolved(task), _root(data_root)
    asked = (repr(task), root, test_size, dev_size, pool_size, overlap)
    known = KEPT.find(asked)
    if known is None or _states(task, root, len(known.states)) != known.states:
        source, before = _found(task, root)
        splits = divide(source, task, test_size, dev_size, pool_size, overlap)
        known = _Known(splits, before)
        if None not in before and _states(task, root, len(before)) == before:
            KEPT.keep(asked, known, len(splits.pool) + len(splits.dev) + len(splits.test))
    splits = known.splits
    return replace(splits, read_rows={**splits.read_rows}, overlap={**splits.overlap})


def fingerprint(splits: Splits, task: TaskSpec) -> str:
    """SHA-256 of all texts, labels and candidates of their own, on which a result depends."""
    digest = hashlib.sha256()
    for name in ("pool", "dev", "test"):
        for example in getattr(splits, name):
            options = () if task.labels else (*example.candidates, *_listed_twice(example, name))
            parts = (name, example.text, str(example.label), *options)
            digest.update(("\x1f".join(parts) + "\x1e").encode())
    return digest.hexdigest()


def _listed_twice(example: Example, split: str) -> tuple[str, ...]:
    """A mark where an answer is listed twice and counts once, which changes numbers.

    In a demonstration, only the right answer is read, so only its repetition counts.
    """
    right = example.candidates[example.label]
    once = len(set(example.candidates)) == len(example.candidates)
    shown_once = split == "pool" and example.candidates.count(right) == 1
    return () if once or shown_once else ("listed twice",)


def read(task: TaskSpec, data_root: str | None) -> Source:
    """All rows of a task's pool and test splits, from the first source that is there.

    Raises:
        UserError: no source is there, or one that is there is incomplete or not as the config says.
    """
    return _found(own.resolved(task), _root(data_root))[0]


def _root(data_root: str | None) -> Path | None:
    """The folder of all sources; None for the hub. UserError if it is not there."""
    root = None if data_root is None else Path(at_home(data_root))
    if root is not None and not root.is_dir():
        raise UserError(f"data_root '{data_root}' is not a folder")
    return root


def _found(task: TaskSpec, root: Path | None) -> tuple[Source, tuple[object, ...]]:
    """The first source that is there, and the `_state` of each source up to it before the read."""
    if task.harness is not None:
        return harness_tasks.source_of(task), ()
    states: list[object] = []
    absent: list[str] = []
    for source in task.sources:
        states.append(_state(source, task, root))
        try:
            complete = _read(source, task, root)
        except Absent as error:
            absent.append(str(error))
            continue
        except UserError as error:
            raise UserError(f"{task.name}: {error}") from error
        told = [
            *complete.told,
            *(f"the rows are those of {complete.repository}: {reason}" for reason in absent),
        ]
        return replace(complete, told=tuple(told)), tuple(states)
    others = ", ".join(source.repository for source in task.sources[1:])
    raise UserError(f"{task.name}: {absent[0]}" + (f" (also tried {others})" if others else ""))


def _states(task: TaskSpec, root: Path | None, count: int) -> tuple[object, ...]:
    """The `_state` of the first so many sources."""
    return tuple(_state(source, task, root) for source in task.sources[:count])


def _state(source: SourceSpec, task: TaskSpec, root: Path | None) -> object:
    """What is another value as soon as a source may be read otherwise; None as `content.states`.

    Worked examples that were downloaded have the hash that the config names, so only those below
    a `root` can change.
    """
    if task.own is not None:
        return own.states(task.own)
    try:
        folder = _folder(source, root)
    except UserError as error:
        return str(error)
    names = [*listed(folder), "README.md", "dataset_infos.json"]
    paths = [folder / name for name in names]
    for split in (source.pool, source.test):
        if isinstance(split, WorkedExamples) and root is not None:
            paths.append(worked_examples.path_below(root, split, task.member or ""))
    return content.states(paths)


def _read(source: SourceSpec, task: TaskSpec, root: Path | None) -> Source:
    of_own = own.rows_of(task) if task.own is not None else None
    pool, test = (of_own.pool, of_own.test) if of_own else _of_splits(source, task, root)
    if common := rows.common_rows(pool, test):
        other = "task.test_file" if of_own else "split as pool"
        raise UserError(
            f"pool '{source.pool}' and test '{source.test}' of {source.repository} have {common} "
            "rows of one file in common: demonstrations would show test rows with their labels, "
            f"choose another {other}"
        )
    names = [part.names.get(source.label) for part in (pool, test)]
    numbered = not all(isinstance(value, str) for value in source.classes or ())
    if None not in names and names[0] != names[1] and numbered:
        raise UserError(
            f"pool and test of {source.repository} name the classes of '{source.label}' "
            "differently: write names in classes, not numbers"
        )
    commit = None if source.bundled or root or of_own else _folder(source, None).name
    told = of_own.told if of_own else ()
    return replace(source_of(pool, test, source, task), commit=commit, told=told)


def source_of(pool: Rows, test: Rows, source: SourceSpec, task: TaskSpec) -> Source:
    """A source's rows as examples; UserError for a row that is none."""
    usual = usual_rows(test, source)
    examples = open_examples_of if task.open else examples_of
    return Source(
        source.repository,
        commit=None,
        pool=tuple(examples(pool, source, task)),
        test=tuple(examples(usual, source, task)),
        left_out=len(test) - len(usual),
    )


def _of_splits(source: SourceSpec, task: TaskSpec, root: Path | None) -> tuple[Rows, Rows]:
    """The rows of a source's pool and test splits."""
    parts: dict[str, Rows] = {}
    absent: list[Absent] = []
    for role in ("pool", "test"):
        try:
            parts[role] = _split_rows(source, role, task, root)
        except Absent as error:
            absent.append(error)
    if absent:  # a source that has only one of the two is broken, not absent
        raise UserError(str(absent[0])) if parts else absent[0]
    return parts["pool"], parts["test"]


def _split_rows(source: SourceSpec, role: str, task: TaskSpec, root: Path | None) -> Rows:
    """The rows of a source's pool or test split."""
    split, member = getattr(source, role), task.member or ""
    if isinstance(split, WorkedExamples):
        if other := [name for name in task.parsed.columns if name != TEXT]:
            raise UserError(
                f"task.template has column {{{other[0]}}}, but the worked examples of {task.name} "
                "have no column but {text}"
            )
        path, pairs = worked_examples.read(split, member, root)
        questions, answers = zip(*pairs, strict=True)
        places = [(path, number) for number in range(1, len(pairs) + 1)]
        return Rows({source.text: questions, source.label: answers}, places, {})
    patterns = source.files and {
        name: pattern.replace("{member}", escape(member)) for name, pattern in source.files.items()
    }
    return rows.read(_folder(source, root), split, patterns, columns_of(source, task))


def _folder(source: SourceSpec, root: Path | None) -> Path:
    """The folder of a source's files on this machine, fetched from the hub if need be."""
    if source.bundled:
        return BUNDLED / source.repository
    if root is not None:
        folder = root / source.repository
        if not folder.is_dir():
            raise Absent(f"data_root has no folder {source.repository}")
        return folder
    if source.sha256 is not None:
        return _files_of_github(source, source.sha256)
    patterns = [p.replace("{member}", "*") for p in (source.files or {}).values()] or ["*"]
    try:
        return hub.dataset_folder(source.repository, source.revision, tuple(patterns))
    except (ConnectionError, LocalEntryNotFoundError) as error:
        raise Absent(
            f"{source.repository} is not cached and the hub cannot be reached: set data_root to a "
            f"local mirror, or run '{called()} prefetch' where there is a network"
        ) from error
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise Absent(
            f"the hub does not have {source.repository} at {source.revision}, or not for you"
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(
            f"{source.repository} cannot be fetched from the hub ({first_line(error)})"
        ) from error


def _files_of_github(source: SourceSpec, sha256: Mapping[str, str]) -> Path:
    """The folder of the files that a source names at a commit on GitHub, fetched if need be."""
    commit = source.revision or ""
    for split, file in (source.files or {}).items():
        github_files.fetched(source.repository, commit, file, sha256[split], file, "files")
    return github_files.folder_of(source.repository, commit)
