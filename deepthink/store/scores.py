"""Every candidate's score, in a compressed file beside the record: `<record>.parquet`.

The table has one row per step, split, query and candidate, with the columns `step`, `split`,
`query`, `candidate`, `label` (the gold label of the query) and `score` (float64, as the model gave
it). The numbers are stored without loss in about three bytes each: the bytes of the scores are
stored by their place, of which most are alike, and the other columns repeat themselves.
"""

from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from deepthink import content
from deepthink.errors import UserError
from deepthink.files import atomically

_LEVEL = 19
"""Of zstd: the file is written once, and kept in a repository."""


def place(path: Path) -> Path:
    """Where the scores of a record lie."""
    return path.with_suffix(".parquet")


def write(path: Path, scores: pd.DataFrame) -> str:
    """Store the scores of a record and return their digest; OSError as it comes.

    Args:
        path: the record's.
        scores: the table above.
    """
    table = pa.Table.from_pandas(scores, preserve_index=False)
    others = [name for name in table.column_names if name != "score"]

    def fill(file: Path) -> None:
        parquet.write_table(
            table,
            file,
            compression="zstd",
            compression_level=_LEVEL,
            use_dictionary=others,
            use_byte_stream_split=["score"],
        )

    atomically(place(path), fill)
    return content.digest(place(path))


def read(path: Path, digest: str) -> pd.DataFrame | None:
    """The scores of a record; None if they are not there.

    UserError for a file that is not the one that was written with the record.

    Args:
        path: the record's.
        digest: what the record says of its scores.
    """
    file = place(path)
    if not file.exists():
        return None
    try:
        same = content.digest(file) == digest
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror or error})") from error
    if not same:
        raise UserError(
            f"{file} is not the file that was written with its record: put that one back, or "
            "delete this one"
        )
    return pd.read_parquet(file)
