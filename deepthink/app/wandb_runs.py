"""Sending finished jobs to Weights & Biases. Its runs are derived from the records."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pandas as pd

from deepthink.config.job import Config, WandbSpec
from deepthink.config.request import Request
from deepthink.errors import first_line
from deepthink.hub import reachable
from deepthink.installation import make
from deepthink.redaction import without_secrets
from deepthink.store import curves, leases, ledger, records
from deepthink.store.schema import Record
from deepthink.store.scores import of_rows
from deepthink.study.jobs import Outcome
from deepthink.study.requests import Results

_PREDICTION_ROWS = 20_000
_LONGEST_NAME, _LONGEST_TAG = 128, 64
"""Characters that Weights & Biases accepts. The run's config has the whole name."""


@dataclass(frozen=True)
class Sending:
    """A run that was not sent as it should be.

    message: why, in one line. left: whether the run remains to be sent by a later command.
    """

    message: str
    left: bool = False


def publish(outcome: Outcome, config: Config) -> Sending | None:
    """Log curve, config and predictions as one run; returns what went wrong, if anything.

    Never raises: a dead network or a missing login must not make a finished job fail. A record is
    sent if W&B was on when it was made and the ledger lacks it. So it is sent even if the process
    that made it was killed. A suite's member is sent with its suite.
    """
    if config.task.member is not None:
        return None
    return _once([outcome], config, lambda settings: send_job(outcome, settings))


def publish_suite(request: Request, results: Results) -> Sending | None:
    """Log a suite's average curve and a table of its members as one run; returns as `publish`.

    A suite with a failed member is sent by the later command that completes it. A complete suite is
    sent unless each of its members was sent before, with this or another suite.
    """
    if results.failures:
        return None
    outcomes = [*results.outcomes.values()]
    return _once(outcomes, request.jobs[0], lambda settings: send_suite(request, results, settings))


def _once(
    outcomes: Sequence[Outcome], config: Config, send: Callable[[WandbSpec], None]
) -> Sending | None:
    """Send unless all records were sent, or another process holds the lease of the first."""
    if config.wandb.mode == "disabled":
        return None
    results = Path(config.results)
    due = {
        records.checksum(outcome.record): outcome.path
        for outcome in outcomes
        if outcome.record.config.wandb.mode != "disabled"
    }
    try:
        if due.keys() <= ledger.sent(results):
            return None
        lease = leases.of(results).take(leases.name_of(outcomes[0].record.identity))
        if not isinstance(lease, leases.Lease):
            return None
        with lease:
            if due.keys() <= ledger.sent(results):
                return None
            with ledger.noting(results, due):
                message = _sent(config.wandb, send)
            return Sending(message) if message else None
    except Exception as error:  # whatever the client of Weights & Biases raises
        why = without_secrets(first_line(error))
        message = f"not sent to Weights & Biases ({why}): the record is complete without it"
        return Sending(message, left=True)


def _sent(settings: WandbSpec, send: Callable[[WandbSpec], None]) -> str | None:
    """Send, or store the run on disk if the network is dead; returns what did not work."""
    sync = make("sync", "wandb sync --yes")
    stored = f"the run is kept here, {sync} uploads it"
    import wandb

    os.environ.setdefault("WANDB_SILENT", "true")
    client = wandb.setup().settings
    if settings.mode != "online":
        send(settings)
        return None
    if not reachable(client.base_url):
        send(replace(settings, mode="offline"))
        return f"{client.base_url} cannot be reached: {stored}"
    folder = Path(client.wandb_dir)
    before = {*folder.glob("run-*")}
    try:
        send(settings)
    except Exception as error:  # the server answers, but does not accept the run
        why = without_secrets(first_line(error))
        wandb.teardown()  # else the client counts the second try as a second writer
        for half in {*folder.glob("run-*")} - before:
            shutil.rmtree(half, ignore_errors=True)
        send(replace(settings, mode="offline"))
        return f"not sent to {client.base_url} ({why}): {stored}"
    return None


@contextmanager
def _started(
    settings: WandbSpec, name: str, identifier: str, tags: list[str], config: dict[str, Any]
) -> Iterator[Any]:
    """Start a run of Weights & Biases whose metrics are drawn over t."""
    import wandb

    with (
        wandb.init(
            mode=settings.mode,  # type: ignore[arg-type]
            project=settings.project,
            entity=settings.entity,
            group=settings.group and settings.group[:_LONGEST_NAME],
            name=name[-_LONGEST_NAME:],
            id=identifier,
            tags=[tag[:_LONGEST_TAG] for tag in tags],
            config=config,
            reinit="finish_previous",
            resume="allow" if settings.mode == "online" else None,
            settings=wandb.Settings(
                silent=True,
                console="off",
                init_timeout=20,
                finish_timeout=60,
                finish_timeout_raises=True,
                x_disable_stats=True,
                disable_git=True,
            ),
        ) as run
    ):
        run.define_metric("*", step_metric="t")
        yield run


