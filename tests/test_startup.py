"""What a command imports before it answers: nobody waits for what the answer does not need."""

import gc
import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Command

from deepthink.garbage import uncollected

PROGRAM = """
import json, sys
from deepthink.__main__ import main
try:
    main()
except SystemExit:
    pass
print(json.dumps(sorted(sys.modules)))
"""
MODELLING = {"transformers", "scipy", "sklearn", "gguf", "wandb", "matplotlib", "torch._dynamo"}


def imported(*words: object) -> tuple[set[str], str]:
    """What a process has imported when the command of these words has ended, and its output."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, *map(str, words)],
        capture_output=True,
        text=True,
        check=True,
    )
    *said, modules = ended.stdout.splitlines()
    return set(json.loads(modules)), "\n".join(said) + ended.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--version"], "deepthink 0"),
        (["--help"], "python run.py"),
        (["taks=sst2"], "did you mean task?"),
        (["task=sst"], "did you mean sst5 or sst2?"),
        (["method.iterations=many"], "method.iterations is 'many'"),
        (["model=gpt2-lage", "launcher=local"], "did you mean gpt2-large or"),
    ],
)
def test_help_and_a_mistake_wait_for_no_library_of_numbers(words: list[str], said: str) -> None:
    modules, output = imported(*words)
    assert said in output
    assert not modules & {*MODELLING, "torch", "numpy", "pandas", "pyarrow", "datasets"}


def test_a_record_is_read_without_what_makes_one(
    run: Command, tmp_path: Path, tiny_folder: Path, data_root: Path
) -> None:
    assert run()[0] == 0
    modules, output = imported(
        f"model.hub_id={tiny_folder}",
        "model.package=null",
        "task=sst2",
        f"data_root={data_root}",
        f"results={tmp_path / 'results'}",
        "wandb.mode=disabled",
        "method.iterations=3",
    )
    assert "read, not run again" in output
    assert not modules & MODELLING


def test_what_was_made_without_collection_is_not_searched_again_and_again() -> None:
    searched: list[int] = []

    def note(phase: str, about: dict[str, int]) -> None:
        if phase == "start":
            searched.append(about["generation"])

    gc.callbacks.append(note)
    try:
        with uncollected():
            made: list[list[object]] = [[] for _ in range(100_000)]
            assert searched == []
        young = {id(thing) for generation in (0, 1) for thing in gc.get_objects(generation)}
    finally:
        gc.callbacks.remove(note)
    assert not any(id(thing) in young for thing in made)
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
