"""Every method as a job: selection, repetition, other labels, the protocols with a dev set."""

import dataclasses
import inspect
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import Command, assert_one_line, stored

from deepthink.config.overrides import compose, requested
from deepthink.engine.scoring import Scorer
from deepthink.errors import UserError
from deepthink.models import loading
from deepthink.plugins import RULES
from deepthink.selection.choosing import choose
from deepthink.selection.pool import Pool
from deepthink.structures import Example
from deepthink.tasks import sources
from deepthink.tasks.labels import flipped, relabelled

TWELVE = (
    "random,herding,k_center,entropy,least_confidence,margin,cal,craig,grad_match,"
    "facility_location,graph_cut,lens"
)


def by_method(tmp_path: Path) -> dict[str, dict[str, Any]]:
    return {path.parent.name: record for path, record in stored(tmp_path)}


def test_all_twelve_run_and_read_the_pools_signals_once(run: Command, tmp_path: Path) -> None:
    code, out, err = run("-m", f"method={TWELVE}", "method.iterations=1")
    assert (code, err) == (0, "")
    found = by_method(tmp_path)
    assert set(found) == {"vanilla", *TWELVE.split(",")} - {"random"}
    signals = {
        name: stage
        for name, record in found.items()
        for stage in record["selection"]["stages"]
        if stage["name"] == "zero-shot signals"
    }
    assert set(signals) == set(found) - {"vanilla", "lens"}
    assert sorted(stage["read"] for stage in signals.values()) == [0] * 9 + [36]
    assert sorted(stage["kept"] for stage in signals.values()) == [0] + [36] * 9
    assert out.count("36 prompts read in") == 1
    assert out.count("36 prompts known from before") == 9
    for name, record in found.items():
        shots = record["demonstrations"]
        assert len(set(shots["indices"])) == 8, name
        assert Counter(shots["labels"]) == {0: 4, 1: 4}, name
        values = record["selection"]["values"]
        assert (values is None) == (name == "vanilla")
        assert values is None or len(values) == 8


def test_lens_prints_its_stages(run: Command) -> None:
    _, out, _ = run("method=lens", "method.iterations=1")
    rows = [line.split() for line in out.splitlines()]
    assert ["zero-shot:", "4", "score", "examples", "4", "4", "0"] in [row[:7] for row in rows]
    # 36 examples, of which 18 are kept after four score examples each, and 18 validate
    assert ["filter", "1", "of", "1:", "36", "×", "4", "144", "144", "0"] in [r[:10] for r in rows]
    bounds = [row for row in rows if row[:1] == ["search"]]
    assert [row[4:9] for row in bounds] == [["≤", "72", "×", "18", "≤"]] * 2
    assert all(int(row[10].replace(",", "")) <= 72 * 18 for row in bounds)


def test_thinking_over_chosen_demonstrations_keeps_them(run: Command, tmp_path: Path) -> None:
    run("-m", "method=graph_cut,craig", "method.iterations=1,3")
    found = by_method(tmp_path)
    for name in ("graph_cut", "craig"):
        plain, thought = found[name], found[f"{name}+deepthink"]
        assert plain["demonstrations"] == thought["demonstrations"]
        assert plain["curve"] == thought["curve"][:2]
        assert len(thought["curve"]) == 6


def test_the_dev_protocol_thinks_over_the_best_set_and_records_t(
    run: Command, tmp_path: Path
) -> None:
    run("-m", "method=best_random", "method.iterations=1,4")
    found = by_method(tmp_path)
    plain, thought = found["best_random"], found["best_random+deepthink"]
    assert plain["demonstrations"]["indices"] == thought["demonstrations"]["indices"]
    tried = plain["selection"]["log"]["sets"]
    assert len(tried) == 10
    best = max(one["dev_correct"] for one in tried)
    dev = [point for point in thought["curve"] if point["split"] == "dev"]
    assert dev[0]["correct"] == best  # the job's own vanilla accuracy on dev
    assert len(dev) == 4
    most = max(point["correct"] for point in dev)
    assert thought["step_by_dev"] == next(p["step"] for p in dev if p["correct"] == most)
    (stage,) = thought["selection"]["stages"]
    assert (stage["predicted"], stage["read"], stage["kept"]) == (240, 0, 240)
    config = compose(["method=deepthink_dev"])
    assert config.method.iterations == 15
    assert config.method.selector == compose(["method=best_random"]).method.selector


