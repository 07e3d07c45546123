"""Does an independent program compute the same numbers? A comparison with lm-evaluation-harness.

    make judge                                  # SmolLM2-135M, ten rows of each of ten members;
                                                # 15 minutes, nearly all of lm-eval
    make judge ARGS="--rows 20 --members mmlu/virology bbh/snarks --out /tmp/judge.json"

Both programs compute the summed log-probability of every candidate at T = 1, which is plain
in-context learning. Prompts are the same strings, each tokenised as a whole. lm-eval gives the
model each candidate with its whole prompt; this engine has it read the demonstrations once.

lm-eval runs twice, with the model in float32 both times. The first run gives the numbers that are
compared. It computes the log-softmax over the vocabulary in float64 (option softmax_dtype), because
PyTorch's float32 log-softmax on a CPU is off by about 1e-5 a token, and long answers add this up.
The second run has lm-eval's defaults. It is timed, and its difference is shown too.
"""

import argparse
import logging
import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # lm-eval would look for a newer chat template

from measured import add_out, write
from rates import timed
from rich.console import Console
from rich.table import Table
from workloads import default_data_root, job_of

from deepthink import score, think
from deepthink.app.progress_bar import watching
from deepthink.config.overrides import compose
from deepthink.errors import UserError
from deepthink.models import devices, loading
from deepthink.selection.choosing import choose
from deepthink.selection.pool import Pool
from deepthink.tasks import prompts, sources, templates
from deepthink.tasks.prompts import Encoded

try:
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM
except ImportError:
    sys.exit("error: lm-eval is not installed, run: make judge")

REPETITIONS = 3  # of this engine's run, whose time is shorter, hence noisier
# Of MMLU every category, short and long questions and options; of BBH fixed
# labels, options that differ in length, and up to ten of them.
MEMBERS = [
    "mmlu/college_biology",
    "mmlu/formal_logic",
    "mmlu/high_school_psychology",
    "mmlu/professional_accounting",
    "mmlu/security_studies",
    "bbh/causal_judgement",
    "bbh/date_understanding",
    "bbh/geometric_shapes",
    "bbh/logical_deduction_seven_objects",
    "bbh/snarks",
]


@dataclass(frozen=True)
class Rows:
    """Questions of one member: as token ids for the engine, as strings for lm-eval."""

    name: str
    encoded: Encoded
    requests: list[tuple[str, str]]


@dataclass(frozen=True)
class Verdict:
    """Seconds of both programs, and the largest differences of a candidate's log-probability."""

    name: str
    rows: int
    candidates: int
    longest: int
    ours: float
    theirs: float
    difference: float
    as_it_is: float
    same_tokens: bool


def main() -> None:
    """Print the comparison; exit code 1 if a difference exceeds the tolerance."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-root", default=default_data_root(), help="local dataset mirror")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--members", nargs="*", default=MEMBERS)
    parser.add_argument("--rows", type=int, default=10, help="of each member")
    parser.add_argument("--batch-size", type=int, default=8, help="lm-eval's")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="in nats")
    add_out(parser, "judge")
    options = parser.parse_args()
    console = Console(width=132, highlight=False)
    try:
        verdicts = compare(options, console)
    except UserError as error:
        sys.exit(f"error: {error}")
    show(verdicts, options, console)
    write(options, summary(verdicts), devices.resolve_device("auto"), ("lm-eval",))
    worst = max(verdicts, key=lambda verdict: verdict.difference)
    if worst.difference > options.tolerance:
        sys.exit(f"error: {worst.name} differs by {worst.difference:.1e}: see the table")


def compare(options: argparse.Namespace, console: Console) -> list[Verdict]:
    """Score every member's rows with both programs."""
    spec = compose([f"model={options.model}", "model.dtype=float32"]).model
    device = devices.resolve_device("auto")
    logging.disable(logging.WARNING)  # lm-eval's, on a model that was loaded already
    lm = loading.load(spec, device)
    _, plain = loading.load_plain(spec, device)
    settings = {"pretrained": plain, "tokenizer": lm.tokenizer, "batch_size": options.batch_size}
    judge = HFLM(**settings, softmax_dtype="float64")
    judge_as_it_is = HFLM(**settings)
    every = [rows_of(name, lm, options) for name in options.members]
    verdicts = []
    with watching(console, unit="members") as watch:
        watch.stage("scoring")
        watch.start(len(every))
        for rows in every:
            verdicts.append(verdict(rows, lm, judge, judge_as_it_is))
            watch.advance(1)
    return verdicts


def rows_of(name: str, lm: loading.LM, options: argparse.Namespace) -> Rows:
    """A seeded sample of a member's questions with its demonstrations."""
    config = job_of(name)
    task = config.task
    splits = sources.load(task, options.data_root, options.rows, 0)
    examples = [splits.pool[i] for i in choose(Pool(splits.pool), config)[0].selection.indices]
    encoded = prompts.encode(
        lm.tokenizer,
        task.parsed.prompt,
        examples,
        splits.test,
        "joint",
        "drop",
        lm.positions,
        delimiter=task.delimiter,
    )
    shown = examples[-encoded.kept :]
    shots = "".join(templates.shot(task.parsed.prompt, e, task.delimiter).text for e in shown)
    requests = [
        (shots + templates.fill(task.parsed.prompt, example.text), task.delimiter + candidate)
        for example in splits.test
        for candidate in example.candidates
    ]
    return Rows(name, encoded, requests)


