"""Label bias over t beside accuracies, from made-up scores, and what is said of it."""

import csv
from io import StringIO
from pathlib import Path

import made_scores
import numpy as np
import pytest
from conftest import Command
from made_records import jobs, put
from matplotlib.axes import Axes

from deepthink.report import experiments, mechanism, mechanism_tables, memory_gain, over_draws, page
from deepthink.report.figures import mechanism as drawing
from deepthink.report.figures.style import style
from deepthink.report.measurements import Subject, subjects
from deepthink.report.mechanism import ALIGNED, PAPERS, SETTINGS, Curves, label_bias
from deepthink.report.runs import Runs

TASKS = {"sst2": 2, "trec": 6}
STEPS = (1, 2, 5, 15)
ROWS, DEV = 40, 20
SMALL = (f"test_size={ROWS}", f"dev_size={DEV}", "pool_size=9", "method=deepthink_curve")
ALIGNED_WORDS = ("method.step_size=0.1", "method.positions=aligned")
DRAWS = 6


def gold(task: str) -> dict[made_scores.Split, np.ndarray]:
    """Labels of a task's rows, the same for every draw."""
    rng = np.random.default_rng(len(task))
    return {
        "dev": rng.integers(TASKS[task], size=DEV),
        "test": rng.integers(TASKS[task], size=ROWS),
    }


def scores(task: str, split: made_scores.Split, seed: int, step: int, way: float) -> np.ndarray:
    """[Q, C]: what the rows say, and a bias of this draw that grows or falls as t grows."""
    rng = np.random.default_rng([seed, len(task)])
    bias = rng.normal(0, 1.5, TASKS[task]) * (1 + way * (step - 1) / 5)
    labels = gold(task)[split]
    noise = rng.normal(0, 1, (2, ROWS, TASKS[task]))[int(split == "test"), : len(labels)]
    return np.asarray(noise + 1.5 * np.eye(TASKS[task])[labels] + bias - 3)


def study(
    results: Path,
    *words: str,
    way: float = -0.9,
    draws: int = DRAWS,
    constant: float = 0.0,
    model: str = "smollm2-135m",
) -> None:
    """A setting on two tasks, whose label bias changes by `way`."""
    for task in TASKS:
        for seed in range(draws):
            (config,) = jobs(f"model={model}", f"task={task}", f"seed={seed}", *SMALL, *words)
            dev, test = (
                {step: scores(task, split, seed, step, way) + constant for step in STEPS}
                for split in ("dev", "test")
            )
            made_scores.put(results, config, dev, test, gold(task))


def subject(results: Path) -> Subject:
    (only,) = subjects(Runs.load(results), mechanism.EXPERIMENT)
    return only


def found(results: Path, setting: str = ALIGNED) -> Curves:
    (subject,) = subjects(Runs.load(results), mechanism.EXPERIMENT)
    curves = mechanism.measured(subject, setting)
    assert curves is not None
    return curves


# the definition


def test_the_bias_is_zero_where_every_label_is_predicted_as_often_as_it_is_gold() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(5, size=60)
    assert label_bias(rng.permutation(truth), truth) == 0
    assert label_bias(np.zeros(60, int), np.ones(60, int)) == 100


def test_the_bias_is_the_least_error_that_these_numbers_of_labels_make() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        truth, guess = rng.integers(4, size=(2, 30))
        by_hand = sum(abs((guess == y).mean() - (truth == y).mean()) for y in range(4)) / 2
        assert label_bias(guess, truth) == pytest.approx(100 * by_hand)
        best = sum(min((guess == y).sum(), (truth == y).sum()) for y in range(4)) / 30
        assert 100 - label_bias(guess, truth) == pytest.approx(100 * best)
        assert (guess == truth).mean() <= best + 1e-12


def test_the_size_of_the_bias_vector_by_hand() -> None:
    rows = np.random.default_rng(2).normal(size=(9, 3))
    p = np.exp(rows) / np.exp(rows).sum(axis=1, keepdims=True)
    log_mean = np.log(p.mean(axis=0))
    wanted = np.sqrt(((log_mean - log_mean.mean()) ** 2).mean())
    assert mechanism.bias_vector_size(rows) == pytest.approx(wanted)
    assert mechanism.bias_vector_size(rows + 7) == pytest.approx(wanted)
    assert mechanism.bias_vector_size(np.zeros((4, 3))) == pytest.approx(0)


# what is measured of stored runs


