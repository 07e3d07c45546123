"""The passage on what was found: the central comparison, and what the earlier study adds."""

import csv
import re
from pathlib import Path

from wording import listed, table

from deepthink.report import central_tables
from deepthink.report.central import DECIDING, DESCENT, ORDERS, PLAIN
from deepthink.report.experiments import EARLIER
from deepthink.report.layout import Line
from deepthink.report.layouts import TASKS
from deepthink.report.words import MISSING, number

Row = dict[str, str]
RAW, CALIBRATED = "raw", "batch_dev"
AGAINST: dict[str, tuple[str, Line, str]] = {
    "over vanilla": (RAW, PLAIN, RAW),
    "both calibrated": (CALIBRATED, PLAIN, CALIBRATED),
    "over five orders": (RAW, ORDERS, RAW),
    "over CT-KV": (RAW, DESCENT, RAW),
}
"""What thinking is held against: its own scores, the other way and its scores."""
VERDICT = re.compile(
    r"^\| [^|]+ \| (?P<where>[^|]+) \| \*\*(?P<verdict>[^*]+)\*\* \|", re.MULTILINE
)

WHY = re.compile(r"^- (\*\*Why\.\*\* .*)$", re.MULTILINE)


def parts(results: Path) -> list[str]:
    """What thinking gains on each model beside the cheapest rivals, and what held before.

    results: the folder of the published study.
    """
    rows = [row for row in _rows(results, central_tables.NAME) if row["task"] == "average"]
    (scale,) = {row["scale"] for row in rows if row["less"] == DESCENT.label}
    averages = [row for row in rows if row["scale"] == scale]
    draws = sorted({int(row["draws"]) for row in averages if row["less"] and row["value"]})
    models = sorted({row["model"] for row in averages})
    lifts = [
        f"from {number(raw)} to {number(calibrated)} % ({model})"
        for model in models
        for raw, calibrated in [[_plain(averages, model, s) for s in (RAW, CALIBRATED)]]
        if raw is not None and calibrated is not None
    ]
    return [
        "The table shows how many points of accuracy thinking gains on frozen models, with t fixed "
        f"beforehand or chosen on dev: means over {len(TASKS)} tasks with 95 % intervals ({scale}; "
        f"{'-'.join(map(str, draws[:: len(draws) - 1 or 1]))} draws of demonstrations). Bold is "
        "significant after correction. *Five orders* averages the scores of five orders of the "
        "same demonstrations, and CT-KV trains the memory by gradient descent.",
        table(["model", "thinking in", *AGAINST], [*_lines(averages, models)]),
        "Calibration from unlabelled rows costs one line of arithmetic. It lifts vanilla "
        f"{listed(lifts)}.",
        *_why(results),
        _before(results / EARLIER.name),
    ]


def _lines(averages: list[Row], models: list[str]) -> list[list[str]]:
    return [
        [f"`{model}`", line.label.removeprefix("Thinking, "), *_cells(averages, model, line)]
        for model in models
        for line in DECIDING.thinking
    ]


def _cells(averages: list[Row], model: str, line: Line) -> list[str]:
    cells = []
    for ours, rival, theirs in AGAINST.values():
        wanted = (model, line.label, ours, rival.label, theirs)
        names = ("model", "method", "scores", "less", "scores_of_less")
        (row,) = (r for r in averages if tuple(r[name] for name in names) == wanted)
        cells.append(_cell(row))
    return cells


def _cell(row: Row) -> str:
    if not row["value"]:
        return MISSING
    mean, low, high = (number(float(row[name]), signed=True) for name in ("value", "low", "high"))
    significant = row["p_holm"] and float(row["p_holm"]) < 0.05
    return f"{f'**{mean}**' if significant else mean} [{low}, {high}]"


def _plain(averages: list[Row], model: str, scores: str) -> float | None:
    """The accuracy of vanilla in per cent."""
    wanted = (model, PLAIN.label, scores, "")
    names = ("model", "method", "scores", "less")
    found = (r["value"] for r in averages if tuple(r[name] for name in names) == wanted)
    value = next(found, "")
    return float(value) if value else None


def _why(results: Path) -> list[str]:
    """What the page's opening says of label biases; empty if it says nothing."""
    page = (results / "README.md").read_text(encoding="utf-8")
    return [found[1] for found in WHY.finditer(page)]


def _before(earlier: Path) -> str:
    """How many of the paper's claims the earlier study saw hold, and what dev rows are worth."""
    page = (earlier / "README.md").read_text(encoding="utf-8")
    verdicts = [match["verdict"] for match in VERDICT.finditer(page) if match["where"] != "ours"]
    whole, part = verdicts.count("holds"), verdicts.count("in part")
    wanted = ("average", "thinking less", "t by dev", "Random ♣")
    names = ("task", "family", "reading", "contrast")
    (row,) = (
        r for r in _rows(earlier, "comparisons") if tuple(r[name] for name in names) == wanted
    )
    gain, low, high = (
        number(-float(row[name]), signed=True) for name in ("difference", "high", "low")
    )
    return (
        "An [earlier study](results/small-pools/README.md) of SmolLM2 has every selection "
        f"baseline, over smaller pools and without scores. There {whole} of {len(verdicts)} claims "
        f"of the paper hold in full and {part} in part. Dev rows are worth more elsewhere: "
        "choosing among ten random sets of demonstrations, which are read once, is ahead of the "
        f"paper's setting with t chosen on dev by {gain} [{low}, {high}] points."
    )


def _rows(results: Path, name: str) -> list[Row]:
    with (results / "tables" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return [*csv.DictReader(file)]
