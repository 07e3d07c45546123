"""The choices the paper leaves open, by name. Free of heavy imports, so a typo is told at once."""

from dataclasses import dataclass
from typing import Any

from deepthink.errors import UserError, unknown

POSITIONS = ("continued", "aligned", "rotated")
MEMORY_DTYPES = ("float32", "model")
ANSWERS = ("text", "letter")
ANSWER_SCORES = ("sum", "mean", "probability")
SEAMS = ("apart", "joint")
OVERFLOWS = ("drop", "truncate", "error")
OVERLAPS = ("drop", "keep")
LABELS = ("gold", "flipped", "random")
SCORED = ("all", "sparse", "ends")
VERBOSITIES = ("quiet", "normal", "verbose")

MOST_ITERATIONS, MOST_COPIES = 10_000, 1_000


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


def check_iterations(iterations: int) -> None:
    """Raise UserError unless T is a whole number from 1 to `MOST_ITERATIONS`."""
    if not hasattr(iterations, "__index__"):
        raise UserError(f"iterations is {iterations!r}: T must be a whole number")
    if iterations < 1:
        raise UserError(f"iterations is {iterations}: T must be 1 (vanilla) or more")
    if iterations > MOST_ITERATIONS:
        raise UserError(f"iterations is {iterations}: T must be {MOST_ITERATIONS:,} or less")


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
