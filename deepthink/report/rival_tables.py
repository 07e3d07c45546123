"""The rivals on one page: a table with prices, and where thinking stands, in words."""

from collections.abc import Iterator, Sequence

import pandas as pd

from deepthink.report.chance import NAMES
from deepthink.report.comparisons import Comparison
from deepthink.report.layouts import TASKS
from deepthink.report.measurements import subjects
from deepthink.report.render import Grid, markdown
from deepthink.report.rival_lines import METHODS
from deepthink.report.rivals import EXPERIMENT, Entry, Place, Standings, place, standings
from deepthink.report.runs import Runs
from deepthink.report.words import (
    MISSING,
    above_chance,
    difference,
    interval,
    level_rows,
    number,
    probability,
)

NAME, TITLE = "prices", "Rivals: accuracy and price"
HEADER = (
    "method", "raw", "calibrated", "less vanilla, raw", "less vanilla, both calibrated",
    "10⁹ operations before the first query", "per query", "seconds before", "per query",
)  # fmt: skip


def every(runs: Runs) -> list[Standings]:
    """What was measured of the rivals on each subject on which vanilla was run."""
    found = (standings(subject) for subject in subjects(runs, EXPERIMENT))
    return [each for each in found if len(each.entries) > 1]


def grid(of: Standings) -> Grid:
    """One row for each method that has a number on every task."""
    plain = {calibrated: of.find(METHODS[0], calibrated) for calibrated in (False, True)}
    levels = of.entries[0].levels
    rows = level_rows((levels, levels), after=[""] * (len(HEADER) - 3))
    for line in METHODS:
        pair = {calibrated: of.find(line, calibrated) for calibrated in (False, True)}
        entry = pair[False] or pair[True]
        if entry is None:
            continue
        accuracies = [accuracy(pair[calibrated]) for calibrated in (False, True)]
        gains = [_gain(of, pair[calibrated], plain[calibrated]) for calibrated in (False, True)]
        rows.append((line.label, *accuracies, *gains, *_price(entry)))
    return Grid(HEADER, tuple(rows))


def accuracy(entry: Entry | None) -> str:
    """A mean accuracy with its interval, and on how many tasks it is above chance."""
    return MISSING if entry is None else interval(entry.estimate) + above_chance(entry.above)


def _gain(of: Standings, entry: Entry | None, plain: Entry | None) -> str:
    """How far an entry is ahead of vanilla, bold where it is significant."""
    found = _less_vanilla(of, entry, plain)
    if found is None or found.average is None:
        return MISSING
    text = difference(found.average)
    mean, rest = text.split(" ", 1)
    p = found.adjusted[-1]
    told = f"{text if found.ahead_overall == 0 else f'**{mean}** {rest}'}"
    return told if p is None else f"{told}<br>{probability(p)}"


def _less_vanilla(of: Standings, entry: Entry | None, plain: Entry | None) -> Comparison | None:
    """The comparison of an entry with vanilla treated alike; None for vanilla itself."""
    if entry is None or plain is None or entry.line == plain.line:
        return None
    return of.less(entry, plain)


def _price(entry: Entry) -> tuple[str, ...]:
    operations, seconds = entry.price, entry.seconds
    giga = [number(value / 1e9) for value in (operations.before, operations.query)]
    if seconds is None:
        return (*giga, MISSING, MISSING)
    return (*giga, number(seconds.before), number(seconds.query, digits=2))


def heading(of: Standings) -> str:
    """What the numbers are means of."""
    tasks = ", ".join(TASKS[task] for task in of.tasks)
    draws = sorted({entry.estimate.seeds for entry in of.entries})
    count = "–".join(map(str, dict.fromkeys((draws[0], draws[-1]))))
    return f"Means of {tasks}; {count} draws." if len(of.tasks) > 1 else f"{tasks}; {count} draws."


def places(of: Standings) -> Iterator[str]:
    """Where each setting of thinking stands among all that cost no more, one sentence each.

    Nothing is said of a subject without calibrated vanilla, the cheapest rival.
    """
    if of.find(METHODS[0], calibrated=True) is None:
        yield "Vanilla has no calibrated scores here, so no place of thinking is named."
        return
    for entry in of.entries:
        if entry.line.label.startswith("Thinking"):
            found = place(entry, of)
            if found is not None:
                yield _sentence(entry, found, entry in of.front)


def name(entry: Entry) -> str:
    """A method with the treatment of its scores, such as "Vanilla, calibrated"."""
    return f"{entry.line.label}, {'calibrated' if entry.calibrated else 'raw'}"


def _sentence(entry: Entry, found: Place, on_front: bool) -> str:
    front = "on" if on_front else "not on"
    text = (
        f"**{name(entry)}**: {found.standing}. It is {front} the front of the means, and "
        f"significantly ahead of {found.worse} of the {found.cheaper} that cost no more"
    )
    if found.better:
        best = max(found.better, key=lambda pair: pair[1].mean)
        text += f"; {name(best[0])} is ahead of it by {difference(best[1])}"
    return text + "."


def section(of: Standings) -> Iterator[str]:
    """The table of a subject, and the places of thinking."""
    yield heading(of) + "\n"
    yield markdown(grid(of)) + "\n"
    if lines := [*places(of)]:
        yield "\n".join(f"- {line}" for line in lines) + "\n"


_COLUMNS = (
    "model", "scale", "tasks", "method", "scores", "accuracy", "low", "high", "draws",
    "operations_before", "operations_per_query", "seconds_before", "seconds_per_query", "front",
    "less_vanilla", "less_vanilla_low", "less_vanilla_high", "p", "p_holm", "above_chance",
    "number_of_tasks",
)  # fmt: skip


def long_form(found: Sequence[Standings]) -> str:
    """As CSV, one line for each method with raw and with calibrated scores."""
    lines: list[tuple[object, ...]] = []
    for of in found:
        front = of.front
        place = (of.subject.model, of.subject.scale, " ".join(of.tasks))
        for name, field in NAMES.items():
            if (value := getattr(of.entries[0].levels, field)) is not None:
                lines.append((*place, name, "", f"{value:.4f}", *[""] * (len(_COLUMNS) - 6)))
        for entry in of.entries:
            estimate, price, seconds = entry.estimate, entry.price, entry.seconds
            lines.append(
                (
                    *place, entry.line.label,
                    "batch_dev" if entry.calibrated else "raw",
                    *(f"{value:.4f}" for value in (estimate.mean, estimate.low, estimate.high)),
                    estimate.seeds, f"{price.before:.6g}", f"{price.query:.6g}",
                    *(("", "") if seconds is None
                      else (f"{seconds.before:.4g}", f"{seconds.query:.4g}")),
                    entry in front, *_tested(of, entry), *(entry.above or ("", "")),
                )
            )  # fmt: skip
    return pd.DataFrame(lines, columns=_COLUMNS).to_csv(index=False, lineterminator="\n")


def _tested(of: Standings, entry: Entry) -> tuple[str, ...]:
    """The last columns: how far an entry is ahead of vanilla treated alike, and its p-values."""
    found = _less_vanilla(of, entry, of.find(METHODS[0], entry.calibrated))
    e = None if found is None else found.average
    if found is None or e is None:
        return ("",) * 5
    ends = (f"{value:.4f}" for value in (e.mean, e.low, e.high))
    p = found.adjusted[-1]
    return (*ends, *(("", "") if p is None else (f"{e.p:.3g}", f"{p:.3g}")))
