"""The page results/README.md, and every table and figure beside it."""

import csv
from collections.abc import Callable, Iterator
from io import StringIO
from pathlib import Path

from deepthink.report import (
    claims,
    comparisons,
    contrasts,
    counts,
    experiments,
    figures,
    finding,
    judging,
    summary,
    tables,
)
from deepthink.report.contrasts import Compared
from deepthink.report.render import Grid, gaps, grid, header, latex, long_form, markdown, so_far
from deepthink.report.runs import Run, Runs, Scale
from deepthink.report.writer import Writer


def write(results: Path, runs: Runs, stage: Callable[[str], object]) -> Writer:
    """Regenerate every table, figure and the page of the runs under `results`.

    stage: told what comes next. Raises UserError for runs that belong to one number but differ in
    their data, OSError as it comes for a folder that cannot be written.
    """
    writer = Writer(results)
    stage("tables")
    built = tables.every(results, runs)
    for table in built:
        writer.text(f"tables/{table.name}.md", "\n".join(_table(table, range(len(table.blocks)))))
        shown = [block for block in table.blocks if block.measured] or table.blocks
        blocks = [(f"{block.model}: {block.scale}", grid(table, block)) for block in shown]
        notes = (_ACCURACY, *table.notes)
        tex = latex(table.name, table.title, notes, header(table), blocks)
        writer.text(f"tables/{table.name}.tex", tex)
        writer.text(f"tables/{table.name}.csv", long_form(table))
    for name, title, content in counts.every(results, runs):
        _plain(writer, name, title, content)
    compared = list(contrasts.every(runs))
    writer.text("tables/comparisons.csv", contrasts.long_form(compared))
    drawn = []
    for name, draw in figures.FIGURES.items():
        for model, scale in comparisons.subjects(runs, figures.EXPERIMENTS[name]):
            stage(f"{name}: {model}")
            with figures.style():
                figure = draw(runs, model, scale)
                if figure is not None:
                    file = name + _suffix(model, scale)
                    writer.figure(file, figure)
                    drawn.append((name, model, file))
    stage("results/README.md")
    writer.text("README.md", "\n".join(_page(runs, built, compared, drawn)))
    writer.sweep()
    return writer


def _suffix(model: str, scale: Scale) -> str:
    """What tells the files of a model and scale from others."""
    sizes = (scale.test, scale.dev, scale.pool)
    rows = [] if scale.whole else ["all" if size < 0 else str(size) for size in sizes]
    return "-".join(["", model, *rows, scale.dtype])


_ACCURACY = (
    "Accuracy in %, with the 95 % interval over draws and test examples (over examples alone where "
    "n is 1)."
)


def _table(table: tables.Table, chosen: range | list[int]) -> Iterator[str]:
    """The Markdown of a table's blocks, with what is missing in each."""
    yield f"## {table.title}\n"
    yield f"{' '.join([_ACCURACY, *table.notes])}\n"
    if not table.blocks:
        yield f"Not run: `python run.py experiment={table.name}`\n"
    for at in chosen:
        block = table.blocks[at]
        yield f"### {block.model}: {block.scale}\n"
        yield markdown(grid(table, block)) + "\n"
        if (partial := so_far(table, block)) is not None:
            yield markdown(partial) + "\n"
        if lines := gaps(block):
            yield "\n".join(f"- missing: {line}" for line in lines) + "\n"


def _plain(writer: Writer, name: str, title: str, content: Grid) -> None:
    out = StringIO()
    csv.writer(out, lineterminator="\n").writerows([content.header, *content.rows])
    writer.text(f"tables/{name}.csv", out.getvalue())
    writer.text(f"tables/{name}.md", f"## {title}\n\n{markdown(content)}\n")
    writer.text(f"tables/{name}.tex", latex(name, title, (), content.header, [("", content)]))


def _page(
    runs: Runs,
    built: list[tables.Table],
    compared: list[Compared],
    drawn: list[tuple[str, str, str]],
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
        "data. [paper/NOTES.md](paper/NOTES.md) audits the paper's own numbers.\n"
    )
    for table in built[:4]:
        measured = [at for at, block in enumerate(table.blocks) if block.measured]
        if measured:
            yield from _table(table, measured)
    yield "## Figures\n"
    yield (
        "Bands and bars are 95 % intervals of each mean over draws and test examples; two that "
        "overlap may still differ, since methods are paired (see the tables of differences). In "
        "figure 5 boxes are quartiles, whiskers reach 1.5 times as far, and dots are draws; the "
        "drift is a mean over draws. Each figure is also a PDF for papers.\n"
    )
    for name, model, file in drawn:
        if name not in ("thinking", "positions"):
            yield f"![{name}, {model}](figures/{file}.png)\n"
    yield _METHODS


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
        if found := list(summary.sentences(runs, model)):
            yield f"## {model} in short\n"
            yield "\n".join(f"- {sentence}" for sentence in found) + "\n"


