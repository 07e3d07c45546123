"""Tables 4 to 6: counts of the data in the paper, in the published sets and in the runs."""

from collections.abc import Callable, Iterator

from deepthink.report import experiments, paper
from deepthink.report.layouts import TASKS
from deepthink.report.render import Grid
from deepthink.report.runs import Runs
from deepthink.report.words import MISSING

_RENAMED = {
    "high_school_macro_economics": "high_school_macroeconomics",
    "high_school_micro_economics": "high_school_microeconomics",
}
"""Members of MMLU whose names differ between the paper and the data."""

_Seen = Callable[[str, str], str]


def every(runs: Runs) -> Iterator[tuple[str, str, Grid]]:
    """The name, title and cells of each table of counts."""
    read: dict[str, list[dict[str, int]]] = {}
    for run in runs.all:
        read.setdefault(run.task, []).append(run.record.data.read_rows.stored())

    def seen(task: str, split: str) -> str:
        counts = sorted({rows[split] for rows in read.get(task, ())})
        return " or ".join(f"{count:,}" for count in counts) or MISSING

    yield "table4", "Table 4: the conventional tasks", _tasks(seen)
    yield "table5", "Table 5: MMLU", _members("table5", "mmlu", seen)
    yield "table6", "Table 6: BIG-Bench Hard", _members("table6", "bbh", seen)


def _tasks(seen: _Seen) -> Grid:
    lines = []
    for row in paper.read("table4").to_dict("records"):
        task = experiments.task(row["task"])
        line = [TASKS[row["task"]]]
        for split in ("pool", "test"):
            published = task.rows[split]
            line += [f"{row[f'{split}_rows']:,}", f"{published:,}", seen(row["task"], split)]
        lines.append((*line, " / ".join(task.labels)))
    columns = (
        f"{split}{column}"
        for split in ("pool", "test")
        for column in (": paper", ": data", ": read here")
    )
    return Grid(("task", *columns, "labels"), tuple(lines))


def _members(name: str, suite: str, seen: _Seen) -> Grid:
    counts, lines, printed = experiments.suite(suite).rows, [], 0
    for row in paper.read(name).to_dict("records"):
        member = _RENAMED.get(row["member"], row["member"])
        printed += row["test_rows"]
        here = seen(f"{suite}/{member}", "test")
        cells = (f"{row['test_rows']:,}", f"{counts[member]:,}", here)
        lines.append((row["category"], member, *cells))
    lines.append(("", "all", f"{printed:,}", f"{sum(counts.values()):,}", ""))
    return Grid(("category", "member", "paper", "data", "read here"), tuple(lines))
