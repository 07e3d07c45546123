"""Flipped labels, a joint seam and momentum as differences."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made_records import jobs, made, put

from deepthink.installation import CONF
from deepthink.report import experiments, options, page
from deepthink.report.measurements import Measured, Subject, subjects
from deepthink.report.readings import FIVE, VANILLA
from deepthink.report.runs import Run, Runs
from deepthink.structures import Example
from deepthink.tasks.labels import flipped

TASKS = ("sst2", "sst5", "trec", "mr", "agnews")
FLIPPED = "demonstrations.labels=flipped"


def fill(results: Path, *words: str, hits: dict[int, int]) -> None:
    for task in TASKS:
        for config in jobs("scale=cpu", f"task={task}", *words):
            for seed in range(4):
                put(results, replace(config, seed=seed), hits)


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    tmp_path = tmp_path_factory.mktemp("results")
    fill(tmp_path, "method=deepthink_curve", hits={1: 2, 5: 3, 15: 3})
    fill(tmp_path, "method=deepthink_curve", FLIPPED, hits={1: 2, 5: 1, 15: 1})
    fill(tmp_path, "method=deepthink_curve", "prompt.seam=joint", hits={1: 4, 5: 6, 15: 6})
    fill(tmp_path, "method=authors", hits={1: 2, 5: 5, 15: 5})
    (found,) = set(subjects(page.load(tmp_path), "flipped"))
    return found


def averages(subject: Subject, at: int) -> dict[str, float]:
    found = options.every(subject, VANILLA if at == 1 else FIVE)
    return {one.label: one.average.mean for one in found if one.average is not None}


def test_each_option_is_a_difference_on_the_same_rows(subject: Subject) -> None:
    assert averages(subject, 1) == pytest.approx(
        {"flipped labels less gold ones": 0, "joint seam less apart": 100 * 2 / 6}
    )
    later = averages(subject, 5)
    assert later.pop("answers as flipped labels show them, t = 5 less t = 1") is not None
    assert later == pytest.approx(
        {
            "flipped labels less gold ones": 100 * -2 / 6,
            "joint seam less apart": 100 * 3 / 6,
            "momentum 0.9 less none": 100 * 2 / 6,
        }
    )


def test_what_was_not_run_is_no_sentence(subject: Subject) -> None:
    said = [*options.sentences(subject)]
    assert not any("aligned" in sentence for sentence in said)
    assert len(said) == 2 + 4


@pytest.mark.parametrize("task", ["sst2", "trec"])
def test_answers_as_shown_are_those_of_flipped_demonstrations(task: str) -> None:
    (config,) = jobs(f"task={task}", "method=deepthink_curve", FLIPPED)
    labels = config.task.labels
    rng = np.random.default_rng(0)
    gold, predicted = rng.integers(len(labels), size=(2, 6)).tolist()
    record = made(config, {1: 0})
    (point,) = record.curve
    words = {"gold": " ".join(map(str, gold)), "predicted": " ".join(map(str, predicted))}
    record = replace(
        record,
        gold=replace(record.gold, test=words["gold"]),
        curve=(replace(point, predicted=words["predicted"]),),
    )
    run = Run(Path("a.json"), record)
    setting = experiments.Setting("flipped", {}, (config,), ((0, 0),))
    measured = Measured(
        Subject(Runs([run]), "m", run.scale), setting, VANILLA, {(0, 0): (run,)}, ()
    )
    shown = [flipped(Example("", tuple(labels), label)).label for label in gold]
    (outcome,) = options.as_shown(measured).outcomes
    assert outcome.tolist() == [[int(a == b) for a, b in zip(shown, predicted, strict=True)]]


def test_published_runs_count_the_same_answers() -> None:
    runs = page.load(CONF.parent / experiments.PUBLISHED)
    found = 0
    for subject in subjects(runs, "flipped"):
        axes = {"method": "deepthink_curve", "demonstrations.labels": "flipped"}
        for part in map(options.as_shown, subject.measure_tasks("flipped", FIVE, TASKS, **axes)):
            for (run,) in part.runs.values():
                (point,) = (p for p in run.record.curve if (p.step, p.split) == (5, "test"))
                assert run.correct(5).sum() == point.followed
                found += 1
    if not found:
        pytest.skip("no published run shows flipped labels")
