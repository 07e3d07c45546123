"""The choices the paper leaves open, by name. Free of heavy imports, so a typo is told at once."""

from typing import Any

from deepthink.errors import UserError, unknown

POSITIONS = ("continued", "aligned")
MEMORY_DTYPES = ("float32", "model")
ANSWERS = ("text", "letter")
ANSWER_SCORES = ("sum", "mean", "probability")
SEAMS = ("apart", "joint")
OVERFLOWS = ("drop", "truncate", "error")
OVERLAPS = ("drop", "keep")
LABELS = ("gold", "flipped", "random")
SCORED = ("all", "sparse", "ends")

MOST_ITERATIONS, MOST_COPIES = 10_000, 1_000


USUAL_THINKING: dict[str, Any] = {
    "step_size": 0.01,
    "momentum": 0.0,
    "positions": "continued",
    "memory_dtype": "float32",
}
"""TEMPORARY."""


def check_thinking(
    iterations: int, step_size: float, momentum: float, positions: str, memory_dtype: str
) -> None:
    """Raise UserError for arguments of `think` that are out of range."""
    given: dict[str, Any] = {"step_size": step_size, "momentum": momentum}
    if not hasattr(iterations, "__index__"):
        raise UserError(f"iterations is {iterations!r}: T must be a whole number")
    for name, value in given.items():
        if not hasattr(value, "__float__"):
            raise UserError(f"{name} is {value!r}: it must be a number")
    if iterations < 1:
        raise UserError(f"iterations is {iterations}: T must be 1 (vanilla) or more")
    if iterations > MOST_ITERATIONS:
        raise UserError(f"iterations is {iterations}: T must be {MOST_ITERATIONS:,} or less")
    if not 0 <= step_size <= 1:
        raise UserError(f"step_size is {step_size}: η must lie between 0 and 1")
    if not 0 <= momentum < 1:
        raise UserError(f"momentum is {momentum}: β must lie between 0 and 1, 1 excluded")
    if positions not in POSITIONS:
        raise unknown("value of positions", positions, POSITIONS)
    if memory_dtype not in MEMORY_DTYPES:
        raise unknown("value of memory_dtype", memory_dtype, MEMORY_DTYPES)


def scored_steps(scored: str, iterations: int) -> list[int]:
    """After which of T iterations queries are scored, t = 1 and T always among them.

    "all"; "sparse", 1 to 5 and from there each half as much again (7, 10, 15, 22, …); "ends".
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
