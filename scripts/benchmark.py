"""How fast is the engine? Side by side with the straightforward path, on the same queries.

    make bench                                  # SmolLM2-135M on four tasks, Gemma-3-270M on two
                                                # (make gemma installs it), all families; half an
                                                # hour, nearly all of the slow path
    make bench ARGS="--rounds 5 --skip-families --out /tmp/bench.json"
    make bench ARGS="--tasks mmlu/virology bbh/snarks --gemma-tasks --profile --out /tmp/bench.json"

The straightforward path (deepthink/engine/reference.py) is Appendix D as printed: one forward per
candidate, rows padded to the longest of these queries, log-softmax over the whole vocabulary,
batches of 32. Both paths use the same token ids and the same weights, and their rounds alternate.
Times include thinking, and are divided by the numbers of queries and iterations.

What the machine can do is measured in the same run at the shapes of the model's own layers, see
rates.py.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from typing import Any

import profiling
import torch
import workloads
from measured import add_out, write
from rates import Rates, rates_of
from rich.console import Console
from rich.table import Table
from side_by_side import Measured, measure
from transformers import AutoModelForCausalLM
from workloads import default_data_root

from deepthink.config.overrides import compose
from deepthink.engine.prepack import prepack
from deepthink.errors import UserError
from deepthink.models import devices, loading
from deepthink.models.resolving import resolve

TASKS = {  # of the suites the members nearest to the middle in tokens of a question
    "smollm2-135m": [
        "trec",
        "agnews",
        "mmlu/college_biology",
        "bbh/logical_deduction_five_objects",
    ],
    "gemma3-270m": ["sst2", "agnews"],
}
TITLES = {"smollm2-135m": "SmolLM2-135M", "gemma3-270m": "Gemma-3-270M"}


def main() -> None:
    """Measure the real tasks, and one workload per model family."""
    options = parsed()
    console = Console(width=160, highlight=False)
    device = devices.resolve_device(options.device)
    if options.profile and device.type != "cpu":
        sys.exit("error: --profile measures the operators of a CPU: add --device cpu")
    options.dtype = devices.resolve_dtype("auto", device)
    try:
        of_tasks = of_model("smollm2-135m", options.tasks, options, console, device)
        of_gemma = of_model(
            "gemma3-270m", wanted_of_gemma(options, console), options, console, device
        )
    except UserError as error:
        sys.exit(f"error: no benchmark of the tasks: {error} (without them: --tasks --gemma-tasks)")
    wanted = not options.skip_families
    of_families = benchmark_families(options, console, device) if wanted else None
    write(options, {"tasks": of_tasks, "gemma": of_gemma, "families": of_families}, device)


def parsed() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-root", default=default_data_root(), help="local dataset mirror")
    parser.add_argument("--queries", type=int, help="default: 64, of a suite's member 16")
    parser.add_argument("--iterations", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2, help="alternating repetitions")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")
    parser.add_argument("--skip-families", action="store_true")
    parser.add_argument("--profile", action="store_true", help="show where each millisecond goes")
    smollm2, gemma = TASKS.values()
    parser.add_argument("--tasks", nargs="*", default=smollm2, help="SmolLM2's tasks")
    parser.add_argument("--gemma-tasks", nargs="*", default=gemma, help="Gemma's tasks")
    add_out(parser, "bench")
    return parser.parse_args()


def wanted_of_gemma(options: argparse.Namespace, console: Console) -> list[str]:
    """Gemma's tasks; none, with a line that says why, where its weights are not installed."""
    tasks: list[str] = options.gemma_tasks
    try:
        if tasks:
            resolve(compose(["model=gemma3-270m"]).model)
    except UserError as error:
        console.print(f"The rows of Gemma-3-270M are left out: {error}", soft_wrap=True)
        return []
    return tasks


def of_model(
    name: str,
    tasks: list[str],
    options: argparse.Namespace,
    console: Console,
    device: torch.device,
) -> dict[str, Any] | None:
    """A model of the suite on tasks and members of suites; None for no tasks."""
    if not tasks:
        return None
    spec = compose([f"model={name}"]).model
    _, plain = loading.load_plain(spec, device)
    packed = loading.load(spec, device)
    rates = rates_of(plain)
    rows = []
    for task in tasks:
        workload = workloads.of_task(task, packed, options.data_root, options.queries)
        measured = measure(console, packed.model, plain, workload, options)
        rows.append(figures(measured, rates))
    show(console, f"{TITLES[name]}, {options.dtype}", rows)
    return {"model": TITLES[name], **in_gflops(rates), "workloads": rows}


