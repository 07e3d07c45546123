"""Stored records as pandas frames, for whoever wants to plot or to count by themselves."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from deepthink.errors import UserError
from deepthink.report import axes as named
from deepthink.report import finding
from deepthink.report.experiments import own_results
from deepthink.report.runs import Run
from deepthink.report.texts import of_record
from deepthink.store import curves, records, scores
from deepthink.store.identity import record_id
from deepthink.store.schema import Record

_Row = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]
"""What the job was, one point of its curve, and how the job ran."""


def results(*places: str | Path) -> pd.DataFrame:
    """What came out, as a pandas frame: one row for each record, split and scored t.

    Columns have the words that a command has: `model`, `task`, `method`, `seed`,
    `method.step_size`, `test_size` and so on, the options of methods of your own among them. A
    value without effect is missing: at T = 1 there is no step size. Then follow

    - `split` ("test" or "dev"), `t`, `by_dev` (whether t is the one that dev chooses),
    - `accuracy` with its 95 % interval `low` and `high` (Wilson's, over examples), as fractions,
    - `correct`, `count`, `ties`, and `followed` where labels were flipped,
    - `macro_f1`, `log_likelihood` and `calibration_error`, and `left_out`, the log-probability of
      the demonstrations' own answers behind the memory of the others, as far as the record has
      them,
    - of open tasks, instead of these, `log_p`, `final_log_p` and the metrics of written answers,
    - `seconds` of the whole job, `device`, `finished`, `code.commit`, `id`, and `record`, the path.

    Files that are no record of this version are left out with a warning of one line;
    `frame.attrs["broken"]` has the path of each with the reason.

        frame = deepthink.results("results/local")
        frame[frame.by_dev & (frame.split == "test")].groupby(["task", "method"]).accuracy.mean()

    Args:
        places: folders of results, folders within them, or files of records. Without any it is
            results/local.

    Raises:
        UserError: a place does not exist or has no records.
    """
    rows: list[_Row] = []
    broken: dict[str, str] = {}
    for place in places or (own_results(),):
        found = finding.under(Path(place))
        if found.warning:
            warnings.warn(found.warning, stacklevel=2)
        broken |= {str(path): why for path, why in found.broken.items()}
        rows += [row for run in found.runs for row in _rows(run)]
    keys = dict.fromkeys(key for part in range(3) for row in rows for key in row[part])
    frame = _typed([row[0] | row[1] | row[2] for row in rows], keys)
    frame.attrs["broken"] = broken
    return frame


def _rows(run: Run) -> Iterator[_Row]:
    """The rows of a record."""
    record = run.record
    of_job = named.of_record(record, run.path.parent.name)
    about = {
        "seconds": record.seconds.all,
        "device": record.execution.device,
        "finished": record.finished,
        "code.commit": record.code.commit,
        "id": record_id(record.identity),
        "record": str(run.path),
    }
    chosen = curves.by_dev(record.curve)
    left_out = {each.step: each.log_p for each in record.left_out}
    for point in record.curve:
        accuracy, low, high = curves.accuracy(point)
        of_point = {
            "split": point.split,
            "t": point.step,
            "by_dev": chosen is not None and point.step == chosen.step,
            "accuracy": accuracy,
            "low": low,
            "high": high,
            "correct": point.correct,
            "count": point.count,
            "ties": point.ties,
            "followed": point.followed,
            "macro_f1": point.macro_f1,
            "log_likelihood": point.log_likelihood,
            "calibration_error": point.calibration_error,
            "left_out": left_out.get(point.step),
        }
        yield of_job, of_point, about
    for of in record.open:
        numbers = {"log_p": of.log_p, "final_log_p": of.final_log_p, **(of.metrics or {})}
        place = {"split": "test", "t": of.step, "by_dev": False, "count": of.count}
        yield of_job, place | numbers, about


def _typed(rows: Sequence[dict[str, Any]], keys: Iterable[str]) -> pd.DataFrame:
    """Rows as a frame whose columns each have one type, missing values or not."""
    return pd.DataFrame({key: _column([row.get(key) for row in rows]) for key in keys})


def _column(values: Sequence[Any]) -> pd.Series:
    """A column: "boolean" or "Int64" if a value of that kind is missing, else bool or int64."""
    kinds = {type(value) for value in values if value is not None}
    whole = None not in values
    if kinds == {bool}:
        return pd.Series(values, dtype="bool" if whole else "boolean")
    if kinds == {int}:
        return pd.Series(values, dtype="int64" if whole else "Int64")
    if kinds and kinds <= {int, float}:
        return pd.Series(values, dtype="float64")
    if kinds == {str}:
        return pd.Series(values, dtype="str")
    return pd.Series(values, dtype="object")


def predictions(record: str | Path | Record, texts: bool = False) -> pd.DataFrame:
    """Every prediction of a job, as a pandas frame: one row for each example and scored t.

    Columns are `split`, `index` (the example's place in its split, as the job drew it), `t`, `gold`
    and `predicted` (indices of answers), `correct`, and where a task has label words `gold_label`
    and `predicted_label`. If the scores were kept, there is a column for each answer:
    `score.positive` by its label word, or `score.0` by its place among a question's own options.
    They are as the model gave them, before any calibration; a prediction is made after it.

    An open task has no predictions. Its frame has a row for each t, question and `reference`, with
    the columns of the file of scores; see `deepthink.store.scores`.

    A record without scores, as the published ones are, gives the predictions alone, with a warning.

        frame = deepthink.predictions("results/local/records/…/seed0-0a1b2c3d.json")
        frame[(frame.t == 1) & ~frame.correct]

    Args:
        record: the path of a record, or a record. The scores of a record in memory are looked for
            under the folder of results that its config names.
        texts: whether to read the data again, from where the job had read them, for a column `text`
            with the text of each example. It takes as long as reading a task.

    Raises:
        UserError: the path is no record, or the scores beside it, or the data, are not those of the
            record.
    """
    path = _place(record) if isinstance(record, Record) else Path(record)
    whole = record if isinstance(record, Record) else records.read(Path(record))
    scored, why = _scores(path, whole)
    if whole.open:
        if scored is None:
            raise UserError(f"an open task has no predictions, and {why}")
        frame = scored
    else:
        rows = [row for point in whole.curve for row in _predicted(whole, point)]
        frame = _typed(rows, rows[0]).sort_values(["split", "index", "t"], ignore_index=True)
        if scored is None:
            warnings.warn(f"predictions without scores: {why}", stacklevel=2)
        else:
            on = ["split", "index", "t"]
            frame = frame.merge(scored, on=on, how="left", validate="one_to_one")
    if texts:
        found = of_record(whole)
        places = zip(frame["split"], frame["index"], strict=True)
        frame.insert(2, "text", [found[split][index] for split, index in places])
    return frame


def _place(record: Record) -> Path | None:
    """The path of a record in memory, if it lies under the folder that its config names."""
    folder = Path(str(record.config.whole.get("results", ".")), "records")
    return next(folder.rglob(f"*-{record_id(record.identity)}.json"), None)


def _predicted(record: Record, point: curves.Point) -> Iterator[dict[str, Any]]:
    """The rows of one point of the curve."""
    words = record.identity.task.labels
    pairs = zip(record.gold.of(point.split), point.predicted.split(), strict=True)
    for index, (gold, answer) in enumerate((int(a), int(b)) for a, b in pairs):
        row: dict[str, Any] = {"split": point.split, "index": index, "t": point.step}
        row |= {"gold": gold, "predicted": answer, "correct": gold == answer}
        if words:
            row |= {"gold_label": words[gold], "predicted_label": words[answer]}
        yield row


def _scores(path: Path | None, record: Record) -> tuple[pd.DataFrame | None, str]:
    """The scores with a column for each candidate, or None and why there are none."""
    if not record.scores:
        return None, "the record is of a version that kept none"
    if path is None:
        return None, "the folder of results that its config names does not have the record"
    table = scores.read(path, record.scores)
    if table is None:
        return None, f"{scores.place(path)} is missing"
    table["split"] = table["split"].astype("str")
    table = table.rename(columns={"query": "index", "step": "t"})
    if record.open:
        return table.rename(columns={"candidate": "reference"}).drop(columns="label"), ""
    table = scores.of_rows(table)
    wide = table.pivot(index=["split", "index", "t"], columns="candidate", values="score")
    words = record.identity.task.labels
    names = {n: f"score.{words[int(n)] if words else n}" for n in wide.columns}
    return wide.rename(columns=names).rename_axis(columns=None).reset_index(), ""
