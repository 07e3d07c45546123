"""What rivals cost, where thinking stands among them, and what the report says of it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_records import ROWS, jobs, made, put

from deepthink.config.overrides import axes, compose
from deepthink.report import costs, figures, page, rival_claims, rival_tables, rivals
from deepthink.report.calibrated import reading as calibration
from deepthink.report.figures import front
from deepthink.report.measurements import Subject, subjects
from deepthink.report.readings import BY_DEV, FIVE, VANILLA, Reading
from deepthink.report.rival_lines import METHODS
from deepthink.report.runs import Run, Runs
from deepthink.store.chosen import Demonstrations, Selection, ShownGroup, Stage
from deepthink.store.schema import Execution, Flops, Seconds

SMALL = ("model=smollm2-135m", "test_size=6", "dev_size=6", "pool_size=9")
CURVE = {1: 2, 2: 3, 5: 4}
FLOPS = Flops(
    selection=1000, thinking=(10, 20, 30, 40, 50), scoring=1200, anchors=7, left_out=3, texts=600
)


def run(**changes: Any) -> Run:
    (config,) = jobs("task=sst2", "method=deepthink", *SMALL)
    record = made(config, CURVE, CURVE, flops=FLOPS, **changes)
    return Run(Path("seed0-00000000.json"), record)


def price(one: Run, reading: Reading) -> tuple[float, float]:
    found = costs.price(one, reading, costs.operations(one))
    return found.before, found.query


def stage(tokens: int, per_query: bool, kept: int = 0, seconds: float = 1.0) -> Stage:
    return Stage(
        name="states", predicted=1, bound=False, read=1, kept=kept, forwards=1, tokens=tokens,
        shortened=0, seconds=seconds, per_query=per_query,
    )  # fmt: skip


def test_a_fixed_t_pays_for_its_own_iterations_alone() -> None:
    assert price(run(), VANILLA) == (1000 + 7 + 10, 100)
    assert price(run(), FIVE) == (1000 + 7 + 150, 100)


def test_choosing_t_on_dev_pays_for_all_t_and_for_dev_after_each() -> None:
    assert price(run(), BY_DEV) == (1000 + 7 + 150 + 3 * 600, 100)


def test_a_calibration_from_dev_pays_for_dev_once() -> None:
    from_dev = calibration("batch_dev")
    assert price(run(), VANILLA.after(from_dev)) == (1000 + 7 + 10 + 600, 100)
    assert price(run(), BY_DEV.after(from_dev)) == price(run(), BY_DEV)
    transductive = calibration("batch")
    assert price(run(), VANILLA.after(transductive)) == price(run(), VANILLA)


def test_demonstrations_of_its_own_are_a_price_of_each_query() -> None:
    groups = tuple(ShownGroup(indices=(0, 1), queries=(i,)) for i in range(2 * ROWS))
    shown = Demonstrations(
        indices=(0, 1), labels=(0, 1), kept=2, truncated=False, copies=1, tokens=20, groups=groups
    )
    stages = (stage(30, per_query=False), stage(10, per_query=True))
    one = run(demonstrations=shown, selection=Selection(values=None, log={}, stages=stages))
    assert price(one, VANILLA) == pytest.approx((750 + 7, 100 + (250 + 10) / 12))


def test_several_readings_of_the_same_demonstrations_are_no_price_of_each_query() -> None:
    groups = tuple(ShownGroup(indices=i, queries=tuple(range(12))) for i in ((0, 1), (1, 0)))
    shown = Demonstrations(
        indices=(0, 1), labels=(0, 1), kept=2, truncated=False, copies=1, tokens=20, groups=groups
    )
    assert price(run(demonstrations=shown), VANILLA) == price(run(), VANILLA)


def test_seconds_follow_the_operations_that_took_them() -> None:
    seconds = Seconds(
        load=1.0, select=2.0, tokenise=0.0, think=3.0, score=6.0, anchors=0.3, left_out=0.6
    )
    spent = costs.seconds(run(seconds=seconds))
    assert spent is not None
    assert spent.thinking == pytest.approx((0.2, 0.4, 0.6, 0.8, 1.0))
    assert (spent.selection, spent.own_selection) == (2.0, 0.0)
    assert spent.scoring == pytest.approx(6.0 / 3 * 1200 / 1800)  # a third of it read the texts
    assert (spent.anchors, spent.left_out) == pytest.approx((0.1, 0.2))


def test_scores_that_were_known_take_no_seconds() -> None:
    execution = Execution(device="cpu", token_budget=1, reused=1800)
    spent = costs.seconds(run(execution=execution))
    assert spent is not None
    assert spent.scoring == pytest.approx(0.5 * 1200 / 3600)
    known = Execution(device="cpu", token_budget=1, reused=5400)
    assert costs.seconds(run(execution=known)) is None


def test_a_selection_that_was_known_leaves_the_seconds_unknown() -> None:
    selection = Selection(values=None, log={}, stages=(stage(30, False, kept=1),))
    assert costs.seconds(run(selection=selection)) is None


def test_a_whole_job_is_the_sum_of_its_parts() -> None:
    assert costs.operations(run()).whole(3) == 1000 + 150 + 3 * (1200 + 7 + 3)


# standings

MANY = 40
LARGE = ("model=smollm2-135m", f"test_size={MANY}", f"dev_size={MANY}", "pool_size=9")
HITS = {
    "deepthink_curve": {1: 10, 2: 20, 3: 20, 4: 20, 5: 20, 15: 20},
    "permutations": {1: 35},
    "repeat": {1: 5},
}


def records(results: Path, tasks: tuple[str, ...] = ("sst2", "trec")) -> None:
    """Ten draws of three methods, orders the best of them, and their prices."""
    prices = {"deepthink_curve": 100, "permutations": 450, "repeat": 300}
    for task in tasks:
        for method, hits in HITS.items():
            for seed in range(10):
                words = (f"task={task}", f"method={method}", f"seed={seed}", *LARGE)
                (config,) = jobs(*words)
                flops = Flops(
                    selection=0,
                    thinking=(prices[method],) * config.method.iterations,
                    scoring=2 * MANY,
                )
                put(results, config, hits, hits, rows=MANY, flops=flops)


@pytest.fixture
def subject(tmp_path: Path) -> Subject:
    records(tmp_path)
    (found,) = subjects(Runs.load(tmp_path), "rivals")
    return found


def labels(entries: tuple[rivals.Entry, ...]) -> list[str]:
    return [entry.line.label for entry in entries]


def test_methods_are_compared_on_the_tasks_that_vanilla_was_run_on(subject: Subject) -> None:
    of = rivals.standings(subject)
    assert of.tasks == ("sst2", "trec")
    assert labels(of.entries) == [
        "Vanilla",
        "Thinking, the paper's setting, t = 5",
        "Thinking, the paper's setting, t by dev",
        "Five orders averaged",
        "Demonstrations five times over",
    ]
    assert rival_tables.heading(of) == "Means of SST2, TREC; 10 draws."


def test_a_method_without_a_number_on_a_task_is_left_out(tmp_path: Path) -> None:
    records(tmp_path)
    for path in tmp_path.rglob("*.json"):
        if {"trec", "repeat"} <= {*path.parts}:
            path.unlink()
    (found,) = subjects(Runs.load(tmp_path), "rivals")
    assert "Demonstrations five times over" not in labels(rivals.standings(found).entries)


def test_the_front_is_what_nothing_cheaper_beats(subject: Subject) -> None:
    assert labels(rivals.standings(subject).front) == [
        "Vanilla",
        "Five orders averaged",
    ]


def entry(of: rivals.Standings, label: str) -> rivals.Entry:
    return next(e for e in of.entries if e.line.label == label)


def test_a_place_is_named_by_significant_differences(subject: Subject) -> None:
    of = rivals.standings(subject)
    best = rivals.place(entry(of, "Five orders averaged"), of)
    assert best is not None and best.standing == rivals.AHEAD
    assert (best.worse, best.cheaper) == (2, 2)
    five = rivals.place(entry(of, "Thinking, the paper's setting, t = 5"), of)
    assert five is not None and (five.standing, five.cheaper) == (rivals.BEHIND, 3)
    assert labels(tuple(other for other, _ in five.better)) == ["Five orders averaged"]
    assert rivals.place(entry(of, "Vanilla"), of) is None  # nothing costs less


def test_rows_of_the_table_say_what_is_missing(subject: Subject) -> None:
    rows = {row[0]: row for row in rival_tables.grid(rivals.standings(subject)).rows}
    orders = rows["Five orders averaged"]
    assert orders[1].startswith("87.5 [")
    assert orders[2] == "–"  # no scores are stored, so nothing can be calibrated
    assert orders[1].endswith("]; 0 of 2 tasks above chance")  # every row has the same gold label
    assert orders[3].startswith("**+62.5** [")
    assert rows["Vanilla"][3] == "–"


def test_the_page_the_table_and_the_figure_show_them(tmp_path: Path) -> None:
    records(tmp_path)
    runs = page.load(tmp_path)
    drawn = [one for one, _ in figures.every(page.studied(runs), lambda _: None)]
    texts = dict(page.texts(tmp_path, runs, drawn))
    text = texts["README.md"]
    assert "## Rivals: accuracy and price" in text
    assert "Vanilla has no calibrated scores here, so no place of thinking is named." in text
    assert "figures/prices-smollm2-135m-40-40-9-float32.png" in text
    lines = texts["tables/prices.csv"].splitlines()
    assert len(lines) == 1 + 2 + 5 and lines[0].startswith("model,scale,tasks,method")
    assert [line.split(",")[-18] for line in lines[1:3]] == ["Chance", "Majority"]


def test_with_calibrated_vanilla_each_setting_of_thinking_has_a_place(subject: Subject) -> None:
    of = rivals.standings(subject)
    plain = of.find(METHODS[0], calibrated=False)
    assert plain is not None
    both = replace(of, entries=(*of.entries, replace(plain, calibrated=True)))
    first, *_ = rival_tables.places(both)
    assert first.startswith("**Thinking, the paper's setting, t = 5, raw**: behind. It is not on")
    assert "ahead of 3 of the 4" in first
    assert "; Five orders averaged, raw is ahead of it by +37.5 [" in first


def test_without_rivals_there_is_no_figure_and_no_section(tmp_path: Path) -> None:
    (config,) = jobs("task=sst2", "method=deepthink_curve", *SMALL)
    put(tmp_path, config, {1: 2}, {1: 2})
    runs = page.load(tmp_path)
    assert "Rivals: accuracy" not in dict(page.texts(tmp_path, runs, []))["README.md"]
    (found,) = subjects(runs, "rivals")
    assert front.prices(found) is None


def test_a_rule_that_draws_nothing_has_one_job_for_all_seeds(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    file = rules / "first.py"
    body = "def select(pool, count, rng):\n    return list(range(count))\n"
    words = (
        f"plugins={tmp_path}",
        "method=deepthink",
        "method.selector={name:first,balance:equal}",
        "~method.selector.balance",
    )
    draws = []
    for text in (body, f"SEEDED = False\n{body}"):
        file.write_text(text)
        draws.append([compose([*words, f"seed={seed}"]).draw for seed in (0, 3)])
    assert draws == [[0, 3], [0, 0]]
    relabelled = compose([*words, "seed=3", "demonstrations.labels=random"])
    tuned = compose([*words, "seed=3", "method.refinement.name=mezo"])
    assert relabelled.draw == tuned.draw == 3


@pytest.mark.parametrize(
    "judge",
    [
        rival_claims.calibration,
        rival_claims.repetition,
        rival_claims.orders,
        rival_claims.epochs,
    ],
)
def test_claims_without_stored_scores_are_not_run(subject: Subject, judge: Any) -> None:
    assert judge(subject) == ("not run", "")


def test_every_method_of_the_experiment_has_a_line() -> None:
    assert sorted({line.axes["method"] for line in METHODS}) == sorted(axes("rivals")["method"])
    assert len({line.label for line in METHODS}) == len(METHODS)
