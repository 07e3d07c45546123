"""The whole paper as one list of jobs, and the command that runs it."""

import sys
from pathlib import Path

import pytest
from conftest import Command, assert_one_line, stored
from made_records import jobs as jobs_of
from made_records import put

from deepthink.app import cli
from deepthink.app.commands import tables
from deepthink.config.overrides import axes, expand, requested
from deepthink.errors import UserError
from deepthink.report import experiments, page, plan, programme
from deepthink.report.programme import OURS, PAPER, Part
from deepthink.report.runs import Runs
from deepthink.store.identity import asked

FEW = ("task=sst2", "method=deepthink_curve,deepthink", "seed=0,1", "order=0,1")


def test_the_lists_are_the_experiments_of_the_page() -> None:
    assert not {*PAPER} & {*OURS}
    assert {*PAPER, *OURS} == {*page.EXPERIMENTS}


def test_models_come_from_small_to_large_and_each_once_for_all_its_experiments() -> None:
    parts = programme.programme().parts
    sizes = [experiments.parameters(part.model) or 0 for part in parts]
    assert sizes == sorted(sizes)
    assert len({part.model for part in parts}) == 14
    pairs = {(part.experiment, part.model) for part in parts}
    assert pairs == {(name, model) for name in PAPER for model in axes(name)["model"]}
    assert len(parts) == len(pairs)


def test_words_choose_among_what_the_experiments_have_and_set_all_else() -> None:
    chosen = programme.programme(["task=mr,sst2", "seed=0,3", "test_size=9", "figure4:test_size=5"])
    words = {part.experiment: part.words for part in chosen.parts}
    assert words == {
        "table1": ("task=sst2,mr", "seed=0,3", "test_size=9"),
        "table2": ("task=sst2,mr", "seed=0,3", "test_size=9"),
        "figure4": ("task=sst2", "seed=0,3", "test_size=5"),
        "figure5_seeds": ("seed=0,3", "test_size=9"),
        "figure5_orders": ("test_size=9",),
        "figure6": ("seed=0,3", "test_size=9"),
    }
    assert chosen.left_out == ("table3", "figure3")
    both = programme.programme(["experiment=figure6,ours", "seed=0"]).parts
    assert {part.experiment for part in both} == {"figure6", *OURS}


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["model=gpt2-larg"], "did you mean gpt2-large"),
        (["seed=10"], "unknown seed of these experiments '10'"),
        (["experiment=tabel1"], "did you mean table1"),
        (["model=gpt2-large", "task=mmlu"], "no experiment has all of model=gpt2-large task=mmlu"),
        (["experiment=table1", "table2:seed=0"], "unknown experiment before the colon 'table2'"),
    ],
)
def test_what_no_experiment_has_is_told(words: list[str], hint: str) -> None:
    with pytest.raises(UserError, match=hint.replace("(", r"\(")):
        programme.programme(words)


def test_a_job_that_several_experiments_have_counts_and_runs_once(tmp_path: Path) -> None:
    """Counted here by expanding every experiment by itself."""
    every = set()
    for name in PAPER:
        swept = axes(name)
        words = [f"experiment={name}", "model=gpt2-large", "test_size=6"]
        for key, word in zip(("task", "method", "seed", "order"), FEW, strict=True):
            kept = [v for v in swept.get(key, ["0"]) if v in word.partition("=")[2].split(",")]
            words.append(f"{key}={','.join(kept)}")
        if "gpt2-large" in swept["model"] and all(not word.endswith("=") for word in words):
            every |= {asked(requested(job).jobs[0]) for job in expand(words)}
    parts = programme.programme(["model=gpt2-large", *FEW, "test_size=6"]).parts
    works = plan.of_parts(Runs([]), parts)
    commands = [words for work in works for words in work.jobs]
    assert sum(work.missing for work in works) == len(commands) == len(every)
    assert {asked(requested(words).jobs[0]) for words in commands} == every
    (job,) = jobs_of(*commands[0])
    put(tmp_path, job, dict.fromkeys(job.method.steps, 3))
    works = plan.of_parts(Runs.load(tmp_path), parts)
    assert sum(work.done for work in works) == 1
    assert sum(len(work.commands) for work in works) == len(every) - 1


def test_members_of_a_suite_that_two_experiments_share_count_once() -> None:
    parts = [Part(name, "pythia-70m") for name in ("table3", "figure3")]
    works = plan.of_parts(Runs([]), parts)
    assert [(w.experiment, w.task, w.missing) for w in works] == [
        ("table3", "mmlu", 57),
        ("table3", "bbh", 22),
        ("figure3", "mmlu", 0),
    ]
    assert [len(work.jobs) for work in works] == [1, 1, 0]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The folders whose tables and figures were to be drawn, which takes longer than the jobs."""
    folders: list[Path] = []
    monkeypatch.setattr(tables, "redraw", folders.append)
    return folders


@pytest.fixture
def paper(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    tiny_folder: Path,
    data_root: Path,
    drawn: list[Path],
) -> Command:
    """The command on two figures of GPT-2 Large, whose place a tiny model takes.

    With two iterations and two demonstrations, the jobs of Figure 5 are among those of Figure 4.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEEPTHINK_CACHE", str(tmp_path / "cache"))

    def call(*words: str) -> tuple[int, str, str]:
        usual = (
            "experiment=figure5_seeds,figure4", "demonstrations.count=2", "seed=0,1",
            f"model.hub_id={tiny_folder}", f"data_root={data_root}", "results=results",
            "test_size=4", "dev_size=4", "method.iterations=2", "wandb.mode=disabled",
        )  # fmt: skip
        keys = {word.partition("=")[0] for word in words}
        kept = [word for word in usual if word.partition("=")[0] not in keys]
        monkeypatch.setattr(sys, "argv", ["run.py", "paper", *kept, *words])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        said = capsys.readouterr()
        assert isinstance(stopped.value.code, int)
        return stopped.value.code, said.out, said.err

    return call


def test_the_command_runs_what_is_missing_and_draws(
    paper: Command, tmp_path: Path, drawn: list[Path]
) -> None:
    for done, read in ((2, 0), (0, 2)):
        code, out, err = paper("task=sst2")
        assert (code, err) == (0, "")
        assert "an estimate at an assumed MFU of 35 %" in out
        assert f"jobs: {done} done, {read} read, 0 failed" in out
        assert len(stored(tmp_path)) == 2
    assert drawn == [Path("results")] * 2


def test_jobs_that_fail_are_listed_with_their_commands(
    paper: Command, tmp_path: Path, drawn: list[Path]
) -> None:
    """AG News is in no folder of data here, and Figure 4 asks for it."""
    code, out, err = paper("figure4:seed=0")
    assert code == 1
    assert "ag_news" in err
    assert "again: python run.py model=gpt2-large" in out
    assert "1 failed; this runs only those: python run.py paper experiment=figure5_seeds,fig" in out
    assert len(stored(tmp_path)) == 2
    assert drawn == [Path("results")]


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("model=gpt2-larg", "gpt2-large"),
        ("tset_size=4", "test_size"),
        ("-m", "takes words such as"),
        ("workers=2", "launcher=local"),
        ("results=a,b", "names 2 folders"),
    ],
)
def test_wrong_words_are_one_line_and_run_nothing(
    paper: Command, tmp_path: Path, word: str, hint: str
) -> None:
    code, _, err = paper(word)
    assert_one_line(code, err, hint)
    assert not (tmp_path / "results").exists()