def benchmark_families(
    options: argparse.Namespace, console: Console, device: torch.device
) -> dict[str, Any]:
    """Random weights of real shapes, one model per family, on random tokens of TREC's lengths."""
    rows, peaks = [], []
    for name, config in workloads.families(device).items():
        torch.manual_seed(0)
        dtype = getattr(torch, options.dtype)
        plain = AutoModelForCausalLM.from_config(config, dtype=dtype).to(device).eval()
        fast = plain
        if device.type == "cpu":
            fast = AutoModelForCausalLM.from_config(config, dtype=dtype).eval()
            fast.load_state_dict(plain.state_dict())
        count = min(options.queries or 16, 16)
        workload = workloads.of_random_tokens(name, config.vocab_size, count)
        peaks.append(rates_of(plain))
        measured = measure(console, prepack(fast), plain, workload, options)
        rows.append(figures(measured, peaks[-1]) | in_gflops(peaks[-1]))
    show(console, "random weights of real shapes, TREC's lengths", rows)
    ratios = [row["ratio"] for row in rows]
    shapes = [row["name"] for row in rows]
    best = {way: max(peak.body[way] for peak in peaks) / 1e9 for way in peaks[0].body}
    return {
        "ratios": [min(ratios), max(ratios)],
        "shapes": shapes,
        "peaks_gflops": best,
        "workloads": rows,
    }


def figures(result: Measured, rates: Rates) -> dict[str, Any]:
    """The figures of a workload: medians over runs, rates, and shares of the machine's rates."""
    workload = result.workload
    thinking = statistics.median(run.thinking for run in result.engine)
    scoring = statistics.median(run.scoring for run in result.engine)
    fast = statistics.median(run.thinking + run.scoring for run in result.engine)
    slow = statistics.median(result.straightforward)
    count = len(workload.queries) * result.iterations
    offered = [len(candidates) for candidates in workload.candidates]
    rate = (result.thinking_flops + result.scoring_flops) / fast
    profile = result.milliseconds
    return {
        "name": workload.name,
        "queries": len(workload.queries),
        "demonstrations": workload.shots,
        "demonstration_tokens": len(workload.demonstrations),
        "candidates": [min(offered), max(offered)],
        "engine_seconds": [run.thinking + run.scoring for run in result.engine],
        "straightforward_seconds": result.straightforward,
        "engine_ms": fast / count * 1e3,
        "straightforward_ms": slow / count * 1e3,
        "ratio": slow / fast,
        "gflops": rate / 1e9,
        "thinking_gflops": result.thinking_flops / thinking / 1e9,
        "scoring_gflops": result.scoring_flops / scoring / 1e9,
        "share_of_best": rate / rates.best,
        "shares": {way: rate / best for way, best in rates.body.items()},
        "difference": result.difference,
        "profile_ms": profile and {name: ms / result.iterations for name, ms in profile.items()},
    }


def in_gflops(rates: Rates) -> dict[str, dict[str, float]]:
    """The machine's rates in GFLOP/s."""
    return {
        f"{name}_gflops": {way: rate / 1e9 for way, rate in by_way.items()}
        for name, by_way in (("peaks", rates.body), ("head_peaks", rates.head))
    }


def show(console: Console, title: str, rows: list[dict[str, Any]]) -> None:
    """Print a line for each workload, and where its time goes if that was measured."""
    ways = list(rows[0]["shares"])
    rates = ("useful", "thinking", "scoring", *(f"of {way}" for way in ways))
    console.print(
        in_columns(
            f"{title}: ms per query and iteration, useful GFLOP/s and their share",
            ("workload", "queries", "L", "engine", "straight", "ratio", *rates, "|Δ log p|"),
            [
                (
                    row["name"],
                    str(row["queries"]),
                    str(row["demonstration_tokens"]),
                    f"{row['engine_ms']:.1f}",
                    f"{row['straightforward_ms']:.1f}",
                    f"{row['ratio']:.1f}×",
                    *(f"{row[f'{kind}gflops']:,.0f}" for kind in ("", "thinking_", "scoring_")),
                    *(f"{row['shares'][way]:.0%}" for way in ways),
                    f"{row['difference']:.0e}",
                )
                for row in rows
            ],
        )
    )
    if profiles := [(row["name"], row["profile_ms"]) for row in rows if row["profile_ms"]]:
        console.print(
            in_columns(
                f"{title}: where each millisecond of an iteration goes, under the profiler",
                ("workload", *profiling.GROUPS, "together"),
                [(name, *in_parts(profile)) for name, profile in profiles],
            )
        )


def in_parts(profile: dict[str, float]) -> list[str]:
    """The milliseconds of each group with its share, and the whole.

    >>> in_parts({"a": 30.0, "b": 10.0})
    ['30 (75%)', '10 (25%)', '40']
    """
    whole = sum(profile.values())
    return [*(f"{ms:,.0f} ({ms / whole:.0%})" for ms in profile.values()), f"{whole:,.0f}"]


def in_columns(title: str, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table whose first column holds names and the others numbers."""
    table = Table(title=title, title_justify="left")
    for number, heading in enumerate(headings):
        table.add_column(heading, justify="right" if number else "left")
    for row in rows:
        table.add_row(*row)
    return table


if __name__ == "__main__":
    main()
