"""How fast is the engine? Side by side with the straightforward path, on the same queries.

    make bench                                  # SmolLM2-135M on four tasks, all families;
                                                # 15 minutes, nearly all of the slow path
    make bench ARGS="--rounds 5 --skip-families --out /tmp/bench.json"
    make bench ARGS="--skip-families --tasks mmlu/virology bbh/snarks --out /tmp/bench.json"

The straightforward path (deepthink/engine/reference.py) is Appendix D as printed: one forward per
candidate, rows padded to the longest of these queries, log-softmax over the whole vocabulary,
batches of 32. Both paths use the same token ids and the same weights, and their rounds alternate.
Times include thinking, and are divided by the numbers of queries and iterations.
"""

import argparse
import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import torch
from measured import add_out, write
from rich.console import Console
from rich.table import Table
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPTNeoConfig,
    GPTNeoXConfig,
    LlamaConfig,
    OPTConfig,
    PreTrainedConfig,
    PreTrainedModel,
)

from deepthink import score
from deepthink.config.job import Config
from deepthink.config.overrides import compose, requested
from deepthink.engine import reference
from deepthink.engine.demonstrations import Demonstrations
from deepthink.engine.flops import Costs, scoring_flops
from deepthink.engine.prepack import PackedLinear, prepack
from deepthink.engine.refinements import iterate
from deepthink.engine.thinking import refined
from deepthink.errors import UserError
from deepthink.models import devices, loading
from deepthink.selection.choosing import choose
from deepthink.selection.pool import Pool
from deepthink.tasks import prompts, sources

STEP_SIZE = 0.1
ENGINE_REPETITIONS = 3  # in a round: the engine's times are shorter, hence noisier
SIZES = {"trec": (6, 64), "agnews": (4, 64)}  # demonstrations and queries; of a suite's member:
SUITE_QUERIES = 16
# the members nearest to the middle in tokens of a question with its options
TASKS = [*SIZES, "mmlu/college_biology", "bbh/logical_deduction_five_objects"]


@dataclass(frozen=True)
class Workload:
    """Token ids to think over and to score."""

    name: str
    demonstrations: list[int]
    queries: list[list[int]]
    candidates: list[list[list[int]]]
    shots: int | None = None


def main() -> None:
    """Measure the peak, the real tasks, and one workload per model family."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-root", default=default_data_root(), help="local dataset mirror")
    parser.add_argument("--queries", type=int, help="default: 64, of a suite's member 16")
    parser.add_argument("--iterations", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2, help="alternating repetitions")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--skip-families", action="store_true")
    parser.add_argument("--tasks", nargs="*", default=TASKS, help=f"default: {' '.join(TASKS)}")
    add_out(parser, "bench")
    options = parser.parse_args()
    console = Console(width=144, highlight=False)
    device = devices.resolve_device(options.device)
    dtype = getattr(torch, devices.resolve_dtype("auto", device))
    try:
        of_tasks = benchmark_tasks(options, console, device, dtype) if options.tasks else None
    except UserError as error:
        sys.exit(f"error: no benchmark of the tasks: {error} (without them: --tasks)")
    wanted = not options.skip_families
    of_families = benchmark_families(options, console, device, dtype) if wanted else None
    options.dtype = str(dtype).removeprefix("torch.")
    write(options, {"tasks": of_tasks, "families": of_families}, device)


def default_data_root() -> str | None:
    """$DEEPTHINK_DATA, a folder shared/data beside the checkout, or None for the hub."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    return os.environ.get("DEEPTHINK_DATA") or (str(beside) if beside.is_dir() else None)


def benchmark_tasks(
    options: argparse.Namespace, console: Console, device: torch.device, dtype: torch.dtype
) -> dict[str, Any]:
    """SmolLM2-135M on tasks and members of suites."""
    spec = compose(["model=smollm2-135m"]).model
    _, plain = loading.load_plain(spec, device)
    packed = loading.load(spec, device)
    workloads = [task_workload(name, packed, options) for name in options.tasks]
    results = [measure(console, packed.model, plain, workload, options) for workload in workloads]
    title = f"SmolLM2-135M, {dtype}".replace("torch.", "")
    return {"model": "SmolLM2-135M", **show(console, title, results, device, dtype)}


