"""Which demonstrations, and how many copies of them, fit into a model's positions.

Thinking with continued positions reaches 2L, twice the demonstrations' length; a query reaches L
plus its own length. The rule looks at neither T nor the position scheme, so that all methods read
the same demonstrations.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deepthink.errors import UserError
from deepthink.structures import Example, Tokens


@dataclass(frozen=True)
class Sizes:
    """Lengths of one way to write a job's prompts, in tokens.

    special: those that stand in front; shown: L, the special ones and the demonstrations; queries:
    each with its longest candidate fed.
    """

    special: int
    shown: int
    queries: Sequence[int]

    @property
    def longest(self) -> int:
        """The positions that the longest query takes."""
        return max(self.queries)


@dataclass(frozen=True)
class Fit:
    """What is shown: the demonstrations from `first` on, `copies` times, without `cut` tokens.

    Those are cut off the beginning, the special tokens left in place.
    """

    first: int
    copies: int
    cut: int = 0


Measure = Callable[[int, int], Sizes]
"""The sizes when the demonstrations from the first number on are written the second often."""


def fit(
    measure: Measure,
    shots: int,
    queries: Sequence[Example],
    overflow: str,
    limit: int | None,
    copies: int,
    thinks: bool,
) -> Fit:
    """What of `shots` demonstrations fits into `limit` positions; the rest as in `prompts.encode`.

    >>> def measure(first, copies):  # four demonstrations of ten tokens after one special token
    ...     return Sizes(special=1, shown=1 + 10 * (4 - first) * copies, queries=[5])
    >>> question = Example("what fun", ("bad", "good"), 1)
    >>> fit(measure, 4, [question], "drop", limit=64, copies=1, thinks=True)
    Fit(first=1, copies=1, cut=0)
    >>> fit(measure, 4, [question], "truncate", limit=64, copies=1, thinks=True)
    Fit(first=0, copies=1, cut=9)

    Raises:
        UserError: not even one demonstration fits, or `overflow` is "error" and not all of them do.
    """
    if limit is None:
        return Fit(0, copies)
    for first in range(max(1, shots)):
        sizes = measure(first, 1)
        beside = limit - sizes.longest
        room = min(limit // 2, beside)
        if sizes.shown <= room:
            most = _most_copies(measure, first, sizes.shown, copies, room if thinks else beside)
            if most < copies and overflow == "error":
                raise UserError(
                    f"{copies} copies of {shots - first} demonstrations do not fit the model's "
                    f"{limit} positions, {most} do: set method.copies={most}"
                )
            return Fit(first, most)
        if overflow == "truncate" and shots and room > sizes.special:
            return Fit(first, 1, cut=sizes.shown - room)
        if overflow == "error":
            break
    raise _does_not_fit(sizes, shots - first if shots else 0, queries, overflow, limit)


def _most_copies(measure: Measure, first: int, shown: int, copies: int, room: int) -> int:
    """The most copies, one at least, that fit into `room` tokens; one copy has `shown`."""
    most = min(copies, 2 * room // max(1, shown))  # a merge at a seam never halves a copy
    several = range(most, 1, -1)
    return next((times for times in several if measure(first, times).shown <= room), 1)


def _does_not_fit(
    sizes: Sizes, shots: int, queries: Sequence[Example], overflow: str, limit: int
) -> UserError:
    """The error where not even one demonstration fits beside the longest query."""
    place = list(sizes.queries).index(sizes.longest)
    begin = " ".join(queries[place].text.split())[:40]
    query = f"query {place + 1} of {len(queries)} ('{begin}…')"
    if not shots or sizes.longest + sizes.special >= limit:
        return UserError(
            f"{query} takes {sizes.longest} tokens, which leaves no room in the model's {limit} "
            "positions: leave its row out, or use a model with more"
        )
    ways = {"error": "prompt.overflow=drop or truncate", "drop": "prompt.overflow=truncate"}
    advice = [
        "use fewer or shorter demonstrations",
        *([ways[overflow]] if overflow in ways else []),
    ]
    return UserError(
        f"{shots} demonstration{'s' * (shots > 1)} of {sizes.shown} tokens, which thinking "
        f"doubles, and {sizes.longest} of {query} do not fit the model's {limit} positions: "
        f"{', '.join(advice)}, or a model with more"
    )


def query_sizes(queries: Sequence[Tokens], candidates: Sequence[Sequence[Tokens]]) -> list[int]:
    """How many positions each query takes with its longest candidate, its last token not fed."""
    rows = zip(queries, candidates, strict=True)
    return [len(query) + max(map(len, words)) - 1 for query, words in rows]


def holds_beginning(candidates: Sequence[Tokens]) -> bool:
    """Whether the tokens of one candidate begin those of another."""
    whole = {tuple(ids) for ids in candidates}
    return any(ids[:end] in whole for ids in whole for end in range(1, len(ids)))
