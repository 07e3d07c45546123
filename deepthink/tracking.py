"""Sending a finished job to Weights & Biases. The record is the truth; this is a copy of it."""

import os
from dataclasses import asdict

import pandas as pd

from deepthink.config import WandbSpec
from deepthink.errors import first_line
from deepthink.readings import by_dev
from deepthink.study import Outcome

_PREDICTION_ROWS = 20_000


def publish(outcome: Outcome, settings: WandbSpec) -> str | None:
    """Log curve, config and predictions as one run; returns why it failed, or None.

    Never raises: a dead network or a missing login must not cost a finished job. A job that was
    read and not run is not sent again.
    """
    if settings.mode == "disabled" or outcome.scores is None:
        return None
    os.environ.setdefault("WANDB_SILENT", "true")
    try:
        _publish(outcome, outcome.scores, settings)
    except Exception as error:  # whatever a third-party client meets
        return (
            f"not sent to Weights & Biases ({first_line(error)}): the record is complete without it"
        )
    return None


def _publish(outcome: Outcome, scores: pd.DataFrame, settings: WandbSpec) -> None:
    import wandb

    record = outcome.record
    key = record["identity"]
    last = scores[scores["step"] == scores["step"].max()]
    wide = last.pivot(index=["split", "query", "label"], columns="candidate", values="score")
    labels = key["task"]["labels"]
    wide = wide.set_axis([f"score {label}" for label in labels], axis=1).reset_index()
    wide["prediction"] = wide.iloc[:, 3:].to_numpy().argmax(1)
    with wandb.init(
        **asdict(settings),
        name=outcome.path.stem,
        id=outcome.path.stem.rpartition("-")[2],
        tags=[record["config"]["model"]["name"], key["task"]["name"]],
        config={"identity": key, **record["config"]},
        reinit="finish_previous",
        resume="allow" if settings.mode == "online" else None,
        settings=wandb.Settings(
            silent=True, console="off", init_timeout=20, x_disable_stats=True, disable_git=True
        ),
    ) as run:
        run.define_metric("*", step_metric="t")
        for step in sorted({p["step"] for p in record["curve"]}):
            points = [p for p in record["curve"] if p["step"] == step]
            run.log(
                {"t": step, **{f"{p['split']}/accuracy": p["correct"] / p["count"] for p in points}}
            )
        chosen = by_dev(record["curve"])
        if chosen is not None:
            run.summary["t by dev"] = chosen["step"]
            run.summary["test accuracy at t by dev"] = chosen["correct"] / chosen["count"]
        run.log({"predictions": wandb.Table(dataframe=wide.head(_PREDICTION_ROWS))})
