"""Which files of a dataset's folder hold a split.

A path is taken literally. Only the values of a source's `files` are patterns.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from glob import escape
from pathlib import Path, PurePosixPath

from fsspec.utils import glob_translate

from deepthink.errors import UserError, first_line
from deepthink.tasks.formats import KINDS, kind


class Absent(UserError):
    """The rows are not there at all, so another source may be tried."""


def files_of(folder: Path, split: str, patterns: Mapping[str, str] | None) -> list[Path]:
    """The files of a split, in order.

    patterns: from a split to its file pattern. Without it, the naming rules of the datasets
        library apply, and all files must be of one kind in one folder.

    Raises:
        Absent: the folder has no file of the split.
        UserError: several files may be meant, or parts of the split are missing.
    """
    present = listed(folder)
    if patterns is None:
        names = _by_name([name for name in present if kind(name) in KINDS], split)
        if len({_series(name, split) for name in names}) > 1:
            raise UserError(
                f"{folder}: split '{split}' may be {' or '.join(names[:3])}: say which in the "
                "source's files"
            )
    elif split in patterns:
        names = _matching(patterns[split], present)
    else:
        raise UserError(f"the source's files have no split '{split}' but {', '.join(patterns)}")
    if not names:
        raise Absent(f"{folder} has no file of split '{split}' (one of {', '.join(KINDS)})")
    missing = [n for n in _missing(names) if patterns is None or _matching(patterns[split], [n])]
    if missing:
        raise UserError(
            f"{folder}: split '{split}' lacks {len(missing)} of its files ({missing[0]})"
        )
    return [folder / name for name in names]


def _series(name: str, split: str) -> tuple[str, PurePosixPath, str]:
    """What all files of one split have in common: kind, folder, and a name that names the split.

    Digits in the name are replaced by zeros, because they may differ.
    """
    from datasets.data_files import SPLIT_KEYWORDS

    path = PurePosixPath(name)
    words = {str(key): words for key, words in SPLIT_KEYWORDS.items()}.get(split, [split])
    named = any(word in path.name for word in words)
    return kind(name), path.parent, re.sub(r"\d+", "0", path.name) if named else ""


_PART = re.compile(r"(.*-)(\d{4,6})(-of-)(\d{4,6})(?!\d)(.*)")
"""How the hub and the datasets library number the parts of a split."""


def _missing(names: Sequence[str]) -> Iterator[str]:
    """The numbered parts that are missing; ValueError where one split is divided in two ways."""
    series: dict[tuple[str, str], dict[str, set[int]]] = {}
    for name in names:
        if part := _PART.fullmatch(name):
            totals = series.setdefault((part[1], part[5].partition(".")[2]), {})
            totals.setdefault(part[4], set()).add(int(part[2]))
    for (stem, ending), totals in series.items():
        if len(totals) > 1:
            ways = " and ".join(f"{stem}*-of-{total}.{ending}" for total in totals)
            raise ValueError(f"{ways} may hold the same rows: say which in the source's files")
        for total, present in totals.items():
            first = 0 if int(total) not in present else 1
            for number in sorted({*range(first, first + int(total))} - present):
                yield f"{stem}{number:0{len(total)}}-of-{total}.{ending}"


def listed(folder: Path) -> list[str]:
    """The files below a folder as sorted relative paths, without hidden ones."""
    from datasets.data_files import FILES_TO_IGNORE

    paths: list[str] = []
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        seen.add(os.path.realpath(place))
        folders[:] = [
            name
            for name in folders
            if not name.startswith((".", "__"))
            and os.path.realpath(Path(place, name)) not in seen  # a link in a circle
        ]
        files_here = [Path(place, name) for name in files if name not in FILES_TO_IGNORE]
        paths += [
            path.relative_to(folder).as_posix()
            for path in files_here
            if path.is_file() and not path.name.startswith(".")
        ]
    return sorted(paths)


def _by_name(listed: Sequence[str], split: str) -> list[str]:
    """The files whose name or folder names a split, by the rules of the datasets library."""
    from datasets import data_files as rules

    keywords = {str(name): words for name, words in rules.SPLIT_KEYWORDS.items()}
    ways = (
        [rules.SPLIT_PATTERN_SHARDED.replace("{split}", escape(split))],
        rules.KEYWORDS_IN_DIR_NAME_BASE_PATTERNS,
        rules.KEYWORDS_IN_FILENAME_BASE_PATTERNS,
    )
    for way in ways:
        patterns = [
            pattern.format(keyword=escape(word), sep=rules.NON_WORDS_CHARS)
            for pattern in way
            for word in keywords.get(split, [split])
        ]
        if names := {name for pattern in patterns for name in _matching(pattern, listed)}:
            return sorted(names)
    others = [name for name in keywords if name != "train"]
    if split == "train" and not any(_by_name(listed, name) for name in others):
        return list(listed)
    return []


def _matching(pattern: str, listed: Sequence[str]) -> list[str]:
    """The file of exactly this name if there is one, otherwise the files that match the pattern."""
    plain = PurePosixPath(pattern).as_posix()
    if plain in listed:
        return [plain]
    try:
        matches = re.compile(glob_translate(plain)).match
    except ValueError as error:
        raise UserError(f"the source's files have '{pattern}' ({first_line(error)})") from error
    return [name for name in listed if matches(name)]
