"""The comparison that decides, as a part of the page, as tables and as one CSV."""

import csv
from collections.abc import Iterator, Sequence
from io import StringIO

from deepthink.report import cells, prose, rival_tables
from deepthink.report.central import DECIDING, Block, Compared
from deepthink.report.layouts import TASKS
from deepthink.report.measurements import Measured, average
from deepthink.report.render import Grid, latex, markdown
from deepthink.report.rivals import Entry
from deepthink.report.statistics import Estimate
from deepthink.report.words import MISSING, bold, level_rows, probability

NAME, TITLE = "central", "The comparison that decides"
_HEADER = ("thinking", "compared", *TASKS.values(), "mean", "p of the mean", "n")


def section(blocks: Sequence[Block]) -> Iterator[str]:
    """The part of the page: for each model the means over tasks, and every task beneath."""
    if not blocks:
        return
    yield f"## {TITLE}\n"
    yield prose.CENTRAL.format(table=f"tables/{NAME}")
    for block in blocks:
        yield f"### {block.subject}\n"
        yield from _block(block)


def _block(block: Block) -> Iterator[str]:
    if block.design != DECIDING:
        yield prose.MANY_ROWS
    if grid := accuracies(block):
        yield markdown(grid) + "\n"
    yield markdown(means(block)) + "\n"
    yield f"<details><summary>Task by task</summary>\n\n{markdown(by_task(block))}\n\n</details>\n"
    if lines := missing(block):
        yield "\n".join(f"- missing: {line}" for line in lines) + "\n"


def texts(blocks: Sequence[Block]) -> Iterator[tuple[str, str]]:
    """The files under tables/, by name; none if there is nothing to compare."""
    if not blocks:
        return
    about = " ".join(prose.CENTRAL.format(table=NAME).split())
    parts = [f"## {TITLE}\n", about + "\n"]
    for block in blocks:
        parts += [f"### {block.subject}\n", *_block(block)]
    yield f"tables/{NAME}.md", "\n".join(parts)
    grids = [(str(block.subject), by_task(block, mark=False)) for block in blocks]
    notes = ("Differences in points, with 95 % intervals over draws and test examples.",)
    yield f"tables/{NAME}.tex", latex(NAME, TITLE, notes, _HEADER, grids)
    yield f"tables/{NAME}.csv", long_form(blocks)


def accuracies(block: Block) -> Grid | None:
    """One row for each method that has a mean accuracy; None if none has.

    Each mean is of the draws that its method has on all tasks, and says on how many tasks it is
    above chance. The levels are those of vanilla's draws.
    """
    plain = block.entry(block.plain, calibrated=False)
    if plain is None:
        return None
    rows = level_rows((plain.levels, plain.levels), after=("",))
    for line in {entry.line.label: entry.line for entry in block.entries}.values():
        pair = [block.entry(line, calibrated) for calibrated in (False, True)]
        draws = dict.fromkeys(str(e.estimate.seeds) for e in pair if e)
        rows.append((line.label, *map(rival_tables.accuracy, pair), ", ".join(draws)))
    return Grid(("mean accuracy over tasks, in %", "raw", "calibrated", "n"), tuple(rows))


def means(block: Block) -> Grid:
    """One row for each way to think, one column for each comparison: the means over tasks."""
    columns = tuple(contrast.name for contrast in block.design.contrasts)
    rows = []
    for line in block.design.thinking:
        cells = [_mean(row) for row in block.rows if row.line == line]
        rows.append((_short(line.label), *cells))
    return Grid(("mean over tasks of thinking in", *columns), tuple(rows))


def _mean(row: Compared) -> str:
    estimate, p = row.comparison.average, row.comparison.adjusted[-1]
    if estimate is None:
        return MISSING
    aside = f", {probability(p)}" if p is not None else ""
    return f"{bold(estimate, p)}<br>n={estimate.seeds} of {row.wanted}{aside}"


