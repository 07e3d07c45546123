"""A task of lm-evaluation-harness as a task of this suite: its rows, prompts and options.

The harness writes each row's prompt. What all prompts begin and end with becomes the template, and
the rest is the text of an example.
"""

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from deepthink.config.harness_tasks import HarnessSpec
from deepthink.config.tasks import TaskSpec
from deepthink.config.templates import Template
from deepthink.errors import UserError, first_line
from deepthink.files import at_home
from deepthink.installation import make
from deepthink.structures import Example, Source

SHOTS = 5
"""Demonstrations of a task whose config names no number."""

SEPARATOR = "\n\n"


@dataclass(frozen=True)
class Row:
    """A row as the harness has it: the prompt, the options and the index of the right one."""

    prompt: str
    options: tuple[str, ...]
    label: int


@dataclass(frozen=True)
class _Read:
    """A task with all that its config and its rows say, and the rows."""

    task: TaskSpec
    source: Source


def resolved(task: TaskSpec) -> TaskSpec:
    """The task with what the harness says of it: the template, the words, the versions.

    Raises:
        UserError: lm-eval is not installed or has no such task, its rows cannot be read, or a job
            cannot have its prompts.
    """
    return _read(task).task


def source_of(task: TaskSpec) -> Source:
    """All rows of a task's pool and test splits; UserError as `resolved`."""
    return _read(task).source


def _read(task: TaskSpec) -> _Read:
    assert task.harness is not None
    return _known(replace(task.harness, version=None, program=None))


@cache
def _known(spec: HarnessSpec) -> _Read:
    """A task of the harness, which is read once in a process."""
    harness, program = _loaded(spec)
    name = f"lm_eval-{spec.lm_eval}"
    config = harness.config
    _check(harness, spec.lm_eval)
    given = getattr(config.fewshot_config, "sampler", None) == "first_n"
    shots = spec.demonstrations or config.num_fewshot or SHOTS
    try:
        pool, test = _rows(harness, _pool(harness)), _rows(harness, harness.eval_docs)
    except UserError:
        raise
    except Exception as error:  # of the task's own code
        raise _failed(spec.lm_eval, error) from error
    pool = pool[:shots] if given else pool
    delimiter, pool, test = _spaced(config.target_delimiter, pool, test, spec.lm_eval)
    before, after = around([row.prompt for row in (*pool, *test)])
    if not after:
        raise UserError(
            f"the prompts of {spec.lm_eval} end in different words, and a job's template needs the "
            f"same ones: {_INSTEAD}"
        )
    every = {row.options for row in (*pool, *test)}
    found = TaskSpec(
        name=name,
        version=1,
        template=f"{_escaped(before)}{{text}}{_escaped(after)}",
        labels=list(every.pop()) if len(every) == 1 else [],
        demonstrations=shots,
        rows={"pool": len(pool), "test": len(test)},
        sources=[],
        given=given,
        delimiter=delimiter,
        harness=replace(spec, version=str(harness.VERSION), program=program),
    )
    Template.parse(found.template)
    cut = slice(len(before), -len(after))
    source = Source(
        repository=str(config.dataset_path or spec.lm_eval),
        commit=None,
        pool=tuple(Example(row.prompt[cut], row.options, row.label) for row in pool),
        test=tuple(Example(row.prompt[cut], row.options, row.label) for row in test),
        left_out=0,
    )
    return _Read(found, source)


_INSTEAD = "deepthink-lm-eval runs it, see docs/harness.md"


def _loaded(spec: HarnessSpec) -> tuple[Any, str]:
    """The harness's task and the harness's version; UserError as `resolved`."""
    try:
        from importlib.metadata import version

        from lm_eval.tasks import TaskManager
    except ImportError as error:
        raise UserError(
            f"task=lm_eval/{spec.lm_eval} needs lm-evaluation-harness: "
            + make("lm-eval", "pip install 'deepthink[lm-eval]'")
        ) from error
    logging.getLogger("lm_eval").setLevel(logging.CRITICAL)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    folder = None if spec.include_path is None else at_home(spec.include_path)
    if folder is not None and not os.path.isdir(folder):  # noqa: PTH112
        raise UserError(f"task.include_path is {folder}, which is no folder")
    try:
        manager = TaskManager(include_path=folder, include_defaults=folder is None)
        if folder is not None and spec.lm_eval not in manager.all_subtasks:
            manager = TaskManager(include_path=folder)  # reads every task's config, for seconds
        if spec.lm_eval not in manager.all_subtasks:
            raise _no_task(spec.lm_eval, manager)
        (task,) = manager.load([spec.lm_eval])["tasks"].values()
    except UserError:
        raise
    except Exception as error:  # the hub's, of datasets, and of the task's own code
        raise _failed(spec.lm_eval, error) from error
    return task, version("lm-eval")


