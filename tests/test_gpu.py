"""What `make gpu` does, keeps and publishes, on a machine that has no GPU."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from tiny_models import tiny

from deepthink.installation import CONF
from deepthink.report import device_rates, gpu_rates, plan
from deepthink.report.runs import Runs

SCRIPTS = CONF.parent / "scripts"
SHAPES = ("gpt2-large", "pythia-1.4b", "llama2-7b")
TASKS = ("sst2", "agnews", "mmlu", "bbh")


@pytest.fixture(autouse=True)
def scripts(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(SCRIPTS)
    yield


@pytest.fixture
def gpu_parts() -> ModuleType:
    import gpu_parts

    return gpu_parts


@pytest.fixture
def readme() -> ModuleType:
    import readme

    return readme


def measurement(gpu: str | None = "NVIDIA H100 80GB HBM3") -> dict[str, Any]:
    """A whole measurement, whose figures are all different."""
    numbers = iter(range(11, 10_000))
    results: dict[str, Any] = {
        "stand_in": gpu is None,
        "tests": {"passed": 71, "failed": 2, "skipped": 0, "failures": [], "seconds": 1.0},
    }
    for dtype in ("float32", "bfloat16", "float16"):
        kinds: dict[str, Any] = {
            kind: {
                "largest": next(numbers) * 1e-5,
                "mean": next(numbers) * 1e-7,
                "predictions": 900 + next(numbers),
                "differ": next(numbers),
            }
            for kind in ("labels", "trees")
        }
        results[f"agreement {dtype}"] = {"weights": "SmolLM2-135M", **kinds, "seconds": 1.0}
        same: dict[str, Any] = {
            kind: {"scores": 500 + next(numbers), "same_bits": next(numbers), "largest": 2e-5}
            for kind in ("labels", "trees")
        }
        alone = {"sequences": 5, "same_bits": 4}
        results[f"bits {dtype}"] = {**same, "attention": alone, "seconds": 1.0}
    parameters = (774_030_080, 1_414_647_808, 6_738_415_616)
    for name, count, rate in zip(SHAPES, parameters, (300.0, 500.0, 700.0), strict=True):
        results[f"products {name}"] = {
            "parameters": count,
            "tflops": rate,
            "spec_tflops": 989.0,
            "of_spec": rate / 989,
            "seconds": 1.0,
        }
        for task in TASKS:
            results[f"speed {name} {task}"] = {
                "engine_ms": next(numbers) / 100,
                "straightforward_ms": next(numbers) / 10,
                "ratio": float(next(numbers)),
                "tflops": rate / 2,
                "mfu": next(numbers) / 100,
                "waiting": next(numbers) / 1000,
                "peak_memory_gib": next(numbers) / 10,
                "seconds": 1.0,
            }
    return {
        "command": "python scripts/gpu.py",
        "date": "2027-01-02",
        "code": {"commit": "0" * 40, "dirty": False},
        "machine": {"cpu": "a processor", "cores": 16, "gpu": gpu},
        "versions": {"python": "3.12.3", "torch": "2.13.0"},
        "settings": {},
        "results": results,
    }


def put(folder: Path, figures: dict[str, Any]) -> Path:
    file = folder / "gpu.json"
    file.write_text(json.dumps(figures))
    return file


# the parts


def test_a_part_that_is_done_is_not_done_again(
    gpu_parts: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made: list[int] = []

    def make() -> dict[str, Any]:
        made.append(1)
        return {"figure": len(made)}

    for _ in range(2):
        parts = gpu_parts.Parts(tmp_path / "kept.json", {"gpu": "a"}, time.monotonic() + 60)
        assert parts.do("one", 1, make)["figure"] == 1
    assert "one: done before" in capsys.readouterr().out
    other = gpu_parts.Parts(tmp_path / "kept.json", {"gpu": "b"}, time.monotonic() + 60)
    assert other.do("one", 1, make)["figure"] == 2


def test_what_was_skipped_or_failed_says_why_and_is_tried_again(
    gpu_parts: ModuleType, tmp_path: Path
) -> None:
    def late() -> Any:
        return gpu_parts.Parts(tmp_path / "kept.json", {}, time.monotonic() + 5)

    def fails() -> dict[str, Any]:
        raise ValueError("no kernel")

    def unable() -> dict[str, Any]:
        raise gpu_parts.Skip("no such library")

    assert late().do("long", 60, dict) == {"skipped": "it may take 60 s, and 5 s were left"}
    assert late().do("broken", 1, fails) == {"failed": "ValueError: no kernel"}
    assert late().do("other", 1, unable) == {"skipped": "no such library"}
    kept = late()
    assert kept.results.keys() == {"long", "broken", "other"}
    assert all(gpu_parts.done(kept.do(name, 1, dict)) for name in kept.results)


@pytest.mark.slow
def test_a_stand_in_goes_through_every_part_and_is_no_measurement(
    readme: ModuleType, tmp_path: Path
) -> None:
    out = tmp_path / "gpu.json"
    words = ["--device", "cpu", "--out", str(out), "--parts", str(tmp_path / "parts.json")]
    command = [sys.executable, str(SCRIPTS / "gpu.py"), *words]
    environment = {"PYTHONPATH": str(CONF.parent), "OMP_NUM_THREADS": "1", "PATH": ""}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found = json.loads(out.read_text())
    real = measurement()["results"]
    assert found["results"].keys() == real.keys()
    for name, part in found["results"].items():
        if isinstance(part, dict):
            assert part.keys() >= real[name].keys() - {"attention"}, name
    assert found["results"]["stand_in"] is True
    assert found["machine"]["gpu"] is None
    again = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert again.stdout.count("done before") == len(real) - 1
    with pytest.raises(SystemExit, match="without a GPU"):
        readme.passage("gpu", tmp_path)
    assert gpu_rates.measured(out) is None


def test_random_work_has_a_tasks_lengths() -> None:
    import gpu_work

    for lengths in gpu_work.TASKS.values():
        asked = gpu_work.random_work(lengths, 500, 200)
        assert len(asked.demonstrations) == lengths.demonstrations
        mean = sum(map(len, asked.queries)) / len(asked.queries)
        assert mean == pytest.approx(lengths.query + 2, rel=0.1)
        assert {len(row) for row in asked.candidates} == {lengths.candidates}
        positions = 2 * lengths.demonstrations + max(map(len, asked.queries)) + lengths.answer
        assert positions <= 1024  # GPT-2's


def test_matrix_products_are_those_of_the_models_layers() -> None:
    import gpu_speed

    assert dict(gpu_speed.linear_layers(tiny("gpt2"))) == {
        (96, 32): 3, (32, 32): 3, (128, 32): 3, (32, 128): 3
    }  # fmt: skip
    assert gpu_speed.spec_tflops("NVIDIA A100-SXM4-80GB") == 312
    assert gpu_speed.spec_tflops("NVIDIA L4") is None


def test_agreement_counts_other_predictions() -> None:
    import gpu_agreement
    import gpu_work

    model = tiny("llama", torch.float32)
    asked = gpu_work.Work([5, 6, 7], [[3], [4, 5]], [[[1], [2]]] * 2)
    expected = gpu_agreement.scored(model, asked)
    same = gpu_agreement.agreement(expected, model, asked)
    assert same == {"largest": 0.0, "mean": 0.0, "predictions": 6, "differ": 0}
    expected[0][0].reverse()
    other = gpu_agreement.agreement(expected, model, asked)
    assert other["differ"] == 1
    assert other["largest"] == pytest.approx(abs(expected[0][0][0] - expected[0][0][1]))


# the page


def test_without_a_measurement_the_page_says_so(readme: ModuleType, tmp_path: Path) -> None:
    assert readme.passage("gpu", tmp_path).startswith("Not measured on a GPU yet.")


def test_the_page_has_every_figure(readme: ModuleType, tmp_path: Path) -> None:
    figures = measurement()
    put(tmp_path, figures)
    text = readme.passage("gpu", tmp_path)
    flat = " ".join(text.split())
    assert "On NVIDIA H100 80GB HBM3, 71 of the 73 tests that need a GPU pass." in flat
    for name in SHAPES:
        for task in TASKS:
            part = figures["results"][f"speed {name} {task}"]
            assert f"| {part['engine_ms']:.2f} ms | {part['straightforward_ms']:.2f} ms |" in text
            assert f"| {part['peak_memory_gib']:.1f} GiB |" in text
    part = figures["results"]["agreement bfloat16"]["trees"]
    assert f"| {part['differ']} of {part['predictions']} |" in text
    assert "500 TFLOP/s (51 %) for pythia-1.4b" in flat
    assert "of the 989 TFLOP/s in the specification" in flat
    assert "4 of 5 sequences attention by itself" in flat
    assert "Missing" not in flat
    assert "Source: [gpu.json](measured/gpu.json)" in text


def test_the_page_says_what_is_missing(readme: ModuleType, tmp_path: Path) -> None:
    figures = measurement()
    figures["results"]["speed llama2-7b bbh"] = {"skipped": "no time was left"}
    for name in ("tests", "bits float32", "bits bfloat16", "bits float16"):
        figures["results"][name] = {"failed": "RuntimeError: no kernel"}
    put(tmp_path, figures)
    flat = " ".join(readme.passage("gpu", tmp_path).split())
    assert flat.startswith("On NVIDIA H100 80GB HBM3:")
    assert "speed llama2-7b bbh (skipped: no time was left)" in flat
    assert "tests (failed: RuntimeError: no kernel)" in flat
    assert "The same bits" not in flat


def test_a_stand_in_is_never_published(readme: ModuleType, tmp_path: Path) -> None:
    for figures in (measurement(None), measurement()):
        figures["results"]["stand_in"] = True
        put(tmp_path, figures)
        with pytest.raises(SystemExit, match="is no measurement: remove it"):
            readme.passage("gpu", tmp_path)


# plans


def test_plans_take_the_share_of_the_peak_that_was_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = gpu_rates.measured(put(tmp_path, measurement()))
    assert found is not None
    assert found.shares == pytest.approx(
        {774_030_080: 150 / 989, 1_414_647_808: 250 / 989, 6_738_415_616: 350 / 989}
    )
    monkeypatch.setattr(gpu_rates, "measured", lambda: found)
    (rate,) = device_rates.rates(Runs([]), set())
    work = {
        model: plan.Work("table2", model, "sst2", "random", 0, 1, 1.0, 1e18, True)
        for model in ("gpt2-large", "pythia-1.4b", "llama2-13b", "opt-125m")
    }
    peak = device_rates.A100_PEAK
    hours = {model: rate.hours(line) for model, line in work.items()}
    assert hours == pytest.approx(
        {
            "gpt2-large": 1e18 / (peak * 150 / 989) / 3600,
            "pythia-1.4b": 1e18 / (peak * 250 / 989) / 3600,
            "llama2-13b": 1e18 / (peak * 350 / 989) / 3600,
            "opt-125m": 1e18 / (peak * 150 / 989) / 3600,
        }
    )
    assert rate.source == (
        "an estimate at the MFU that `make gpu` measured on NVIDIA H100 80GB HBM3, 15 to 35 % by "
        "the model"
    )


def test_plans_without_a_measurement_say_what_they_assume(tmp_path: Path) -> None:
    assert gpu_rates.measured(tmp_path / "gpu.json") is None
    (rate,) = device_rates.rates(Runs([]), set())
    assert rate.source == "an estimate at an assumed MFU of 35 %"
    unknown = measurement("NVIDIA L4")
    for name in SHAPES:
        unknown["results"][f"products {name}"]["spec_tflops"] = None
    assert gpu_rates.measured(put(tmp_path, unknown)) is None
