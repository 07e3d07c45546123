"""What a number costs: what is done once before the first query, and what each query takes.

Every job does more than its number needs: it scores dev and test after many t. The price of a
reading is what somebody pays who wants that number alone.

    before the first query   selection; the t iterations, or all T and dev's scores after each
                             scored t if the reading chooses t; what a readout reads besides; dev's
                             scores once for a calibration from dev
    for each query           its own score; its own selection and reading of demonstrations, if
                             every query has demonstrations of its own

Operations are those of the record, see `deepthink.engine.flops`. Seconds are wall-clock seconds of
the machine that ran the job. A part whose answers were known from an earlier job took no time here,
so it leaves the seconds unknown.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from deepthink.report.readings import Reading
from deepthink.report.runs import Run
from deepthink.store.chosen import Stage


@dataclass(frozen=True)
class Price:
    """Operations or seconds: once before the first query, and for each query.

    >>> Price(before=10.0, query=2.0).of(100)
    210.0
    """

    before: float
    query: float

    def of(self, queries: int) -> float:
        """The price of so many answers."""
        return self.before + self.query * queries


@dataclass(frozen=True)
class Spent:
    """What a job spent on each of its parts, in operations or in seconds.

    selection: of the parts for all queries. own_selection: of the parts for single queries.
    thinking: of each iteration. scoring: dev and test once. anchors, left_out: once.
    """

    selection: float
    own_selection: float
    thinking: tuple[float, ...]
    scoring: float
    anchors: float
    left_out: float

    def whole(self, steps: int) -> float:
        """The whole job, which scores dev and test after so many iterations."""
        again = self.scoring + self.anchors + self.left_out
        return self.selection + self.own_selection + sum(self.thinking) + steps * again


def operations(run: Run) -> Spent:
    """The operations of a job."""
    flops, stages = run.record.flops, run.record.selection.stages
    tokens = sum(stage.tokens for stage in stages)
    own = sum(stage.tokens for stage in stages if stage.per_query)
    of_queries = flops.selection * own / tokens if tokens else 0.0
    return Spent(
        flops.selection - of_queries,
        of_queries,
        flops.thinking,
        flops.scoring,
        flops.anchors,
        flops.left_out,
    )


def seconds(run: Run) -> Spent | None:
    """The seconds of a job; None if a part of them is not known."""
    record, steps = run.record, len(run.steps)
    flops, spent = record.flops, record.seconds
    stages = record.selection.stages
    scored = (flops.scoring + flops.texts) * steps
    done = scored - record.execution.reused
    if any(stage.kept for stage in stages) or done <= 0:
        return None
    own = _of(stages)
    thought = sum(flops.thinking)
    return Spent(
        max(0.0, spent.select - own),
        own,
        tuple(spent.think * part / thought for part in flops.thinking),
        spent.score * flops.scoring / done,
        spent.anchors / steps,
        spent.left_out / steps,
    )


def _of(stages: Sequence[Stage]) -> float:
    """The seconds of the stages that serve single queries."""
    return sum(stage.seconds for stage in stages if stage.per_query)


def price(run: Run, reading: Reading, spent: Spent) -> Price:
    """The price of a reading's number, of what its job spent.

    run: as the reading sees it, calibrated if it calibrates.
    """
    rows = run.record.data.rows
    every, dev = rows.dev + rows.test, spent.scoring * rows.dev / (rows.dev + rows.test)
    last = run.iterations if reading.fixed is None else reading.fixed
    thinking = sum(spent.thinking[:last])
    query = (spent.scoring + spent.own_selection) / every
    before = spent.selection + spent.anchors
    if _own_demonstrations(run):
        query += thinking / every
    else:
        before += thinking
    if reading.dev:
        before += len(run.steps) * dev
    elif reading.fixed is None:
        before += len(run.steps) * spent.left_out
    elif reading.calibration is not None and reading.calibration.dev:
        before += dev
    return Price(before, query)


def _own_demonstrations(run: Run) -> bool:
    """Whether every query has demonstrations of its own."""
    groups = run.record.demonstrations.groups or ()
    rows = run.record.data.rows
    return any(len(group.queries) < rows.dev + rows.test for group in groups)
