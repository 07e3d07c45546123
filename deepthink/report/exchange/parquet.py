"""Writing records as one table: a row for each record, split and t."""

from pathlib import Path

import pandas as pd
from pandas.api.types import is_object_dtype

from deepthink.files import atomically
from deepthink.report import axes, frames


def write(results: Path, to: Path) -> pd.DataFrame:
    """Write `deepthink.results` of a folder as a parquet file, and return it as it was written.

    `record` is the path within the folder. A column whose values are of several kinds, such as
    lists, has them as words of a command. The same records give the same file.

    Raises:
        OSError: the file cannot be written.
        UserError: there is no record.
    """
    frame = frames.results(results)
    frame.attrs.clear()
    frame["record"] = [Path(path).relative_to(results).as_posix() for path in frame["record"]]
    for name in frame.columns:
        if is_object_dtype(frame[name]) and frame[name].notna().any():
            values = [None if value is None else axes.shown(value) for value in frame[name]]
            frame[name] = pd.Series(values, dtype="str")
    frame = frame.sort_values(["record", "split", "t"], ignore_index=True)
    to.parent.mkdir(parents=True, exist_ok=True)
    atomically(to, lambda file: frame.to_parquet(file, index=False, compression="zstd"))
    return frame
