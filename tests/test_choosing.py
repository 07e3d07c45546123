"""Rules that choose a step size and a t: what they see and choose, and what is said of it."""

import csv
from collections.abc import Mapping
from dataclasses import replace
from io import StringIO
from pathlib import Path

import made_scores
import numpy as np
import pytest
from made_records import jobs

from deepthink.config.overrides import axes
from deepthink.report import choosing, choosing_answers, choosing_tables, experiments, page
from deepthink.report.choosing import (
    BY_DEV,
    LABEL_FREE,
    ORACLE,
    RULES,
    Choices,
    Option,
    Rule,
    fixed,
)
from deepthink.report.measurements import subjects
from deepthink.report.readings import LAST
from deepthink.report.rivals import FROM_DEV
from deepthink.report.runs import Run, Runs
from deepthink.store.schema import Gold

TASKS = {"sst2": 2, "trec": 6}
STEPS = (1, 2, 5, 15)
ROWS, DEV, DRAWS = 60, 30, 5
SIZES = ("0.01", "0.1")
SMALL = (f"test_size={ROWS}", f"dev_size={DEV}", "pool_size=9", "method=deepthink_curve")
LEFT_OUT, EVEN, KNOWING = LABEL_FREE


def gold(task: str) -> dict[made_scores.Split, np.ndarray]:
    rng = np.random.default_rng(len(task))
    labels = np.arange(ROWS) % TASKS[task]
    return {"dev": rng.permutation(labels)[:DEV], "test": rng.permutation(labels)}


def scores(
    task: str, split: made_scores.Split, seed: int, size: str, step: int, way: float
) -> np.ndarray:
    """[Q, C]: what the rows say, and a bias towards the first label that changes with η and t."""
    rng = np.random.default_rng([seed, len(task), split == "test"])
    labels = gold(task)[split]
    noise = rng.normal(0, 0.8, (len(labels), TASKS[task]))
    first = np.eye(TASKS[task])[0] * 3 * (1 + way * float(size) * (step - 1) / 1.4)
    return np.asarray(noise + 2 * np.eye(TASKS[task])[labels] + first - 4)


def left_out(size: str) -> dict[int, float]:
    """Best at t = 5 of η = 0.1."""
    return {step: -1.0 - abs(step - 5) / 10 - (size == "0.01") / 100 for step in STEPS}


def study(
    results: Path,
    model: str = "smollm2-135m",
    way: float = -1.0,
    sizes: tuple[str, ...] = SIZES,
    told: Mapping[int, float] | None = None,
) -> None:
    """Two tasks with aligned positions; the bias is gone at η = 0.1 and t = 15, or grows."""
    for task in TASKS:
        for seed in range(DRAWS):
            for size in sizes:
                words = (f"method.step_size={size}", "method.positions=aligned")
                (config,) = jobs(f"model={model}", f"task={task}", f"seed={seed}", *SMALL, *words)
                dev, test = (
                    {step: scores(task, split, seed, size, step, way) for step in STEPS}
                    for split in ("dev", "test")
                )
                known = left_out(size) if told is None else dict(told)
                made_scores.put(results, config, dev, test, gold(task), known)


def found(results: Path) -> tuple[Choices, Choices]:
    """Raw and calibrated choices of the only model."""
    raw, calibrated = choosing.every(Runs.load(results))
    assert (raw.calibrated, calibrated.calibrated) == (False, True)
    return raw, calibrated


def options(results: Path, task: str = "sst2", seed: int = 0) -> list[Option]:
    (subject,) = subjects(Runs.load(results), choosing.EXPERIMENT)
    every = []
    for size in SIZES:
        raw, calibrated = (
            choosing.parts(subject, size, "aligned", reading)[task].runs[seed, 0][0]
            for reading in (LAST, LAST.after(FROM_DEV))
        )
        every.append(Option(size, raw, calibrated))
    return every


# what a rule chooses


def test_a_rule_takes_the_largest_value_then_the_smallest_t_then_the_smallest_size(
    tmp_path: Path,
) -> None:
    study(tmp_path)
    both = options(tmp_path)

    def of(values: dict[str, dict[int, float] | None]) -> choosing.Place | None:
        return Rule("mine", "none", lambda option, _: values[option.step_size]).choose(both, False)

    assert of({"0.01": {1: 0.0, 5: 2.0}, "0.1": {1: 0.0, 5: 3.0}}) == ("0.1", 5)
    assert of({"0.01": {5: 3.0}, "0.1": {2: 3.0, 5: 3.0}}) == ("0.1", 2)
    assert of({"0.01": {2: 3.0}, "0.1": {2: 3.0}}) == ("0.01", 2)
    assert of({"0.01": {2: 3.0}, "0.1": None}) is None  # one run lacks what the rule looks at
    assert fixed("0.1", 2).choose(both, False) == ("0.1", 2)
    assert fixed("0.03", 2).choose(both, False) is None
    assert LEFT_OUT.choose(both, True) == ("0.1", 5)


