"""Does it work on a GPU, and how fast? Everything in one run of less than eight minutes.

    make gpu                                     # on a machine with a CUDA device; no network
    make gpu ARGS="--seconds 200"                # the next call goes on where this one stopped
    make gpu ARGS="--device cpu"                 # a stand-in at tiny sizes, which measures nothing
    PYTHONPATH=. python scripts/gpu.py --out /tmp/gpu.json --model FOLDER   # uninstalled

PyTorch, transformers, psutil and pydantic are enough; the tests need the suite's other libraries
too. FOLDER is a copy of SmolLM2's converted weights, which `make run` puts into the cache. Without
it they come from the installed package, and where there is none, random weights of its shape take
their place, which the result says.

The parts: the tests that are marked gpu; agreement with the CPU's float32 scores; bits across
batches; matrix products in the shapes of three of the paper's models; and for each of these, on
four tasks' lengths, the engine's time, the straightforward path's, the share of the time in which
the GPU waits, and the peak memory. Each is kept in the file `--parts` as it ends, and a part that
was done by the same code on the same GPU is not done again.
"""

import argparse
import gc
import re
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import gpu_agreement as agreement
import gpu_speed as speed
import gpu_work as work
import torch
from gpu_parts import ROOT, Parts, Skip, code_digest, done, state
from measured import add_out, write
from transformers import PreTrainedModel

MARK = "pytest.mark.gpu"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def main() -> None:
    """Do the parts that are left, and store the whole."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--seconds", type=float, default=450, help="no part begins after these")
    parser.add_argument("--model", type=Path, help="a folder with SmolLM2's converted weights")
    parser.add_argument("--parts", type=Path, help="default: build/gpu-DEVICE.parts.json")
    add_out(parser, "gpu")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        sys.exit("error: PyTorch sees no CUDA device: --device cpu goes through all parts without")
    if options.device == "cpu" and options.out == parser.get_default("out"):
        options.out = ROOT / "build" / "gpu-stand-in.json"  # the documentation is not written of it
    kept = options.parts or ROOT / "build" / f"gpu-{options.device}.parts.json"
    parts = Parts(kept, signature(options), time.monotonic() + options.seconds)
    measure(parts, options)
    options.model, options.parts = options.model and str(options.model), str(kept)
    write(options, {"stand_in": options.device == "cpu", **parts.results}, device_of(options))
    for name, result in parts.results.items():
        if not done(result):
            print(f"{name} is missing: {state(result)}")
    sys.exit(any(result.get("failed") for result in parts.results.values()))  # a part, or tests


def device_of(options: argparse.Namespace) -> torch.device:
    """The device that is measured."""
    return torch.device(options.device)


def signature(options: argparse.Namespace) -> dict[str, str]:
    """What results depend on: a part made by another is done again."""
    device = device_of(options)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    return {
        "device": name,
        "torch": torch.__version__,
        "model": str(options.model),
        "code": code_digest(),
    }


def measure(parts: Parts, options: argparse.Namespace) -> None:
    """All parts, those that say most first."""
    device, tiny = device_of(options), options.device == "cpu"
    parts.do("tests", 60, gpu_tests)
    small = Small(options.model, tiny)
    for dtype in DTYPES:
        parts.do(f"agreement {dtype}", 30, partial(agree, small, device, dtype))
    for dtype in DTYPES:
        parts.do(f"bits {dtype}", 20, partial(bits, small, device, dtype))
    del small
    for name in work.SHAPES:
        of_shape(parts, name, device, tiny)


def gpu_tests() -> dict[str, Any]:
    """How many of the tests marked gpu pass, fail and are skipped."""
    files = [
        str(path)
        for path in sorted((ROOT / "tests").glob("test_*.py"))
        if MARK in path.read_text(encoding="utf-8")
    ]
    words = ["-m", "pytest", "-m", "gpu", "-q", "-rf", "-p", "no:cacheprovider", *files]
    try:
        ran = subprocess.run(
            [sys.executable, *words], cwd=ROOT, capture_output=True, text=True, timeout=150
        )
    except subprocess.TimeoutExpired as error:
        raise Skip("they took more than 150 s") from error
    lines = ran.stdout.strip().splitlines() or [""]
    counts = {kind: int(number) for number, kind in re.findall(r"(\d+) (\w+)", lines[-1])}
    if not counts.keys() & {"passed", "failed", "skipped"}:
        said = [*ran.stderr.strip().splitlines(), *lines]
        missing = next((line for line in said if "ModuleNotFoundError" in line), said[-1])
        raise Skip(f"pytest could not begin: {missing.strip('E ')}")
    failures = [line for line in lines if line.startswith("FAILED")]
    return {
        **{kind: counts.get(kind, 0) for kind in ("passed", "failed", "skipped")},
        "failures": failures,
    }


class Small:
    """SmolLM2 in float32 on the CPU and what it is asked, read when it is first wanted."""

    def __init__(self, folder: Path | None, tiny: bool) -> None:
        self._given, self._tiny = folder, tiny

    @cached_property
    def folder(self) -> Path | None:
        """Where its weights are, if anywhere."""
        return self._given if self._given or self._tiny else work.folder_of_smollm2()

    @cached_property
    def model(self) -> PreTrainedModel:
        """The model, of random weights where there are no others."""
        if self.folder is not None:
            return work.real_model(self.folder)
        cpu, config = torch.device("cpu"), work.TINY["llama2-7b"] if self._tiny else work.SMOLLM2
        return work.random_model(config, cpu, torch.float32)

    @cached_property
    def asked(self) -> dict[str, work.Work]:
        """Real prompts with one-token answers, and random ones with trees of long answers."""
        vocabulary = self.model.config.vocab_size
        queries = 6 if self._tiny else 96
        lengths = work.TASKS["sst2"]
        short = (
            work.random_work(lengths, vocabulary, queries)
            if self.folder is None
            else work.real_work(self.folder, queries)
        )
        return {
            "labels": short,
            "trees": work.random_work(work.TASKS["bbh"], vocabulary, max(2, queries // 6)),
        }

    @cached_property
    def expected(self) -> dict[str, list[agreement.Scores]]:
        """The CPU's scores in float32."""
        return {name: agreement.scored(self.model, asked) for name, asked in self.asked.items()}


