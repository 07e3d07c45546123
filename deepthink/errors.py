"""The one error type a user is meant to read."""

from collections.abc import Iterable
from difflib import get_close_matches

from pydantic import ValidationError


class UserError(Exception):
    """Something the user can put right: one line that says what is wrong and what to do."""


def first_line(error: BaseException) -> str:
    """What an error says, in one line; its type where it says nothing.

    A line that only announces the next one, with a colon at its end, is followed by it; the first
    line of pydantic's errors only counts them.
    """
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return ": ".join([".".join(map(str, first["loc"])), first["msg"]])
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    announced = lines[0].endswith(":") and len(lines) > 1
    return " ".join(lines[: 2 if announced else 1])


def unknown(kind: str, name: object, valid: Iterable[str]) -> UserError:
    """The error for a name that does not exist, with the nearest names that do."""
    valid = sorted(valid)
    near = get_close_matches(str(name), valid, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"valid: {', '.join(valid)}."
    return UserError(f"unknown {kind} '{name}': {hint}")