def benchmark_families(
    options: argparse.Namespace, console: Console, device: torch.device, dtype: torch.dtype
) -> dict[str, Any]:
    """Random weights of real shapes, one model per family, on random tokens of TREC's lengths."""
    results = []
    for name, config in families(device).items():
        torch.manual_seed(0)
        plain = AutoModelForCausalLM.from_config(config, dtype=dtype).to(device).eval()
        fast = plain
        if device.type == "cpu":
            fast = AutoModelForCausalLM.from_config(config, dtype=dtype).eval()
            fast.load_state_dict(plain.state_dict())
        workload = random_workload(name, config.vocab_size, min(options.queries or 16, 16))
        results.append(measure(console, prepack(fast), plain, workload, options))
    shown = show(console, "random weights of real shapes, TREC's lengths", results, device, dtype)
    ratios = [row["ratio"] for row in shown["workloads"]]
    shapes = [row["name"] for row in shown["workloads"]]
    return {"ratios": [min(ratios), max(ratios)], "shapes": shapes, **shown}


def families(device: torch.device) -> dict[str, PreTrainedConfig]:
    """Shapes: the smallest published of each family on a CPU, two of the paper's on a GPU."""
    if device.type == "cuda":
        return {
            "gpt2-large": GPT2Config(n_layer=36, n_head=20, n_embd=1280),
            "llama2-7b": LlamaConfig(vocab_size=32000),
        }
    return {
        "gpt2 (124M)": GPT2Config(),
        "opt-125m": OPTConfig(),
        "gpt-neo-125m": GPTNeoConfig(
            num_layers=12, num_heads=12, hidden_size=768, attention_types=[[["global", "local"], 6]]
        ),
        "pythia-160m": GPTNeoXConfig(
            num_hidden_layers=12, num_attention_heads=12, hidden_size=768, intermediate_size=3072
        ),
        "llama (135M, SmolLM2's)": LlamaConfig(
            num_hidden_layers=30,
            num_attention_heads=9,
            num_key_value_heads=3,
            hidden_size=576,
            intermediate_size=1536,
            vocab_size=49152,
        ),
    }


def job_of(name: str, *overrides: str) -> Config:
    """The config of a task, or of a suite's member, "mmlu/virology"."""
    suite, _, member = name.partition("/")
    if member:
        return requested([f"task={suite}", f"task.members=[{member}]", *overrides]).jobs[0]
    return compose([f"task={name}", *overrides])


def task_workload(name: str, lm: loading.LM, options: argparse.Namespace) -> Workload:
    """A seeded, stratified sample of the task's test queries, and demonstrations of its pool."""
    count, queries = SIZES.get(name, ("null", SUITE_QUERIES))
    config = job_of(name, f"demonstrations.count={count}")
    splits = sources.load(config.task, options.data_root, options.queries or queries, 0)
    shots = [splits.pool[i] for i in choose(Pool(splits.pool), config)[0].selection.indices]
    encoded = prompts.encode(
        lm.tokenizer,
        config.task.template,
        shots,
        splits.test,
        "apart",
        "error",
        lm.positions,
        delimiter=config.task.delimiter,
    )
    return Workload(name, encoded.demonstrations, encoded.queries, encoded.candidates, len(shots))


def random_workload(name: str, vocabulary: int, queries: int) -> Workload:
    """Random tokens: 96 of demonstrations, queries of 8 to 24, six candidates of 1 to 3."""
    rng = random.Random(0)

    def tokens(length: int) -> list[int]:
        return [rng.randrange(4, vocabulary) for _ in range(length)]

    candidates = [tokens(n) for n in (3, 1, 1, 1, 1, 1)]
    texts = [[5, 6, *tokens(rng.randint(6, 22))] for _ in range(queries)]
    return Workload(name, tokens(96), texts, [candidates] * queries)


@dataclass(frozen=True)
class Measured:
    """Seconds of each round of both paths, the useful work, and the largest score difference."""

    workload: Workload
    engine: list[float]
    straightforward: list[float]
    flops: int
    per: int
    difference: float


def measure(
    console: Console,
    fast: PreTrainedModel,
    plain: PreTrainedModel,
    workload: Workload,
    options: argparse.Namespace,
) -> Measured:
    """Alternate the two paths; the first engine round warms up and is not counted."""
    shots, queries, candidates = workload.demonstrations, workload.queries, workload.candidates
    iterations = options.iterations
    shown = Demonstrations(fast, shots)

    def engine() -> list[list[list[float]]]:
        memories = refined(shown, partial(iterate.refine, step_size=STEP_SIZE), iterations)
        return [score(fast, memory, queries, candidates) for memory in memories]

    def straightforward() -> list[list[list[float]]]:
        memories = reference.think(plain, shots, iterations, STEP_SIZE)
        return [reference.score(plain, memory, queries, candidates) for memory in memories]

    engine()
    useful = shown.operations + iterations * scoring_flops(
        Costs.of(fast), len(shots), queries, candidates
    )
    times: dict[str, list[float]] = {"engine": [], "straightforward": []}
    for turn in range(options.rounds):
        with console.status(f"{workload.name}: round {turn + 1} of {options.rounds}"):
            for _ in range(ENGINE_REPETITIONS):
                seconds, ours = timed(engine, fast.device)
                times["engine"].append(seconds)
            seconds, theirs = timed(straightforward, plain.device)
            times["straightforward"].append(seconds)
    apart = max(
        abs(a - b)
        for step, other in zip(ours, theirs, strict=True)
        for row, plain_row in zip(step, other, strict=True)
        for a, b in zip(row, plain_row, strict=True)
    )
    return Measured(workload, **times, flops=useful, per=iterations, difference=apart)