def test_the_curves_are_what_the_scores_say(tmp_path: Path) -> None:
    """Bias, raw and calibrated accuracy of every draw, computed anew from the made-up scores."""
    study(tmp_path, *ALIGNED_WORDS)
    curves = found(tmp_path)
    assert (curves.tasks, curves.steps, curves.seeds) == (("sst2", "trec"), STEPS, DRAWS)
    for k, task in enumerate(TASKS):
        truth = gold(task)["test"]
        for s in range(DRAWS):
            for t, step in enumerate(STEPS):
                dev, test = (
                    np.exp(scores(task, split, s, step, -0.9).astype(np.float64))
                    for split in ("dev", "test")
                )
                dev, test = (p / p.sum(axis=1, keepdims=True) for p in (dev, test))
                guess = test.argmax(axis=1)
                numbers = [(guess == y).sum() - (truth == y).sum() for y in range(TASKS[task])]
                assert curves.bias[s, k, t] == pytest.approx(50 * np.abs(numbers).sum() / ROWS)
                assert (curves.raw[k][t, s] == (guess == truth)).all()
                corrected = (test / dev.mean(axis=0)).argmax(axis=1)
                assert (curves.calibrated[k][t, s] == (corrected == truth)).all()


def test_changes_and_what_relates_them_by_hand(tmp_path: Path) -> None:
    study(tmp_path, *ALIGNED_WORDS)
    curves = found(tmp_path)
    fall = (curves.bias[:, :, 0] - curves.bias[:, :, 2]).ravel()
    raw, calibrated = (
        np.array([100 * (task[2] - task[0].astype(float)).mean(axis=1) for task in of]).T.ravel()
        for of in (curves.raw, curves.calibrated)
    )
    assert curves.bias_change is not None and curves.bias_change.p is not None
    assert curves.bias_change.mean == pytest.approx(-fall.mean())
    assert curves.bias_change.high < 0
    assert curves.raw_change.mean == pytest.approx(raw.mean())
    assert curves.calibrated_change.mean == pytest.approx(calibrated.mean())
    assert curves.correlation is not None and curves.slope is not None and curves.gone is not None
    assert curves.correlation.mean == pytest.approx(np.corrcoef(fall, raw)[0, 1])
    assert curves.slope.mean == pytest.approx(np.polyfit(fall, raw, 1)[0])
    assert curves.gone.mean == pytest.approx(1 - calibrated.mean() / raw.mean())
    assert curves.correlation.low < curves.correlation.mean < curves.correlation.high
    alone = curves.of_task(1)
    assert (alone.tasks, alone.examples) == (("trec",), ROWS)
    assert alone.raw_change.mean == pytest.approx(raw.reshape(DRAWS, 2)[:, 1].mean())


def test_a_constant_on_all_scores_changes_nothing(tmp_path: Path) -> None:
    study(tmp_path / "plain", *ALIGNED_WORDS, draws=2)
    study(tmp_path / "moved", *ALIGNED_WORDS, draws=2, constant=2.5)
    one, other = found(tmp_path / "plain"), found(tmp_path / "moved")
    np.testing.assert_array_equal(one.bias, other.bias)
    np.testing.assert_allclose(one.sizes, other.sizes, atol=1e-9)
    for name in ("raw", "calibrated"):
        for a, b in zip(getattr(one, name), getattr(other, name), strict=True):
            np.testing.assert_array_equal(a, b)


def test_draws_without_stored_scores_do_not_count(tmp_path: Path) -> None:
    study(tmp_path / "some", *ALIGNED_WORDS)
    next((tmp_path / "some").rglob("*/sst2/*/seed3-*.parquet")).unlink()
    assert found(tmp_path / "some").seeds == DRAWS - 1
    assert mechanism.measured(subject(tmp_path / "some"), PAPERS) is None
    study(tmp_path / "bare", *ALIGNED_WORDS, draws=1)
    for path in (tmp_path / "bare").rglob("*.parquet"):
        path.unlink()
    assert mechanism.every(Runs.load(tmp_path / "bare")) == []


def test_the_jobs_are_those_of_positions_and_rivals() -> None:
    def families(name: str) -> set[object]:
        return {f for setting in experiments.settings(name) for f in setting.families}

    ours = families("mechanism")
    assert ours <= families("positions") | families("rivals")
    asked = [experiments.setting(name, task="mr", **axes) for name, axes in SETTINGS.values()]
    assert len({setting.families for setting in asked}) == len(SETTINGS)
    for name, setting in zip(SETTINGS, asked, strict=True):
        thinking = setting.configs[0].method
        assert f"η = {thinking.step_size:g}" in name and thinking.positions in name


# over draws


def test_an_interval_over_draws_is_students() -> None:
    values = np.array([1.0, 2.0, 4.0, 5.0])
    e = over_draws.mean(values, examples=7)
    assert e is not None and e.p is not None
    reach = 3.182446 * values.std(ddof=1) / 2
    assert (e.mean, e.low, e.high) == pytest.approx((3, 3 - reach, 3 + reach), abs=1e-4)
    assert (e.p < 0.05) == (e.low > 0)
    assert over_draws.mean(values[:1], 7) is None
    three = over_draws.mean(values[:3], 7)
    assert three is not None and three.p is None


