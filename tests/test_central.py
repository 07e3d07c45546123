"""The comparison that decides, the authors' protocol, and the opening, against their records."""

import csv
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from itertools import product
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
from made_records import jobs, made

from deepthink.report import (
    authors,
    central,
    central_tables,
    mechanism,
    opening,
    page,
    rival_tables,
)
from deepthink.report.central import BOTH, RAW, Block
from deepthink.report.layouts import TASKS
from deepthink.report.measurements import Subject
from deepthink.report.runs import Runs
from deepthink.store import records, scores
from deepthink.store.schema import Flops, Gold
from deepthink.study.points import point

MODEL = "smollm2-135m"
SEEDS = range(5)
STEPS = {"permutations": (1,), "kv_tuning": (1, 21), "deepthink": (1, 5)}
CURVE = (1, 2, 5, 7, 15)
METHODS = ("deepthink_curve", "authors", "aligned", "permutations", "kv_tuning")
ROWS: dict[Literal["dev", "test"], int] = {"dev": 20, "test": 30}
GAINS = {"authors": 0.3, "aligned": 2.0, "permutations": 0.8, "kv_tuning": 1.0}
"""How much the gold candidate's score gains, at every t but the first."""


def row_scores(gold: np.ndarray, candidates: int, gain: float, seed: int) -> np.ndarray:
    """Scores [Q, C] of rows, biased towards the first candidate."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(len(gold), candidates))
    numbers[np.arange(len(gold)), gold] += 0.8 + gain
    numbers[:, 0] += 1.5
    return numbers


def put(results: Path, method: str, task: str, seed: int, *words: str) -> None:
    """Store a record of random scores, with its file of scores."""
    scored = ("method.scored=ends",) if method == "kv_tuning" else ()
    (config,) = jobs(f"model={MODEL}", f"task={task}", f"method={method}", *scored, *words)
    config = replace(config, seed=seed, results=str(results))
    candidates = len(config.task.labels)
    place = [*TASKS].index(task)
    gold = {
        split: np.random.default_rng(place).integers(candidates, size=count)
        for split, count in ROWS.items()
    }
    steps = STEPS.get(method, CURVE) if config.method.iterations != 5 else (1, 5)
    frames, curve = [], []
    for step, split in product(steps, ROWS):
        first = step == 1 and method != "permutations"
        gain = 0.0 if first else GAINS.get(method, 0.0)
        noise = 1000 * place + 10 * seed + (split == "dev") + (0 if first else 10**5 * step)
        numbers = row_scores(gold[split], candidates, gain, noise)
        rows = len(numbers)
        columns: dict[str, Any] = {
            "step": step,
            "split": split,
            "query": np.repeat(np.arange(rows), candidates),
            "candidate": np.tile(np.arange(candidates), rows),
            "label": np.repeat(gold[split], candidates),
            "score": numbers.ravel(),
        }
        frames.append(pd.DataFrame(columns))
        right, chosen = gold[split].tolist(), numbers.argmax(axis=1).tolist()
        curve.append(point(step, split, numbers.tolist(), right, chosen, 0, True, logs=True))
    record = made(config, dict.fromkeys(steps, 0), dict.fromkeys(steps, 0))
    path = records.path_of(config, record.identity)
    path.parent.mkdir(parents=True, exist_ok=True)
    golds = {split: " ".join(map(str, labels)) for split, labels in gold.items()}
    texts = Gold(dev=golds["dev"], test=golds["test"])
    record = replace(
        record,
        curve=tuple(curve),
        gold=texts,
        scores=scores.write(path, pd.concat(frames)),
        flops=Flops(selection=0, thinking=(10,) * config.method.iterations, scoring=10),
    )
    path.write_text(records.as_text(record), encoding="utf-8")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five draws of every method on five tasks; gradient descent lacks a draw of MR."""
    folder = tmp_path_factory.mktemp("central")
    for method, task, seed in product(METHODS, TASKS, SEEDS):
        if (method, task, seed) != ("kv_tuning", "mr", 4):
            put(folder, method, task, seed, "scale=cpu")
    return folder


@pytest.fixture(scope="module")
def block(written: Path) -> Block:
    (found,) = central.blocks(Runs.load(written))
    return found


