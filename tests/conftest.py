"""A tiny model with a tokenizer, small data in the hub's layout, and the command line."""

import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"  # read when the hub's client is imported
os.environ["WANDB_MODE"] = "disabled"
# Read when torch is imported, here and in every process that a test starts. With models this small,
# several threads spend most of their time waiting for each other, above all on a busy machine.
os.environ["OMP_NUM_THREADS"] = "1"

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.utils import logging as transformers_logging

from deepthink.app import cli
from deepthink.app.sweep import Sweep
from deepthink.config import overrides
from deepthink.store import records
from deepthink.store.leases import Lease, Leases
from deepthink.study import reuse

transformers_logging.disable_progress_bar()  # of what tests save, which is no job's output
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
WHOLE = SHARED.with_name("data-full")
WORDS = (
    "Review Sentiment negative positive the kettle sings and leaks a fine dull day Type Question"
)


@pytest.fixture(autouse=True)
def nothing_shared() -> None:
    """No test gets scores that another one, with parts of the engine replaced, has computed."""
    reuse.KEPT.clear()


class Command(Protocol):
    """Runs a command with these words; returns the exit code, stdout and stderr."""

    def __call__(self, *words: str) -> tuple[int, str, str]: ...


@pytest.fixture(scope="session")
def mirror() -> Path:
    """The real datasets in the hub's layout, where this machine has them."""
    if not SHARED.is_dir():
        pytest.skip(f"no dataset mirror at {SHARED}")
    return SHARED


@pytest.fixture(scope="session")
def whole_mirror(mirror: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, where SST2 and AG News are whole."""
    if not WHOLE.is_dir():
        pytest.skip(f"no whole data sets at {WHOLE}")
    root = tmp_path_factory.mktemp("data")
    for source in (mirror, WHOLE):
        for repository in (p for p in source.glob("*/*") if p.is_dir()):
            place = root / repository.relative_to(source)
            place.parent.mkdir(exist_ok=True)
            place.unlink(missing_ok=True)
            place.symlink_to(repository)
    return root


def byte_level_tokenizer() -> PreTrainedTokenizerFast:
    """Byte-level BPE, as GPT-2's, GPT-Neo's, OPT's and Pythia's."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=380,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<s>", "</s>"],
        show_progress=False,
    )
    text = [f"{WORDS}:\n\n", f"Review: {WORDS}\nSentiment: positive\n\n"] * 40
    inner.train_from_iterator(text, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return byte_level_tokenizer()


@pytest.fixture(scope="session")
def tiny_folder(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: PreTrainedTokenizerFast
) -> Path:
    """A randomly initialised two-layer LLaMA of 1,024 positions, as from_pretrained wants it."""
    import torch

    folder = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    config = LlamaConfig(
        num_hidden_layers=2,
        num_attention_heads=2,
        hidden_size=16,
        intermediate_size=32,
        max_position_embeddings=1024,
        vocab_size=len(tokenizer),
        bos_token_id=0,
        eos_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    """SST2 in the hub's layout: 60 training and 24 validation rows."""
    folder = tmp_path / "data" / "stanfordnlp" / "sst2"
    folder.mkdir(parents=True)
    for split, count in (("train", 60), ("validation", 24)):
        rows = [{"idx": i, "sentence": f"{split} row {i}", "label": i % 2} for i in range(count)]
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return tmp_path / "data"


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    tiny_folder: Path,
    data_root: Path,
) -> Command:
    """Run run.py's entry with overrides; returns the exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEEPTHINK_CACHE", str(tmp_path / "cache"))

    def call(*overrides: str) -> tuple[int, str, str]:
        base: dict[str, object] = {
            "model.hub_id": tiny_folder,
            "model.package": "null",
            "task": "sst2",
            "data_root": data_root,
            "results": tmp_path / "results",
            "wandb.mode": "disabled",
            "method.iterations": 3,
        }
        given = {o.lstrip("+").partition("=")[0] for o in overrides}
        if "task.file" in given:
            base = {k: v for k, v in base.items() if k not in ("task", "data_root")}
        if "model" in given:
            base = {k: v for k, v in base.items() if not k.startswith("model")}
        defaults = [f"{k}={v}" for k, v in base.items() if k not in given]
        flags = [o for o in overrides if o.startswith("-")]
        words = [o for o in overrides if not o.startswith("-")]
        monkeypatch.setattr(sys, "argv", ["run.py", *flags, *defaults, *words])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capsys.readouterr()
        code = stopped.value.code
        assert isinstance(code, int)
        return code, captured.out, captured.err

    return call


def stored(tmp_path: Path) -> list[tuple[Path, dict[str, Any]]]:
    """The whole records of a folder, as their files have them."""
    found = records.load_all(tmp_path / "results").records
    return [(path, json.loads(path.read_text())) for path, _ in found]


@pytest.fixture
def wandb_offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """W&B's client as a user has it; it keeps the first run's folder for the whole process."""
    import wandb

    monkeypatch.delenv("WANDB_MODE", raising=False)
    wandb.teardown()
    yield
    wandb.teardown()


def leased(leases: Leases, name: str) -> Lease:
    """The lease of a name that is free."""
    lease = leases.take(name)
    assert isinstance(lease, Lease)
    return lease


def sweep_of(jobs: list[list[str]], **about: Any) -> Sweep:
    """A shared sweep of these jobs."""
    others = {"suites": [], "workers": 1, "local": False, "gpus": None, "group": "g", "cwd": "."}
    return Sweep(jobs=jobs, **{**others, **about})


def assert_one_line(code: int, err: str, hint: str) -> None:
    lines = err.strip().splitlines()
    assert code == 1
    assert len(lines) == 1
    assert lines[0].startswith("error: ")
    assert hint in lines[0]


@pytest.fixture(scope="session")
def tokenizer_of_smollm2() -> PreTrainedTokenizerBase:
    """A real tokenizer, where its package is installed."""
    import torch

    from deepthink.errors import UserError
    from deepthink.models import loading

    try:
        return loading.load(overrides.compose([]).model, torch.device("cpu")).tokenizer
    except UserError as error:
        pytest.skip(str(error))