def ours(lm: loading.LM, encoded: Encoded) -> list[float]:
    """The engine's log-probabilities, one after another."""
    (memory,) = think(lm.model, encoded.demonstrations, iterations=1)
    scores = score(lm.model, memory, encoded.queries, encoded.candidates)
    return [value for row in scores for value in row]


def theirs(judge: HFLM, requests: Sequence[tuple[str, str]]) -> list[float]:
    """lm-eval's log-probabilities, one after another."""
    instances = [
        Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=i)
        for i, pair in enumerate(requests)
    ]
    return [value for value, _ in judge.loglikelihood(instances, disable_tqdm=True)]


def verdict(rows: Rows, lm: loading.LM, judge: HFLM, judge_as_it_is: HFLM) -> Verdict:
    """Score the same rows with both programs; the runs that are not timed warm up."""
    encoded, device = rows.encoded, lm.model.device
    expected = theirs(judge, rows.requests)
    slow, loose = timed(lambda: theirs(judge_as_it_is, rows.requests), device)
    values = ours(lm, encoded)
    fast = [timed(lambda: ours(lm, encoded), device)[0] for _ in range(REPETITIONS)]
    tokens = [
        [*encoded.demonstrations, *query, *answer]
        for query, answers in zip(encoded.queries, encoded.candidates, strict=True)
        for answer in answers
    ]
    pairs = [judge._encode_pair(*request) for request in rows.requests]
    return Verdict(
        rows.name,
        len(encoded.queries),
        len(rows.requests),
        max(len(answer) for answers in encoded.candidates for answer in answers),
        statistics.median(fast),
        slow,
        largest(values, expected),
        largest(values, loose),
        [[*context, *continuation] for context, continuation in pairs] == tokens,
    )


def suites(verdicts: Sequence[Verdict]) -> dict[str, list[Verdict]]:
    """The members of each suite, MMLU first."""
    names = sorted({verdict.name.partition("/")[0] for verdict in verdicts}, reverse=True)
    return {
        name: [v for v in verdicts if v.name.partition("/")[0] == name] for name in names
    }  # fmt: skip


def summary(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """The figures of the documentation, and those of every member."""
    return {
        "suites": [
            {
                "name": name,
                "rows": sum(v.rows for v in members),
                "ours": sum(v.ours for v in members),
                "theirs": sum(v.theirs for v in members),
            }
            for name, members in suites(verdicts).items()
        ],
        "candidates": sum(v.candidates for v in verdicts),
        "longest": max(v.longest for v in verdicts),
        "difference": max(v.difference for v in verdicts),
        "as_it_is": max(v.as_it_is for v in verdicts),
        "members": [asdict(v) for v in verdicts],
    }


def largest(values: Sequence[float], others: Sequence[float]) -> float:
    """The largest absolute difference."""
    return max(abs(a - b) for a, b in zip(values, others, strict=True))


def show(verdicts: Sequence[Verdict], options: argparse.Namespace, console: Console) -> None:
    """One row per member, one per suite, and what the columns mean."""
    title = f"{options.model}, float32, T = 1: deepthink beside lm-eval"
    table = Table(title=title, title_justify="left")
    table.add_column("member", no_wrap=True)
    headings = ("rows", "candidates", "longest", "tokens", "deepthink", "lm-eval", "ratio")
    for heading in (*headings, "|Δ log p|", "as it is"):
        table.add_column(heading, justify="right", no_wrap=True)
    for suite, members in suites(verdicts).items():
        for v in members:
            add(table, v.name, [v])
        add(table, f"{suite}, all", members)
        table.add_section()
    console.print(table)
    console.print(
        "longest: tokens of an answer. |Δ log p|: largest difference from lm-eval with a float64 "
        "log-softmax; as it is: with its float32 one. Seconds: of deepthink the median of "
        f"{REPETITIONS} runs, of lm-eval as it is, in batches of {options.batch_size}."
    )


def add(table: Table, name: str, verdicts: Sequence[Verdict]) -> None:
    """A row for these members together."""
    fast, slow = sum(v.ours for v in verdicts), sum(v.theirs for v in verdicts)
    table.add_row(
        name,
        str(sum(v.rows for v in verdicts)),
        str(sum(v.candidates for v in verdicts)),
        str(max(v.longest for v in verdicts)),
        "same" if all(v.same_tokens for v in verdicts) else "differ",
        f"{fast:.2f} s",
        f"{slow:.2f} s",
        f"{slow / fast:.1f}×",
        f"{max(v.difference for v in verdicts):.1e}",
        f"{max(v.as_it_is for v in verdicts):.1e}",
    )


if __name__ == "__main__":
    main()
