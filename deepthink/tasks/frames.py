"""A pandas frame as a task: what task.file= does with a file."""

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepthink.config.own import OwnSpec, task_values
from deepthink.config.tasks import TaskSpec
from deepthink.errors import UserError, shown, unknown
from deepthink.structures import Splits
from deepthink.tasks.own import described, divided
from deepthink.tasks.own_files import Parts, by_column
from deepthink.tasks.rows import Rows
from deepthink.tasks.sources import source_of
from deepthink.tasks.splitting import divide

if TYPE_CHECKING:
    import pandas as pd


_KEYS = {field.name for field in fields(OwnSpec)} - {"file", "test_file"} | {
    *("template", "delimiter", "answer", "version")
}
"""What may be said of a frame."""


def from_frame(
    frame: "pd.DataFrame", test: "pd.DataFrame | None" = None, name: str = "frame", **keys: Any
) -> tuple[TaskSpec, Splits]:
    r"""The task that the rows of a frame make, and its pool, dev and test examples.

    The columns of the text and the label, the classes and the division of the rows are found, or
    named, as docs/your-data.md says for files. A used column may have no missing values.

    test: the test rows, where they are in a frame of their own.
    name: what the task and messages are called.
    keys: the keys of conf/task/_own.yaml: text, label, labels, choices, template, split, held_out …

    >>> import pandas as pd
    >>> rows = [(f"Cup {i} is {'fine' if i % 2 else 'broken'}.", i % 2) for i in range(60)]
    >>> frame = pd.DataFrame(rows, columns=["remark", "whole"])
    >>> task, splits = from_frame(frame, label="whole", labels=["no", "yes"])
    >>> task.parsed.prompt, task.labels, len(splits.pool)
    ('{text}\nLabel:', ['no', 'yes'], 20)

    Raises:
        UserError: a key that does not exist, or rows that are no task.
    """
    for key in keys:
        if key not in _KEYS:
            raise unknown("argument of from_frame", key, _KEYS)
    usual = {"version": 1, "delimiter": " ", "answer": "text"}
    values = task_values({**usual, **keys, "file": name, "name": name})
    own = OwnSpec(**values.pop("own"))
    task = TaskSpec(**values, own=own)
    rows = _rows(frame, name)
    parts = by_column(rows, own) if test is None else Parts(rows, _rows(test, f"{name} (test)"))
    full, _ = described(task, parts, name)
    whole = divided(full, parts)
    source = source_of(whole.pool, whole.test, full.sources[0], full)
    return full, divide(replace(source, told=whole.told), full)


def _rows(frame: "pd.DataFrame", name: str) -> Rows:
    if not hasattr(frame, "columns"):
        raise UserError(f"a frame of pandas is needed, not {shown(frame)}")
    names = [str(column) for column in frame.columns]
    if len({*names}) < len(names):
        raise UserError(f"{name} has two columns of one name: {', '.join(names[:12])}")
    cells = frame.astype(object).where(frame.notna(), None)
    columns = {column: cells.iloc[:, place].tolist() for place, column in enumerate(names)}
    return Rows(columns, [(Path(name), number) for number in range(1, len(frame) + 1)], {})