def by_task(block: Block, mark: bool = True) -> Grid:
    """One row for each way to think and comparison: every task and their mean.

    A number of draws stands in the cell of a task that has more draws than the mean. mark: whether
    significant differences are marked, in Markdown.
    """
    rows: list[tuple[str, ...]] = []
    rules = []
    for line in block.design.thinking:
        rules.append(len(rows))
        label = _short(line.label)
        for row in (row for row in block.rows if row.line == line):
            estimates, ps = row.comparison.estimates, row.comparison.adjusted
            n = estimates[-1].seeds if estimates[-1] else 0
            found = [
                _of_task(estimate, p if mark else None, n)
                for estimate, p in zip(estimates, ps, strict=True)
            ]
            rows.append(
                (label, row.contrast.name, *found, probability(ps[-1]), f"{n} of {row.wanted}")
            )
            label = ""
    return Grid(_HEADER, tuple(rows), tuple(rules[1:]))


def _of_task(estimate: Estimate | None, p: float | None, n: int) -> str:
    if estimate is None:
        return MISSING
    aside = f" n={estimate.seeds}" if estimate.seeds != n else ""
    return bold(estimate, p) + aside


def _short(label: str) -> str:
    return label.removeprefix("Thinking, ")


def missing(block: Block) -> list[str]:
    """One line for each command that fills what is missing, with the methods that it runs."""
    return [
        f"{', '.join(dict.fromkeys(part.setting.axes['method'] for part in parts))} "
        f"({len(parts[0].missing)} of {len(parts[0].wanted)} draws): `{command}`"
        for command, parts in cells.fill(block.parts)
    ]


_COLUMNS = (
    "model", "scale", "method", "scores", "less", "scores_of_less", "task", "value", "low", "high",
    "draws", "wanted", "examples", "p", "p_holm", "records",
)  # fmt: skip


def long_form(blocks: Sequence[Block]) -> str:
    """As CSV: accuracies, where `less` is empty, and differences, task by task and as means.

    `records` has the records behind the number of one task, on both sides.
    """
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for block in blocks:
        place = (block.subject.model, str(block.subject.scale))
        writer.writerows((*place, *line) for e in block.entries for line in _accuracy(e))
        writer.writerows((*place, *line) for row in block.rows for line in _differences(row))
    return out.getvalue()


def _accuracy(entry: Entry) -> Iterator[tuple[object, ...]]:
    """The accuracy of a method on each task, then the mean over those draws that all tasks have."""
    for task, part in zip(TASKS, entry.parts, strict=True):
        yield _line(entry.line.label, entry.calibrated, "", "", task, wanted=len(part.wanted),
                    estimate=average(part.outcomes), parts=(part,))  # fmt: skip
    wanted = max(len(part.wanted) for part in entry.parts)
    yield _line(
        entry.line.label, entry.calibrated, "", "", "average", wanted, estimate=entry.estimate
    )


def _differences(row: Compared) -> Iterator[tuple[object, ...]]:
    """A comparison on each task, then the mean; empty where nothing was run or tested."""
    comparison = row.comparison
    ours, theirs = row.contrast.calibrated
    sides = [*zip(*row.sides, strict=True), ()]
    for task, estimate, p, parts in zip(
        comparison.tasks, comparison.estimates, comparison.adjusted, sides, strict=True
    ):
        yield _line(row.line.label, ours, row.contrast.rival.label, _scores(theirs), task,
                    row.wanted, estimate, p, parts)  # fmt: skip


def _line(
    method: str,
    calibrated: bool,
    less: str,
    scores_of_less: str,
    task: str,
    wanted: int,
    estimate: Estimate | None,
    p: float | None = None,
    parts: Sequence[Measured] = (),
) -> tuple[object, ...]:
    place = (method, _scores(calibrated), less, scores_of_less, task)
    if estimate is None:
        return (*place, "", "", "", 0, wanted, "", "", "", "")
    ends = (f"{value:.4f}" for value in (estimate.mean, estimate.low, estimate.high))
    tested = ("", "") if p is None or estimate.p is None else (f"{estimate.p:.3g}", f"{p:.3g}")
    runs = (run for part in parts for many in part.runs.values() for run in many)
    ids = dict.fromkeys(run.path.stem.rpartition("-")[2] for run in runs)
    return (*place, *ends, estimate.seeds, wanted, estimate.examples, *tested, " ".join(ids))


def _scores(calibrated: bool) -> str:
    return "batch_dev" if calibrated else "raw"
