"""Rows for files of a user's own, and what a command line makes of them."""

from collections.abc import Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from deepthink.config import search
from deepthink.config.overrides import composed
from deepthink.config.parsing import parse
from deepthink.config.tasks import TaskSpec
from deepthink.structures import Splits
from deepthink.tasks import own, sources

THINGS = ("kettle", "lamp", "radio", "chair", "mug")
GOOD = ("still runs well", "was a good buy", "is a joy to use", "lasts for days")
POOR = ("broke in a week", "was a waste", "leaks at night", "makes me angry")


def opinions(count: int = 60) -> list[tuple[str, str]]:
    """Texts and labels, which alternate."""
    sides = (("good", GOOD), ("poor", POOR))
    rows = []
    for number in range(count):
        label, ends = sides[number % 2]
        end = ends[number // 2 % len(ends)]
        rows.append((f"My {THINGS[number % 5]} of shop {number} {end}.", label))
    return rows


def lines(rows: Sequence[Sequence[object]], heading: str = "body,stars", sign: str = ",") -> str:
    """A table of cells that need no quotation marks."""
    return "\n".join([heading, *(sign.join(map(str, row)) for row in rows)]) + "\n"


def write(folder: Path, name: str = "reviews.csv", text: str | bytes | None = None) -> Path:
    """A file; by default sixty opinions."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    text = lines(opinions()) if text is None else text
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@cache
def base() -> DictConfig:
    """The config of a task in a file of one's own. Composing it takes a quarter of a second."""
    return composed(["task.file=none"])


def task(*words: str) -> TaskSpec:
    """The task of words whose keys exist, its file read."""
    config = deepcopy(base())
    for word in OverridesParser.create().parse_overrides(search.settled(words)):
        if word.get_key_element() != "task":
            OmegaConf.update(config, word.get_key_element(), word.value())
    (job,) = parse(config).jobs
    return own.resolved(job.task)


def loaded(*words: str, **sizes: Any) -> tuple[TaskSpec, Splits]:
    """The task and its splits."""
    spec = task(*words)
    return spec, sources.load(spec, **sizes)
