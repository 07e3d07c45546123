"""The page results/README.md, and every table and figure beside it."""

import csv
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from io import StringIO
from pathlib import Path

from deepthink.config.overrides import CONF
from deepthink.installation import usual
from deepthink.report import (
    claims,
    comparison_tables,
    data_tables,
    experiments,
    figures,
    layouts,
    paper,
    sentences,
    tables,
    verdicts,
)
from deepthink.report.comparison_tables import Compared
from deepthink.report.figures import Drawn
from deepthink.report.render import Grid, gaps, grid, header, latex, long_form, markdown, so_far
from deepthink.report.runs import Run, Runs, Scale
from deepthink.report.writer import Writer

EXPERIMENTS = frozenset(
    {layout.name for layout in (*layouts.LAYOUTS, layouts.CATEGORIES)}
    | set(figures.EXPERIMENTS.values())
    | {experiment for _, _, experiment, _ in claims.CLAIMS}
)
"""The experiments that the page is about. A run that none of them asks for is not on it."""


def load(results: Path) -> Runs:
    """The runs under `results` that the page is about."""
    return experiments.studied(Runs.load(results), EXPERIMENTS)


def write(results: Path, runs: Runs, stage: Callable[[str], object]) -> Writer:
    """Regenerate every table, figure and the page of the runs under `results`.

    stage: told what comes next. OSError as it comes for a folder that cannot be written.
    """
    writer = Writer(results)
    drawn = []
    for one, figure in figures.every(runs, stage):
        writer.figure(one.file, figure)
        drawn.append(one)
    stage("tables")
    for name, text in texts(results, runs, drawn):
        writer.text(name, text)
    writer.sweep()
    return writer


def texts(results: Path, runs: Runs, drawn: Sequence[Drawn]) -> Iterator[tuple[str, str]]:
    """Every file of text by its name under `results`. drawn: the figures that there are."""
    built = tables.every(runs)
    for table in built:
        whole = "\n".join(_table(runs, table, range(len(table.blocks))))
        yield f"tables/{table.name}.md", whole
        shown = [block for block in table.blocks if block.measured] or table.blocks
        blocks = [(f"{block.model}: {block.scale}", grid(table, block)) for block in shown]
        notes = (_ACCURACY, *table.notes)
        tex = latex(table.name, table.title, notes, header(table), blocks)
        yield f"tables/{table.name}.tex", tex
        yield f"tables/{table.name}.csv", long_form(table)
    for name, title, content in data_tables.every(runs):
        yield from _plain(name, title, content)
    compared = list(comparison_tables.every(runs))
    yield "tables/comparisons.csv", comparison_tables.long_form(compared)
    yield "README.md", "\n".join(_page(results, runs, built, compared, drawn))


_ACCURACY = (
    "Accuracy in %, with the 95 % interval over draws and test examples (over examples alone where "
    "n is 1)."
)


def _table(runs: Runs, table: tables.Table, chosen: range | list[int]) -> Iterator[str]:
    """The Markdown of a table's blocks, with what is missing in each."""
    yield f"## {table.title}\n"
    yield f"{' '.join([_ACCURACY, *table.notes])}\n"
    if not table.blocks:
        yield f"Not run: `{_command(runs, table.name)}`\n"
    for at in chosen:
        block = table.blocks[at]
        yield f"### {block.model}: {block.scale}\n"
        yield markdown(grid(table, block)) + "\n"
        if (partial := so_far(table, block)) is not None:
            yield markdown(partial) + "\n"
        if lines := gaps(block):
            yield "\n".join(f"- missing: {line}" for line in lines) + "\n"


def _command(runs: Runs, experiment: str) -> str:
    """The command that runs an experiment into the folder of these runs."""
    words = [f"experiment={experiment}", *experiments.kept_in(runs)]
    return " ".join([usual(), *words])


def _plain(name: str, title: str, content: Grid) -> Iterator[tuple[str, str]]:
    out = StringIO()
    csv.writer(out, lineterminator="\n").writerows([content.header, *content.rows])
    yield f"tables/{name}.csv", out.getvalue()
    yield f"tables/{name}.md", f"## {title}\n\n{markdown(content)}\n"
    yield f"tables/{name}.tex", latex(name, title, (), content.header, [("", content)])


