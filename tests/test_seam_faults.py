"""Files from outside that are wrong in ways a first user finds: each is right, or one line."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from conftest import Command, assert_one_line, stored

from deepthink.app.commands import plan, tables
from deepthink.config.overrides import compose
from deepthink.errors import UserError
from deepthink.models import loading
from deepthink.plugins import CALIBRATIONS, RULES
from deepthink.store.identity import identity, record_id

SMALL = ("test_size=6", "dev_size=6", "pool_size=12", "method.iterations=2")
SELECTION = "from deepthink.selection.balance import Selection\nimport numpy as np\n"
RULE = SELECTION + "def select(pool, count, rng):\n    return {}\n"
RULE_WORDS = ("method.selector.name=x", "~method.selector.balance")
CALIBRATION = "import numpy as np\ndef calibrate(scores, ask):\n    return {}\n"
REFINEMENT = """
import torch
from deepthink.engine.memory import Memory

def refine(shown{}):
    m = shown.read()
    yield m
    while True:
        {}
        yield m
"""


Plugin = Callable[[str, str], str]


@pytest.fixture
def plugin(tmp_path: Path) -> Plugin:
    """Writes a file into a plugin's folder, and returns the word that names the folder."""

    def write(name: str, text: str) -> str:
        path = tmp_path / "mine" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return f"plugins={tmp_path / 'mine'}"

    return write


def key(*words: str) -> str:
    return record_id(identity(compose(words), "float32", "data"))


# options: what differs has another key, what is alike has one, what cannot be held is refused


def test_an_option_of_all_refinements_is_not_hidden_in_one(run: Command, tmp_path: Path) -> None:
    """It ran with η = 0.5 under the key of η = 0.01."""
    code, _, err = run("+method.refinement.step_size=0.5", *SMALL)
    assert_one_line(code, err, "set method.step_size")
    assert not stored(tmp_path)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (", step_size: float = 0.5", "default of its own, 0.5"),
        (", iterations: int = 5", "method.iterations says how many"),
    ],
)
def test_a_refinement_whose_default_would_not_count_is_refused(
    plugin: Plugin, more: str, says: str
) -> None:
    words = plugin("refinements/x.py", REFINEMENT.format(more, "pass"))
    with pytest.raises(UserError, match=says):
        key(words, "method.refinement.name=x")


@pytest.mark.parametrize("name", ["name", "source"])
def test_an_option_cannot_take_the_place_of_the_files_name_or_digest(
    plugin: Plugin, name: str
) -> None:
    """Two values of an option called `source` had one key."""
    words = plugin("calibrations/x.py", f"def calibrate(scores, ask, {name}='a'):\n    pass\n")
    with pytest.raises(UserError, match=f"has an option called {name}"):
        key(words, "calibration.name=x")


@pytest.mark.parametrize(
    ("annotation", "default", "given"),
    [
        ("float", "1.0", "1"),
        ("float", "1", "1.0"),
        ("list[float]", "(1, 2)", "[1,2]"),
        ("tuple[float, ...]", "(1.0, 2.0)", "[1,2]"),
        ("dict[int, float]", "{10: 1.0, 2: 2.0}", "{10:1,2:2}"),
    ],
)
def test_what_means_the_same_has_one_key_and_is_taken(
    plugin: Plugin, annotation: str, default: str, given: str
) -> None:
    text = f"def calibrate(scores, ask, a: {annotation} = {default}):\n    return a\n"
    words = (plugin("calibrations/x.py", text), "calibration.name=x")
    assert key(*words, f"+calibration.a={given}") == key(*words)
    config = compose((*words, f"+calibration.a={given}"))
    assert CALIBRATIONS.load(config.calibration, config.plugins)(0, None) == (
        eval(default) if "list" not in annotation else [1.0, 2.0]
    )