@pytest.fixture(scope="module")
def texts(written: Path) -> dict[str, str]:
    return dict(page.texts(written, page.load(written), []))


@pytest.fixture(scope="module")
def answers(written: Path, block: Block) -> list[opening.Answer]:
    runs = Runs.load(written)
    return opening.answers([block], authors.every(runs), mechanism.every(runs))


# the same numbers, from the files alone


def softmax(numbers: np.ndarray) -> np.ndarray:
    powers = np.exp(numbers - numbers.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def right(table: pd.DataFrame, step: int, split: str, calibrated: bool) -> np.ndarray:
    """Which rows are right. Calibrated scores are log p less the log of the mean p of dev."""

    def of(name: str) -> tuple[np.ndarray, np.ndarray]:
        part = table[(table["step"] == step) & (table["split"] == name)]
        wide = part.pivot(index="query", columns="candidate", values="score").to_numpy()
        return wide, part.groupby("query")["label"].first().to_numpy()

    numbers, gold = of(split)
    if calibrated:
        shares = np.array([softmax(of("dev")[0])]).mean(axis=(0, 1))
        numbers = np.log(softmax(numbers)) - np.log(shares)
    return np.asarray(numbers.argmax(axis=1) == gold)


def recomputed(
    results: Path, task: str, method: str, reading: str, calibrated: bool
) -> dict[int, np.ndarray]:
    """By seed, which test rows were right; t by dev is the earliest best."""
    found = {}
    wanted = {
        "deepthink_curve": ("continued", 0.0, "iterate", 15),
        "authors": ("continued", 0.9, "iterate", 15),
        "aligned": ("aligned", 0.0, "iterate", 15),
        "permutations": ("continued", 0.0, "iterate", 1),
        "kv_tuning": ("continued", 0.0, "kv_tuning", 21),
    }[method]
    for path in results.rglob("*.json"):
        record = json.loads(path.read_text())
        asked = record["config"]["method"]
        settings = tuple(asked[key] for key in ("positions", "momentum"))
        if record["config"]["task"]["name"] != task or wanted != (
            *settings, asked["refinement"]["name"], asked["iterations"],
        ):  # fmt: skip
            continue
        table = pd.read_parquet(path.with_suffix(".parquet"))
        steps = sorted(table["step"].unique())
        hits = {step: right(table, step, "dev", calibrated).sum() for step in steps}
        best = min(steps, key=lambda step: (-hits[step], step))
        step = best if reading == "t by dev" else int(reading.removeprefix("t = "))
        found[record["config"]["seed"]] = right(table, step, "test", calibrated)
    return found


def lines(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(text)))


@pytest.fixture(scope="module")
def differences(block: Block) -> list[dict[str, str]]:
    return [line for line in lines(central_tables.long_form([block])) if line["less"]]


RIVALS = {
    "Vanilla": ("deepthink_curve", "t = 1"),
    "Five orders averaged": ("permutations", "t = 1"),
    "Gradient descent (CT-KV), 20 epochs": ("kv_tuning", "t = 21"),
}
THINKING = {
    "the paper's setting": "deepthink_curve",
    "the authors' program": "authors",
    "aligned, η = 0.1": "aligned",
}


def test_every_difference_is_that_of_the_stored_scores(
    written: Path, differences: list[dict[str, str]]
) -> None:
    memory: dict[Any, dict[int, np.ndarray]] = {}

    def hits(task: str, method: str, reading: str, calibrated: bool) -> dict[int, np.ndarray]:
        key = (task, method, reading, calibrated)
        if key not in memory:
            memory[key] = recomputed(written, *key)
        return memory[key]

    assert len(differences) == 6 * 7 * 6
    for line in differences:
        label = line["method"].removeprefix("Thinking, ")
        setting, _, reading = label.rpartition(", ")
        sides = (
            (THINKING[setting], reading, line["scores"] == "batch_dev"),
            (*RIVALS[line["less"]], line["scores_of_less"] == "batch_dev"),
        )
        tasks = [*TASKS] if line["task"] == "average" else [line["task"]]
        both = [[hits(task, *side) for side in sides] for task in tasks]
        seeds = set(SEEDS).intersection(*(one for pair in both for one in pair))
        expected = np.mean(
            [np.mean([first[s] - second[s].astype(int) for s in seeds]) for first, second in both]
        )
        assert float(line["value"]) == pytest.approx(100 * expected, abs=1e-3), line
        assert int(line["draws"]) == len(seeds)
        assert int(line["wanted"]) == 10