def _page(
    results: Path,
    runs: Runs,
    built: list[tables.Table],
    compared: list[Compared],
    drawn: Sequence[Drawn],
) -> Iterator[str]:
    """The text of results/README.md, part by part."""
    yield _HEAD
    yield from _in_short(runs)
    yield from _what_was_run(runs)
    yield from _verdicts(runs)
    yield from _pays(compared, drawn)
    yield from _positions(runs, compared, drawn)
    yield "## Tables\n"
    yield (
        "Models of the paper without a record are left out here; "
        + ", ".join(f"[{t.title}](tables/{t.name}.md)" for t in built)
        + " show every cell with the command that fills it. Beside each `.md` lie a `.tex` and a "
        "`.csv`, which names the records behind every number. "
        "[Table 4](tables/table4.md), [5](tables/table5.md) and [6](tables/table6.md) count the "
        f"data. {_notes(results)} audits the paper's own numbers.\n"
    )
    for table in built[:4]:
        measured = [at for at, block in enumerate(table.blocks) if block.measured]
        if measured:
            yield from _table(runs, table, measured)
    yield "## Figures\n"
    yield (
        "Bands and bars are 95 % intervals of each mean over draws and test examples; two that "
        "overlap may still differ, since methods are paired (see the tables of differences). In "
        "figure 5 boxes are quartiles, whiskers reach 1.5 times as far, and dots are draws; the "
        "drift is a mean over draws. Each figure is also a PDF for papers.\n"
    )
    for one in drawn:
        if one.name not in ("thinking", "positions"):
            yield _image(one)
    yield _METHODS


def _image(drawn: Drawn) -> str:
    return f"![{drawn.name}, {drawn.model}](figures/{drawn.file}.png)\n"


def _notes(results: Path) -> str:
    """The audit of the paper, with a link from pages of the same checkout."""
    root = CONF.parent
    name = paper.NOTES.relative_to(root).as_posix()
    if not results.resolve().is_relative_to(root):
        return f"`{name}`"
    path = Path(os.path.relpath(paper.NOTES, results.resolve()))
    return f"[{name}]({path.as_posix()})"


_HEAD = """# Results

Generated by `make tables` from the records in this folder; edit nothing here by hand.
"""

_METHODS = """## How the numbers are made

- *Readings of t.* One run is scored after many t. **t = 5** is fixed beforehand; **t by dev** is
  the t ≤ 15 that is best on the dev set of that very run (the earliest of equals); **oracle t** is
  the best on test itself, an upper bound that is shown but never tested, never called a result:
  it cannot be below vanilla, so its interval excludes zero even where thinking does nothing. Both
  choose among the t that were scored: "What was run" says which.
- *One dev set*: dev examples are the same for all draws, so what is chosen on them is conditional
  on them, as all is on the pool. ♣ chooses its set by vanilla accuracy on dev and then t on the
  same dev examples, which favours t = 1.
- *Intervals* of an accuracy or a difference regard draws of demonstrations and test examples both
  as samples (two-way random effects; `deepthink/report/statistics.py`). With one draw they are over
  examples alone. With five draws 95 % is rather 93 %, with three 92 %, with two 88 %. In an average
  over tasks a seed is one unit, since a rule's order of reading is alike in all of them; it is over
  the draws that all tasks have. The pool is one and the same.
- *Comparisons* are on the same test examples, and against vanilla, repetition and other positions
  on the same demonstrations: there draws are paired. A selector chooses for itself; its draws and
  those of thinking both count as spread. Differences are in points. 6:3 of 10: paired draws in
  which the first is ahead, and behind; in the rest the two are equal. d: the mean difference over
  its standard deviation across draws (Cohen's d_z with Hedges' correction). p on tasks is corrected
  over the five tasks of a row by Holm's method, that of the average stands alone; bold: below .05.
  With one to three of several draws nothing is tested: the interval is shown, without a p. Tables
  correct nothing over rows or readings: of twenty true zeros one will look like more. Verdicts and
  the opening correct over all tests of their claim.
- A cell is shown when every draw its experiment asks for is there; before that, "so far".
"""


def _in_short(runs: Runs) -> Iterator[str]:
    for model in runs.models:
        if found := list(sentences.sentences(runs, model)):
            yield f"## {model} in short\n"
            yield "\n".join(f"- {sentence}" for sentence in found) + "\n"