def test_a_name_of_a_dict_that_is_a_number_leaves_a_record_that_can_be_read(
    run: Command, plugin: Plugin, tmp_path: Path
) -> None:
    words = plugin("refinements/x.py", REFINEMENT.format(", a: dict = {10: 1, 2: 2}", "pass"))
    assert run(words, "method.refinement.name=x", *SMALL)[0] == 0
    assert len(stored(tmp_path)) == 1


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("a=float('nan')", "no record can hold nan"),
        ("a={1, 2}", "no record can hold {1, 2}"),
        ("a=print", "no record can hold <built-in"),
        ("a='\\ud800'", "no record can hold"),
    ],
)
def test_a_default_that_no_record_can_hold_is_refused(
    run: Command, plugin: Plugin, option: str, says: str
) -> None:
    text = f"def calibrate(scores, ask, {option}):\n    return scores\n"
    code, _, err = run(plugin("calibrations/x.py", text), "calibration.name=x", *SMALL)
    assert_one_line(code, err, says)


@pytest.mark.parametrize("kind", ["np.ndarray", "Memory"])
def test_an_annotation_that_no_config_can_meet_is_refused(
    run: Command, plugin: Plugin, kind: str
) -> None:
    head = "import numpy as np\nfrom deepthink.engine.memory import Memory\n"
    text = f"{head}def calibrate(scores, ask, a: {kind} = None):\n    return scores\n"
    words = (plugin("calibrations/x.py", text), "calibration.name=x")
    code, _, err = run(*words, "+calibration.a=[1]", *SMALL)
    assert_one_line(code, err, "which no config can hold")


def test_an_option_without_a_name_is_refused(plugin: Plugin) -> None:
    words = plugin("rules/x.py", "def select(pool, count, rng, a=1, /):\n    return []\n")
    with pytest.raises(UserError, match="must be arguments with names"):
        RULES.load({"name": "x", "a": 2}, words.partition("=")[2])


# what runs is what the key says