def test_the_first_random_set_is_vanillas(run: Command, tmp_path: Path) -> None:
    run("method=vanilla", "method.iterations=1", "order=0")
    run("method=best_random", "method.iterations=1", "method.selector.sets=1")
    found = by_method(tmp_path)
    assert (
        found["vanilla"]["demonstrations"]["indices"]
        == found["best_random"]["demonstrations"]["indices"]
    )
    assert found["vanilla"]["curve"] == found["best_random"]["curve"]


def test_repetition_is_a_longer_prompt_of_the_same_demonstrations(
    run: Command, tmp_path: Path
) -> None:
    run("-m", "method=vanilla,repeat", "method.iterations=1", "demonstrations.count=4")
    found = by_method(tmp_path)
    once, five = (found[name]["demonstrations"] for name in ("vanilla", "repeat"))
    assert once["indices"] == five["indices"]
    assert (once["copies"], five["copies"]) == (1, 5)
    assert five["tokens"] > 4.5 * once["tokens"]
    assert found["repeat"]["identity"]["copies"] == 5


def test_copies_that_do_not_fit_are_told(run: Command, tmp_path: Path) -> None:
    _, out, _ = run("method=repeat", "method.copies=40", "method.iterations=1")
    record = by_method(tmp_path)["repeat"]
    kept = record["demonstrations"]["copies"]
    assert 1 < kept < 40
    assert f"the context holds {kept} of 40 copies" in " ".join(out.split())


def test_repetition_can_be_thought_over(run: Command, tmp_path: Path) -> None:
    run("method=repeat", "method.copies=2", "demonstrations.count=2")
    assert set(by_method(tmp_path)) == {"repeat+deepthink"}


# labels

CANDIDATES = ("a", "b", "c")


def test_flipping_is_one_mapping_that_leaves_no_label() -> None:
    seen = {flipped(Example("x", CANDIDATES, label)).label for label in range(3)}
    assert seen == {0, 1, 2}
    assert [flipped(Example("x", CANDIDATES, label)).label for label in range(3)] == [1, 2, 0]
    assert [flipped(Example("x", ("a", "b"), label)).label for label in range(2)] == [1, 0]
    gold = Example("x", CANDIDATES, 1)
    assert relabelled(gold, "gold", 0, 0) == gold
    assert relabelled(gold, "flipped", 0, 0).text == "x"


def test_random_labels_are_uniform_and_belong_to_their_example() -> None:
    labels = [relabelled(Example("x", CANDIDATES, 0), "random", 0, i).label for i in range(600)]
    assert all(150 < count < 250 for count in Counter(labels).values())
    assert labels[7] == relabelled(Example("other", CANDIDATES, 2), "random", 0, 7).label
    other = [relabelled(Example("x", CANDIDATES, 0), "random", 1, i).label for i in range(600)]
    assert labels != other


def test_flipped_demonstrations_are_the_same_ones(run: Command, tmp_path: Path) -> None:
    # 23 examples: a model that always gives one answer is not right as often as wrong
    labels = "demonstrations.labels=gold,flipped,random"
    code, out, _ = run("-m", labels, "method.iterations=2", "test_size=23")
    assert code == 0
    found = by_method(tmp_path)
    gold, turned = found["deepthink"], found["deepthink-flipped"]
    drawn = found["deepthink-random"]
    assert gold["demonstrations"]["indices"] == turned["demonstrations"]["indices"]
    assert gold["demonstrations"]["indices"] == drawn["demonstrations"]["indices"]
    shown = zip(gold["demonstrations"]["labels"], turned["demonstrations"]["labels"], strict=True)
    assert all(a + b == 1 for a, b in shown)
    assert gold["curve"] != turned["curve"]
    # of two labels, whoever is wrong follows the flipped mapping
    assert all(p["followed"] == p["count"] - p["correct"] for p in turned["curve"])
    assert "followed" not in gold["curve"][0]
    assert out.count("follows") == 2  # a column for dev and one for test