def _what_was_run(runs: Runs) -> Iterator[str]:
    yield "## What was run\n"
    if runs.broken:
        yield "Left out of every number; a job's own command sets its file aside and runs again:\n"
        told = (f"- `{printable(path)}` {why}" for path, why in runs.broken.items())
        yield "\n".join(told) + "\n"
    if not runs.all:
        yield f"Nothing yet. `{_command(runs, 'table1')}` runs the paper's Table 1.\n"
        return
    rows = []
    by_subject: dict[tuple[str, Scale], list[Run]] = {}
    for run in runs.all:
        by_subject.setdefault((run.model, run.scale), []).append(run)
    for (model, scale), found in sorted(by_subject.items()):
        seconds = sum(sum(run.record["seconds"].values()) for run in found)
        tasks = sorted({run.task.partition("/")[0] for run in found})
        rows.append(
            (
                model,
                str(scale),
                ", ".join(tasks),
                str(len(found)),
                f"{sum(map(_operations, found)) / 1e15:.2f}",
                f"{seconds / 3600:.1f}",
                ", ".join(sorted({run.record["execution"]["device"] for run in found})),
            )
        )
    header = (
        "model",
        "scale",
        "tasks",
        "records",
        "10¹⁵ operations, each job as if alone",
        "hours",
        "device",
    )
    yield markdown(Grid(header, tuple(rows))) + "\n"
    commits = _commits(runs.all)
    changed = sum(bool(run.record["code"]["dirty"]) for run in runs.all)
    versions = {
        f"{name} {version}"
        for run in runs.all
        for name, version in run.record["versions"].items()
        if name in ("torch", "transformers", "deepthink")
    }
    yield (
        f"Commits {commits}"
        + (f" ({changed} records of a tree with changes)" if changed else "")
        + f"; {', '.join(sorted(versions))}. "
        + _data_note(runs)
        + _steps_note(runs)
        + _apart_note(runs)
        + "\n"
    )
    yield from _rules_note(runs)