def test_a_changed_file_of_the_same_size_and_time_is_read_anew(
    plugin: Plugin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python would take the compiled file of the one before, under the digest of the new one."""
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    path = tmp_path / "mine" / "rules" / "x.py"
    for number in (1, 2):
        words = plugin("rules/x.py", f"def select(pool, count, rng):\n    return {number}\n")
        os.utime(path, (10**9, 10**9))
        for module in [name for name in sys.modules if name.startswith("deepthink_plugin_")]:
            del sys.modules[module]  # as in another process
        assert RULES.load({"name": "x"}, words.partition("=")[2])(None, 1, None) == number


def test_two_files_of_one_config_are_refused(run: Command, plugin: Plugin) -> None:
    words = plugin("conf/calibration/batch.yaml", "name: none\n")
    code, _, err = run(words, "calibration=batch", *SMALL)
    assert_one_line(code, err, "has the name of a file in")


# what a file does ends in a record or in one line that names it


@pytest.mark.parametrize("text", ["raise SystemExit(0)\n", RULE.format("exit(0)")])
def test_a_file_that_exits_has_failed(run: Command, plugin: Plugin, text: str) -> None:
    code, _, err = run(plugin("rules/x.py", text), *RULE_WORDS, *SMALL)
    assert_one_line(code, err, "selector x failed (SystemExit: 0)")


@pytest.mark.parametrize(
    "chosen", ["np.arange(count)", "[np.int64(i) for i in range(count)]", "range(count)",
        "(Selection([*range(count)]) for _ in pool.queries)",
        "Selection(np.arange(count), np.arange(count), {3: np.ones(2)})",
    ],
)  # fmt: skip
def test_numbers_of_arrays_are_numbers(
    run: Command, plugin: Plugin, tmp_path: Path, chosen: str
) -> None:
    code, _, err = run(plugin("rules/x.py", RULE.format(chosen)), *RULE_WORDS, *SMALL)
    assert (code, err) == (0, "")
    ((_, record),) = stored(tmp_path)
    assert record["demonstrations"]["indices"] == [*range(8)]


@pytest.mark.parametrize(
    ("chosen", "says"),
    [
        ("None", "must return 8 different pool indices"),
        ("3", "must return 8 different pool indices"),
        ("[[0, 1]] * 12", "a list of one Selection for each query"),
        ("[*map(float, range(count))]", "must return 8 different pool indices"),
        ("[True, False, *range(2, count)]", "must return 8 different pool indices"),
        ("Selection([*range(count)], [1.0])", "a value for each of its indices"),
        ("Selection([*range(count)], [np.nan] * count)", "values of selector x: no record"),
        ("Selection([*range(count)], ['a'] * count)", "which is no number"),
        ("Selection([*range(count)], None, [1])", "must keep its notes in a dict"),
        ("Selection([*range(count)], None, {'a': {1}})", "log of selector x: no record"),
    ],
)
def test_a_rule_that_returns_something_else_is_named(
    run: Command, plugin: Plugin, chosen: str, says: str
) -> None:
    code, _, err = run(plugin("rules/x.py", RULE.format(chosen)), *RULE_WORDS, *SMALL)
    assert_one_line(code, err, says)
    assert "report it" not in err


@pytest.mark.parametrize("array", ["hidden", "scores", "probabilities", "labels"])
def test_a_rule_cannot_write_into_what_others_read(
    run: Command, plugin: Plugin, array: str
) -> None:
    text = f"def select(pool, count, rng):\n    pool.{array}[:] = 0\n    return [*range(count)]\n"
    code, _, err = run(plugin("rules/x.py", text), *RULE_WORDS, *SMALL)
    assert_one_line(code, err, "read-only")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("def refine(shown):\n    return None\n", "returns NoneType"),
        ("def refine(shown):\n    return shown.read()\n", "returns Memory"),
        (
            "def refine(shown):\n    return map(lambda i: shown.read() if i else 1 / 0, [1, 0])\n",
            "refinement x failed (ZeroDivisionError",
        ),
        (REFINEMENT.format("", "m = m.to(torch.int32)"), "torch.int32"),
        (REFINEMENT.format("", "m = m.to(torch.complex64)"), "torch.complex64"),
        (REFINEMENT.format("", "m = Memory(m.keys, m.to(torch.float64).values, 1)"), "of one fl"),
        (REFINEMENT.format("", "m = Memory((m.keys[0].numpy(),), m.values, 1)"), "ndarray"),
    ],
)
def test_a_refinement_that_yields_something_else_is_named(
    run: Command, plugin: Plugin, text: str, says: str
) -> None:
    code, _, err = run(plugin("refinements/x.py", text), "method.refinement.name=x", *SMALL)
    assert_one_line(code, err, says)
    assert "report it" not in err


@pytest.mark.parametrize(
    "change",
    ["torch.nn.init.zeros_(shown.model.lm_head.weight)", "shown.model.train()",
        "shown.model.lm_head.weight.data = shown.model.lm_head.weight.data * 2",
    ],
)  # fmt: skip
def test_a_refinement_that_changes_the_model_fails_and_leaves_it_to_no_other_job(
    run: Command, plugin: Plugin, tmp_path: Path, change: str
) -> None:
    """Later jobs of the same sweep were scored with the changed weights."""
    words = plugin("refinements/x.py", REFINEMENT.format("", change))
    assert run(*SMALL)[0] == 0
    code, _, err = run(words, "method.refinement.name=x", *SMALL)
    assert_one_line(code, err, "changes the model at t = 2, which must stay frozen")
    before = stored(tmp_path)
    assert run(*SMALL, "force=true")[0] == 0
    (_, was), (_, now) = *before, *stored(tmp_path)
    assert was["scores"] == now["scores"]


def test_a_model_that_was_changed_is_loaded_again(tiny_folder: Path) -> None:
    config = compose([f"model.hub_id={tiny_folder}", "model.package=null"]).model
    device = torch.device("cpu")
    first = loading.load(config, device)
    assert loading.load(config, device) is first
    first.model.train()
    assert not loading.load(config, device).model.training


@pytest.mark.parametrize(
    ("result", "says"),
    [
        ("None", "must return an array of numbers"),
        ("[['a', 'b']] * len(scores)", "must return an array of numbers"),
        ("[[1.0], [1.0, 2.0]]", "must return an array of numbers"),
        ("scores + 1j", "must return an array of numbers"),
        ("0 * scores + np.inf", "must leave a highest number"),
        ("0 * scores - np.inf", "must leave a highest number"),
        ("np.full_like(scores, np.nan)", "must leave a highest number"),
        ("scores - ask.dev_scores().__imul__(0)[:1]", "read-only"),
    ],
)
def test_a_calibration_that_returns_something_else_is_named(
    run: Command, plugin: Plugin, result: str, says: str
) -> None:
    words = plugin("calibrations/x.py", CALIBRATION.format(result))
    code, _, err = run(words, "calibration.name=x", *SMALL)
    assert_one_line(code, err, says)
    assert "report it" not in err


@pytest.mark.parametrize(
    ("texts", "ask", "says"),
    [
        ("'N/A'", "['N/A']", "must return a list of texts, not 'N/A'"),
        ("None", "['N/A']", "must return a list of texts, not None"),
        ("['N', '/', 'A']", "'N/A'", "must ask about a list of texts"),
        ("['N/A']", "[]", "must ask about a list of texts"),
    ],
)
def test_a_text_is_not_a_list_of_its_letters(
    run: Command, plugin: Plugin, texts: str, ask: str, says: str
) -> None:
    """A calibration that meant "N/A" was asked about "N", "/" and "A"."""
    head = f"def texts(pool, rng):\n    return {texts}\n\n\n"
    body = CALIBRATION.format(f"scores - ask({ask}).mean(axis=1)")
    code, _, err = run(plugin("calibrations/x.py", head + body), "calibration.name=x", *SMALL)
    assert_one_line(code, err, says)


def test_texts_may_be_yielded(run: Command, plugin: Plugin) -> None:
    head = "def texts(pool, rng):\n    yield 'N/A'\n\n\n"
    body = CALIBRATION.format("scores - ask(['N/A']).mean(axis=1)")
    code, _, err = run(plugin("calibrations/x.py", head + body), "calibration.name=x", *SMALL)
    assert (code, err) == (0, "")


# words of the commands


@pytest.mark.parametrize("word", ["foo", "seed=[a", "results=[a", "'x"])
def test_a_word_of_a_plan_that_is_not_understood_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="is not understood"):
        plan.main(["smoke", word])


def test_a_table_takes_the_folder_as_a_job_does(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere has no records"):
        tables.main([f"results={tmp_path / 'nowhere'}"])


def test_a_yaml_file_that_cannot_be_read_is_named(run: Command, plugin: Plugin) -> None:
    words = plugin("conf/method/x.yaml", "iterations: 1\nselector: {name\n")
    code, _, err = run(words, "method=x", *SMALL)
    assert_one_line(code, err, "method/x.yaml, line 3: expected ',' or '}'")


def test_what_was_dropped_is_counted_in_a_group_and_not_in_all(
    run: Command, plugin: Plugin
) -> None:
    """The demonstrations of a group did not fit; all different ones together are no prompt."""
    rule = RULE.format(
        "[Selection([(i + k) % len(pool) for i in range(count)]) for k in range(len(pool.queries))]"
    )
    words = (plugin("rules/x.py", rule), *RULE_WORDS, "pool_size=36", "demonstrations.count=34")
    code, out, err = run(*words, "test_size=2", "dev_size=0", "method.iterations=2")
    assert (code, err) == (0, "")
    shown = " ".join(out.split())
    assert "of 34 demonstrations at 2L positions" in shown
    assert "were dropped for some queries" in shown


def test_what_a_rule_reads_of_the_model_is_counted_without_a_stage(
    run: Command, plugin: Plugin, tmp_path: Path
) -> None:
    """Its cost was recorded as nothing."""
    rule = RULE.format("pool.after([[0], [1]], pool.dev) is None or range(count)")
    assert run(plugin("rules/x.py", rule), *RULE_WORDS, *SMALL)[0] == 0
    ((_, record),) = stored(tmp_path)
    (stage,) = record["selection"]["stages"]
    assert (stage["predicted"], stage["read"]) == (12, 12)
    assert record["flops"]["selection"] > 0