def _no_task(name: str, manager: Any) -> UserError:
    from difflib import get_close_matches

    if name in manager.all_tasks:
        return UserError(f"lm_eval/{name} is a group of tasks: name one of them, or several")
    near = get_close_matches(name, manager.all_subtasks, n=3, cutoff=0.5)
    hint = f": did you mean {' or '.join(near)}?" if near else ""
    return UserError(f"lm-evaluation-harness has no task '{name}'{hint}")


def _failed(name: str, error: Exception) -> UserError:
    return UserError(f"lm_eval/{name} cannot be read ({type(error).__name__}: {first_line(error)})")


def _check(task: Any, name: str) -> None:
    """UserError for a task whose prompts a job cannot have."""
    config, shots = task.config, task.config.fewshot_config
    own = [
        field
        for field in ("doc_to_text", "doc_to_choice", "doc_to_target", "target_delimiter")
        if getattr(shots, field, None) != getattr(config, field)
    ]
    reasons = {
        f"asks for {task.OUTPUT_TYPE}, not for one of several options": (
            task.OUTPUT_TYPE != "multiple_choice"
        ),
        "has a prompt for each option": bool(getattr(task, "multiple_input", 0)),
        "has several right options": bool(getattr(task, "multiple_target", 0)),
        "has words of its own in front of the demonstrations": bool(config.description),
        "begins its answers with words of its own": bool(config.gen_prefix),
        "separates demonstrations otherwise than by a blank line": (
            getattr(shots, "fewshot_delimiter", SEPARATOR) != SEPARATOR
        ),
        "writes demonstrations otherwise than questions": bool(own),
        "shows pictures or sounds": bool(getattr(task, "MULTIMODAL", False)),
    }
    for reason, holds in reasons.items():
        if holds:
            raise UserError(f"lm_eval/{name} {reason}, which no job does: {_INSTEAD}")


def _pool(task: Any) -> Any:
    """The rows that demonstrations come from; UserError where these are the test rows."""
    config = task.config
    split = config.fewshot_config.split or config.training_split
    if split is None and not config.fewshot_config.samples:
        split = config.validation_split
        if split == (config.test_split or config.validation_split):
            split = None
    if split is None and not config.fewshot_config.samples:
        raise UserError(
            f"lm_eval/{config.task} has no rows but its test rows, so there are no demonstrations"
        )
    if config.fewshot_config.split or config.fewshot_config.samples:
        return task.fewshot_docs()
    return task.training_docs() if config.training_split else task.validation_docs()


def _rows(task: Any, docs: Any) -> list[Row]:
    """The rows of a split as the harness writes them; UserError for one without a right option."""
    rows = []
    for number, doc in enumerate(docs, start=1):
        options = tuple(str(option) for option in task.doc_to_choice(doc))
        target = task.doc_to_target(doc)
        label = options.index(target) if target in options else target
        if not isinstance(label, int) or not 0 <= label < len(options):
            raise UserError(f"row {number} of lm_eval/{task.config.task} has no right option")
        rows.append(Row(str(task.doc_to_text(doc)), options, label))
    return rows


def _spaced(
    delimiter: str, pool: Sequence[Row], test: Sequence[Row], name: str
) -> tuple[str, list[Row], list[Row]]:
    """The delimiter and the rows, with a space at the beginning of all options moved into it."""
    options = [option for row in (*pool, *test) for option in row.options]
    if any(not option.strip() for option in options):
        raise UserError(f"lm_eval/{name} has an empty option, which no job can score")
    blank = {option[: len(option) - len(option.lstrip())] for option in options}
    if len(blank) > 1:
        raise UserError(
            f"some options of lm_eval/{name} begin with a space and some do not, and a job joins "
            f"all of them in one way: {_INSTEAD}"
        )
    (space,) = blank
    stripped = (
        [replace(row, options=tuple(option.lstrip() for option in row.options)) for row in part]
        for part in (pool, test)
    )
    return delimiter + space, *stripped  # type: ignore[return-value]


def around(prompts: Sequence[str]) -> tuple[str, str]:
    r"""What all prompts begin and end with, cut where words and lines are cut.

    >>> around(["Question: is it?\nAnswer:", "Question: is she?\nAnswer:"])
    ('Question: ', '\nAnswer:')
    """
    least = min(map(len, prompts))
    first = _common(prompts)
    colon, line = first.find(": "), first.find("\n")
    places = [place + size for place, size in ((colon, 2), (line, 1)) if place >= 0]
    before = first[: min(places)] if places else ""
    last = _common([prompt[::-1] for prompt in prompts])[::-1]
    last = last[-(least - len(before) - 1) :] if least > len(before) + 1 else ""
    line = last.find("\n")
    blank = next((i for i, letter in enumerate(last) if letter.isspace()), -1)
    begin = line if line >= 0 else blank
    return before, last[begin:] if begin >= 0 else ""


def _common(texts: Sequence[str]) -> str:
    """What all texts begin with."""
    first, last = min(texts), max(texts)
    pairs = zip(first, last, strict=False)
    return first[: next((i for i, (a, b) in enumerate(pairs) if a != b), len(first))]


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")
