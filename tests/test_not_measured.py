"""The options that docstrings list as not measured are those of one value in all records."""

import importlib
import inspect
import json
import pkgutil
import re
from collections import defaultdict
from dataclasses import fields
from functools import cache
from typing import Any

import pytest

from deepthink.config.job import Config, DemonstrationSpec, PoolSpec, PromptSpec
from deepthink.config.method import MethodSpec
from deepthink.config.tasks import TaskSpec
from deepthink.installation import CONF
from deepthink.report import experiments
from deepthink.selection import rules

STUDIES = (experiments.PUBLISHED, experiments.EARLIER)
RULES = [m.name for m in pkgutil.iter_modules(rules.__path__) if not m.name.startswith("_")]

SPECS = {
    "method": (MethodSpec, {"selector"}),
    "demonstrations": (DemonstrationSpec, set()),
    "pool": (PoolSpec, set()),
    "prompt": (PromptSpec, set()),
}
"""Parts of a config, and the fields that are described elsewhere."""


@cache
def values() -> dict[tuple[str, ...], set[str]]:
    """The values of every option in the committed records, as JSON."""
    seen: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for path in (p for s in STUDIES for p in (CONF.parent / s / "records").rglob("*.json")):
        config = json.loads(path.read_text())["config"]
        selector = config["method"]["selector"]
        parts: dict[tuple[str, ...], Any] = {(name,): config.get(name) or {} for name in SPECS}
        parts |= {("selector", selector["name"]): selector, ("task",): config["task"], (): config}
        for place, options in parts.items():
            for option, value in options.items():
                seen[*place, option].add(json.dumps(value, sort_keys=True))
    return seen


def listed(documented: object) -> list[str]:
    """What a docstring lists."""
    line = re.search(r"Not measured: ([^.]*)\.", inspect.getdoc(documented) or "")
    return line[1].replace("\n", " ").replace(",", " ").split() if line else []


def of_one_value(place: tuple[str, ...], options: list[str]) -> list[str]:
    return [option for option in options if len(values()[*place, option]) <= 1]


@pytest.mark.parametrize("name", RULES)
def test_a_rule_lists_its_options_without_a_second_value(name: str) -> None:
    select = importlib.import_module(f"{rules.__name__}.{name}").select
    options = [*inspect.signature(select).parameters][3:]
    assert listed(select) == of_one_value(("selector", name), options)


@pytest.mark.parametrize("part", SPECS)
def test_a_part_of_the_config_lists_its_options_without_a_second_value(part: str) -> None:
    spec, elsewhere = SPECS[part]
    options = [field.name for field in fields(spec) if field.name not in elsewhere]
    assert listed(spec) == of_one_value((part,), options)


@pytest.mark.parametrize(
    ("spec", "place", "options"),
    [
        (Config, (), ["answer_score", "readings"]),
        (TaskSpec, ("task",), ["answer", "delimiter", "open", "harness"]),
    ],
)
def test_answers_are_scored_and_written_in_one_way(
    spec: type, place: tuple[str, ...], options: list[str]
) -> None:
    assert listed(spec) == of_one_value(place, options)