def test_evenness_and_information_by_hand() -> None:
    rows = np.random.default_rng(0).normal(0, 2, (12, 4))
    entropy, each = 0.0, 0.0
    p = [np.exp(row) / np.exp(row).sum() for row in rows]
    for label in range(4):
        mean = sum(one[label] for one in p) / 12
        entropy -= mean * np.log(mean)
    for one in p:
        each -= sum(one * np.log(one)) / 12
    assert choosing.evenness(rows) == pytest.approx(entropy)
    assert choosing.information(rows) == pytest.approx(entropy - each)
    moved = rows + np.arange(12)[:, None]
    assert choosing.evenness(moved) == pytest.approx(entropy)
    assert choosing.information(moved) == pytest.approx(entropy - each)
    assert choosing.evenness(np.array([[0.0, -np.inf]])) == 0  # a candidate that cannot be


def test_rules_without_labels_choose_by_the_scores(tmp_path: Path) -> None:
    """At every (η, t) the entropy of dev's mean distribution is computed anew."""
    study(tmp_path)
    values = {}
    for size in SIZES:
        for step in STEPS:
            rows = scores("trec", "dev", 2, size, step, -1.0)
            p = np.exp(rows) / np.exp(rows).sum(axis=1, keepdims=True)
            mean = p.mean(axis=0)
            values[size, step] = -(mean * np.log(mean)).sum()
    every = options(tmp_path, "trec", 2)
    for option in every:
        wanted = {step: values[option.step_size, step] for step in STEPS}
        assert EVEN.values(option, False) == pytest.approx(wanted)
    assert EVEN.choose(every, False) == max(values, key=lambda place: values[place])


def permuted(run: Run) -> Run:
    """The run with other gold labels of dev and test, and the hits that these give."""
    rng = np.random.default_rng(0)
    labels = {
        split: rng.permutation(np.array(run.record.gold.of(split), dtype=int))
        for split in ("dev", "test")
    }
    curve = tuple(
        replace(p, correct=int((np.array(p.predicted.split(), dtype=int) == labels[p.split]).sum()))
        for p in run.record.curve
    )
    dev, test = (" ".join(map(str, labels[split])) for split in ("dev", "test"))
    return replace(run, record=replace(run.record, gold=Gold(dev=dev, test=test), curve=curve))


def test_other_gold_labels_change_no_choice_of_a_label_free_rule(tmp_path: Path) -> None:
    study(tmp_path)
    changed = set()
    for task in TASKS:
        for seed in range(DRAWS):
            before = options(tmp_path, task, seed)
            after = [Option(o.step_size, permuted(o.raw), permuted(o.calibrated)) for o in before]
            for calibrated in (False, True):
                for rule in (*LABEL_FREE, BY_DEV, ORACLE):
                    if rule.choose(before, calibrated) != rule.choose(after, calibrated):
                        changed.add(rule.name)
    assert changed == {BY_DEV.name, ORACLE.name}


# what it gives


def test_gains_by_hand(tmp_path: Path) -> None:
    study(tmp_path)
    raw, calibrated = found(tmp_path)
    assert (raw.tasks, raw.sizes) == (("sst2", "trec"), SIZES)
    for choices in (raw, calibrated):
        for rule in (LEFT_OUT, EVEN, fixed("0.1", 2)):
            gains = []
            each = choices.of(rule) or choices.grid["0.1", 2]
            for k, task in enumerate(TASKS):
                truth = gold(task)["test"]
                for seed in range(DRAWS):
                    size, step = each.places[k][seed]
                    right = [
                        (_guess(task, seed, *place, choices.calibrated) == truth).mean()
                        for place in ((size, step), (SIZES[0], 1))
                    ]
                    gains.append(100 * (right[0] - right[1]))
            assert each.gain.mean == pytest.approx(np.mean(gains))
            assert each.gains[1].mean == pytest.approx(np.mean(gains[DRAWS:]))


def _guess(task: str, seed: int, size: str, step: int, calibrated: bool) -> np.ndarray:
    rows = scores(task, "test", seed, size, step, -1.0)
    if calibrated:
        dev = scores(task, "dev", seed, size, step, -1.0)
        p = np.exp(dev) / np.exp(dev).sum(axis=1, keepdims=True)
        rows = rows - np.log(p.mean(axis=0))
    return np.asarray(rows.argmax(axis=1))


def test_no_rule_beats_the_oracle_and_the_oracle_is_not_tested(tmp_path: Path) -> None:
    study(tmp_path)
    for choices in found(tmp_path):
        best = choices.of(ORACLE)
        assert best is not None
        assert best.gain.p is None and all(gain.p is None for gain in best.gains)
        for each in (*choices.chosen, *choices.grid.values()):
            assert each.accuracy.mean <= best.accuracy.mean + 1e-9
            assert each.rule == ORACLE or each.gain.p is not None
        assert {*choices.grid} == {(size, t) for size in SIZES for t in STEPS[1:]}


def test_a_rule_that_some_run_cannot_serve_is_left_out(tmp_path: Path) -> None:
    study(tmp_path, told={})
    for choices in found(tmp_path):
        assert choices.of(LEFT_OUT) is None
        assert {each.rule for each in choices.chosen} == {*RULES} - {LEFT_OUT}
    (row, *_) = choosing_tables.grid(*found(tmp_path)).rows
    assert (row[0], *row[2:]) == (LEFT_OUT.name, *"–" * 5)


