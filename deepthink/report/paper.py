"""The paper's own numbers, from one CSV file for each table and figure in the folder `paper`."""

from functools import lru_cache
from pathlib import Path

import pandas as pd

from deepthink.errors import UserError

FOLDER = Path(__file__).resolve().parent / "paper"
NOTES = FOLDER / "NOTES.md"


@lru_cache
def read(name: str) -> pd.DataFrame:
    """The numbers of a table or figure. A `value` that the paper only plots is missing.

    Raises:
        UserError: the file cannot be read.
    """
    path = FOLDER / f"{name}.csv"
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path} cannot be read: restore it with git checkout -- {path.parent}"
        ) from error


def value(name: str, **where: str) -> float | None:
    """The number in the row of a table that has these values; None if the paper has none."""
    frame = read(name)
    for column, wanted in where.items():
        frame = frame[frame[column] == wanted]
    numbers = frame["value"].dropna()
    return float(numbers.iloc[0]) if len(numbers) else None


def stated_gains() -> str:
    """The sentence on the only numbers of Figure 3 that the paper states."""
    gains = read("figure3").query("method == 'gain'")
    stated = ", ".join(f"{row.category} +{row.value:g}" for row in gains.itertuples())
    return f"The paper plots four models and states only LLaMA2-7B's gains: {stated}."


def shows(figure: str) -> str:
    """What the paper's figure of this name shows, in our words."""
    frame = read("figures").set_index("figure")
    return str(frame.loc[figure, "shows"])
