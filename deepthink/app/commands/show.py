"""Show finished jobs as they were shown when they ended, from their records alone.

    {called} show results/local/records/…/seed0-0a1b2c3d.json
    {called} show 0a1b2c
    {called} show 'task=sst2 method=deepthink seed=0'

A job is named by its record's path, by the beginning of its id, or by words that fit no other one.
Where several jobs fit, they are shown in one table, as `{called} compare` does.
"""

import shlex
from collections.abc import Iterator, Sequence

from rich.console import Console

from deepthink.app import closing_view, terminal
from deepthink.app.commands import compare
from deepthink.installation import called
from deepthink.report import commands, comparing, finding
from deepthink.report.runs import Run
from deepthink.store.schema import Record


def main(words: Sequence[str]) -> None:
    """Print what the words name; UserError if they name nothing."""
    named = compare.parsed("show", __doc__ or "", words, ("record",))
    found = finding.find(named.sides[0], named.results)
    console = terminal.console()
    if len(found.runs) > 1:
        closing_view.show(comparing.table(found.runs), console, "differs")
    else:
        show(found.runs[0], console)
    if found.warning:
        console.print(found.warning, highlight=False, soft_wrap=True)


def show(run: Run, console: Console) -> None:
    """Print one job: its curve, what was asked for, what it cost and how it was made."""
    from deepthink.app import job_view, metrics_view
    from deepthink.study.jobs import Outcome  # slow to import: a mistyped word is reported before

    job_view.show_result(Outcome(run.path, run.record, None), console)
    metrics_view.show(run.record, console)
    asked = f"asked for: {called()} {shlex.join(commands.words_of(run.record))}"
    for line in (asked, *_made(run.record)):
        console.print(line, highlight=False, soft_wrap=True)
    console.print(str(run.path), highlight=False, soft_wrap=True)


def _made(record: Record) -> Iterator[str]:
    """What the job cost, and with what it was made."""
    seconds, flops = record.seconds, record.flops
    parts = {
        "loading": seconds.load,
        "selection": seconds.select,
        "tokens": seconds.tokenise,
        "thinking": seconds.think,
        "scoring": seconds.score,
    }
    if seconds.left_out:
        parts["leave-one-out"] = seconds.left_out
    spent = ", ".join(f"{name} {took:.1f}" for name, took in parts.items())
    yield f"{seconds.all:.1f} s ({spent}) on {record.execution.device}"
    steps = {point.step for point in record.curve} | {point.step for point in record.open}
    work = {
        "selection": flops.selection,
        "thinking": sum(flops.thinking),
        "scoring": flops.scoring * len(steps),
        "leave-one-out": flops.left_out * len(steps),
    }
    counted = ", ".join(f"{name} {count:.1e}" for name, count in work.items() if count)
    yield f"operations: {counted}; at most {record.peak_memory_bytes / 1e9:.1f} GB of memory"
    commit, version = record.code.commit, record.versions.get("deepthink", "unknown")
    state = " with changes" if record.code.dirty else ""
    source = f", commit {commit[:8]}{state}" if commit else ""
    yield f"finished {record.finished} by deepthink {version}{source}"
