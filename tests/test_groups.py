"""Demonstrations for each query: a job of several groups is the jobs of its groups."""

import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Command, assert_one_line, stored

from deepthink.report.runs import Runs

SMALL = ("test_size=5", "dev_size=4", "pool_size=12", "method.iterations=3")

NEAREST = """
    import numpy as np


    def select(pool, count, rng, only: int = -1):
        '''The examples of the most similar length for each query, or those of one query for all.'''
        lengths = np.array([len(example.text) for example in pool.examples])

        def nearest(query):
            return [int(i) for i in np.argsort(abs(lengths - len(query)), kind="stable")[:count]]

        if only >= 0:
            return nearest(pool.queries[only])
        return [Selection(nearest(query)) for query in pool.queries]
"""


@pytest.fixture
def plugin(tmp_path: Path) -> tuple[str, ...]:
    folder = tmp_path / "lab" / "rules"
    folder.mkdir(parents=True)
    text = textwrap.dedent(NEAREST).lstrip()
    first = "from deepthink.selection.balance import Selection\n"
    (folder / "nearest.py").write_text(text.replace("\n\n\ndef", f"\n\n{first}\n\ndef", 1))
    return (f"plugins={folder.parent}", "method.selector.name=nearest", "~method.selector.balance")


def scores_of(path: Path) -> pd.Series:
    return pd.read_parquet(path.with_suffix(".parquet")).set_index(
        ["step", "split", "query", "candidate"]
    )["score"]


def test_each_query_is_scored_after_its_own_demonstrations(
    run: Command, tmp_path: Path, plugin: tuple[str, ...]
) -> None:
    """Against one job for each query, whose demonstrations are shown to all and its score taken."""
    assert run(*plugin, *SMALL)[0] == 0
    ((whole, record),) = stored(tmp_path)
    places = [("dev", i) for i in range(4)] + [("test", i) for i in range(5)]
    ours = scores_of(whole)
    for number, (split, query) in enumerate(places):
        assert run(*plugin, f"+method.selector.only={number}", *SMALL)[0] == 0
        (alone,) = (
            path for path, other in stored(tmp_path)
            if other["identity"]["selector"].get("only") == number
        )  # fmt: skip
        theirs = scores_of(alone)
        for step in (1, 2, 3):
            np.testing.assert_allclose(
                ours.loc[step, split, query], theirs.loc[step, split, query], atol=1e-4
            )
    groups = record["demonstrations"]["groups"]
    assert sorted(place for group in groups for place in group["queries"]) == [*range(9)]
    assert 1 < len(groups) <= 9
    assert all(len(group["indices"]) == 8 for group in groups)
    shown = {index for group in groups for index in group["indices"]}
    assert record["demonstrations"]["indices"] == sorted(shown)
    assert len(record["demonstrations"]["labels"]) == len(shown)


def test_a_record_of_groups_is_read_and_shown(
    run: Command, tmp_path: Path, plugin: tuple[str, ...]
) -> None:
    assert run(*plugin, *SMALL)[0] == 0
    code, out, err = run(*plugin, *SMALL)
    assert (code, err) == (0, "")
    assert "read, not run again" in out
    (only,) = Runs.load(tmp_path / "results").all
    assert only.record.demonstrations.dropped == 0
    groups = only.record.demonstrations.groups
    assert groups is not None
    assert len(groups) > 1


def test_queries_that_share_demonstrations_share_a_group(
    run: Command, tmp_path: Path, plugin: tuple[str, ...]
) -> None:
    assert run(*plugin, "+method.selector.only=0", *SMALL)[0] == 0
    ((_, record),) = stored(tmp_path)
    assert "groups" not in record["demonstrations"]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("return [Selection([0, 1])] * 2", "returned 2 selections for 9 queries"),
        ("return [Selection([0, 0])] * 9", "must return 2 different pool indices"),
        ("return [Selection([0, 1])] * 8 + [[0, 1]]", None),
        ("return [Selection([0, 1])] * 8 + [None]", "must return 2 different pool indices"),
        ("return None", "must return 2 different pool indices"),
        ("return ['0', '1']", "must return 2 different pool indices"),
    ],
)
def test_what_is_no_choice_for_every_query_is_told(
    run: Command, tmp_path: Path, plugin: tuple[str, ...], body: str, says: str | None
) -> None:
    (tmp_path / "lab" / "rules" / "nearest.py").write_text(
        "from deepthink.selection.balance import Selection\n\n\n"
        f"def select(pool, count, rng):\n    {body}\n"
    )
    code, _, err = run(*plugin, *SMALL, "demonstrations.count=2")
    if says is None:
        assert (code, err) == (0, "")
    else:
        assert_one_line(code, err, says)
