"""`deepthink compare`: stored jobs against each other, or one line that says why not."""

import csv
from pathlib import Path

import pytest
from conftest import assert_one_line
from made_records import jobs, put

from deepthink.app import commands
from deepthink.errors import UserError
from deepthink.installation import CONF
from deepthink.report import experiments, finding
from deepthink.report.closing import Line
from deepthink.report.comparing import Side, compare, table
from deepthink.report.groups import COLUMNS, Cell
from deepthink.store import records

STUDY = CONF.parent / experiments.EARLIER


def keep(results: Path, *words: str, hits: int = 3, rows: int = 6, data: str = "data") -> Path:
    """A made-up record that is right on one more row after each t."""
    (job,) = jobs("model=opt-125m", *words)
    right = {t: min(rows, hits + t - 1) for t in range(1, job.method.iterations + 1)}
    return put(results, job, right, rows=rows, data=data)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Two methods, three seeds, one task."""
    for seed in range(3):
        keep(tmp_path, "task=sst2", "method=vanilla", f"seed={seed}", hits=2 + seed)
        words = ("method=deepthink", "method.iterations=2", f"seed={seed}")
        keep(tmp_path, "task=sst2", *words, hits=2 + seed)
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], name: str, *words: object) -> tuple[int, str, str]:
    code = 0
    try:
        commands.run(name, [str(word) for word in words])
    except SystemExit as stopped:
        code = stopped.code if isinstance(stopped.code, int) else 1
        printed = capsys.readouterr()
        return code, printed.out, str(stopped.code)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def side(name: str, results: Path) -> Side:
    return Side(name, finding.find(name, results).runs)


def cells(line: Line) -> dict[str, Cell]:
    return {name: cell for name, cell in zip(COLUMNS, line.cells, strict=True) if cell}


def test_one_setting_against_another(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    closing = compare(side("method=vanilla", results), side("method=deepthink", results))
    first, second = closing.blocks[0].lines
    assert (first.label, second.label) == (("vanilla",), ("deepthink",))
    difference = cells(second)["t = T"].difference
    assert difference is not None
    assert difference.mean == pytest.approx(100 / 6)
    assert (difference.wins, difference.losses) == (3, 0)
    code, out, _ = told(
        capsys, "compare", f"results={results}", "method=vanilla", "method=deepthink"
    )
    assert code == 0
    assert "compared: method (2), seed (0 to 2)" in out
    assert "sst2, t = T: ahead in 3 of 3 draws, behind in 0, no p with fewer than 4" in out
    folders = [
        results / "records" / "opt-125m" / "sst2" / name for name in ("vanilla", "deepthink")
    ]
    assert told(capsys, "compare", *folders)[1] == out


def test_the_first_side_is_what_the_second_is_compared_with(results: Path) -> None:
    forth = compare(side("method=vanilla", results), side("method=deepthink", results))
    back = compare(side("method=deepthink", results), side("method=vanilla", results))
    there, here = (cells(each.blocks[0].lines[1])["t = T"].difference for each in (forth, back))
    assert there is not None and here is not None and there.mean == -here.mean != 0


def test_one_name_gives_the_table_of_a_sweep(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    closing = table(finding.find("task=sst2", results).runs)
    assert [line.label for line in closing.blocks[0].lines] == [("vanilla",), ("deepthink",)]
    code, out, _ = told(capsys, "compare", "--results", results, "task=sst2 seed=0,2")
    assert code == 0
    assert "differs: method (2), seed (0, 2)" in out


def test_it_gives_the_reports_numbers_on_the_published_records() -> None:
    words = "task=sst2,sst5,trec,mr,agnews test_size=100 method=deepthink method.iterations=15"
    words += " method.step_size=0.1 method.positions="
    found = [finding.find(words + name, STUDY) for name in ("continued", "aligned")]
    closing = compare(*(Side(str(n), one.runs) for n, one in enumerate(found)))
    with (STUDY / "tables" / "comparisons.csv").open(encoding="utf-8") as file:
        (row,) = (
            row
            for row in csv.DictReader(file)
            if row["family"] == "positions, η = 0.1"
            and row["contrast"] == "aligned − continued"
            and (row["task"], row["reading"]) == ("average", "t by dev")
        )
    difference = cells(closing.blocks[-1].lines[1])["t by dev"].difference
    assert difference is not None
    numbers = (difference.mean, difference.low, difference.high)
    assert numbers == pytest.approx(
        [float(row[key]) for key in ("difference", "low", "high")], abs=6e-5
    )
    assert (difference.wins, difference.losses) == (int(row["wins"]), int(row["losses"]))
    assert difference.p == pytest.approx(float(row["p"]), rel=0.01)


def test_two_single_runs_are_compared_whatever_their_draws(results: Path) -> None:
    closing = compare(
        side("method=vanilla seed=0", results), side("method=deepthink seed=2", results)
    )
    difference = cells(closing.blocks[0].lines[1])["t = T"].difference
    assert difference is not None and difference.mean == pytest.approx(100 * 3 / 6)
    seeds = compare(side("method=vanilla seed=0", results), side("method=vanilla seed=1", results))
    assert seeds.keys == ("seed",)
    assert [line.label for line in seeds.blocks[0].lines] == [(0,), (1,)]


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("method=deepthink", "method=deepthink", "3 records are on both sides"),
        (
            "task=sst2",
            "method=herding",
            "no record of these has method=herding: there is deepthink",
        ),
        ("method=vanilla", "method=lens", "no seed and order in common"),
        ("method=vanilla", "task=mr", "no task in common"),
        ("method=vanilla seed=0", "test_size=7", "not on the same rows of sst2, so nothing pairs"),
        (
            "method=vanilla seed=0,1",
            "method=vanilla seed=2",
            "one setting, whose draws are averaged",
        ),
        ("mehtod=vanilla", "method=deepthink", "did you mean method"),
        ("task=sst2 method", "method=deepthink", "words are key=value"),
        ("vanilla", "method=deepthink", "is no file, no folder and no record's id"),
        ("", "method=deepthink", "named by its path, its id, or words"),
        ("task='sst2", "method=deepthink", "is not understood"),
    ],
)
def test_what_cannot_be_compared_is_one_line(
    results: Path, capsys: pytest.CaptureFixture[str], first: str, second: str, said: str
) -> None:
    for seed in (7, 8):
        keep(results, "task=sst2", "method=lens", "method.iterations=1", f"seed={seed}")
    keep(results, "task=mr", "method=vanilla", "seed=3")
    keep(results, "task=sst2", "method=vanilla", "test_size=7", rows=7, data="other")
    if first.startswith("method=vanilla"):
        first += " test_size=null task=sst2"
    if second == "method=vanilla seed=2":
        second += " test_size=null"
    code, _, err = told(capsys, "compare", f"results={results}", first, second)
    assert_one_line(code, err, said)


def test_several_settings_on_a_side_are_told_with_a_way_out(results: Path) -> None:
    keep(results, "task=sst2", "method=deepthink", "method.iterations=2", "method.step_size=0.1")
    with pytest.raises(UserError, match=r"differ in method.step_size: .*step_size=0.01 \(.*0.1\)"):
        compare(side("method=vanilla", results), side("method=deepthink", results))


def test_other_rows_say_what_differs(results: Path) -> None:
    keep(results, "task=sst2", "method=vanilla", "test_size=7", rows=7, data="other")
    with pytest.raises(UserError, match="test_size is null and 7"):
        compare(side("method=deepthink seed=0", results), side("test_size=7", results))


def test_a_broken_file_is_named(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = next((results / "records").rglob("*.json"))
    path.with_name("seed9-00000000.json").write_text("{")
    _, out, _ = told(capsys, "compare", "--results", results, "task=sst2")
    assert "not counted: " in out and "seed9-00000000.json is not a complete record" in out


def test_numbers_are_compared_as_numbers(results: Path) -> None:
    assert len(finding.find("method.step_size=1e-2", results).runs) == 3
    assert len(finding.find("method.step_size=null", results).runs) == 3
    assert len(finding.find("'seed=range(2)'", results).runs) == 4
    assert len(finding.find('model="opt-125m"', results).runs) == 6


def test_a_record_has_an_id(results: Path) -> None:
    path = next(path for path, _ in records.load_all(results).records)
    number = path.stem.rpartition("-")[2]
    assert [run.path for run in finding.find(number[:6], results).runs] == [path]
    with pytest.raises(UserError, match=r"no record in .* has an id that begins with 000"):
        finding.find("0000000f", results)
