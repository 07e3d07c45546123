"""What docstrings show is run, and every public function of the engine shows something."""

import doctest
import inspect
import pkgutil
from importlib import import_module

import pytest

import deepthink

MODULES = [
    name
    for _, name, _ in pkgutil.walk_packages(deepthink.__path__, "deepthink.")
    if not name.rpartition(".")[2].startswith("_")
]
OF_THE_HARNESS = tuple(f"deepthink.harness.{name}" for name in ("model", "tasks", "written"))
WITHIN = {
    *("states_only", "multiplies", "routed", "Forward", "Passed", "too_long", "another"),
    *("over_itself", "over_memory", "merge", "joined"),
    *("states_of", "scores_of", "share_beginning", "grown", "Packed", "QueryScores", "GroupStates"),
    *("GroupLogs", "logs_of", "in_batches"),
    *("Block", "Decoder", "decoder_of", "is_plain", "activated", "feed_forward"),
    *("gated_feed_forward", "same"),
}
"""Parts of the engine that work only within a forward, where others show them."""


@pytest.mark.parametrize("name", MODULES)
def test_what_docstrings_show_is_right(name: str) -> None:
    if name in OF_THE_HARNESS:
        pytest.importorskip("lm_eval", reason="lm-eval is not installed: make lm-eval")
    tests = doctest.DocTestFinder(exclude_empty=True).find(import_module(name), name)
    runner = doctest.DocTestRunner(optionflags=doctest.IGNORE_EXCEPTION_DETAIL, verbose=False)
    said: list[str] = []
    for test in tests:
        runner.run(test, out=said.append)
    assert runner.summarize(verbose=False).failed == 0, "".join(said)


@pytest.mark.parametrize("name", [name for name in MODULES if ".engine." in name])
def test_every_public_part_of_the_engine_shows_an_example(name: str) -> None:
    module = import_module(name)
    public = {
        key: value
        for key, value in vars(module).items()
        if (inspect.isfunction(value) or inspect.isclass(value))
        and value.__module__ == name
        and not key.startswith("_")
    }
    silent = {key for key, value in public.items() if ">>> " not in (value.__doc__ or "")}
    assert silent <= WITHIN
