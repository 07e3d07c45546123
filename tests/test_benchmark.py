"""The benchmark's figures: rates at a model's own shapes, and where the time of a call goes."""

import argparse
import importlib
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from rich.console import Console
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from deepthink.engine.flops import Costs
from deepthink.engine.prepack import prepack
from deepthink.errors import UserError
from deepthink.installation import CONF

CPU = torch.device("cpu")
GPT2 = GPT2Config(n_layer=2, n_head=2, n_embd=16, vocab_size=61)
LLAMA = LlamaConfig(
    num_hidden_layers=2,
    num_attention_heads=2,
    hidden_size=16,
    intermediate_size=48,
    vocab_size=61,
)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a script by its name."""
    monkeypatch.syspath_prepend(CONF.parent / "scripts")
    return importlib.import_module


@pytest.fixture
def rates(script: Any) -> ModuleType:
    module: ModuleType = script("rates")
    return module


@pytest.mark.parametrize(
    "model", [GPT2LMHeadModel(GPT2), LlamaForCausalLM(LLAMA)], ids=["gpt2", "llama"]
)
def test_a_body_is_as_fast_as_its_layers_together(
    rates: ModuleType, monkeypatch: pytest.MonkeyPatch, model: GPT2LMHeadModel
) -> None:
    """On a machine that does a product in the time of its outputs and rows, whatever its inputs."""
    asked: list[tuple[int, int, int]] = []

    def slowly(call: Any, device: torch.device) -> tuple[float, Any]:
        rows, result = call.args[0], call()
        asked.append((*rows.shape, result.shape[-1]))
        return result.shape[-1] * max(512, len(rows)), result

    monkeypatch.setattr(rates, "timed", slowly)
    found = rates.rates_of(model)
    inputs = {"attn.c_attn": 16, "attn.c_proj": 16, "mlp.c_fc": 16, "mlp.c_proj": 64}
    outputs = {"attn.c_attn": 48, "attn.c_proj": 16, "mlp.c_fc": 64, "mlp.c_proj": 16}
    if model.config.model_type == "llama":
        names = [*"qkvo", "gate", "up", "down"]
        inputs = {name: 48 if name == "down" else 16 for name in names}
        outputs = {name: 48 if name in ("gate", "up") else 16 for name in names}
    products = sum(inputs[name] * outputs[name] for name in inputs)
    assert 2 * 2 * products == Costs.of(model).token  # two layers
    assert found.body == pytest.approx(
        dict.fromkeys(("matmul", "blocked"), 2 * products / sum(outputs.values()))
    )
    assert found.head == pytest.approx(dict.fromkeys(found.body, 2 * 16 * 256 / 512))
    assert {rows for rows, _, columns in asked if columns != 61} == {*rates.ROWS}
    assert {rows for rows, _, columns in asked if columns == 61} == {*rates.HEAD_ROWS}
    assert found.best == max(found.body.values())


def test_what_the_profiler_groups_is_the_whole_call(script: Any) -> None:
    profiling, side, workloads = map(script, ("profiling", "side_by_side", "workloads"))
    model = prepack(LlamaForCausalLM(LLAMA).eval())
    workload = workloads.of_random_tokens("random", vocabulary=61, queries=3)
    shown = side.Demonstrations(model, workload.demonstrations)
    seconds = []

    def call() -> None:
        begin = time.perf_counter()
        side.think_and_score(shown, workload, 2)
        time.sleep(0.1)  # which is no operator's
        seconds.append(time.perf_counter() - begin)

    spent = profiling.milliseconds(call)
    assert tuple(spent) == profiling.GROUPS
    assert sum(spent.values()) == pytest.approx(1e3 * seconds[0], rel=0.2)
    assert all(ms > 0 for ms in spent.values())
    assert spent[profiling.PYTHON] > 100


@pytest.mark.parametrize(
    ("name", "callers", "group"),
    [
        ("mkldnn::_linear_pointwise", [], "linear layers"),
        ("mkldnn::_linear_pointwise", ["output layer"], "output layer"),
        ("mkldnn::_linear_pointwise", ["attention", "the whole call"], "attention"),
        ("aten::exp_", ["aten::softmax", "attention"], "attention"),
        ("aten::embedding", ["the whole call"], "elementwise and copies"),
        ("attention", ["the whole call"], "Python and dispatch"),
    ],
)
def test_operators_belong_to_groups(script: Any, name: str, callers: list[str], group: str) -> None:
    assert script("profiling").group_of(name, callers) == group


def test_thinking_and_scoring_are_timed_apart(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    side, workloads, benchmark = map(script, ("side_by_side", "workloads", "benchmark"))
    model = LlamaForCausalLM(LLAMA).eval()
    workload = workloads.of_random_tokens("random", vocabulary=61, queries=3)
    score = side.score

    def slowly(*given: Any) -> Any:
        time.sleep(0.1)
        return score(*given)

    monkeypatch.setattr(side, "score", slowly)
    options = argparse.Namespace(iterations=2, rounds=1, profile=False)
    measured = side.measure(Console(quiet=True), model, model, workload, options)
    rates = script("rates").Rates({"matmul": 1e9, "blocked": 2e9}, {"matmul": 1e9, "blocked": 1e9})
    row = benchmark.figures(measured, rates)
    assert row["profile_ms"] is None
    assert row["difference"] < 1e-4
    assert all(run.scoring > 0.2 for run in measured.engine)
    assert row["scoring_gflops"] < measured.scoring_flops / 0.2 / 1e9
    assert row["thinking_gflops"] > row["gflops"] > row["scoring_gflops"]
    assert row["share_of_best"] == row["shares"]["blocked"] == row["shares"]["matmul"] / 2
    assert row["share_of_best"] == pytest.approx(row["gflops"] / 2)


def test_gemma_is_left_out_where_it_is_not_installed(
    script: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark = script("benchmark")

    def refuse(spec: object) -> None:
        raise UserError("the weights of gemma3-270m are not installed: run make gemma")

    monkeypatch.setattr(benchmark, "resolve", refuse)
    options = argparse.Namespace(gemma_tasks=["sst2"])
    assert benchmark.wanted_of_gemma(options, Console(width=40)) == []
    (line,) = capsys.readouterr().out.splitlines()
    assert line == (
        "The rows of Gemma-3-270M are left out: the weights of gemma3-270m are not installed: run "
        "make gemma"
    )


def test_a_table_shows_every_workload_and_its_profile(
    script: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark, profiling = script("benchmark"), script("profiling")
    row: dict[str, Any] = {
        "name": "trec",
        "queries": 64,
        "demonstration_tokens": 96,
        "engine_ms": 25.14,
        "straightforward_ms": 349.3,
        "ratio": 13.9,
        "gflops": 141.2,
        "thinking_gflops": 99.1,
        "scoring_gflops": 152.3,
        "shares": {"matmul": 0.701, "blocked": 0.652},
        "difference": 3e-6,
        "profile_ms": dict.fromkeys(profiling.GROUPS, 20.0),
    }
    benchmark.show(Console(width=200), "SmolLM2-135M, float32", [row])
    shown = capsys.readouterr().out
    for cell in ("trec", "25.1", "13.9×", "141", "99", "152", "70%", "65%", "20 (20%)", "100"):
        assert cell in shown
