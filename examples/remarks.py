"""Writes remarks.csv into the current folder: sixty remarks, each of which says fine or broken.

    python examples/remarks.py

It is the table of docs/your-data.md, for those who have none at hand.
"""

import csv
from itertools import product
from pathlib import Path

THINGS = (
    *("kettle", "lamp", "radio", "bicycle", "door bell", "toaster", "printer", "drill", "heater"),
    "washing machine",
)
REMARKS = {
    "fine": (
        "The {} did its work all week without a sound.",
        "I have used the {} every morning for a year.",
        "Since Monday the {} has run better than when it was new.",
    ),
    "broken": (
        "The {} gave off smoke and then stopped.",
        "I shook the {} and a loose screw fell out.",
        "Since Monday the {} has not done anything at all.",
    ),
}


def main() -> None:
    """Write the table, a remark and its state in each row."""
    rows = [
        (remark.format(thing), state)
        for thing, number in product(THINGS, range(3))
        for state, remarks in REMARKS.items()
        for remark in [remarks[number]]
    ]
    with Path("remarks.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("remark", "state"), *rows])
    print(f"wrote remarks.csv, {len(rows)} rows")


if __name__ == "__main__":
    main()