def test_accuracies_stand_above_chance_and_majority(block: Block) -> None:
    grid = central_tables.accuracies(block)
    assert grid is not None
    assert [row[0] for row in grid.rows] == ["Chance", "Majority", *RIVALS, *thinking(block)]
    counts = [len(jobs("experiment=rivals", f"task={task}")[0].task.labels) for task in TASKS]
    assert grid.rows[0][1] == format(100 * np.mean([1 / count for count in counts]), ".1f")
    means = {
        (line["method"], line["scores"]): line
        for line in lines(central_tables.long_form([block]))
        if not line["less"] and line["task"] == "average"
    }
    for name, raw, calibrated, draws in grid.rows[2:]:
        for text, of in ((raw, "raw"), (calibrated, "batch_dev")):
            assert text.startswith(f"{float(means[name, of]['value']):.1f} [")
            assert text.endswith("of 5 tasks above chance")
        assert draws == means[name, "raw"]["draws"]


def thinking(block: Block) -> list[str]:
    return [line.label for line in block.design.thinking]


def test_a_family_is_corrected_by_holm_over_all_its_tests(
    differences: list[dict[str, str]],
) -> None:
    family = [
        line for line in differences
        if "aligned" in line["method"]
        and (line["less"], line["scores_of_less"], line["scores"]) == ("Vanilla", "raw", "raw")
    ]  # fmt: skip
    assert len(family) == 12
    ranked = sorted(family, key=lambda line: float(line["p"]))
    largest = 0.0
    for rank, line in enumerate(ranked):
        largest = max(largest, min(1.0, (12 - rank) * float(line["p"])))
        assert float(line["p_holm"]) == pytest.approx(largest, rel=0.01)


def test_records_of_a_number_are_named(written: Path, differences: list[dict[str, str]]) -> None:
    ids = {path.stem.rpartition("-")[2] for path in written.rglob("*.json")}
    for line in differences:
        named = set(line["records"].split())
        assert named <= ids
        assert bool(named) == (line["task"] != "average")


def test_what_is_missing_has_its_command_with_the_t_that_others_were_scored_at(
    block: Block,
) -> None:
    commands = central_tables.missing(block)
    (tuned,) = (line for line in commands if line.startswith("kv_tuning (6 of 10"))
    assert "task=mr method=kv_tuning seed=4,5,6,7,8,9" in tuned
    assert "scale=cpu model.dtype=float32 method.scored=ends" in tuned
    (thinking,) = (line for line in commands if "deepthink_curve" in line)
    assert "method.scored" not in thinking


# the page


def rounded(text: str) -> set[str]:
    """Every number of these CSV files as the page writes it, with and without its sign."""
    found = set()
    for line in lines(text):
        for value in line.values():
            if re.fullmatch(r"-?\d+\.\d{4}", value):
                for form in ("+.1f", ".1f"):
                    shown = format(float(value), form)
                    shown = "0.0" if float(shown) == 0 else shown
                    found.add(shown.replace("-", "−"))
    return found


def test_every_number_of_the_opening_is_in_a_csv_file(
    texts: dict[str, str], answers: list[opening.Answer]
) -> None:
    known = set()
    for name in ("central", "authors", "mechanism"):
        known |= rounded(texts[f"tables/{name}.csv"])
    items = [*opening.lines(answers)]
    text = texts["README.md"]
    assert text.startswith("# Results\n\n" + "\n".join(f"- {item}" for item in items))
    assert len(items) <= 10
    (rivals,) = (item for item in items if item.startswith("**Rivals.**"))
    orders, descent = rivals.split(" Less gradient descent")
    assert "n=" not in orders and descent.count("n=4") == 1 and ", n=5: " in items[1]
    body = re.sub(r"η = 0\.1|13·10⁹|0\.\d+·10⁹", "", "\n".join(items[1:]))
    numbers = re.findall(r"[+−]?\d+\.\d", body)
    assert len(numbers) > 30
    assert set(numbers) <= known


