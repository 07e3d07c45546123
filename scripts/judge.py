"""lm-evaluation-harness with its own model and with this one: are the numbers the same?

    make judge                                  # SmolLM2-135M, some questions of four tasks
    make judge ARGS="--tasks sst2 --rows 10 --out /tmp/judge.json"

Each task runs three times: with the harness's model hf, with the model deepthink that reads the
demonstrations once (t = 1), and with the same model after it has thought over them (t = T). At
t = 1 every log-probability, every greedy flag and every text must be those of hf.

The tasks are the harness's own. Only their rows are read from a local mirror of the data sets.

The model is in float32. hf computes its log-softmax in float32 too, where PyTorch is off by about
1e-5 a token on a CPU, and long answers add this up. So options are scored by hf once more with a
log-softmax in float64 (its option softmax_dtype), and these numbers are compared. What is timed is
its default. Seconds are those of the processor, on one thread, which other programs do not change.
"""

import argparse
import logging
import os
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # lm-eval would look for a newer chat template

import torch
import yaml
from measured import add_out, write
from rich.console import Console
from rich.table import Table
from workloads import default_data_root

from deepthink.config.overrides import compose
from deepthink.errors import UserError
from deepthink.models import loading

try:
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    from deepthink.harness.model import DeepThinkLM
    from deepthink.harness.tasks import demonstrations_marked
except ImportError:
    sys.exit("error: lm-eval is not installed, run: make judge")

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Local:
    """A task of the harness whose rows are read from a mirror of the data sets.

    config: its file in the harness. files: split → file pattern below the mirror. shots: how many
    demonstrations, where the task does not say it. writes: whether the model writes texts.
    """

    config: str
    files: dict[str, str]
    shots: int | None = None
    writes: bool = False


TASKS = {
    "mmlu_virology": Local(
        "mmlu/default/mmlu_virology.yaml",
        {
            "dev": "cais/mmlu/virology/dev-*.parquet",
            "test": "cais/mmlu/virology/test-*.parquet",
        },
        shots=5,
    ),
    "sst2": Local(
        "glue/sst2/default.yaml",
        {
            "train": "stanfordnlp/sst2/data/train-*.parquet",
            "validation": "stanfordnlp/sst2/data/validation-*.parquet",
        },
        shots=8,
    ),
    "bbh_fewshot_snarks": Local(
        "bbh/fewshot/snarks.yaml",
        {"test": "SaylorTwift/bbh/snarks/test-*.parquet"},
        writes=True,
    ),
    "gsm8k_cot": Local(
        "gsm8k/gsm8k-cot.yaml",
        {"test": "openai/grade-school-math/grade_school_math/data/test.jsonl"},
        writes=True,
    ),
}
"""MMLU brings its demonstrations, SST2's are drawn anew for every question; both are scored. The
model writes answers of a few tokens to BIG-Bench Hard, and of a hundred or more to GSM8K."""


@dataclass(frozen=True)
class Compared:
    """A task with both models.

    difference: largest |Δ log p| at t = 1; None where texts are written. same: of how many requests
    the greedy flag or the text is the same at t = 1. seconds, metric: of hf, at t = 1 and at T.
    """

    name: str
    rows: int
    requests: int
    measure: str
    difference: float | None
    same: int
    seconds: tuple[float, float, float]
    metric: tuple[float, float, float]


