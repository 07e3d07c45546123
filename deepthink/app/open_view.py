"""The curve of an open task in the terminal."""

from collections.abc import Mapping

import pandas as pd
from rich.table import Table

from deepthink.report.open_answers import Questions, change
from deepthink.report.open_tables import HEADS
from deepthink.report.runs import Array
from deepthink.store.schema import Record
from deepthink.tasks.written_answers import WAYS

_JUDGED = (*WAYS, "bleu", "chrf")
NOTE = "changes are since t = 1, with 95 % intervals over questions; log p is in nats"


def curve(record: Record, scores: pd.DataFrame | None) -> Table:
    """A row for every scored t: log p of the references, its change, and written answers.

    scores: those beside the record. Without them no change has an interval, and none is shown.
    """
    questions = None if scores is None else Questions.of(scores)
    table = Table()
    table.add_column("t", justify="right")
    names = [name for name in _JUDGED if any(name in (p.metrics or {}) for p in record.open)]
    finals = ["final_log_p"] if record.open[0].final_log_p is not None else []
    for name in ("log_p", *finals):
        table.add_column(HEADS[name], justify="right")
        if questions is not None:
            table.add_column("change", justify="right")
    for name in names:
        table.add_column(HEADS[name], justify="right")
    table.add_column("")
    for point in record.open:
        cells = [str(point.step), f"{point.log_p:.4f}"]
        if questions is not None:
            cells.append(_change(questions.log_p, point.step))
        if point.final_log_p is not None:
            cells.append(f"{point.final_log_p:.4f}")
            if questions is not None:
                cells.append(_change(questions.final, point.step))
        cells += [_measured(name, point.metrics) for name in names]
        table.add_row(*cells, "plain ICL" if point.step == 1 else "")
    return table


def _change(numbers: Mapping[int, Array], step: int) -> str:
    if step == 1:
        return ""
    estimate = change([numbers], step)
    return f"{estimate.mean:+.4f} [{estimate.low:+.4f}, {estimate.high:+.4f}]"


def _measured(name: str, metrics: Mapping[str, float] | None) -> str:
    if not metrics or name not in metrics:
        return ""
    return f"{metrics[name]:.1%}" if name in WAYS else f"{metrics[name]:.1f}"