def test_labels_change_what_is_shown_and_not_what_is_chosen(run: Command, tmp_path: Path) -> None:
    run("-m", "method=entropy", "demonstrations.labels=gold,flipped", "method.iterations=1")
    found = by_method(tmp_path)
    assert (
        found["entropy"]["demonstrations"]["indices"]
        == found["entropy-flipped"]["demonstrations"]["indices"]
    )


def test_random_labels_of_given_demonstrations_depend_on_the_seed() -> None:
    gold = requested(["task=mmlu", "task.members=[virology]", "seed=3"]).jobs[0]
    assert gold.draw == 0
    drawn = requested(
        ["task=mmlu", "task.members=[virology]", "seed=3", "demonstrations.labels=random"]
    ).jobs[0]
    assert drawn.draw == 3


# the pool


def test_smaller_pools_are_part_of_larger_ones_and_balanced(data_root: Path) -> None:
    task = compose(["task=sst2"]).task
    pools = [sources.load(task, str(data_root), pool_size=n).pool for n in (6, 20, None)]
    texts = [{example.text for example in pool} for pool in pools]
    assert texts[0] < texts[1] < texts[2]
    assert [len(pool) for pool in pools] == [6, 20, 36]
    assert Counter(example.label for example in pools[0]) == {0: 3, 1: 3}
    dev = sources.load(task, str(data_root), pool_size=6).dev
    assert not {example.text for example in dev} & texts[2]


def test_the_pools_size_is_another_job_with_other_demonstrations(
    run: Command, tmp_path: Path
) -> None:
    run("-m", "pool_size=null,20", "method.iterations=1", "method=vanilla")
    (_, first), (_, second) = stored(tmp_path)
    assert first["identity"]["task"]["data"] != second["identity"]["task"]["data"]
    assert {first["data"]["rows"]["pool"], second["data"]["rows"]["pool"]} == {20, 36}


def test_given_demonstrations_leave_no_pool_to_size() -> None:
    with pytest.raises(UserError, match="given"):
        compose(["task=mmlu", "pool_size=3"])


def test_options_are_checked_before_the_model_is_loaded(
    run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "load", lambda *_: pytest.fail("the model was loaded"))
    code, _, err = run("method=cal", "method.selector.scope=clas", "method.iterations=1")
    assert code == 1
    assert "class" in err


def test_running_out_of_memory_while_choosing_is_one_clear_line(
    run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_args: object, **_kwargs: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Scorer, "with_states", full)
    code, _, err = run("method=herding")
    assert_one_line(code, err, "the selector tried do not fit")


def test_a_selector_of_three_lines_is_enough(tmp_path: Path) -> None:
    """What the README says of adding one: a list of indices is all it must return."""

    def select(pool: Pool, count: int, rng: np.random.Generator, longest: bool) -> list[int]:
        order = sorted(range(len(pool)), key=lambda i: len(pool.examples[i].text), reverse=longest)
        return order[:count]

    (tmp_path / "rules").mkdir()
    head = "from deepthink.selection.pool import Pool\nimport numpy as np\n\n\n"
    text = head + textwrap.dedent(inspect.getsource(select))
    (tmp_path / "rules" / "by_length.py").write_text(text)
    config = dataclasses.replace(compose([]), plugins=str(tmp_path))
    method = dataclasses.replace(config.method, selector={"name": "by_length", "longest": True})
    pool = Pool([Example("x" * i, ("a", "b"), i % 2) for i in range(9)])
    (group,) = choose(pool, dataclasses.replace(config, method=method))
    chosen = group.selection
    assert chosen.indices == [8, 7, 6, 5, 4, 3, 2, 1]
    assert chosen.values is None
    with pytest.raises(UserError, match="by_length needs option longest"):
        RULES.load({"name": "by_length"}, str(tmp_path))


def test_scores_of_a_selection_are_json(run: Command, tmp_path: Path) -> None:
    """No NaN, no infinities: other readers than Python's refuse them."""
    run("-m", "method=grad_match,k_center,craig", "method.iterations=1")
    for path, record in stored(tmp_path):
        assert "NaN" not in path.read_text()
        assert "Infinity" not in path.read_text()
        assert np.isfinite(record["selection"]["values"]).all()