def send_suite(request: Request, results: Results, settings: WandbSpec) -> None:
    """Log a complete suite as one run; whatever the client raises."""
    import wandb

    suite = request.suite
    assert suite is not None
    outcomes = list(results.outcomes.values())
    each = [curves.of_split(outcome.record.curve, "test") for outcome in outcomes]
    first, name = outcomes[0], suite.name
    ids = "".join(outcome.path.stem for outcome in outcomes)
    rows = [
        {"member": member, "step": point.step, "correct": point.correct, "count": point.count}
        for member, points in zip(results.outcomes, each, strict=True)
        for point in points
    ]
    with _started(
        settings,
        f"{name}-{first.path.parent.name}",
        sha256(ids.encode()).hexdigest()[:8],
        [request.jobs[0].model.name, name],
        {**first.record.config.whole, "task": asdict(suite)},
    ) as run:
        for points in zip(*each, strict=True):
            macro, micro = (average(points)[0] for average in (curves.macro, curves.micro))
            run.log({"t": points[0].step, "test/macro": macro, "test/micro": micro})
        run.log({"members": wandb.Table(dataframe=pd.DataFrame(rows))})


def send_job(outcome: Outcome, settings: WandbSpec) -> None:
    """Log a job as one run; whatever the client raises."""
    import wandb

    record, scores = outcome.record, outcome.scores
    if scores is None:
        scores = pd.read_parquet(outcome.path.with_suffix(".parquet"))
    key = record.identity
    table = _open_answers(scores) if record.open else _predictions(record, scores)
    with _started(
        settings,
        outcome.path.stem,
        outcome.path.stem.rpartition("-")[2],
        [record.config.model.name, key.task.name],
        {"identity": key.stored(), **record.config.whole},
    ) as run:
        for line in of_curve(record):
            run.log(line)
        chosen = curves.by_dev(record.curve)
        if chosen is not None:
            run.summary["t by dev"] = chosen.step
            run.summary["test accuracy at t by dev"] = chosen.accuracy
        run.log({"predictions": wandb.Table(dataframe=table.head(_PREDICTION_ROWS))})


def of_curve(record: Record) -> Iterator[dict[str, float]]:
    """The numbers of each scored t, by their names in a run."""
    for point in record.open:
        numbers = {"log p per token": point.log_p, "log p final answer": point.final_log_p}
        known = {name: value for name, value in numbers.items() if value is not None}
        known |= point.metrics or {}
        yield {"t": point.step, **{f"test/{name}": value for name, value in known.items()}}
    asked = {each.step: each.log_p for each in record.left_out}
    for step in sorted({point.step for point in record.curve}):
        points = [point for point in record.curve if point.step == step]
        numbers = {f"{p.split}/{name}": v for p in points for name, v in _metrics(p).items()}
        numbers["leave-one-out log p"] = asked.get(step)
        known = {name: value for name, value in numbers.items() if value is not None}
        yield {"t": step, **known}


def _metrics(point: curves.Point) -> dict[str, float | None]:
    """The metrics of a point; None for what it does not have."""
    return {
        "accuracy": point.accuracy,
        "macro F1": point.macro_f1,
        "log-likelihood": point.log_likelihood,
        "calibration error": point.calibration_error,
    }


def _open_answers(scores: pd.DataFrame) -> pd.DataFrame:
    """The references of an open task after the last step, and the answers that were written."""
    last: pd.DataFrame = scores[scores["step"] == scores["step"].max()]
    return last.drop(columns="label")


def _predictions(record: Record, scores: pd.DataFrame) -> pd.DataFrame:
    """Every candidate's score and the prediction after the last step, a row for each example."""
    step = scores["step"].max()
    last = of_rows(scores[scores["step"] == step])
    wide: pd.DataFrame = last.pivot(
        index=["split", "query", "label"], columns="candidate", values="score"
    )
    names = record.identity.task.labels or list(wide.columns)
    wide = wide.set_axis([f"score {name}" for name in names], axis=1).reset_index()
    wide["prediction"] = [
        int(label)
        for split in wide["split"].unique()
        for label in curves.at_step(record.curve, split, step).predicted.split()
    ]
    return wide
