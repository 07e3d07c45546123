"""The part of the page on the records themselves: which runs, by which rules, on which data."""

from collections.abc import Iterable, Iterator, Sequence

from deepthink.report import experiments, prose
from deepthink.report.measurements import Subject
from deepthink.report.render import Grid, markdown
from deepthink.report.runs import Run, Runs
from deepthink.report.words import printable


def section(runs: Runs) -> Iterator[str]:
    """What was run, paragraph by paragraph."""
    yield "## What was run\n"
    if runs.broken:
        yield prose.BROKEN
        lines = (f"- `{printable(path)}` {reason}" for path, reason in runs.broken.items())
        yield "\n".join(lines) + "\n"
    if not runs.all:
        yield prose.NOTHING_YET.format(command=experiments.whole_command(runs, "table1"))
        return
    yield markdown(_counts(runs)) + "\n"
    yield _sources(runs) + _steps(runs) + _origins(runs) + "\n"
    yield _rows(runs) + _sizes(runs) + "\n"
    yield from rules(runs)


def _counts(runs: Runs) -> Grid:
    """One row for each model and scale: its tasks, records, operations, hours and devices."""
    by_subject: dict[Subject, list[Run]] = {}
    for run in runs.all:
        by_subject.setdefault(Subject(runs, run.model, run.scale), []).append(run)
    rows = []
    for subject in sorted(by_subject, key=lambda subject: (subject.model, subject.scale)):
        members = by_subject[subject]
        seconds = sum(run.record.seconds.all for run in members)
        rows.append(
            (
                subject.model,
                str(subject.scale),
                ", ".join(sorted({run.suite for run in members})),
                str(len(members)),
                f"{sum(map(_operations, members)) / 1e15:.2f}",
                f"{seconds / 3600:.1f}",
                ", ".join(sorted({run.record.execution.device for run in members})),
            )
        )
    return Grid(prose.RUNS_HEADER, tuple(rows))


def _operations(run: Run) -> int:
    flops = run.record.flops
    at_steps = (flops.scoring + flops.left_out) * len(run.steps)
    return flops.selection + sum(flops.thinking) + at_steps


def _sources(runs: Runs) -> str:
    """The commits and versions that made the records."""
    changed = sum(bool(run.record.code.dirty) for run in runs.all)
    versions = {
        f"{name} {version}"
        for run in runs.all
        for name, version in run.record.versions.items()
        if name in ("torch", "transformers", "deepthink")
    }
    aside = f" ({changed} records with uncommitted changes)" if changed else ""
    return f"Commits {_commits(runs.all)}{aside}; {', '.join(sorted(versions))}. "


def _commits(runs: Iterable[Run]) -> str:
    names = {(run.record.code.commit or "unknown")[:8] for run in runs}
    return ", ".join(sorted(names))


def _rows(runs: Runs) -> str:
    """Where the rows came from, and how a command reads a copy of them."""
    places: dict[str, set[str]] = {}
    for run in runs.all:
        data = run.record.data
        local = run.record.config.data_root is not None
        kind = "copy" if local else "hub" if data.commit else "package"
        commit = f" at {data.commit[:8]}" if data.commit and not local else ""
        places.setdefault(kind, set()).add(f"{data.repository}{commit}")
    parts = [
        text.format(places=", ".join(sorted(places[kind])))
        for kind, text in prose.ROWS_FROM.items()
        if kind in places
    ]
    return " ".join([*parts, *([prose.COPIES] if "copy" in places else [])]) + " "


def _sizes(runs: Runs) -> str:
    """Which data sets differ in size from the published ones."""
    differing = {
        (run.task, read.pool, read.test, published.pool, published.test)
        for run in runs.all
        if (read := run.record.data.read_rows) != (published := run.record.data.published_rows)
    }
    if not differing:
        return "All data sets had their published size."
    parts = [
        f"{task} {pool:,}/{test:,} rows instead of {published_pool:,}/{published_test:,}"
        for task, pool, test, published_pool, published_test in sorted(differing)
        if "/" not in task
    ]
    if members := len({task for task, *_ in differing if "/" in task}):
        parts.append(f"{members} members of suites")
    return f"These data differ in size from the published sets: {'; '.join(parts)}."


def _steps(runs: Runs) -> str:
    """After which t the longest runs were scored."""
    last = max(run.iterations for run in runs.all)
    scored = sorted({run.steps for run in runs.all if run.iterations == last})
    names = " or ".join(", ".join(map(str, steps)) for steps in scored)
    return f"Runs of T = {last} were scored after t = {names}."


def _origins(runs: Runs) -> str:
    """What "other data" and "other model" mean, if there are any."""
    return prose.OTHER_ORIGINS if any(run.scale.other for run in runs.all) else ""


def rules(runs: Runs) -> Iterator[str]:
    """Which records were made by rules that have since changed, and how many scores were ties."""
    kept = [run for run in runs.all if run.overlap == "keep"]
    points = [point for run in runs.all for point in run.record.curve]
    counted = [(point.ties, point.count) for point in points if point.ties is not None]
    uncounted = [run for run in runs.all if any(p.ties is None for p in run.record.curve)]
    for concerned, text in ((kept, prose.OVERLAP_KEPT), (uncounted, prose.TIES_NOT_COUNTED)):
        if concerned:
            yield text.format(records=_proportion(concerned, runs), commits=_commits(concerned))
    if counted:
        ties, count = (sum(numbers) for numbers in zip(*counted, strict=True))
        yield prose.TIES_COUNTED.format(count=count, ties=ties)


def _proportion(concerned: Sequence[Run], runs: Runs) -> str:
    every = len(runs.all)
    if len(concerned) == every:
        return "All records were"
    return f"{len(concerned):,} of {every:,} records were"