def main() -> None:
    """Print the comparison; exit code 1 if the models differ at t = 1."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-root", default=default_data_root(), help="local dataset mirror")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--tasks", nargs="*", default=[*TASKS], choices=[*TASKS])
    parser.add_argument("--rows", type=int, default=50, help="of a task whose options are scored")
    parser.add_argument(
        "--texts", type=int, default=20, help="of a task to which texts are written"
    )
    parser.add_argument("--batch-size", type=int, default=8, help="lm-eval's")
    parser.add_argument("--iterations", type=int, default=5, help="T")
    parser.add_argument("--step-size", type=float, default=0.1)
    parser.add_argument("--positions", default="aligned")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="in nats")
    add_out(parser, "judge")
    options = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable(logging.WARNING)  # lm-eval's, on a model that was loaded already
    console = Console(width=132, highlight=False)
    try:
        found = compare(options, console)
    except UserError as error:
        sys.exit(f"error: {error}")
    show(found, options, console)
    write(options, {"tasks": [asdict(task) for task in found]}, CPU, ("lm-eval",))
    for task in found:
        if task.same < task.requests or (task.difference or 0) > options.tolerance:
            sys.exit(f"error: {task.name} differs at t = 1: see the table")


def compare(options: argparse.Namespace, console: Console) -> list[Compared]:
    """Run every task with every model."""
    spec = compose([f"model={options.model}", "model.dtype=float32"]).model
    tokenizer, plain = loading.load_plain(spec, CPU)
    hf = {"pretrained": plain, "tokenizer": tokenizer, "batch_size": options.batch_size}
    ours: dict[str, Any] = {"pretrained": options.model, "dtype": "float32", "device": "cpu"}
    thinking = {"step_size": options.step_size, "positions": options.positions}
    models = {
        "hf": HFLM(**hf),
        "exact": HFLM(**hf, softmax_dtype="float64"),
        "read": DeepThinkLM(**ours, iterations=1, **thinking),
        "thought": DeepThinkLM(**ours, iterations=options.iterations, **thinking),
    }
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for name in options.tasks:
            manager = described(name, Path(folder), options.data_root)
            with console.status(f"{name}: all models"):
                found.append(compared(name, models, manager, options))
    return found


def described(name: str, folder: Path, data_root: str | None) -> TaskManager:
    """The harness's config of a task, with local files for its rows."""
    task, root = TASKS[name], Path(data_root or ".")
    files = {split: sorted(map(str, root.glob(files))) for split, files in task.files.items()}
    for split, paths in files.items():
        if not paths:
            raise UserError(f"there is no {task.files[split]} below {root}: name a --data-root")
    kind = "json" if next(iter(files.values()))[0].endswith("l") else "parquet"
    about = {
        "include": str(Path(lm_eval.__file__).parent / "tasks" / task.config),
        "task": name,
        "dataset_path": kind,
        "dataset_name": None,
        "dataset_kwargs": {"data_files": files},
    }
    place = folder / name
    place.mkdir()
    (place / f"{name}.yaml").write_text(yaml.safe_dump(about), encoding="utf-8")
    return TaskManager(include_path=str(place), include_defaults=False)


@dataclass(frozen=True)
class Run:
    """What came out of a task with one model: every answer, the first metric, and the seconds."""

    answers: list[Any]
    metric: float
    measure: str
    seconds: float


def run(name: str, lm: Any, manager: TaskManager, options: argparse.Namespace) -> Run:
    """A task with one model."""
    task = TASKS[name]
    begin = time.process_time()
    with demonstrations_marked():
        results = lm_eval.simple_evaluate(
            model=lm,
            tasks=[name],
            num_fewshot=task.shots,
            limit=options.texts if task.writes else options.rows,
            task_manager=manager,
            bootstrap_iters=0,
        )
    seconds = time.process_time() - begin
    kind = results["samples"][name][0]["filter"]
    questions = [q for q in results["samples"][name] if q["filter"] == kind]
    answers = [answer for question in questions for (answer,) in question["resps"]]
    measures = {key: value for key, value in results["results"][name].items() if "," in key}
    measure = next(key for key in measures if "stderr" not in key)
    return Run(answers, measures[measure], measure.partition(",")[0], seconds)


def compared(
    name: str, models: dict[str, Any], manager: TaskManager, options: argparse.Namespace
) -> Compared:
    """One task with all models."""
    task = TASKS[name]
    runs = {
        key: run(name, lm, manager, options)
        for key, lm in models.items()
        if not (task.writes and key == "exact")
    }
    expected, answers = runs["hf" if task.writes else "exact"].answers, runs["read"].answers
    pairs = list(zip(expected, answers, strict=True))
    difference = None
    if not task.writes:
        difference = max(abs(float(a[0]) - float(b[0])) for a, b in pairs)
        pairs = [(a[1], b[1]) for a, b in pairs]
    timed = [runs[key] for key in ("hf", "read", "thought")]
    return Compared(
        name,
        rows=options.texts if task.writes else options.rows,
        requests=len(pairs),
        measure=timed[0].measure,
        difference=difference,
        same=sum(a == b for a, b in pairs),
        seconds=(timed[0].seconds, timed[1].seconds, timed[2].seconds),
        metric=(timed[0].metric, timed[1].metric, timed[2].metric),
    )


def show(found: list[Compared], options: argparse.Namespace, console: Console) -> None:
    """One row for each task."""
    title = f"{options.model}, float32, one thread: lm-eval's hf beside deepthink"
    table = Table(title=title, title_justify="left")
    table.add_column("task", no_wrap=True)
    heads = ("hf", "t = 1", f"t = {options.iterations}")
    about = ("questions", "|Δ log p|", "same", *(f"{h}, s" for h in heads), *heads)
    for heading in about:
        table.add_column(heading, justify="right", no_wrap=True)
    for task in found:
        table.add_row(
            task.name,
            str(task.rows),
            "–" if task.difference is None else f"{task.difference:.1e}",
            f"{task.same} of {task.requests}",
            *(f"{seconds:.1f}" for seconds in task.seconds),
            *(f"{value:.3f}" for value in task.metric),
        )
    console.print(table)
    console.print(
        "same: greedy flags, or texts. s: seconds of the processor. The last columns are the "
        "task's metric."
    )


if __name__ == "__main__":
    main()
