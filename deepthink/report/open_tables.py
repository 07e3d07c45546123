"""The table of open tasks: how likely references are, and how good written answers are."""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from io import StringIO

from deepthink.config.job import Config
from deepthink.config.models import named_model
from deepthink.report import axes as named
from deepthink.report import experiments
from deepthink.report.measurements import Subject
from deepthink.report.open_series import Series, series
from deepthink.report.render import Grid, latex, markdown
from deepthink.report.runs import Draw, Run, Runs
from deepthink.report.statistics import Estimate
from deepthink.report.words import MISSING
from deepthink.tasks.written_answers import WAYS

NAME, TITLE = "limitations", "Limitations: open answers"
NOTES = (
    "Log-probabilities are in nats. Per token, they are those of a reference after its question, "
    "averaged over a question's references and then over questions; those of a final answer are of "
    "all its tokens, after the reference's own reasoning. Behind a change since plain learning, "
    "the same demonstrations written and read once, stands its 95 % interval over questions, and "
    "over draws where n is above 1. Exact match is in %, by the number behind the mark (strict) or "
    "the last number (flexible); BLEU and chrF are sacrebleu's. n counts draws of demonstrations."
)
_NUMBERS = ("log_p", "final_log_p", "strict", "flexible", "bleu", "chrf")
HEADS = {
    "log_p": "log p per token",
    "final_log_p": "log p final",
    "strict": "strict match",
    "flexible": "flexible match",
    "bleu": "BLEU",
    "chrf": "chrF",
}
"""What tables call the numbers of open tasks."""


@dataclass(frozen=True)
class OpenBlock:
    """The rows of one model on one scale.

    >>> OpenBlock("", ()).keys
    ()
    """

    title: str
    rows: tuple[Series, ...]

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """The axes in which rows differ besides their task."""
        return named.distinguishing([dict(row.key) for row in self.rows], within=("task",))

    @property
    def numbers(self) -> list[str]:
        """The numbers that any row has; those of the likelihood always."""
        return [
            name
            for name in _NUMBERS
            if name == "log_p"
            or any(row.number(name, t) is not None for row in self.rows for t in row.steps)
        ]


def blocks(runs: Runs) -> list[OpenBlock]:
    """A block for each model and scale, with the rows of the experiment first."""
    by_subject: dict[Subject, list[Run]] = {}
    for run in runs.open:
        by_subject.setdefault(Subject(runs, run.model, run.scale), []).append(run)
    ordered = sorted(by_subject, key=lambda subject: (subject.model, subject.scale.rank))
    return [
        OpenBlock(str(subject), tuple(series(by_subject[subject], _asked(subject))))
        for subject in ordered
    ]


def _asked(subject: Subject) -> list[tuple[Config, Sequence[Draw]]]:
    """The jobs of the experiment on the scale of a subject, each with its draws."""
    words = [f"model={subject.model}"] if named_model(subject.model) else []
    words += experiments.of_scale(subject.scale)
    settings = experiments.settings(NAME, *words)
    return [(config, setting.draws) for setting in settings for config in setting.configs]


def grid(block: OpenBlock) -> Grid:
    """A line for t = 1 and one for T of each row; a row without runs has a line of dashes."""
    heads = [key.rpartition(".")[2] for key in block.keys]
    numbers = [head for name in block.numbers for head in _columns(name)]
    lines: list[tuple[str, ...]] = []
    rules: list[int] = []
    task = ""
    for row in block.rows:
        if task and row.task != task:
            rules.append(len(lines))
        task = row.task
        lines += _lines(block, row)
    return Grid(("task", *heads, "t", *numbers, "n"), tuple(lines), tuple(rules))


def _columns(name: str) -> tuple[str, ...]:
    return (HEADS[name],) if name in ("bleu", "chrf") else (HEADS[name], "change")


def _lines(block: OpenBlock, row: Series) -> Iterator[tuple[str, ...]]:
    values = dict(row.key)
    place = (row.task, *(_shown(values.get(key)) for key in block.keys))
    count = f"{len(row.runs)}/{len(row.wanted)}" if len(row.runs) < len(row.wanted) else None
    for step in dict.fromkeys((row.steps[0], row.steps[-1])):
        cells = [cell for name in block.numbers for cell in _cells(row, name, step)]
        yield (*place, str(step), *cells, count or str(len(row.runs)))


def _cells(row: Series, name: str, step: int) -> Iterator[str]:
    """A number and, where questions are paired, its change since plain learning."""
    percent = name in WAYS
    factor, places = (100, 1) if percent else (1, 1 if name in ("bleu", "chrf") else 4)
    value = row.number(name, step)
    yield MISSING if value is None else _decimal(factor * value, places)
    if len(_columns(name)) > 1:
        estimate = None if row.is_plain(step) else row.change(name, step)
        yield MISSING if estimate is None else _interval(estimate, factor, places)


def _interval(estimate: Estimate, factor: int, places: int) -> str:
    mean, low, high = (
        _decimal(factor * value, places, "+")
        for value in (estimate.mean, estimate.low, estimate.high)
    )
    return f"{mean} [{low}, {high}]"


def _decimal(value: float, places: int, sign: str = "") -> str:
    return f"{value:{sign}.{places}f}".replace("-", "−")


def _shown(value: object) -> str:
    return MISSING if value is None else named.shown(value)


def texts(runs: Runs) -> Iterator[tuple[str, str]]:
    """The files of the table by their names."""
    found = blocks(runs)
    yield f"tables/{NAME}.md", "\n".join(page(runs, found))
    grids = [(block.title, grid(block)) for block in found]
    widest = max((g.header for _, g in grids), key=len, default=("task",))
    same = [(title, g) for title, g in grids if g.header == widest]
    yield f"tables/{NAME}.tex", latex(NAME, TITLE, (NOTES,), widest, same)
    yield f"tables/{NAME}.csv", long_form(found)


def page(runs: Runs, found: Sequence[OpenBlock]) -> Iterator[str]:
    """The table as Markdown, part by part."""
    yield f"## {TITLE}\n"
    yield f"{NOTES}\n"
    if not found:
        yield f"Not run: `{experiments.whole_command(runs, NAME)}`\n"
    for block in found:
        yield f"### {block.title}\n"
        yield markdown(grid(block)) + "\n"


def long_form(found: Sequence[OpenBlock]) -> str:
    """As CSV, one line for each row, t and number, with the records behind it."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    ends = ("value", "change", "low", "high", "draws", "wanted", "questions", "records")
    writer.writerow(("model, scale", "task", "settings", "t", "number", *ends))
    for block in found:
        for row in block.rows:
            values = dict(row.key)
            known = [f"{key}={named.shown(values.get(key))}" for key in block.keys]
            runs = row.runs.values()
            names = " ".join(run.path.stem.rpartition("-")[2] for run in runs)
            counts = {point.count for run in runs for point in run.record.open}
            for step in row.steps:
                for name in block.numbers:
                    value, estimate = row.number(name, step), None
                    if name not in ("bleu", "chrf") and not row.is_plain(step):
                        estimate = row.change(name, step)
                    of = (estimate.mean, estimate.low, estimate.high) if estimate else ()
                    numbers = ["" if value is None else f"{value:.6f}", *(f"{x:.6f}" for x in of)]
                    numbers += [""] * (4 - len(numbers))
                    place = (block.title, row.task, " ".join(known), step, name)
                    about = (len(runs), len(row.wanted), max(counts, default=""), names)
                    writer.writerow((*place, *numbers, *about))
    return out.getvalue()
