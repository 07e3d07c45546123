"""Mixing: whether the draws of one number come from one model, dtype, data set and code."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import combinations

from deepthink.report.checking.findings import Finding
from deepthink.report.runs import Draw, Run
from deepthink.store.identity import digest

_ORIGINS: Mapping[str, Callable[[Run], str]] = {
    "dtype": lambda run: run.record.identity.model.dtype,
    "model": lambda run: f"model {_short(run.maker)}",
    "data": lambda run: f"data {_short(run.examples)}",
    "rows": lambda run: f"{_rows(run)} rows",
    "overlap": lambda run: f"pool.overlap={run.overlap}",
}
"""What tables keep apart: runs that differ in one of these are in different tables' blocks."""

_CODE: Mapping[str, Callable[[Run], str]] = {
    "protocol": lambda run: f"protocol {run.record.identity.protocol}",
    "version": lambda run: f"deepthink {run.record.versions.get('deepthink', 'unknown')}",
    "T": lambda run: f"scored after {_short(digest(run.steps))}",
}
"""What tables do not keep apart, so that all draws of a number must have the same."""


def check(runs: Iterable[Run]) -> Iterator[Finding]:
    """Findings on numbers whose draws are not alike, and on code that no commit holds."""
    numbers: dict[tuple[object, ...], list[Run]] = {}
    for run in runs:
        if run.record.code.dirty:
            wrong = "was made by code with uncommitted changes, so no commit gives its numbers"
            yield Finding(run.path, wrong, "commit the code, and run its job again")
        key = (run.model, run.task, run.family.thought, run.iterations)
        numbers.setdefault(key, []).append(run)
    for alike in numbers.values():
        yield from _of_number(alike)


def _of_number(runs: list[Run]) -> Iterator[Finding]:
    """Findings on the runs of a setting, which differ in their draws alone if all is well.

    A study on two scales, or with two dtypes, has the same draws of both. Draws that are shared out
    between the two are one number of unlike runs.
    """
    for name, of in _ORIGINS.items():
        for first, second in combinations(_by(runs, of).items(), 2):
            if not {run.draw for run in first[1]} & {run.draw for run in second[1]}:
                yield _mixed(first, second, name)
    for same in _by(runs, lambda run: tuple(of(run) for of in _ORIGINS.values())).values():
        for name, of in _CODE.items():
            for first, second in combinations(_by(same, of).items(), 2):
                yield _mixed(first, second, name)


def _mixed(first: tuple[object, list[Run]], second: tuple[object, list[Run]], name: str) -> Finding:
    """first, second: what the runs of each part have, and these. The fewer are to be made again."""
    more, fewer = sorted((first, second), key=lambda part: -len(part[1]))
    run = fewer[1][0]
    wrong = (
        f"is of {fewer[0]}, but {_draws(more[1])} of the same number is of {more[0]} (mixed {name})"
    )
    todo = f"run the jobs of {_draws(fewer[1])} again as the others were run"
    return Finding(run.path, wrong, todo)


def _draws(runs: list[Run]) -> str:
    draws: list[Draw] = sorted({run.draw for run in runs})
    return ", ".join(f"seed {seed}" + f" order {order}" * bool(order) for seed, order in draws)


def _by(runs: Iterable[Run], of: Callable[[Run], object]) -> dict[object, list[Run]]:
    parts: dict[object, list[Run]] = {}
    for run in runs:
        parts.setdefault(of(run), []).append(run)
    return parts


def _rows(run: Run) -> str:
    rows = run.record.data.rows
    return f"{rows.pool} pool, {rows.dev} dev and {rows.test} test"


def _short(digits: str) -> str:
    return digits[:8]