def test_the_page_has_its_sections_in_order(texts: dict[str, str]) -> None:
    text = texts["README.md"]
    order = [
        f"## {central_tables.TITLE}",
        f"## {authors.TITLE}",
        "## Claims",
        "## Does thinking pay?",
        f"## {rival_tables.TITLE}",
        "## Tables",
        "## What was run",
        "## Figures",
        "## How the numbers are made",
    ]
    places = [text.index(f"{title}\n") for title in order]
    assert places == sorted(places)


def with_standings(
    block: Block, raw: float | None, both: float | None, dev_alone: bool = False
) -> Block:
    """The same block, its averages over vanilla decided: p, positive where thinking is ahead.

    dev_alone: decide only those whose t is chosen on dev.
    """

    def changed(row: central.Compared) -> central.Compared:
        wanted = {RAW: raw, BOTH: both}.get(row.contrast.calibrated)
        comparison = row.comparison
        if row.contrast.rival != block.plain or row.contrast.calibrated not in (RAW, BOTH):
            return row
        if dev_alone and row.line.reading.fixed:
            return row
        average = comparison.average
        assert average is not None
        mean = abs(average.mean) if (wanted or 1) > 0 else -abs(average.mean)
        estimates = (*comparison.estimates[:-1], replace(average, mean=mean))
        p = None if wanted is None else abs(wanted)
        adjusted = (*comparison.adjusted[:-1], p)
        return replace(row, comparison=replace(comparison, estimates=estimates, adjusted=adjusted))

    return replace(block, rows=tuple(map(changed, block.rows)))


@pytest.mark.parametrize(
    ("raw", "both", "told"),
    [
        (0.01, 0.01, "6 of 6 ways to think pay, calibrated too"),
        (0.01, 0.5, "6 of 6 ways to think pay, and none once scores are calibrated"),
        (0.01, None, "6 of 6 ways to think pay, and no calibrated scores are tested"),
        (0.5, 0.5, "no way to think is significantly ahead of vanilla"),
        (-0.01, -0.01, "ahead of vanilla; 6 of 6 ways to think are behind"),
        (None, None, "nothing is tested yet"),
    ],
)
def test_words_follow_the_tests(
    block: Block, raw: float | None, both: float | None, told: str
) -> None:
    answers = opening.answers([with_standings(block, raw, both)], [], [])
    _, answer, *_ = opening.lines(answers)
    verdict = answer.partition(".**")[0]
    assert verdict.endswith(told)
    assert ("**+" in answer or "**−" in answer) == (0.01 in {abs(p) for p in (raw, both) if p})


def test_a_gain_of_t_chosen_on_dev_is_told(block: Block) -> None:
    open_ones = with_standings(block, 0.5, 0.5)
    found = with_standings(open_ones, 0.01, 0.5, dev_alone=True)
    _, answer, *_ = opening.lines(opening.answers([found], [], []))
    assert "3 of 6 ways to think pay, and none once scores are calibrated." in answer


def test_rivals_that_were_not_run_are_said_to_be_missing(written: Path, tmp_path: Path) -> None:
    shutil.copytree(written / "records", tmp_path / "records")
    for path in tmp_path.rglob("*.json"):
        if json.loads(path.read_text())["config"]["method"]["iterations"] in (1, 21):
            path.unlink()
    (block,) = central.blocks(Runs.load(tmp_path))
    grid = central_tables.means(block)
    for row in grid.rows:
        assert [cell == "–" for cell in row[1:]] == [False] * 3 + [True] * 4
    (line,) = [one for one in central_tables.missing(block) if "(10 of 10 draws)" in one]
    assert "method=kv_tuning,permutations" in line or "method=permutations,kv_tuning" in line
    text = "\n".join(opening.lines(opening.answers([block], [], [])))
    assert "**Rivals.**" not in text
    assert "**What was not tested.** Rivals with the same demonstrations, the authors'" in text
    assert f"100 of 250 runs of {MODEL}" not in text and f"of 250 runs of {MODEL}" in text


def test_without_any_run_there_is_no_opening(tmp_path: Path) -> None:
    text = dict(page.texts(tmp_path, page.load(tmp_path), []))["README.md"]
    assert text.startswith("# Results\n\nGenerated by")
    assert f"## {central_tables.TITLE}" not in text


