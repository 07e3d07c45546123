"""Small models under the ids of the hub, with real tokenizers, and the paper on some of them."""

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from deepthink.config.overrides import axes
from deepthink.installation import CONF
from deepthink.report.programme import PAPER

SCRIPTS = CONF.parent / "scripts"
MODELS = ("opt-350m", "pythia-70m", "gpt-neo-2.7b")
WORDS = (
    *(f"model={','.join(MODELS)}", "task=sst2,mmlu", "seed=0,1", "method.iterations=3"),
    *("test_size=4", "table2:dev_size=4", "table2:pool_size=24", "wandb.mode=disabled"),
    *(f"{name}:task.members=[virology,astronomy]" for name in ("table3", "figure3")),
)
"""Six jobs: two draws of two models, and two members for the third."""

READ = """
import json, sys
from transformers import AutoTokenizer
from deepthink.config.models import named_model
print(json.dumps([AutoTokenizer.from_pretrained(named_model(m)["hub_id"])(sys.argv[1])["input_ids"]
                  for m in sys.argv[2:]]))
"""


@pytest.fixture
def scripts(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(SCRIPTS)
    import rehearsal

    return rehearsal


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the script makes of one model for each kind of tokenizer."""
    out = tmp_path_factory.mktemp("made")
    words = ["--models", ",".join((*MODELS, "gpt2-large", "llama2-7b"))]
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / "stand_ins.py"), str(out), *words],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    if "split into bytes" in done.stdout:
        (out / "no-packages").write_text(done.stdout.splitlines()[0])
    return out


def test_every_model_of_the_paper_has_a_stand_in(scripts: ModuleType) -> None:
    wanted = {model for name in PAPER for model in axes(name)["model"]}
    assert {*scripts.stand_ins.CONFIGS} == wanted
    assert len(wanted) == 14


def test_a_number_or_a_figure_that_is_missing_is_seen(scripts: ModuleType, tmp_path: Path) -> None:
    words = ["model=opt-350m,pythia-70m"]
    heading = "table,model,scale,section,row,column,ours,draws\n"
    (tmp_path / "tables").mkdir()
    for name in ("table2", "table3", "figure3"):
        model = "opt-350m" if name == "table2" else "pythia-70m"
        row = f"{name},{model},few,,ICL,a,50.0,1\n{name},{model},all test rows,,ICL,a,,0\n"
        (tmp_path / "tables" / f"{name}.csv").write_text(heading + row)
    (tmp_path / "figures").mkdir()
    figure = tmp_path / "figures" / "figure3-pythia-70m-4-all-all-float32.png"
    figure.touch()
    assert scripts.incomplete(tmp_path, words) == []
    figure.unlink()
    (tmp_path / "tables" / "table2.csv").write_text(heading)
    (tmp_path / "tables" / "table3.csv").write_text(
        f"{heading}table3,pythia-70m,few,,ICL,MMLU,50.0,1\ntable3,pythia-70m,few,,ICL,BBH,,0\n"
    )
    assert sorted(scripts.incomplete(tmp_path, words)) == [
        "figure figure3 of pythia-70m",
        "table2 has no number of opt-350m",
        "table3 pythia-70m  ICL BBH",
    ]


@pytest.mark.slow
def test_tokenizers_are_the_real_ones(scripts: ModuleType, made: Path) -> None:
    """Numbers of tokens as they are known of the real models."""
    if (reason := made / "no-packages").is_file():
        pytest.skip(reason.read_text())
    stage = scripts.Stage(made, ())
    done = subprocess.run(
        [sys.executable, "-c", READ, "Hello world", "gpt2-large", "opt-350m", "llama2-7b"],
        env=stage.environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    gpt2, opt, llama = json.loads(done.stdout.splitlines()[-1])
    assert gpt2 == [15496, 995]
    assert len(opt) == 3
    assert opt[0] == 2
    assert llama == [1, 15043, 3186]


@pytest.mark.slow
def test_a_killed_paper_goes_on_and_has_the_records_of_an_undisturbed_one(
    scripts: ModuleType, made: Path, tmp_path: Path
) -> None:
    stage = scripts.Stage(made, WORDS)
    killed, quiet = tmp_path / "killed", tmp_path / "undisturbed"
    at_work = scripts.run(stage, killed, [2])
    assert len(at_work) == 1
    scripts.run(stage, quiet, [])
    assert len(scripts.made(killed)) == scripts.wanted(WORDS) == 6
    assert scripts.differing(killed, quiet) == (6, [])
    assert set(scripts.times_done(killed).values()) == {1}
    assert not [*(killed / "leases").iterdir()]
    page = (killed / "README.md").read_text()
    assert all(model in page for model in MODELS)
    scores = next(path.with_suffix(".parquet") for path in scripts.made(quiet))
    scores.write_bytes(scores.read_bytes()[:-1])
    assert len(scripts.differing(killed, quiet)[1]) == 1
