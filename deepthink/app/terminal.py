"""What jobs show in the terminal: a progress bar, tables, and where the records lie."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from deepthink.app import streams
from deepthink.app.journals import grouped
from deepthink.config.job import Config
from deepthink.config.overrides import named_model
from deepthink.config.request import Request
from deepthink.config.tasks import SuiteSpec
from deepthink.progress import Watcher
from deepthink.store import curves
from deepthink.study.jobs import Outcome
from deepthink.study.requests import Results


class ProgressWatcher(Watcher):
    """A progress bar over all query readings, with the newest accuracies of the job at work."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task = bar.add_task("starting", total=None)
        self._latest: dict[str, str] = {}
        self._stage = ""

    def stage(self, text: str) -> None:
        """Name the stage."""
        self._stage = text
        self._latest.clear()
        self._bar.update(self._task, description=text)

    def tell(self, text: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(text, highlight=False, soft_wrap=True)

    def start(self, total: int) -> None:
        """The length of the bar is known."""
        self._bar.update(self._task, total=total)

    def advance(self, readings: int) -> None:
        """Move on."""
        self._bar.advance(self._task, readings)

    def step(self, point: dict[str, Any]) -> None:
        """Show an accuracy as soon as it is known."""
        share = point["correct"] / point["count"]
        self._latest[point["split"]] = f"{point['split']} {share:.1%}"
        shown = ", ".join(self._latest.values())
        self._bar.update(self._task, description=f"{self._stage}: t={point['step']} {shown}")

    @contextmanager
    def aside(self, text: str, total: int) -> Iterator[Callable[[int], object]]:
        """A bar of its own, as long as it lasts."""
        task = self._bar.add_task(f"  {text}", total=total)
        try:
            yield lambda readings: self._bar.advance(task, readings)
        finally:
            self._bar.remove_task(task)


class _Console(Console):
    """One whose reader may leave, as `| head -1` does: what it shows ends, the work goes on."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        streams.abandon()


def console() -> Console:
    """The terminal, or a page wide enough for every table where the output is no terminal."""
    terminal = _Console(markup=False)
    return terminal if terminal.is_terminal else _Console(width=118, markup=False)


@contextmanager
def watching(console: Console) -> Iterator[Watcher]:
    """A watcher that draws on `console` while jobs run and leaves nothing behind."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        yield ProgressWatcher(bar)


def show(outcome: Outcome, console: Console) -> None:
    """Print a job's curve as a table, its readings, what was unusual, and the record's path."""
    record = outcome.record
    key, curve = record["identity"], record["curve"]
    title = f"{record['config']['model']['name']} · {key['task']['name']} · seed {key['seed']}"
    method = f"{outcome.path.parent.name}, {_method(key)}"
    console.print(f"{title} · {method}", style="italic", highlight=False, soft_wrap=True)
    table = Table()
    table.add_column("t", justify="right")
    splits = [split for split in ("dev", "test") if curves.of_split(curve, split)]
    for split in splits:
        table.add_column(f"{split} accuracy", justify="right")
        table.add_column("95 % interval", justify="right")
        if followed := "followed" in curve[0]:
            table.add_column("follows", justify="right")
    table.add_column("")
    for point in curves.of_split(curve, "test"):
        cells = [str(point["step"])]
        for split in splits:
            at = curves.at_step(curve, split, point["step"])
            cells += _cells(at)
            if followed:
                cells.append(f"{at['followed'] / at['count']:.1%}")
        table.add_row(*cells, "plain ICL" if point["step"] == 1 else "")
    console.print(table)
    if len(stages := record.get("selection", {}).get("stages", ())) > 1:
        console.print(_stages(stages))
    for line in (*_reading(stages), *_remarks(record)):
        console.print(line, highlight=False)
    verb = "wrote" if outcome.scores is not None else "read, not run again (force=true does):"
    console.print(f"{verb} {outcome.path}", highlight=False, soft_wrap=True)


def _cells(point: curves.Point) -> list[str]:
    share, low, high = curves.accuracy(point)
    return [f"{share:.1%}", f"{low:.1%} – {high:.1%}"]


def _stages(stages: Sequence[dict[str, Any]]) -> Table:
    """What a selection read of the model, stage by stage, beside what it was foreseen to read."""
    table = _plain_table(
        "stage", "prompts foreseen", "read", "known", "forwards", "tokens", "seconds"
    )
    numbers = ("predicted", "read", "kept", "forwards", "tokens", "seconds")
    total = {name: sum(stage[name] for stage in stages) for name in numbers}
    bound = any(stage["bound"] for stage in stages)
    for row in (*stages, {"name": "all", "bound": bound, **total}):
        if row["name"] == "all":
            table.add_section()
        table.add_row(
            row["name"],
            f"{'≤ ' if row['bound'] else ''}{row['predicted']:,}",
            *(f"{row[name]:,}" for name in ("read", "kept", "forwards", "tokens")),
            f"{row['seconds']:.1f}",
        )
    return table


def _reading(stages: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What a selection in one stage read, and whether any set of demonstrations lost some."""
    if len(stages) == 1:
        (stage,) = stages
        parts = []
        if stage["read"]:
            parts.append(
                f"{stage['read']:,} prompts read in {stage['forwards']:,} forwards, "
                f"{stage['seconds']:.1f} s"
            )
        if stage["kept"]:
            parts.append(f"{stage['kept']:,} prompts known from before, not read again")
        yield f"{stage['name']}: {'; '.join(parts)}"
    if shortened := sum(stage["shortened"] for stage in stages):
        yield f"{shortened:,} sets that were tried lost demonstrations to the context's limit"


def _method(key: dict[str, Any]) -> str:
    thinking = key["thinking"]
    parts = [f"{key['demonstrations']} demonstrations"]
    if copies := key.get("copies"):
        parts.append(f"{copies} times over")
    if labels := key.get("labels"):
        parts.append(f"{labels} labels")
    if thinking["iterations"] > 1:
        momentum = f", β {thinking['momentum']:g}" if thinking["momentum"] else ""
        parts.append(f"η {thinking['step_size']:g}{momentum}, {thinking['positions']} positions")
    return ", ".join(parts)


def _remarks(record: dict[str, Any]) -> Iterator[str]:
    curve, shots = record["curve"], record["demonstrations"]
    yield from _another_model(record["config"]["model"])
    chosen = curves.by_dev(curve)
    if chosen is not None and record["identity"]["thinking"]["iterations"] > 1:
        share = chosen["correct"] / chosen["count"]
        yield f"t chosen on dev: {chosen['step']}, test accuracy {share:.1%}"
    dropped = len(shots["indices"]) - shots["kept"]
    if dropped:
        yield (
            f"the context holds {shots['kept']} of {len(shots['indices'])} demonstrations at 2L "
            f"positions: the first {dropped} were dropped for every query"
        )
    if shots["truncated"]:
        yield f"the demonstrations were cut to their last {shots['tokens']} tokens"
    asked = record["identity"].get("copies", 1)
    if shots.get("copies", 1) < asked:
        yield f"the context holds {shots['copies']} of {asked} copies of the demonstrations"
    yield from _answer_remarks([record])
    found, published = record["data"]["read_rows"], record["data"]["published_rows"]
    if found != published:
        yield (
            f"the data read has {found['pool']:,} training and {found['test']:,} test rows, the "
            f"published set {published['pool']:,} and {published['test']:,}"
        )
    yield from record["data"].get("told", ())


def _another_model(model: dict[str, Any]) -> Iterator[str]:
    """Whether the model has a name of conf/model that is another model's."""
    known = named_model(model["name"])
    if known and (known["hub_id"], known["package"]) != (model["hub_id"], model["package"]):
        yield (
            f"the model is {model['hub_id']}, and its records lie under the name of another, "
            f"{model['name']}: model.name=... gives it a name of its own"
        )


def _answer_remarks(records: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What makes answers unequal rivals, or equal ones, in a job or in all of a suite's."""

    def total(name: str) -> int:
        return sum(record["tokens"].get(name, 0) for record in records)

    loser = {"sum": "longer", "probability": "shorter"}.get(records[0]["identity"]["answer_score"])
    if loser and (count := total("beginnings")):
        yield (
            f"in {count:,} queries the tokens of an answer begin those of another: of the two the "
            f"{loser} can never win (answer_score=mean compares them per token)"
        )
    if count := total("looks_special"):
        yield f"what is written like a special token in {count:,} examples was read as text"
    tied = Counter[tuple[str, int]]()
    for point in chain.from_iterable(record["curve"] for record in records):
        tied[point["split"], point["step"]] += point.get("ties", 0)
    (split, step), count = tied.most_common(1)[0]
    if count:
        yield (
            f"the highest score was shared in {count:,} {split} queries at t = {step}, where most "
            "were: such answers are drawn by lot, alike for every t, seed and method"
        )


def report(request: Request, results: Results, console: Console) -> None:
    """Print a suite's members, its averages, the average curve, and what was unusual.

    Accuracies are of the test split, at t = 1 (vanilla) and after the last step. An average of
    which a member is missing is missing too.
    """
    suite, outcomes = request.suite, results.outcomes
    if suite is None or not outcomes:
        return
    first = next(iter(outcomes.values()))
    key = first.record["identity"]
    steps = sorted({1, key["thinking"]["iterations"]})
    parts = [request.jobs[0].model.name, suite.name]
    if suite.answer != "text":
        parts.append(f"answer by {suite.answer}")
    if key["order"]:
        parts.append(f"order {key['order']}")
    title = " · ".join([*parts, f"{first.path.parent.name}, {_method(key)}"])
    console.print(title, style="italic", highlight=False, soft_wrap=True)
    console.print(_members(suite, results, steps))
    console.print(_averages(suite, results, steps))
    if len(steps) > 1 and not results.failures:
        console.print(_average_curve(list(outcomes.values())))
    for line in _suite_remarks(request.jobs, results):
        console.print(line, highlight=False)
    new = sum(outcome.scores is not None for outcome in outcomes.values())
    folder = first.path.parents[2]
    read = len(outcomes) - new
    console.print(
        f"{new} records written, {read} read and not run again, under {folder}",
        highlight=False,
        soft_wrap=True,
    )


def _plain_table(*headings: str) -> Table:
    """A table of a column of words and columns of numbers."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for heading in headings:
        words = heading in ("member", "average", "stage")
        table.add_column(heading, justify="left" if words else "right", no_wrap=True)
    return table


def _at(step: int) -> str:
    return f"t={step} % [95 % interval]"


def _estimate(estimate: curves.Estimate) -> str:
    share, low, high = (f"{100 * value:.1f}" for value in estimate)
    return f"{share:>5} [{low:>4}, {high:>5}]"


def _members(suite: SuiteSpec, results: Results, steps: Sequence[int]) -> Table:
    table = _plain_table("member", "shots", "questions", *map(_at, steps))
    for category, members in suite.chosen.items():
        if len(suite.categories) > 1:
            table.add_row(category, style="bold")
        for member in members:
            outcome = results.outcomes.get(suite.full_name(member))
            if outcome is None:
                table.add_row(member, "", "", "failed")
                continue
            points = [curves.at_step(outcome.record["curve"], "test", step) for step in steps]
            table.add_row(
                member,
                _shots(outcome),
                str(points[0]["count"]),
                *(_estimate(curves.accuracy(point)) for point in points),
            )
        table.add_section()
    return table


def _shots(outcome: Outcome) -> str:
    """How many demonstrations were kept, of how many if not all."""
    shots = outcome.record["demonstrations"]
    kept, count = shots["kept"], len(shots["indices"])
    cut = " (cut)" if shots["truncated"] else ""
    return (str(kept) if kept == count else f"{kept} of {count}") + cut


def _averages(suite: SuiteSpec, results: Results, steps: Sequence[int]) -> Table:
    table = _plain_table("average", "members", "questions", *map(_at, steps))
    groups = dict(suite.chosen)
    if len(groups) > 1:
        groups["all"] = [member for members in groups.values() for member in members]
    for group, members in groups.items():
        found = [results.outcomes.get(suite.full_name(member)) for member in members]
        whole = [outcome for outcome in found if outcome is not None]
        for kind, average in (("macro", curves.macro), ("micro", curves.micro)):
            cells = ["–"] * (1 + len(steps))
            if len(whole) == len(members):
                at = [
                    [curves.at_step(o.record["curve"], "test", step) for o in whole]
                    for step in steps
                ]
                questions = sum(point["count"] for point in at[0])
                cells = [f"{questions:,}", *(_estimate(average(points)) for points in at)]
            table.add_row(f"{group}, {kind}", str(len(members)), *cells)
        table.add_section()
    return table


def _average_curve(outcomes: Sequence[Outcome]) -> Table:
    table = _plain_table("t", "macro % [95 % interval]", "micro % [95 % interval]")
    each = [curves.of_split(outcome.record["curve"], "test") for outcome in outcomes]
    for points in zip(*each, strict=True):
        step = str(points[0]["step"])
        table.add_row(step, *(_estimate(f(points)) for f in (curves.macro, curves.micro)))
    return table


def _suite_remarks(jobs: Sequence[Config], results: Results) -> Iterator[str]:
    every = list(results.outcomes.values())
    if results.failures:
        done, all_of = len(every), len(jobs)
        yield f"{done} of {all_of} members have a result; averages over a missing one are missing"
    shots = [outcome.record["demonstrations"] for outcome in every]
    fewer = sum(shot["kept"] < len(shot["indices"]) or shot["truncated"] for shot in shots)
    if fewer:
        yield (
            f"at 2L positions the context does not hold all demonstrations of {fewer} "
            f"member{'s' * (fewer > 1)}: the first were dropped for every query"
        )
    data = [outcome.record["data"] for outcome in every]
    if left_out := sum(d["left_out"] for d in data):
        plural = "s" * (left_out > 1)
        yield f"left out for an unusual number of options: {left_out:,} test row{plural}"
    other = [o for o, d in zip(every, data, strict=True) if d["read_rows"] != d["published_rows"]]
    if other:
        names = ", ".join(outcome.record["identity"]["task"]["name"] for outcome in other)
        yield f"the data read differ in size from the published set: {names}"
    yield from grouped(
        f"{outcome.record['identity']['task']['name'].rpartition('/')[2]}: {line}"
        for outcome in every
        for line in outcome.record["data"].get("told", ())
    )
    if every:
        yield from _another_model(every[0].record["config"]["model"])
        yield from _answer_remarks([outcome.record for outcome in every])
    if (seed := jobs[0].seed) != jobs[0].draw:
        yield f"seed={seed} changes nothing: the demonstrations are given (order=1, 2, … permutes)"
