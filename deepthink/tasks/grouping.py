"""Demonstrations in groups that are read by themselves, as in structured prompting.

Hao et al. 2022 (arXiv 2212.06713) encode M groups of demonstrations apart, so that more of them can
be shown than a context holds. Each group is a prompt of its own here, special tokens included.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, TypeVar

from deepthink.errors import UserError

if TYPE_CHECKING:
    from deepthink.tasks.prompts import Encoded

T = TypeVar("T")


def shared_out(items: Sequence[T], groups: int) -> list[Sequence[T]]:
    """Items in so many runs of neighbours, whose sizes differ by one at most, the larger first.

    Raises UserError where there are fewer items than groups.

    >>> shared_out("abcde", 2)
    ['abc', 'de']
    """
    count = len(items)
    if groups > max(1, count):
        raise UserError(
            f"{count} demonstration{'s' * (count != 1)} cannot be {groups} groups: set "
            "method.groups lower, or show more"
        )
    small, larger = divmod(count, groups)
    sizes = [small + (index < larger) for index in range(groups)]
    return [items[slice(*ends)] for ends in pairwise(accumulate(sizes, initial=0))]


def side_by_side(parts: Sequence["Encoded"]) -> "Encoded":
    """The prompts of several groups as one: their tokens one after the other, queries once.

    >>> from deepthink.tasks.prompts import Encoded
    >>> part = Encoded([5, 6], [[7]], [[[8]]], kept=1, truncated=False, copies=1, spans=(range(2),))
    >>> both = side_by_side([part, part])
    >>> both.demonstrations, both.kept, both.spans, both.sequences
    ([5, 6, 5, 6], 2, (range(0, 2), range(2, 4)), (range(0, 2), range(2, 4)))
    """
    starts = [*accumulate((len(part.demonstrations) for part in parts), initial=0)]

    def moved(ranges: Sequence[range], by: int) -> list[range]:
        return [range(each.start + by, each.stop + by) for each in ranges]

    placed = [*zip(parts, starts, strict=False)]
    return replace(
        parts[0],
        demonstrations=[token for part in parts for token in part.demonstrations],
        kept=sum(part.kept for part in parts),
        truncated=any(part.truncated for part in parts),
        spans=tuple(span for part, start in placed for span in moved(part.spans, start)),
        answers=tuple(span for part, start in placed for span in moved(part.answers, start)),
        sequences=tuple(range(*ends) for ends in pairwise(starts)),
    )