def printable(path: Path) -> str:
    """A path in one line of plain text, whatever its name is."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(path))


def _commits(runs: Iterable[Run]) -> str:
    names = {f"{run.record['code']['commit'] or 'unknown'}"[:8] for run in runs}
    return ", ".join(sorted(names))


def _apart_note(runs: Runs) -> str:
    """What is meant by the scales of other origins."""
    if not any(run.scale.other for run in runs.all):
        return ""
    return (
        ' "Other data" and "other model": the same name, but not the rows or the weights of most '
        "runs; these have tables of their own and are compared with nothing else."
    )


def _rules_note(runs: Runs) -> Iterator[str]:
    """By which rules of this program, as it changed, the records were made."""
    kept = [run for run in runs.all if run.overlap == "keep"]
    untold = [run for run in runs.all if any("ties" not in one for one in run.record["curve"])]
    told = [point for run in runs.all for point in run.record["curve"] if "ties" in point]
    every = len(runs.all)
    if kept:
        yield (
            f"{_share(kept, every)} made with `pool.overlap=keep` (commits {_commits(kept)}): pool "
            "rows whose text is also a test or dev row's were not left out of the demonstrations.\n"
        )
    if untold:
        yield (
            f"{_share(untold, every)} made before ties were counted (commits {_commits(untold)}): "
            "where two answers had equal scores, the first in the order of the labels counted.\n"
        )
    if told:
        ties, count = (sum(point[name] for point in told) for name in ("ties", "count"))
        yield f"Of {count:,} predictions whose ties were counted {ties:,} were ties.\n"


def _share(runs: Sequence[Run], every: int) -> str:
    if len(runs) == every:
        return "All records were"
    return f"{len(runs):,} of {every:,} records were"


def _steps_note(runs: Runs) -> str:
    """After which t the longest runs were scored."""
    last = max(run.iterations for run in runs.all)
    grids = sorted({run.steps for run in runs.all if run.iterations == last})
    told = " or ".join(", ".join(map(str, steps)) for steps in grids)
    return f" Runs of T = {last} were scored after t = {told}."


def _operations(run: Run) -> int:
    flops = run.record["flops"]
    return int(flops["selection"] + sum(flops["thinking"]) + flops["scoring"] * len(run.steps))


def _data_note(runs: Runs) -> str:
    other = {
        (run.task, *(run.record["data"][of][split] for of in _SIZES for split in ("pool", "test")))
        for run in runs.all
        if run.record["data"]["read_rows"] != run.record["data"]["published_rows"]
    }
    if not other:
        return "All data sets had their published size."
    told = [
        f"{task} {pool:,}/{test:,} rows instead of {published_pool:,}/{published_test:,}"
        for task, pool, test, published_pool, published_test in sorted(other)
        if "/" not in task
    ]
    suites = len({task for task, *_ in other if "/" in task})
    if suites:
        told.append(f"{suites} members of suites")
    return f"Data that differ in size from the published sets: {'; '.join(told)}."


_SIZES = ("read_rows", "published_rows")


def _verdicts(runs: Runs) -> Iterator[str]:
    yield "## Claims\n"
    header = ("claim", "in", "verdict", "evidence (points, 95 % intervals)")
    for model in runs.models:
        found = claims.verdicts(runs, model)
        if all(one.verdict == verdicts.NOT_RUN for one in found):
            continue
        rows = tuple((v.claim, v.where or "ours", f"**{v.verdict}**", v.evidence) for v in found)
        yield f"### {model}\n"
        yield markdown(Grid(header, rows)) + "\n"
    published = sorted(
        {m for t in ("table1", "table2", "table3") for m in experiments.axes(t)["model"]}
        - set(runs.models)
    )
    if published:
        yield (
            f"Not run on any of: {', '.join(published)}. A verdict follows from the numbers by "
            'rule (`deepthink/report/verdicts.py`): "holds" if every part of the claim is '
            "significant after Holm's correction over all tests of the claim (tasks and their "
            'average, under each reading and setting it names), "in part" if some are or only the '
            'average is, "not here" if none is. It cannot say "false": an interval that holds zero '
            "may be wide. Orders of t and spreads are judged by the tests named beside them. What "
            "the paper says across models (gains in every model, most in small ones) needs more "
            "than one model and is not judged.\n"
        )


def _pays(compared: list[Compared], drawn: Sequence[Drawn]) -> Iterator[str]:
    """Thinking against everything else, one table for each reading of t."""
    yield "## Does thinking pay?\n"
    mine = _known(compared, thinking=True)
    for model, scale in dict.fromkeys((one.model, one.scale) for one in mine):
        yield f"### {model}: {scale}\n"
        yield (
            "Thinking over random demonstrations (η = 0.01, continued positions) less every other "
            "way, each of which reads its demonstrations once. Choosing t by dev uses labels that "
            "only Random ♣ and LENS use too. A rule without a draw of its own takes the same "
            "demonstrations for every seed: its seeds are orders of one set.\n"
        )
        yield from _shown("thinking", drawn, model, scale)
        yield from comparison_tables.markdown(mine, model, scale)


def _known(compared: list[Compared], thinking: bool) -> list[Compared]:
    """The comparisons of one question that have a number."""
    asked = (one for one in compared if (one.family == comparison_tables.THINKING) == thinking)
    return [one for one in asked if any(one.contrast.estimates)]


def _shown(wanted: str, drawn: Sequence[Drawn], model: str, scale: Scale) -> Iterator[str]:
    """The figure of this name for a model and scale, if it was drawn."""
    return map(_image, (one for one in drawn if one == Drawn(wanted, model, scale)))


def _positions(runs: Runs, compared: list[Compared], drawn: Sequence[Drawn]) -> Iterator[str]:
    """Aligned against continued positions: figure, tables and what follows from them."""
    mine = _known(compared, thinking=False)
    if not mine:
        return
    yield "## Aligned or continued positions\n"
    yield (
        "At t ≥ 2 the present tokens can stand after the history (continued, the authors' program) "
        "or at the history's own positions (aligned). With rotary positions only the aligned way "
        "blends keys of like rotation in Eq. 4. It also brings the present nearer to the history "
        "it attends to; which of the two matters is not told apart here.\n"
    )
    for model, scale in dict.fromkeys((one.model, one.scale) for one in mine):
        yield f"### {model}: {scale}\n"
        if text := sentences.paragraph(runs, model, scale):
            yield text + "\n"
        yield from _shown("positions", drawn, model, scale)
        yield from comparison_tables.markdown(mine, model, scale)
