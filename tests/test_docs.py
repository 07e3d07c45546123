"""What the README, docs and CONTRIBUTING.md say is so: commands, files, tables, code."""

import importlib.util
import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from conftest import Command
from transformers import PreTrainedTokenizerFast

import deepthink
from deepthink.config.overrides import compose, expand, requested
from deepthink.engine.demonstrations import Demonstrations
from deepthink.engine.thinking import refined
from deepthink.installation import CONF
from deepthink.plugins import READOUTS, REFINEMENTS, RULES
from deepthink.report import experiments, programme
from deepthink.selection.pool import Pool
from deepthink.structures import Example
from deepthink.study.calibrating import Calibration
from deepthink.tasks import sources

ROOT = CONF.parent
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]
SITE = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
NAMES = [str(path.relative_to(ROOT)) for path in TEXTS]


def page(name: str) -> str:
    return (DOCS / name).read_text()


def first_column(text: str, header: str) -> list[str]:
    """The names in backticks of the first column of the table that begins with a header."""
    rows = text[text.index(f"| {header}") :].partition("\n\n")[0].splitlines()[2:]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])]


def fences(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """The words after run.py, prefetch.py or `make plan` of every command, flags left out.

    A command that shows where words go, with <…> or …, is none.
    """
    lines = re.findall(r"python (?:run|scripts/prefetch)\.py +((?:[^\s#`]+ ?)+)", text)
    for name, words in re.findall(r'make plan EXPERIMENT=(\w+)(?: ARGS="([^"]*)")?', text):
        if name != programme.NAME:
            lines.append(f"experiment={name} {words}")
    rows = [[w for w in shlex.split(line) if not w.startswith("-")] for line in lines]
    return [row for row in rows if all("=" in w and "<" not in w and "..." not in w for w in row)]


def test_every_page_is_in_the_sites_navigation() -> None:
    def named(entries: list[Any]) -> Iterator[str]:
        for entry in entries:
            value = entry if isinstance(entry, str) else next(iter(entry.values()))
            yield from [value] if isinstance(value, str) else named(value)

    assert sorted(named(SITE["nav"])) == [str(path.relative_to(DOCS)) for path in PAGES]


@pytest.mark.parametrize("name", NAMES)
def test_every_link_and_picture_leads_to_a_file(name: str) -> None:
    text = (ROOT / name).read_text()
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    for link in filter(None, links):
        assert "://" in link or (ROOT / name).parent.joinpath(link).exists(), link


@pytest.mark.parametrize("name", NAMES)
def test_every_file_that_is_named_exists(name: str) -> None:
    folders = "conf|deepthink|docs|examples|notebooks|requirements|results|scripts|tests"
    text = re.sub(r"^    .*$", "", (ROOT / name).read_text(), flags=re.MULTILINE)  # drawn trees
    named = re.findall(rf"(?<![\w/])((?:{folders})(?:/[\w.-]+)+)", text)
    for path in {path.rstrip(".") for path in named} - {"results/local"}:
        if not path.startswith(("results/local/", "results/failures")):
            assert (ROOT / path).exists(), path


@pytest.mark.parametrize("name", [*NAMES, "conf/config.yaml"])
def test_documented_commands_compose(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / name).read_text()
    write_extensions(tmp_path)
    write_extensions(tmp_path, "add-your-method.md")
    monkeypatch.chdir(tmp_path)
    ray = importlib.util.find_spec("hydra_plugins.hydra_ray_launcher") is not None
    seen: set[str] = set()
    for words in commands(text):
        if "launcher=ray" in words and not ray:
            continue  # an optional extra; tests/test_workers.py has what is said without it
        for job in expand(words):
            if not seen.issuperset(job):  # every value once, not every combination
                requested(job)
            seen.update(job)


@pytest.mark.parametrize("name", NAMES)
def test_documented_commands_of_the_whole_paper_choose_what_there_is(name: str) -> None:
    text = (ROOT / name).read_text()
    for line in re.findall(r'(?:make paper|EXPERIMENT=paper) ARGS="([^"]*)"', text):
        words = [w for w in shlex.split(line) if not w.startswith(("launcher=", "workers="))]
        for part in programme.programme(words).parts:
            about = (f"experiment={part.experiment}", f"model={part.model}", *part.words)
            requested(expand(about)[0])


def test_the_commands_of_the_pages_are_seen() -> None:
    """So that a change of their form does not leave them untested."""
    seen = {name: len(commands((ROOT / name).read_text())) for name in NAMES}
    assert seen["README.md"] == 3
    assert all(seen[f"docs/{name}.md"] >= 3 for name in ("sweeps", "selection", "tasks", "extend"))
    assert sum(seen.values()) >= 35


@pytest.mark.parametrize("name", NAMES)
def test_every_script_that_is_called_exists(name: str) -> None:
    for script in re.findall(r"python ((?:\w+/)*\w+\.py)", (ROOT / name).read_text()):
        assert (ROOT / script).is_file(), script


def test_the_python_on_the_pages_runs(
    tiny_folder: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_folder).eval()
    names = {"model": model, "tokenizer": tokenizer}
    engine, text = fences(page("index.md"), "python")
    exec(text, names)
    rows = [[float(score) for score in row[0]] for row in names["rows"]]
    assert len(rows) == 5 and len({tuple(row) for row in rows}) == 5
    prompt = names["prompt"]
    names |= {"demonstration_ids": prompt.demonstrations, "queries": prompt.queries}
    names["candidates"] = prompt.candidates
    exec(engine, names)
    assert names["scores"] == names["rows"][-1]
    assert fences((ROOT / "README.md").read_text(), "python")[1:] == [engine]


@pytest.fixture
def asked(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that `deepthink.load` is given, which loads a tiny model whatever they are."""
    from deepthink.models.by_name import load

    model, tokenizer = load(tiny_folder, device="cpu")
    tokenizer.chat_template = (
        "{% for m in messages %}{{ bos_token + m.role + ':' + m.content + eos_token }}{% endfor %}"
        "{% if add_generation_prompt %}{{ bos_token + 'assistant:' }}{% endif %}"
    )
    names: list[str] = []

    def loaded(name: str) -> tuple[Any, Any]:
        names.append(name)
        return model, tokenizer

    monkeypatch.setattr(deepthink, "load", loaded, raising=False)
    return names


def test_the_first_python_of_the_readme_runs(asked: list[str]) -> None:
    names: dict[str, Any] = {}
    exec(fences((ROOT / "README.md").read_text(), "python")[0], names)
    assert asked == ["smollm2-135m"]
    assert {"text", "prediction", "t"} < {*names["frame"].columns}


def test_the_python_of_the_page_on_python_runs_from_top_to_bottom(asked: list[str]) -> None:
    names: dict[str, Any] = {}
    frames = []
    for text in fences(page("python.md"), "python"):
        exec(text, names)
        frames.append(names["frame"])
    assert asked == ["smollm2-135m"]
    assert [len(frame) for frame in frames] == [4, 32, 1, 4, 4, 4]
    assert sorted(names["curve"].index) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert names["memory"].step == 5
    assert isinstance(names["answer"], str)


def test_the_tables_name_every_config() -> None:
    def configs(group: str) -> set[str]:
        return {path.stem for path in (CONF / group).glob("[!_]*.yaml")}

    assert set(first_column(page("tasks.md"), "`task=`")) == configs("task")
    assert set(first_column(page("sweeps.md"), "`experiment=`")) == {*experiments.names()}
    elsewhere = {"vanilla", "deepthink", "deepthink_curve", "repeat"}  # in the text beside it
    elsewhere |= {"permutations", "query_twice", "channel", "knn_prompting", "task_vector"}
    elsewhere |= {"hidden_calibration"}
    elsewhere |= {"gain", "zero_tuning", "structured"}
    tables = [set(first_column(page(name), "`method=`")) for name in ("selection.md", "method.md")]
    assert set.union(*tables) - {"vanilla"} - elsewhere == configs("method") - elsewhere
    assert all(f"`{name}`" in page("selection.md") + page("method.md") for name in elsewhere)
    launchers = first_column(page("sweeps.md"), "| what it is for")
    assert {word.split()[0] for word in launchers} == {f"launcher={n}" for n in configs("launcher")}


def test_the_tasks_have_the_numbers_of_demonstrations_that_the_table_says() -> None:
    for name, number in re.findall(r"^\| `(\w+)` \|.*\| (\d+)[^|]*\|$", page("tasks.md"), re.M):
        request = requested([f"task={name}"])
        spec = request.suite or request.jobs[0].task
        assert spec.demonstrations == int(number), name


def test_the_choices_that_the_paper_leaves_open_have_the_defaults_that_the_table_says() -> None:
    text = page("method.md")
    table = text[text.index("| key | default") :].partition("\n\n")[0]
    job = asdict(compose(["task=sst2"]))
    words: dict[str, dict[str, str]] = {"task.delimiter": {" ": "one space"}, "task.answer": {}}
    for row in table.splitlines()[2:]:
        _, key, default, *_ = row.split("|")
        (name,) = re.findall(r"`([\w.]+)`", key)
        value: Any = job
        for part in name.split("."):
            value = value[part]
        assert words.get(name, {}).get(value, str(value)) in default, name


def test_the_api_shows_every_room_and_every_file_of_the_ground_floor() -> None:
    package = ROOT / "deepthink"
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    shown = set(re.findall(r"^::: deepthink\.(\w+)$", "".join(p.read_text() for p in PAGES), re.M))
    public = set(re.findall(r"^::: deepthink\.(\w+)$", page("api/index.md"), re.M))
    ground = {path.stem for path in package.glob("*.py")} - {"__init__", "__main__"}
    assert shown == rooms | ground | public
    assert public == {*deepthink.__all__}
    assert set(re.findall(r"\]\((\w+)\.md\)", page("api/index.md"))) == rooms | {"ground"}


def write_extensions(folder: Path, source: str = "extend.md") -> list[Path]:
    """The files that a page shows, each under the path that it begins with."""
    written = []
    for language in ("python", "yaml"):
        for text in fences(page(source), language):
            name, _, rest = text.partition("\n")
            path = folder / name.removeprefix("# ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(rest)
            written.append(path)
    return written


@pytest.fixture
def mine(tmp_path: Path) -> str:
    """The plugin folder of the page on extending, as `plugins=` takes it."""
    write_extensions(tmp_path)
    return str(tmp_path / "mine")


def test_the_page_on_extending_shows_the_files_that_it_lists(tmp_path: Path) -> None:
    text = page("extend.md")
    listed = re.findall(r"^      ([\w/.-]+)", text[: text.index("An installed")], re.M)
    written = write_extensions(tmp_path)
    assert sorted(listed) == sorted(str(p.relative_to(tmp_path / "mine")) for p in written)


def test_the_rule_of_the_page_chooses_by_length(mine: str) -> None:
    job = compose([f"plugins={mine}", "method=by_length", "method.iterations=5"])
    select = RULES.load(job.method.selector, mine)
    pool = Pool([Example("x" * n, ("a", "b"), 0) for n in (3, 1, 4, 2)])
    assert select(pool, 2, np.random.default_rng(0)) == [2, 0]
    assert job.method.iterations == 5


def test_the_refinement_of_the_page_takes_smaller_and_smaller_steps(
    mine: str, tiny_folder: Path
) -> None:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(tiny_folder).eval()
    shown = Demonstrations(model, [5, 6, 7, 8])
    first, second, third = refined(shown, REFINEMENTS.load({"name": "fading"}, mine), 3)
    present = shown.read(second, shown.length)
    for before, between, new, after in zip(
        first.keys, second.keys, present.keys, third.keys, strict=True
    ):
        assert not torch.equal(before, between)
        assert torch.allclose(after, between + 0.05 * (new - between), atol=1e-6)


def test_the_readout_of_the_page_takes_the_most_similar(mine: str) -> None:
    class Ask:
        classes = 2
        queries = "queries"

        def anchors(self, count: int) -> Any:
            return SimpleNamespace(labels=np.array([0, 1, 1, 0])[:count])

        def states(self, rows: Any) -> torch.Tensor:
            asked = rows == "queries"
            return torch.tensor([[1, 1.0]] if asked else [[1, 0.0], [0, 1], [2, 1], [0, -1]])

    found = READOUTS.load({"name": "most_alike"}, mine)(Ask())
    assert found[0].tolist() == pytest.approx([0.5**0.5, 3 / 10**0.5])


def test_the_calibration_of_the_page_evens_out_the_labels(mine: str) -> None:
    rows = {"test": [[-1.0, -2.0], [-3.0, -5.0], [-2.0, -5.0]]}
    calibration = Calibration.of({"name": "centred"}, mine)
    scores = np.array(calibration.corrected(rows, common=True)["test"])
    assert scores.mean(axis=0) == pytest.approx([0, 0])
    assert scores.argmax(axis=1).tolist() == [1, 0, 0]


def test_the_task_of_the_page_is_read(mine: str, tmp_path: Path) -> None:
    task = compose([f"plugins={mine}", "task=moods"]).task
    folder = tmp_path / "data" / task.sources[0].repository
    folder.mkdir(parents=True)
    for split, count in (("train", 40), ("test", 20)):
        rows = [json.dumps({"message": f"{split} {i}", "mood": i % 2}) for i in range(count)]
        (folder / f"{split}.jsonl").write_text("\n".join(rows))
    splits = sources.load(task, str(tmp_path / "data"))
    assert (len(splits.pool), len(splits.dev), len(splits.test)) == (20, 20, 20)
    assert splits.test[0].candidates == ("sad", "happy")


def test_the_model_of_the_page_composes(mine: str) -> None:
    model = compose([f"plugins={mine}", "model=qwen2.5-0.5b"]).model
    assert (model.hub_id, model.parameters) == ("Qwen/Qwen2.5-0.5B", 494_032_768)


@pytest.mark.parametrize(
    "words",
    [
        ("method=by_length",),
        ("method.refinement.name=fading", "+method.refinement.aligned=true"),
        ("method.readout.name=most_alike", "+method.readout.anchors=6"),
        ("calibration.name=centred",),
    ],
)
def test_a_job_with_a_file_of_the_page_runs(
    run: Command, mine: str, words: tuple[str, ...]
) -> None:
    code, out, err = run(f"plugins={mine}", "test_size=6", *words)
    assert (code, err) == (0, "")
    assert words[0].rpartition("=")[2] in out


def test_the_version_is_one() -> None:
    newest = re.search(r"^## (\S+) - ", (ROOT / "CHANGELOG.md").read_text(), re.M)
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"]
    assert newest is not None
    assert deepthink.__version__ == newest[1] == cited