def agree(small: Small, device: torch.device, dtype: str) -> dict[str, Any]:
    """How far the device's scores are from the CPU's."""
    moved = agreement.on_device(small.model, device, DTYPES[dtype])
    return {
        "weights": "random" if small.folder is None else "SmolLM2-135M",
        **{
            name: agreement.agreement(small.expected[name], moved, asked)
            for name, asked in small.asked.items()
        },
    }


def bits(small: Small, device: torch.device, dtype: str) -> dict[str, Any]:
    """Whether scores, and attention alone, depend on the batch."""
    moved = agreement.on_device(small.model, device, DTYPES[dtype])
    found: dict[str, Any] = {
        name: agreement.across_batches(moved, asked) for name, asked in small.asked.items()
    }
    if device.type == "cuda":
        found["attention"] = agreement.attention_across_batches(device, DTYPES[dtype])
    return found


def of_shape(parts: Parts, name: str, device: torch.device, tiny: bool) -> None:
    """The matrix products and the times of one model's shape."""
    config = (work.TINY if tiny else work.SHAPES)[name]
    dtype = torch.float32 if tiny else torch.bfloat16
    made: list[PreTrainedModel] = []

    def model() -> PreTrainedModel:
        if not made:
            made.append(work.random_model(config, device, dtype))
        return made[0]

    gpu = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    rate = parts.do(f"products {name}", 25, lambda: speed.products(model(), gpu))
    for task, lengths in work.TASKS.items():
        parts.do(f"speed {name} {task}", 20, timing(model, lengths, rate, tiny))
    made.clear()
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def timing(
    model: Callable[[], PreTrainedModel], lengths: work.Lengths, rate: dict[str, Any], tiny: bool
) -> Callable[[], dict[str, Any]]:
    """The part that times one task's lengths."""

    def make() -> dict[str, Any]:
        if not done(rate):
            raise Skip("the matrix products were not measured")
        queries = 4 if tiny else lengths.queries
        asked = work.random_work(lengths, model().config.vocab_size, queries)
        return speed.speed(model(), asked, rate["tflops"] * 1e12, slow_queries=min(32, queries))

    return make


if __name__ == "__main__":
    main()
