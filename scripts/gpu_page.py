"""The passage on what `make gpu` measured."""

from typing import Any

from gpu_parts import done, state
from wording import listed, percent, table, tiny

UNMEASURED = (
    "Not measured on a GPU yet. On a machine with a CUDA device `make gpu` takes less than eight "
    "minutes and no network, and writes what it measured here."
)
TITLES = {"sst2": "SST2", "agnews": "AG News", "mmlu": "MMLU", "bbh": "BBH"}
DTYPES = ("float32", "bfloat16", "float16")
KINDS = {"labels": "one-token answers", "trees": "trees of long answers"}

Figures = dict[str, Any]


def results(figures: Figures) -> list[str]:
    """Tests, agreement, bits, products and times, and what is missing.

    Raises:
        SystemExit: the figures are those of a stand-in on a CPU, which measure nothing.
    """
    found, gpu = figures["results"], figures["machine"]["gpu"]
    if gpu is None or found.get("stand_in", True):
        raise SystemExit(
            "error: docs/measured/gpu.json was made without a GPU and is no measurement: remove it"
        )
    missing = [
        f"{name} ({state(part)})"
        for name, part in found.items()
        if isinstance(part, dict) and not done(part)
    ]
    return [
        *_tests(found, gpu),
        *_agreement(found),
        *_bits(found),
        *_products(found),
        *_speed(found),
        *([f"Missing: {listed(missing)}."] if missing else []),
    ]


def _of(found: Figures, name: str) -> Figures | None:
    part = found.get(name)
    return part if part is not None and done(part) else None


def _tests(found: Figures, gpu: str) -> list[str]:
    tests = _of(found, "tests")
    if tests is None:
        return [f"On {gpu}:"]
    ran = tests["passed"] + tests["failed"]
    return [f"On {gpu}, {tests['passed']} of the {ran} tests that need a GPU pass."]


def _agreement(found: Figures) -> list[str]:
    rows, weights = [], set()
    for dtype in DTYPES:
        if part := _of(found, f"agreement {dtype}"):
            weights.add(part["weights"])
            rows += [
                (
                    f"{dtype}, {words}",
                    tiny(part[kind]["largest"]),
                    tiny(part[kind]["mean"]),
                    f"{part[kind]['differ']} of {part[kind]['predictions']}",
                )
                for kind, words in KINDS.items()
            ]
    if not rows:
        return []
    whose = listed(sorted("random weights" if w == "random" else w for w in weights))
    return [
        f"How far scores are from the CPU's in float32, in nats ({whose}, t = 1 to 3, η = 0.1):",
        table(("", "largest", "mean", "other predictions"), rows),
    ]


def _bits(found: Figures) -> list[str]:
    said = []
    for dtype in DTYPES:
        if part := _of(found, f"bits {dtype}"):
            total, same = (
                sum(part[kind][key] for kind in KINDS) for key in ("scores", "same_bits")
            )
            largest = max(part[kind]["largest"] for kind in KINDS)
            alone = part["attention"]
            said.append(
                f"in {dtype} {same} of {total} scores (at most {tiny(largest)} apart), and in "
                f"{alone['same_bits']} of {alone['sequences']} sequences attention by itself"
            )
    if not said:
        return []
    return [f"The same bits whatever else is in the batch have {'; '.join(said)}."]


def _products(found: Figures) -> list[str]:
    said, spec = [], None
    for key, part in found.items():
        name = key.removeprefix("products ")
        if name != key and done(part):
            of_spec = "" if part["of_spec"] is None else f" ({percent(part['of_spec'])})"
            said.append(f"{part['tflops']:.0f} TFLOP/s{of_spec} for {name}")
            spec = part["spec_tflops"]
    if not said:
        return []
    share = "" if spec is None else f", of the {spec:.0f} TFLOP/s in the specification"
    return [
        f"Plain matrix products in the shapes of the linear layers reach {listed(said)}{share}."
    ]


def _speed(found: Figures) -> list[str]:
    rows = []
    for key, part in found.items():
        kind, _, rest = key.partition(" ")
        if kind == "speed" and done(part):
            name, task = rest.split()
            wait, peak = part["waiting"], part["peak_memory_gib"]
            rows.append(
                (
                    f"{name}, {TITLES[task]}",
                    f"{part['engine_ms']:.2f} ms",
                    f"{part['straightforward_ms']:.2f} ms",
                    f"{part['ratio']:.1f}×",
                    f"{part['tflops']:.0f} TFLOP/s",
                    percent(part["mfu"]),
                    "" if wait is None else percent(wait),
                    "" if peak is None else f"{peak:.1f} GiB",
                )
            )
    if not rows:
        return []
    header = ("", "engine", "straightforward", "ratio", "useful work", "of the products")
    return [
        "Random weights in bfloat16, T = 2, milliseconds per query and iteration, with the share "
        "of the matrix products' rate, that of the time in which the GPU waits for work, and the "
        "peak memory:",
        table((*header, "waits", "memory"), rows),
    ]