def test_the_bootstrap_covers_the_mean_ratio() -> None:
    """Of 200 samples of ten draws the 95 % interval holds the true part nine times in ten."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        whole = rng.normal(4, 1, (10, 3))
        e = over_draws.bootstrap(
            over_draws.lost, whole, 0.25 * whole + rng.normal(0, 1, (10, 3)), 1
        )
        assert e is not None
        hits += e.low <= 0.75 <= e.high
    assert hits >= 0.85 * 200


def test_what_has_no_spread_has_no_correlation() -> None:
    flat, rising = np.ones((5, 2)), np.arange(10.0).reshape(5, 2)
    assert over_draws.bootstrap(over_draws.correlation, flat, rising, 1) is None
    assert over_draws.bootstrap(over_draws.slope, flat, rising, 1) is None
    assert over_draws.bootstrap(over_draws.lost, 0 * flat, rising, 1) is None
    assert over_draws.bootstrap(over_draws.correlation, rising[:3], rising[:3], 1) is None


# words, table, figure, page


@pytest.mark.parametrize(
    ("signs", "causes"),
    [
        ((-1, 1, 0), ["a label bias removed"]),
        ((-1, 1, 1), ["a label bias removed", "something added"]),
        ((0, 1, 1), ["something added"]),
        ((0, 0, 1), ["something added"]),
        ((1, -1, 0), ["a label bias made"]),
        ((1, -1, -1), ["a label bias made", "something lost"]),
        ((-1, -1, 0), ["undecided"]),
        ((1, 1, 0), ["undecided"]),
        ((-1, 0, 0), ["no change of accuracy"]),
    ],
)
def test_what_explains_a_change_follows_from_three_signs(
    signs: tuple[int, int, int], causes: list[str]
) -> None:
    assert mechanism_tables.explained(*signs) == causes


def test_sentences_say_what_was_removed_and_made(tmp_path: Path) -> None:
    study(tmp_path, *ALIGNED_WORDS)
    study(tmp_path, "method.step_size=0.1", way=2.0)
    study(tmp_path, way=-0.9, draws=2)
    lines = [*mechanism_tables.sentences(mechanism.every(Runs.load(tmp_path)))]
    said = {line.split(":")[0]: line for line in lines}
    assert "too few draws to test (n=2)" in said[f"**{PAPERS}**"]
    assert "a label bias removed" in said[f"**{ALIGNED}"]
    assert "a label bias made" in said["**continued, η = 0.1"]
    assert "Raw accuracy falls as the label bias rises." in said["**continued, η = 0.1"]


def test_models_are_compared_where_both_have_the_same_draws(tmp_path: Path) -> None:
    study(tmp_path, *ALIGNED_WORDS)
    assert mechanism_tables.on_models(mechanism.every(Runs.load(tmp_path))) == ""
    study(tmp_path, *ALIGNED_WORDS, way=2.0, model="gemma3-270m")
    curves = mechanism.every(Runs.load(tmp_path))
    text = mechanism_tables.on_models(curves)
    assert "gemma3-270m" in text and "smollm2-135m" in text
    assert "demonstrations of 20 to 20 tokens" in text
    fall = mechanism.across(curves, lambda each: each.fall)
    assert fall is not None
    falls, gains = (
        np.concatenate([getattr(each, name).ravel() for each in curves])
        for name in ("fall", "gains")
    )
    assert fall.mean == pytest.approx(np.corrcoef(falls, gains)[0, 1])


def test_the_files_and_the_page_show_the_same_numbers(tmp_path: Path) -> None:
    study(tmp_path, *ALIGNED_WORDS)
    runs = page.load(tmp_path)
    texts = dict(page.texts(tmp_path, runs, []))
    assert "## What thinking changes" in texts["README.md"]
    lines = [*csv.DictReader(StringIO(texts["tables/mechanism.csv"]))]
    curves = found(tmp_path)
    for quantity, e in (
        ("label bias", curves.bias_at(2)),
        ("change of raw accuracy", curves.raw_change),
    ):
        t = "2" if quantity == "label bias" else "1-5"
        (line,) = (
            line
            for line in lines
            if (line["quantity"], line["t"], line["task"]) == (quantity, t, "average")
        )
        assert e is not None
        assert [float(line[key]) for key in ("value", "low", "high")] == pytest.approx(
            [e.mean, e.low, e.high], abs=1e-4
        )
    assert {line["task"] for line in lines} == {*TASKS, "average"}
    text = texts["tables/mechanism.md"]
    assert "Task by task" in text and "experiment=mechanism" in text  # rotated was not run
    assert r"\label{tab:mechanism}" in texts["tables/mechanism.tex"]


def test_without_runs_the_page_has_no_section(tmp_path: Path) -> None:
    (config,) = jobs("task=sst2", "method=deepthink_curve", "test_size=6", "pool_size=9")
    put(tmp_path, config, {1: 2, 5: 3, 15: 2}, {1: 2, 5: 3, 15: 2})
    texts = dict(page.texts(tmp_path, page.load(tmp_path), []))
    assert "What thinking changes" not in texts["README.md"]
    assert "experiment=mechanism" in texts["tables/mechanism.md"]


def test_the_figure_has_a_column_for_each_setting(tmp_path: Path) -> None:
    study(tmp_path, *ALIGNED_WORDS)
    study(tmp_path, "method.step_size=0.1", way=0.5)
    with style():
        figure = drawing.label_bias(subject(tmp_path))
    assert figure is not None
    assert figure.figure.get_suptitle() == "" and figure.text.endswith(".")
    axes: list[Axes] = figure.figure.axes
    assert [a.get_title().partition("\n")[0] for a in axes[:3]] == [*SETTINGS][1:]
    assert len({a.lines[0].get_color() for a in axes[:2]}) == 2
    assert "not run" in [text.get_text() for text in axes[2].texts]
    curves = found(tmp_path)
    np.testing.assert_allclose(
        np.asarray(axes[1].lines[0].get_ydata()), curves.bias.mean(axis=(0, 1))
    )
    raw, calibrated = axes[4].lines
    assert raw.get_markerfacecolor() == "white" and calibrated.get_markerfacecolor() != "white"
    for line, tasks in ((raw, curves.raw), (calibrated, curves.calibrated)):
        wanted = 100 * np.mean([task.mean(axis=(1, 2)) for task in tasks], axis=0)
        np.testing.assert_allclose(np.asarray(line.get_ydata()), wanted)


def test_without_scores_there_is_no_figure(tmp_path: Path) -> None:
    (config,) = jobs("task=sst2", "method=aligned", "test_size=6", "dev_size=6", "pool_size=9")
    put(tmp_path, config, {1: 2, 5: 3, 15: 2}, {1: 2, 5: 3, 15: 2})
    assert drawing.label_bias(subject(tmp_path)) is None


# the weight of the memory


def gained(results: Path, gain: int, thinking: int) -> Subject:
    """Five draws in which the gain is right on so many test rows at t = 3, chosen on dev."""
    sizes = ("test_size=40", "dev_size=40", "pool_size=9", "task=sst2")
    for seed in range(5):
        for method, hits in (
            ("deepthink_curve", {1: 10, 5: 10, 15: 10}),
            ("gain", {1: 10, 2: 10, 3: gain, 4: 10, 5: 10}),
            ("aligned", {1: 10, 5: thinking, 15: 10}),
        ):
            (config,) = jobs(f"method={method}", f"seed={seed}", *sizes)
            put(results, config, hits, hits, rows=40)
    return subject(results)


def test_the_gain_of_the_memory_is_held_against_thinking(tmp_path: Path) -> None:
    of = gained(tmp_path, gain=30, thinking=20)
    both = memory_gain.measured(of)
    assert both is not None and both.tasks == ("sst2",)
    assert both.over_vanilla.estimates[-1] is not None and both.thinking_less.average is not None
    assert both.over_vanilla.estimates[-1].mean == pytest.approx(50)
    assert both.thinking_less.average.mean == pytest.approx(-25)
    assert dict(both.factors) == {0.25: 5}  # t = 3 is the second of 0.125, 0.25, 0.5 and 2
    text = mechanism_tables.on_gain(of)
    assert "Thinking is behind it" in text and "0.25 (100 %)" in text


def test_a_gain_that_was_not_run_names_its_command(tmp_path: Path) -> None:
    study(tmp_path, *ALIGNED_WORDS, draws=1)
    assert "experiment=rivals" in mechanism_tables.on_gain(subject(tmp_path))
    assert "method=gain" in mechanism_tables.on_gain(subject(tmp_path))


def test_a_real_job_has_what_the_mechanism_needs(run: Command, tmp_path: Path) -> None:
    words = ("method=aligned", "test_size=9", "dev_size=6", "pool_size=30")
    assert run(*words, "method.iterations=15", "method.scored=sparse")[0] == 0
    curves = mechanism.every(Runs.load(tmp_path / "results"))
    assert [each.setting for each in curves] == [ALIGNED]
    assert (curves[0].seeds, curves[0].steps[-1]) == (1, 15)