def _what_was_run(runs: Runs) -> Iterator[str]:
    yield "## What was run\n"
    if runs.broken:
        yield "Left out of every number; a job's own command sets its file aside and runs again:\n"
        yield "\n".join(f"- `{path}` {why}" for path, why in runs.broken.items()) + "\n"
    if not runs.all:
        yield "Nothing yet. `python run.py experiment=table1` runs the paper's Table 1.\n"
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
    commits = sorted({f"{run.record['code']['commit'] or 'unknown'}"[:8] for run in runs.all})
    changed = sum(bool(run.record["code"]["dirty"]) for run in runs.all)
    versions = {
        f"{name} {version}"
        for run in runs.all
        for name, version in run.record["versions"].items()
        if name in ("torch", "transformers", "deepthink")
    }
    yield (
        f"Commits {', '.join(commits)}"
        + (f" ({changed} records of a tree with changes)" if changed else "")
        + f"; {', '.join(sorted(versions))}. "
        + _data_note(runs)
        + _steps_note(runs)
        + "\n"
    )


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
        run.task: (run.record["data"]["read_rows"], run.record["data"]["published_rows"])
        for run in runs.all
        if run.record["data"]["read_rows"] != run.record["data"]["published_rows"]
    }
    if not other:
        return "All data sets had their published size."
    told = [
        f"{task} {read['pool']:,}/{read['test']:,} rows instead of "
        f"{published['pool']:,}/{published['test']:,}"
        for task, (read, published) in sorted(other.items())
        if "/" not in task
    ]
    suites = sum("/" in task for task in other)
    if suites:
        told.append(f"{suites} members of suites")
    return f"Data that differ in size from the published sets: {'; '.join(told)}."


def _verdicts(runs: Runs) -> Iterator[str]:
    yield "## Claims\n"
    header = ("claim", "in", "verdict", "evidence (points, 95 % intervals)")
    for model in runs.models:
        found = claims.verdicts(runs, model)
        if all(one.verdict == judging.NOT_RUN for one in found):
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
            'rule (`deepthink/report/judging.py`): "holds" if every part of the claim is '
            "significant after Holm's correction over all tests of the claim (tasks and their "
            'average, under each reading and setting it names), "in part" if some are or only the '
            'average is, "not here" if none is. It cannot say "false": an interval that holds zero '
            "may be wide. Orders of t and spreads are judged by the tests named beside them. What "
            "the paper says across models (gains in every model, most in small ones) needs more "
            "than one model and is not judged.\n"
        )


def _pays(compared: list[Compared], drawn: list[tuple[str, str, str]]) -> Iterator[str]:
    """Thinking against everything else, one table for each reading of t."""
    yield "## Does thinking pay?\n"
    mine = [one for one in compared if one.family == contrasts.THINKING]
    for model, scale in dict.fromkeys((one.model, one.scale) for one in mine):
        yield f"### {model}: {scale}\n"
        yield (
            "Thinking over random demonstrations (η = 0.01, continued positions) less every other "
            "way, each of which reads its demonstrations once. Choosing t by dev uses labels that "
            "only Random ♣ and LENS use too. A rule without a draw of its own takes the same "
            "demonstrations for every seed: its seeds are orders of one set.\n"
        )
        yield from _shown("thinking", drawn, model, scale)
        yield from contrasts.markdown(mine, model, scale)


def _shown(
    wanted: str, drawn: list[tuple[str, str, str]], model: str, scale: Scale
) -> Iterator[str]:
    """The figure of this name for a model and scale, if it was drawn."""
    for name, of, file in drawn:
        if (name, of) == (wanted, model) and file.endswith(_suffix(model, scale)):
            yield f"![{name}, {model}](figures/{file}.png)\n"


def _positions(
    runs: Runs, compared: list[Compared], drawn: list[tuple[str, str, str]]
) -> Iterator[str]:
    """Aligned against continued positions: figure, tables and what follows from them."""
    mine = [one for one in compared if one.family != contrasts.THINKING]
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
        if text := finding.paragraph(runs, model, scale):
            yield text + "\n"
        yield from _shown("positions", drawn, model, scale)
        yield from contrasts.markdown(mine, model, scale)
