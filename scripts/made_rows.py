"""Made-up rows of all tasks of the paper, in the files and columns that the hub has them in.

They carry no sentence of any data set. Nothing can be learnt from them but that a job runs.
"""

import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from deepthink.config.overrides import compose, requested
from deepthink.config.tasks import SourceSpec, TaskSpec, WorkedExamples

POOL, TEST = 120, 24
"""Rows of the training and of the test split of a task."""

QUESTIONS = 12
"""Test rows of a suite's member."""

OPTIONS = ("a red kettle", "the old lamp", "some paper", "nobody at all")
THINGS = ("kettle", "lamp", "radio", "chair", "mug", "clock", "bicycle", "umbrella")
PLACES = ("in the hall", "near the window", "under the stairs", "behind the shop", "on the roof")
ENDS = ("still works well", "was loud all night", "leaks a little", "cost too much", "is a joy")

Row = dict[str, Any]


def sentences(seed: str) -> Iterator[str]:
    """Different short sentences without end, the same for the same seed."""
    rng = random.Random(seed)
    number = 0
    while True:
        number += rng.randint(1, 9)
        yield f"The {rng.choice(THINGS)} {rng.choice(PLACES)}, number {number}, {rng.choice(ENDS)}."


def write(folder: Path) -> None:
    """Write the rows of the five tasks and of every member of both suites."""
    for name in ("sst2", "sst5", "trec", "mr", "agnews"):
        _write_task(folder, compose([f"task={name}"]).task)
    for name in ("mmlu", "bbh"):
        for job in requested([f"task={name}"]).jobs:
            _write_member(folder, job.task)


def _write_task(folder: Path, task: TaskSpec) -> None:
    source, texts = task.sources[0], sentences(task.name)
    classes: Sequence[Any] = source.classes or ()
    for split, count in ((source.pool, POOL), (source.test, TEST)):
        rows = [
            {source.text: next(texts), source.label: classes[at % len(classes)]}
            for at in range(count)
        ]
        path = folder / source.repository / f"{split}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _write_member(folder: Path, task: TaskSpec) -> None:
    source, texts = task.sources[0], sentences(task.name)
    shots = task.demonstrations
    if isinstance(source.pool, WorkedExamples):
        asked = [_listed(next(texts), at, task) for at in range(shots + QUESTIONS)]
        path = folder / source.pool.repository / source.pool.file.format(member=task.member)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_worked(asked[:shots]), encoding="utf-8")
        tests = [{source.text: text, source.label: answer} for text, answer in asked[shots:]]
        _write_parquet(folder, source, str(source.test), task, tests)
        return
    for split, count in ((source.pool, shots), (source.test, QUESTIONS)):
        rows = [
            {
                source.text: next(texts),
                str(source.choices): [*OPTIONS],
                source.label: at % len(OPTIONS),
            }
            for at in range(count)
        ]
        _write_parquet(folder, source, str(split), task, rows)


def _listed(text: str, at: int, task: TaskSpec) -> tuple[str, str]:
    """A question with its options at its end, as BIG-Bench Hard has it, and the right one."""
    if task.labels:
        options = "\n".join(f"- {label}" for label in task.labels)
        return f"{text}\nOptions:\n{options}", task.labels[at % len(task.labels)]
    marks = [f"({chr(ord('A') + number)})" for number in range(len(OPTIONS))]
    options = "\n".join(f"{mark} {text}" for mark, text in zip(marks, OPTIONS, strict=True))
    return f"{text}\nOptions:\n{options}", marks[at % len(marks)]


def _worked(asked: Sequence[tuple[str, str]]) -> str:
    """A file of worked examples, whose reasoning nobody reads."""
    examples = [
        f"Q: {question}\nA: Let us look around. So the answer is {answer}."
        for question, answer in asked
    ]
    return "\n\n".join(["Made-up examples.", *examples]) + "\n"


def _write_parquet(
    folder: Path, source: SourceSpec, split: str, task: TaskSpec, rows: Sequence[Row]
) -> None:
    pattern = (source.files or {})[split]
    name = pattern.format(member=task.member).replace("*", "00000-of-00001")
    path = folder / source.repository / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_parquet(path)