def test_one_step_size_is_no_choice(tmp_path: Path) -> None:
    study(tmp_path, sizes=("0.1",))
    assert choosing.every(Runs.load(tmp_path)) == []
    assert page.load(tmp_path).all


def test_step_sizes_that_were_not_run_are_named(tmp_path: Path) -> None:
    study(tmp_path)
    study(tmp_path, sizes=("0.03",))
    for path in tmp_path.rglob("seed[2-9]-*.json"):
        if '"step_size": 0.03' in path.read_text():
            path.unlink()
    raw, _ = found(tmp_path)
    assert raw.sizes == SIZES  # two draws of η = 0.03 leave five of the others
    assert choosing_tables.heading(raw).endswith("n = 5. Not run, or on too few draws: η = 0.03.")


def test_the_jobs_are_those_of_positions_where_the_step_size_is() -> None:
    def families(name: str) -> dict[str, set[object]]:
        sizes: dict[str, set[object]] = {}
        for setting in experiments.settings(name):
            sizes.setdefault(setting.axes["method.step_size"], set()).update(setting.families)
        return sizes

    ours, theirs = families(choosing.EXPERIMENT), families("positions")
    assert {*ours} == {*choosing.SIZES} == {"0.01", "0.03", "0.1"}
    assert all(ours[size] == theirs[size] for size in theirs)
    assert axes(choosing.EXPERIMENT)["model"] == ["smollm2-135m", "gemma3-270m"]


# words, tables, page


def test_where_it_gains_and_loses(tmp_path: Path) -> None:
    study(tmp_path / "gains")
    raw, _ = found(tmp_path / "gains")
    assert choosing_tables.where(raw).startswith("Raw accuracy with aligned positions gains sig")
    assert "η = 0.1 (t = 5, 15)" in choosing_tables.where(raw)
    study(tmp_path / "loses", way=1.0)
    raw, _ = found(tmp_path / "loses")
    assert "loses significantly at" in choosing_tables.where(raw)
    still = replace(raw, grid={place: each for place, each in raw.grid.items() if place[1] == 0})
    assert "not told apart from t = 1" in choosing_tables.where(still)
    for path in (tmp_path / "loses").rglob("seed[3-9]-*.json"):
        path.unlink()
    raw, _ = found(tmp_path / "loses")
    assert choosing_tables.where(raw).endswith("t = 1, since there are too few draws.")


def judged(results: Path, rule: Rule) -> choosing_answers.Answer:
    every = choosing_answers.answers(choosing.every(Runs.load(results)))
    (answer,) = (each for each in every if each.rule == rule)
    return answer


def test_a_rule_serves_every_model_only_if_it_gains_on_each(tmp_path: Path) -> None:
    study(tmp_path)
    assert choosing_answers.answers(choosing.every(Runs.load(tmp_path))) == []  # one model
    study(tmp_path / "both")
    study(tmp_path / "both", "gemma3-270m")
    even = judged(tmp_path / "both", EVEN)
    assert even.raw[0] == choosing_answers.SERVES
    assert "smollm2-135m +" in even.raw[1] and "gemma3-270m +" in even.raw[1]
    assert even.calibrated[1] != even.raw[1]
    study(tmp_path / "one")
    study(tmp_path / "one", "gemma3-270m", way=1.0)
    assert judged(tmp_path / "one", EVEN).raw[0] == choosing_answers.OPEN  # it stays at t = 1
    left_out = judged(tmp_path / "one", LEFT_OUT)
    assert left_out.raw[0] == choosing_answers.NOT
    assert "significantly behind on gemma3-270m" in left_out.raw[1]


def test_the_files_and_the_page_show_the_same_numbers(tmp_path: Path) -> None:
    study(tmp_path)
    study(tmp_path, "gemma3-270m")
    texts = dict(page.texts(tmp_path, page.load(tmp_path), []))
    text = texts["README.md"]
    assert "## Which step size, and when to stop" in text
    assert "evenness on dev (aligned)" in text
    lines = [*csv.DictReader(StringIO(texts["tables/step_sizes.csv"]))]
    raw = next(c for c in choosing.every(Runs.load(tmp_path)) if not c.calibrated)
    for rule in RULES:
        (line,) = (
            line
            for line in lines
            if (line["model"], line["scores"], line["rule"], line["task"])
            == (raw.subject.model, "raw", rule.name, "average")
        )
        chosen = raw.of(rule)
        assert chosen is not None
        assert float(line["gain"]) == pytest.approx(chosen.gain.mean, abs=1e-4)
        total = sum(int(part.rpartition(": ")[2]) for part in line["chosen"].split("; "))
        assert total == DRAWS * len(TASKS)
        assert (line["p"] == "") == (rule == ORACLE)
    assert "experiment=step_sizes" in texts["tables/step_sizes.md"]  # what is missing
    assert r"\label{tab:step-sizes}" in texts["tables/step_sizes.tex"]
