"""The error that users read, and the words of its messages."""

from collections.abc import Iterable
from difflib import get_close_matches

from pydantic import ValidationError


class UserError(Exception):
    """An error that the user can put right; one line says what is wrong and what to do."""


def first_line(error: BaseException) -> str:
    r"""The message of an error in one line, or its type where it has no message.

    A first line that ends with a colon only announces the second, which is added. The first line of
    pydantic's errors only counts them, so the first error is taken.

    >>> first_line(ValueError("no such file\nhint: look again"))
    'no such file'
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
    """The error for a name that does not exist, which names the nearest ones that do.

    >>> unknown("seam", "apat", ["apart", "joint"])
    UserError("unknown seam 'apat': did you mean apart?")
    """
    valid = sorted(valid)
    near = get_close_matches(str(name), valid, n=3, cutoff=0.5)
    valid_names = f"valid: {', '.join(valid)}." if valid else "there is none."
    hint = f"did you mean {' or '.join(near)}?" if near else valid_names
    return UserError(f"unknown {kind} '{name}': {hint}")


def shown(value: object) -> str:
    """A value as messages show it: in one line, and cut where it is long.

    >>> shown([1, 2])
    '[1, 2]'
    >>> len(shown("a" * 1000))
    71
    """
    text = " ".join(line.strip() for line in repr(value).splitlines())
    return text if len(text) <= 80 else f"{text[:60]}…{text[-10:]}"
