"""Whatever is typed runs or is one clear line. FUZZ_SEED=7 tries other words."""

import os
import random
import string

import pytest
from conftest import Command

WORDS = (
    "seed=3", "order=1", "method=vanilla", "method=graph_cut", "method.iterations=2", "task=sst2",
    "method.step_size=0.1", "method.positions=aligned", "method.momentum=0.5", "method.scored=ends",
    "method.memory_dtype=model", "method.selector.balance=none", "method.copies=2", "device=cpu",
    "demonstrations.count=4", "demonstrations.labels=flipped", "prompt.seam=joint", "force=true",
    "prompt.chat=true", "model.gguf=x.gguf", "model.package=made_weights",
    "prompt.overflow=truncate", "answer_score=mean", "test_size=3", "dev_size=2", "pool_size=12",
    "token_budget=500", "wandb.mode=disabled", "scale=null", "experiment=null", "task.labels=[a,b]",
    "task.template='{text} Mood:'", "model.dtype=float32", "wandb.project=x", "workers=null",
    "model.name=../x", "task.name=a/b", "method.selector.name=null",
    "method.selector.name=[random]",
    "~task", "~method.selector", "~seed", "~hydra", "sweep=[a]", "worker=x", "seed=${order}",
    "method.step_size=NaN", "hydra.sweeper._target_=os.system", "hydra.job.name=x",
    "wandb.group=${oc.env:NONE}", "+method.selector.x={a:1}", "task=null", "launcher=null",
    "--experimental-rerun=X", "--config-name=x", "--sede", "--cfg", "-seed=1",
)  # fmt: skip
SEED = int(os.environ.get("FUZZ_SEED", "0"))
ODD = string.ascii_letters + string.digits + "=.,[]{}()+~@-_'\"\\/ $%*:?!|&;<>#\t\néη🙂"


def mutated(rng: random.Random) -> str:
    """A valid override with a few characters changed, or characters out of nowhere."""
    if rng.random() < 0.1:
        return "".join(rng.choices(ODD, k=rng.randint(1, 20)))
    letters = list(rng.choice(WORDS))
    for _ in range(rng.choice((0, 1, 1, 1, 2, 4))):
        at = rng.randrange(len(letters) + 1)
        match rng.randrange(4):
            case 0:
                letters[at:at] = rng.choice(ODD)
            case 1:
                letters[at : at + rng.randint(1, 5)] = []
            case 2:
                letters[at : at + 1] = rng.choice(ODD)
            case 3:
                letters[at:at] = letters[:at]
    return "".join(letters)


@pytest.mark.slow
@pytest.mark.parametrize("batch", range(10))
def test_any_override_runs_or_is_one_clear_line(run: Command, batch: int) -> None:
    for number in range(20):
        rng = random.Random(f"{SEED} {batch} {number}")
        words = [mutated(rng) for _ in range(rng.choice((1, 1, 2)))]
        small = [f"{key}={value}" for key, value in
                 {"test_size": 2, "dev_size": 2, "pool_size": 16, "method.iterations": 2}.items()
                 if not any(key in word for word in words)]  # fmt: skip
        code, _, err = run(*small, *words)
        lines = err.strip().splitlines()
        assert code in (0, 1), words
        assert len(lines) == code, (words, err)
        assert all(line.startswith("error: ") for line in lines), (words, err)
