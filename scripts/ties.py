"""How often candidates tie for the highest score in bfloat16, after every step t.

    python scripts/ties.py --data-root /mirror
    python scripts/ties.py --data-root /mirror --tasks trec --seeds 0 1 --step-size 0.1

SmolLM2-135M scores the same memories twice: with logits in bfloat16, as its output layer gives
them, and with logits in float32, as `deepthink.score` computes them. Beside each number of ties
stands the number of right predictions if the first, or the last, of equal candidates won.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

from rich.console import Console
from rich.table import Table
from torch import nn

from deepthink import score, think
from deepthink.config.overrides import compose
from deepthink.engine import output_layer
from deepthink.errors import UserError
from deepthink.models import devices, loading
from deepthink.selection.choosing import choose
from deepthink.selection.pool import Pool
from deepthink.structures import Example
from deepthink.tasks import prompts, sources
from deepthink.tasks.prediction import ties


@dataclass(frozen=True)
class Counted:
    """Ties for the highest score, and right predictions if the first or the last of them won."""

    ties: int
    first: int
    last: int


def main() -> None:
    """Count for every task and seed, and print a table of each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data-root", type=Path, help="local dataset mirror; else the hub")
    parser.add_argument("--tasks", nargs="*", default=["sst2", "trec"])
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--iterations", type=int, default=15)
    parser.add_argument("--step-size", type=float, default=0.01)
    options = parser.parse_args()
    console = Console(highlight=False)
    try:
        for task in options.tasks:
            for seed in options.seeds:
                console.print(counted(task, seed, options))
    except UserError as error:
        sys.exit(f"error: {error}")


def counted(task: str, seed: int, options: argparse.Namespace) -> Table:
    """One row for every t."""
    config = compose(
        [
            f"task={task}",
            f"seed={seed}",
            f"test_size={options.queries}",
            "dev_size=0",
            "model.dtype=bfloat16",
            f"method.iterations={options.iterations}",
            f"method.step_size={options.step_size}",
        ]
    )
    lm = loading.load(config.model, devices.resolve_device("cpu"))
    root = options.data_root and str(options.data_root)
    splits = sources.load(config.task, root, config.test_size, config.dev_size)
    chosen = choose(Pool(splits.pool), config)[0].selection
    encoded = prompts.encode(
        lm.tokenizer,
        config.task.parsed.prompt,
        [splits.pool[i] for i in chosen.indices],
        splits.test,
        config.prompt.seam,
        config.prompt.overflow,
        lm.positions,
        delimiter=config.task.delimiter,
    )
    table = Table(title=f"{task}, seed {seed}, {len(splits.test)} queries")
    for heading in ("t", "ties in bfloat16", "first wins", "last wins", "in float32", "right"):
        table.add_column(heading, justify="right")
    for memory in think(lm.model, encoded.demonstrations, **config.method.thinking):
        job = (lm.model, memory, encoded.queries, encoded.candidates)
        with patch.object(output_layer, "wide_logits", nn.Linear.forward):
            narrow = count(splits.test, score(*job))
        wide = count(splits.test, score(*job))
        right = str(wide.first) if wide.first == wide.last else f"{wide.first}-{wide.last}"
        numbers = (memory.step, narrow.ties, narrow.first, narrow.last, wide.ties)
        table.add_row(*map(str, numbers), right)
    return table


def count(examples: Sequence[Example], scores: Sequence[Sequence[float]]) -> Counted:
    """Count ties, and what the order of the candidates would make of them."""
    equal = [[i for i, value in enumerate(row) if value == max(row)] for row in scores]
    pairs = list(zip(examples, equal, strict=True))
    return Counted(
        ties=ties(examples, scores),
        first=sum(example.label == best[0] for example, best in pairs),
        last=sum(example.label == best[-1] for example, best in pairs),
    )


if __name__ == "__main__":
    main()