@pytest.mark.parametrize(("draws", "answers"), [(5, True), (2, False)])
def test_the_block_over_most_rows_of_all_draws_gives_the_answer(
    tmp_path: Path, written: Path, monkeypatch: pytest.MonkeyPatch, draws: int, answers: bool
) -> None:
    shutil.copytree(written / "records", tmp_path / "records")
    monkeypatch.setitem(ROWS, "test", 60)
    for method, task, seed in product(("deepthink", "authors", "aligned"), TASKS, range(draws)):
        put(tmp_path, method, task, seed, "scale=cpu_rows", "method.iterations=5")
    deciding, many = central.blocks(Runs.load(tmp_path))
    assert (deciding.design, many.design) == (central.DECIDING, central.MANY_ROWS)
    assert many.subject.scale.test == 300
    assert all(row.measured for row in many.rows)
    assert len(many.rows) == 9
    assert all("experiment=central" in line for line in central_tables.missing(many))
    (answer,) = opening.answers([deciding, many], [], [])
    assert answer.fixed == (many if answers else deciding)
    assert answer.deciding == deciding
    assert ("300 test rows of each task" in [*opening.lines([answer])][1]) == answers
    asked = page.studied(Runs.load(tmp_path))
    assert len(asked.all) == len([*tmp_path.rglob("*.json")])


# the authors' protocol


def plainly(right: np.ndarray, splits: int) -> np.ndarray:
    """The gain of a t that the other half chose, with loops alone."""
    draws, steps, rows = right.shape
    rng = np.random.default_rng(0)
    gains: list[list[list[int]]] = [[[] for _ in range(rows)] for _ in range(draws)]
    for _ in range(splits):
        chosen = rng.permutation(rows) < rows // 2
        for half in (chosen, ~chosen):
            for s in range(draws):
                best = max(range(steps), key=lambda t: (right[s, t, half].sum(), -t))
                for i in np.flatnonzero(~half):
                    gains[s][i].append(int(right[s, best, i]) - int(right[s, 0, i]))
    return np.array([[np.mean(row) for row in draw] for draw in gains])


def test_the_gain_on_unseen_rows_is_that_of_plain_loops() -> None:
    right = np.random.default_rng(2).integers(2, size=(3, 5, 11))
    np.testing.assert_allclose(authors.halved(right, 20), plainly(right, 20), atol=1e-12)


def test_where_thinking_does_nothing_the_best_t_gains_and_unseen_rows_do_not() -> None:
    right = np.random.default_rng(3).integers(2, size=(400, 8, 40), dtype=np.int8)
    assert authors.best(right).mean() > 0.08
    assert abs(authors.halved(right, 20).mean()) < 0.01


def test_the_best_t_is_what_unseen_rows_leave_and_the_choice(written: Path) -> None:
    theirs, papers = authors.every(Runs.load(written))
    assert (theirs.setting, papers.setting) == tuple(authors.SETTINGS)
    for of in (theirs, papers):
        for shown, left, choice in zip(
            *(of.rows[row] for row in (authors.BEST, authors.HALVES, authors.CHOICE)), strict=True
        ):
            assert shown and left and choice and shown.mean >= 0
            assert shown.mean == pytest.approx(left.mean + choice.mean)
            assert shown.p is left.p is None


def test_words_say_where_the_choice_makes_all_of_it(written: Path) -> None:
    theirs, _ = authors.every(Runs.load(written))
    left = theirs.mean(authors.HALVES)
    assert left is not None
    some = replace(left, mean=0.5)
    rows = {**theirs.rows, authors.HALVES: (*theirs.rows[authors.HALVES][:-1], some)}
    assert "points are the choice itself" in authors.share(replace(theirs, rows=rows))
    rows[authors.HALVES] = (*rows[authors.HALVES][:-1], replace(some, mean=-0.2))
    assert "the choice itself makes all of it" in authors.share(replace(theirs, rows=rows))


def test_the_claim_is_judged_at_a_fixed_t_and_by_dev(written: Path) -> None:
    (subject,) = subjects_of(written)
    verdict, evidence = authors.gains(subject)
    assert verdict in ("holds", "in part", "not here")
    assert evidence.startswith("t = 7: ") and ". t by dev: " in evidence


def subjects_of(results: Path) -> Iterator[Subject]:
    yield from dict.fromkeys(of.subject for of in authors.every(Runs.load(results)))
