"""The choices the paper leaves open, by name. Free of heavy imports, so a typo is told at once."""

from dataclasses import dataclass
from typing import Any

from deepthink.errors import UserError, unknown

POSITIONS = ("continued", "aligned")
MEMORY_DTYPES = ("float32", "model")
ANSWERS = ("text", "letter")
ANSWER_SCORES = ("sum", "mean", "probability")
SEAMS = ("apart", "joint")
QUERIES = ("once", "twice")
DIRECTIONS = ("direct", "channel")
OVERFLOWS = ("drop", "truncate", "error")
OVERLAPS = ("drop", "keep")
LABELS = ("gold", "flipped", "random")
SCORED = ("all", "sparse", "ends")
VERBOSITIES = ("quiet", "normal", "verbose")

MOST_ITERATIONS, MOST_COPIES, MOST_ORDERS = 10_000, 1_000, 1_000


@dataclass(frozen=True)
class Thinking:
    """The arguments of `deepthink.think`, with the paper's values (§4.3) as defaults.

    iterations: T. step_size: η. momentum: β. See `deepthink.think`.

    >>> Thinking().step_size
    0.01
    """

    iterations: int = 5
    step_size: float = 0.01
    momentum: float = 0.0
    positions: str = "continued"
    memory_dtype: str = "float32"


THINKING = Thinking()
"""The defaults of `think`, of its reference, of the refinement `iterate` and of conf/method."""


def check_thinking(
    iterations: int, step_size: float, momentum: float, positions: str, memory_dtype: str
) -> None:
    """Raise UserError for arguments of `think` that are out of range.

    >>> check_thinking(5, 2.0, 0.0, "aligned", "float32")
    Traceback (most recent call last):
    deepthink.errors.UserError: step_size is 2.0: η must lie between 0 and 1
    """
    check_iterations(iterations)
    given: dict[str, Any] = {"step_size": step_size, "momentum": momentum}
    for name, value in given.items():
        if not hasattr(value, "__float__"):
            raise UserError(f"{name} is {value!r}: it must be a number")
    if not 0 <= step_size <= 1:
        raise UserError(f"step_size is {step_size}: η must lie between 0 and 1")
    if not 0 <= momentum < 1:
        raise UserError(f"momentum is {momentum}: β must lie between 0 and 1, 1 excluded")
    if positions not in POSITIONS:
        raise unknown("value of positions", positions, POSITIONS)
    if memory_dtype not in MEMORY_DTYPES:
        raise unknown("value of memory_dtype", memory_dtype, MEMORY_DTYPES)


def check_channel(query: str, seam: str, chat: bool) -> None:
    """Raise UserError for a way to write prompts that the noisy channel does not have.

    query, seam, chat: as in `deepthink.encode`.

    >>> check_channel("twice", "apart", chat=False)
    Traceback (most recent call last):
    deepthink.errors.UserError: direction=channel scores each text once: leave out query=twice
    """
    if query != "once":
        raise UserError(f"direction=channel scores each text once: leave out query={query}")
    if seam != "apart":
        raise UserError(
            "direction=channel has several texts in front of each query, which are tokenised "
            f"apart: leave out seam={seam}"
        )
    if chat:
        raise UserError(
            "direction=channel writes a label in front of a text, which no turn of a chat does: "
            "leave out chat"
        )


def check_iterations(iterations: int) -> None:
    """Raise UserError unless T is a whole number from 1 to `MOST_ITERATIONS`."""
    if not hasattr(iterations, "__index__"):
        raise UserError(f"iterations is {iterations!r}: T must be a whole number")
    if iterations < 1:
        raise UserError(f"iterations is {iterations}: T must be 1 (vanilla) or more")
    if iterations > MOST_ITERATIONS:
        raise UserError(f"iterations is {iterations}: T must be {MOST_ITERATIONS:,} or less")


def check_groups(groups: int, seam: str, copies: int) -> None:
    """Raise UserError for a number of groups below 1, or several where there can be one only.

    >>> check_groups(2, "joint", copies=1)
    Traceback (most recent call last):
    deepthink.errors.UserError: seam=joint reads demonstrations and query as one text: …
    """
    if groups < 1:
        raise UserError(f"groups is {groups}: it must be 1 or more")
    if groups > 1 and seam == "joint":
        raise UserError(
            "seam=joint reads demonstrations and query as one text, but no text goes on from "
            f"{groups} groups of demonstrations: take seam=apart, or one group"
        )
    if groups > 1 and copies > 1:
        raise UserError(
            f"{copies} copies of the demonstrations and {groups} groups of them are two methods: "
            "set method.copies=1 or method.groups=1"
        )


def scored_steps(scored: str, iterations: int) -> list[int]:
    """After which of T iterations queries are scored, t = 1 and T always among them.

    "all"; "sparse", 1 to 5 and from there each half as much again (7, 10, 15, 22, …); "ends".

    >>> scored_steps("sparse", 12)
    [1, 2, 3, 4, 5, 7, 10, 12]
    """
    if scored == "all":
        return list(range(1, iterations + 1))
    steps = {1, iterations}
    if scored == "sparse":
        step = 2
        while step < iterations:
            steps.add(step)
            step += 1 if step < 5 else step // 2
    return sorted(steps)
