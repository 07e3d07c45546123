"""Checks of single values of a config, each with an error of one line."""

import re
from typing import Any

from pydantic import ConfigDict

from deepthink.errors import UserError, shown, unknown

STRICT = ConfigDict(strict=True, extra="forbid")


MOST = 2**63 - 1
"""The largest number that a config may hold, which is the largest of a 64-bit integer."""


def check_choice(name: str, value: str, valid: tuple[str, ...]) -> None:
    """Raise UserError for a value that is none of the valid ones.

    >>> check_choice("device", "cp", ("cpu", "cuda"))
    Traceback (most recent call last):
    deepthink.errors.UserError: unknown value of device 'cp': did you mean cpu?
    """
    if value not in valid:
        raise unknown(f"value of {name}", value, valid)


def check_at_least(name: str, value: int | None, least: int) -> None:
    """Raise UserError for a number below the least; None passes."""
    if value is not None and value < least:
        raise UserError(f"{name} is {value}: it must be {least} or more")


_LONGEST_NAME = 200
"""Bytes. File systems allow 255 for one part of a path."""


_NO_NAME = re.compile(r"""^$|^[.~\s-]|[.\s]$|[\x00-\x1f\x7f/\\:*?"<>|\[\]]""")
"""What no name of a folder may hold: parts of paths, patterns and options, and invisible signs."""


def check_name(key: str, name: str) -> None:
    """Raise UserError for a text that cannot be the name of a folder of records."""
    if _NO_NAME.search(name) or not name.isprintable():
        raise UserError(
            f"{key} is {shown(name)}: it names a folder of the results, so it must be a plain "
            "name, such as gpt2-large"
        )
    if len(name.encode()) > _LONGEST_NAME:
        raise UserError(
            f"{key} is {shown(name)}: it has {len(name.encode())} bytes, a folder's name takes "
            f"{_LONGEST_NAME}"
        )


def plain_name(text: str) -> str:
    """The nearest text that may name a folder of records.

    >>> plain_name("tiny Q4_0 (copy)"), plain_name("...")
    ('tiny-Q4_0-copy', 'unnamed')
    """
    return re.sub(r"[^\w.-]+", "-", text).strip("-.")[:60].strip("-.") or "unnamed"


def check_named(key: str, named: dict[str, Any], example: str) -> None:
    """Raise UserError unless `named`, a dict of options, has a plain name at the key `name`."""
    what = key.rpartition(".")[2]
    name = named.get("name")
    if not isinstance(name, str):
        raise UserError(f"{key}.name is {shown(name)}: it must name a {what}, such as {example}")
    check_name(f"{key}.name", name)


def check_readings(names: list[str], calibration: str) -> None:
    """Raise UserError for a name that stands twice, or is that of the job's own calibration.

    >>> check_readings(["domain", "pmi", "domain"], "none")
    Traceback (most recent call last):
    deepthink.errors.UserError: readings has domain twice: leave one out
    """
    for name in names:
        check_name("readings", name)
        if names.count(name) > 1:
            raise UserError(f"readings has {name} twice: leave one out")
        if name == calibration != "none":
            raise UserError(
                f"readings has {name}, which is the calibration of this job: leave out one of both"
            )


def check_text(key: str, value: str) -> None:
    """Raise UserError for a text with bytes that are not UTF-8 or are null."""
    try:
        whole = "\0" not in value and value.encode()
    except UnicodeEncodeError:
        whole = False
    if whole is False:
        raise UserError(f"{key} is {shown(value)}: it holds bytes that are no text")


def with_breaks(typed: str) -> str:
    r"""A text in which \n and \t, written as two characters each, become a line break and a tab.

    Shells, and single quotes in YAML, leave the two characters as they are.

    >>> with_breaks(r"{text}\nIt was")
    '{text}\nIt was'
    """
    return typed.replace("\\n", "\n").replace("\\t", "\t")
