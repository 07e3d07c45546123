"""Every candidate's score, in a compressed file beside the record: `<record>.parquet`.

The table has one row per step, split, query and candidate, with the columns `step`, `split`,
`query`, `candidate`, `label` (the gold label of the query) and `score` (float64, as the model gave
it). A score takes about three bytes, without loss. The first bytes of all scores are stored
together, then the second bytes, and so on, and most of these are the same. The other columns repeat
themselves.

`split` is "dev" or "test". If a calibration asked for the scores of texts, it is also "texts of
NAME". `query` is then g·n + i for the i-th of its n texts behind the demonstrations of group g of
the record's `demonstrations.groups` (0 where there is one group), and `label` is -1. Where
demonstrations were read in several orders, a score is the log of the mean probability over these,
for queries and for texts, and of each choice's groups there is one g.
"""

from pathlib import Path

import pandas as pd
import pyarrow as pa
from pyarrow import parquet

from deepthink import content
from deepthink.errors import UserError
from deepthink.files import atomically

SPLITS = ("dev", "test")
"""The values of `split` that stand for the rows of a task."""

_LEVEL = 19
"""The level of zstd. It is high, since the file is written once and kept in a repository."""


def texts_of(calibration: str) -> str:
    """The value of `split` that stands for the texts of a calibration.

    >>> texts_of("domain")
    'texts of domain'
    """
    return f"texts of {calibration}"


def of_rows(scores: pd.DataFrame) -> pd.DataFrame:
    """The part of a table that has the scores of a task's rows, without those of texts."""
    return scores[scores["split"].isin(SPLITS)]


def place(path: Path) -> Path:
    """The path of the scores of the record at `path`.

    >>> place(Path("seed0-0a1b2c3d.json")).name
    'seed0-0a1b2c3d.parquet'
    """
    return path.with_suffix(".parquet")


def write(path: Path, scores: pd.DataFrame) -> str:
    """Store the scores of a record and return the SHA-256 of their file.

    Args:
        path: that of the record.
        scores: the table above.

    Raises:
        OSError: the file cannot be written.
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
    """The scores of a record; None if their file is missing.

    Args:
        path: that of the record.
        digest: the SHA-256 of the scores that the record holds.

    Raises:
        UserError: the file is not the one that was written with the record, or cannot be read.
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
