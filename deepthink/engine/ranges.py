"""Where demonstrations and their answers stand among tokens, as ranges."""

from collections.abc import Sequence

from deepthink.errors import UserError


def checked_ranges(
    ranges: Sequence[range] | None, name: str, length: int, may_be_empty: bool = False
) -> tuple[range, ...] | None:
    """Ranges of tokens as they must be: not empty, in order, apart, within the L tokens.

    ranges: None stays None. name: what the message calls them. length: L. may_be_empty: whether one
    may hold no token. UserError for any others.

    >>> checked_ranges([range(2), range(2, 5)], "spans", 5)
    (range(0, 2), range(2, 5))
    """
    if ranges is None:
        return None
    end = 0
    for span in ranges:
        proper = isinstance(span, range) and span.step == 1 and end <= span.start <= span.stop
        if not proper or not (span or may_be_empty):
            raise UserError(f"{name} must be ranges of tokens, one after the other, not {span!r}")
        end = span.stop
    if end > length:
        raise UserError(f"{name} reach to token {end}, but the demonstrations have {length}")
    return tuple(ranges)