Result = TypeVar("Result")


def timed(call: Callable[[], Result], device: torch.device) -> tuple[float, Result]:
    """Seconds of a call, until the accelerator is idle, and the result of the call."""
    begin = time.perf_counter()
    result = call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begin, result


def peaks(device: torch.device, dtype: torch.dtype) -> dict[str, float]:
    """The best rates of matrix products on this machine over several shapes, in FLOP/s.

    "matmul" is PyTorch's own product of two dense matrices; "blocked" has the second one in the
    layout of `prepack`.
    """
    sizes = [(2048, 2048, 2048), (512, 576, 1536), (512, 768, 3072), (4096, 4096, 4096)]
    ways: dict[str, Callable[[torch.Tensor, torch.Tensor], Callable[[], torch.Tensor]]] = {
        "matmul": lambda x, w: lambda: x @ w.T
    }
    if device.type == "cpu" and dtype == torch.float32:
        ways["blocked"] = lambda x, w: (lambda layer: lambda: layer(x))(PackedLinear(w, None))
    best = dict.fromkeys(ways, 0.0)
    for rows, inner, columns in sizes:
        x = torch.randn(rows, inner, dtype=dtype, device=device)
        w = torch.randn(columns, inner, dtype=dtype, device=device)
        for way, make in ways.items():
            call = make(x, w)
            timed(call, device)
            seconds = min(timed(call, device)[0] for _ in range(8))
            best[way] = max(best[way], 2 * rows * inner * columns / seconds)
    return best


def show(
    console: Console,
    title: str,
    results: list[Measured],
    device: torch.device,
    dtype: torch.dtype,
) -> dict[str, Any]:
    """Print a row per workload, of medians over rounds; returns the same figures."""
    rates = peaks(device, dtype)
    table = Table(title=title, title_justify="left")
    table.add_column("workload")
    for heading in ("queries", "L", "engine", "straightforward", "ratio", "useful", "|Δ log p|"):
        table.add_column(heading, justify="right")
    for way in rates:
        table.add_column(f"of {way}", justify="right")
    best = max(rates.values())
    rows = [figures(result, best) for result in results]
    for row in rows:
        rate = row["gflops"] * 1e9
        table.add_row(
            row["name"],
            str(row["queries"]),
            str(row["demonstration_tokens"]),
            f"{row['engine_ms']:.1f} ms",
            f"{row['straightforward_ms']:.1f} ms",
            f"{row['ratio']:.1f}×",
            f"{row['gflops']:,.0f} GFLOP/s",
            f"{row['difference']:.0e}",
            *(f"{rate / peak:.0%}" for peak in rates.values()),
        )
    console.print(table)
    measured = ", ".join(f"{way} {rate / 1e9:,.0f}" for way, rate in rates.items())
    console.print(
        f"ms per query and iteration. Best matrix products measured here, GFLOP/s: {measured}."
    )
    peaks_gflops = {way: rate / 1e9 for way, rate in rates.items()}
    return {"peaks_gflops": peaks_gflops, "workloads": rows}


def figures(result: Measured, best: float) -> dict[str, Any]:
    """The figures of a workload; best: the highest rate of a matrix product in FLOP/s."""
    workload = result.workload
    fast, slow = map(statistics.median, (result.engine, result.straightforward))
    count = len(workload.queries) * result.per
    offered = [len(candidates) for candidates in workload.candidates]
    return {
        "name": workload.name,
        "queries": len(workload.queries),
        "demonstrations": workload.shots,
        "demonstration_tokens": len(workload.demonstrations),
        "candidates": [min(offered), max(offered)],
        "engine_seconds": result.engine,
        "straightforward_seconds": result.straightforward,
        "engine_ms": fast / count * 1e3,
        "straightforward_ms": slow / count * 1e3,
        "ratio": slow / fast,
        "gflops": result.flops / fast / 1e9,
        "share_of_best": result.flops / fast / best,
        "difference": result.difference,
    }


if __name__ == "__main__":
    main()
