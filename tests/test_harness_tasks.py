"""task=lm_eval/NAME: a job whose rows, prompts and options are those of lm-evaluation-harness."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import Command, assert_one_line, stored

from deepthink.config.overrides import compose, expand
from deepthink.tasks import own, sources, templates

pytestmark = pytest.mark.filterwarnings("ignore")  # the harness's own

CHOICE = {
    "output_type": "multiple_choice",
    "doc_to_text": "Question: {{question}}\nOf {it} all:\nType:",
    "doc_to_choice": "{{options}}",
    "doc_to_target": "{{answer}}",
    "num_fewshot": 3,
}
TASKS: dict[str, dict[str, Any]] = {
    "chosen": CHOICE,
    "first": {**CHOICE, "fewshot_config": {"sampler": "first_n"}},
    "words": {**CHOICE, "doc_to_choice": [" dull", " fine"], "target_delimiter": ""},
    "described": {**CHOICE, "description": "Kettles.\n\n"},
    "prefixed": {**CHOICE, "gen_prefix": "It is"},
    "open": {"output_type": "generate_until", "doc_to_text": "{{question}}", "doc_to_target": "a"},
    "endless": {**CHOICE, "doc_to_text": "{{question}}"},
    "untrained": {**CHOICE, "training_split": None, "fewshot_split": None},
    "wrong": {**CHOICE, "doc_to_target": "{{7 if question == 'test sings 3' else answer}}"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("lm_eval", reason="lm-eval is not installed: make lm-eval")
    folder = tmp_path_factory.mktemp("tasks")
    for split, count in (("train", 14), ("test", 6)):
        rows = [
            {
                "question": f"{split} sings {i}",
                "options": ["dull", "fine and dull", f"kettle {i}"][: 2 + i % 2],
                "answer": i % 2,
            }
            for i in range(count)
        ]
        (folder / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    files = {split: str(folder / f"{split}.jsonl") for split in ("train", "test")}
    about = {
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": files, "cache_dir": str(folder / "cache")},
        "training_split": "train",
        "fewshot_split": "train",
        "test_split": "test",
        "metadata": {"version": 2.0},
    }
    for name, task in TASKS.items():
        values = {"task": name, **about, **task}
        text = yaml.safe_dump({key: value for key, value in values.items() if value is not None})
        (folder / f"{name}.yaml").write_text(text)
    return folder


def harness_task(folder: Path, name: str) -> Any:
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(folder), include_defaults=False)
    return manager.load([name])["tasks"][name]


def test_prompts_and_answers_are_those_of_the_harness(folder: Path) -> None:
    job = compose(["task=lm_eval/first", f"task.include_path={folder}"])
    task = own.resolved(job.task)
    splits = sources.load(task, overlap="keep")
    assert (task.demonstrations, task.given, len(splits.pool)) == (3, True, 3)
    assert task.template == "Question: {text}\nOf {{it}} all:\nType:"
    theirs = harness_task(folder, "first")
    shown = "".join(
        templates.shot(task.parsed.prompt, example, task.delimiter).text for example in splits.pool
    )
    expected = {}
    for doc in theirs.eval_docs:
        context = theirs.fewshot_context(doc, num_fewshot=3)
        requests = theirs.construct_requests(doc, context)
        expected[context] = ([each.args[1] for each in requests], theirs.doc_to_target(doc))
    found = {
        shown + templates.fill(task.parsed.prompt, example.text): (
            [task.delimiter + option for option in example.candidates],
            example.label,
        )
        for example in splits.test
    }
    assert found == expected


def test_words_that_all_rows_share_are_the_tasks_labels(folder: Path) -> None:
    task = own.resolved(compose(["task=lm_eval/words", f"task.include_path={folder}"]).task)
    assert (task.labels, task.delimiter, task.given) == (["dull", "fine"], " ", False)
    assert task.rows == {"pool": 14, "test": 6}
    source = sources.read(task, None)
    assert {example.candidates for example in (*source.pool, *source.test)} == {("dull", "fine")}


def test_a_job_has_a_record_that_names_the_version(
    folder: Path, run: Command, tmp_path: Path
) -> None:
    words = ("task=lm_eval/chosen", f"task.include_path={folder}", "dev_size=0", "data_root=null")
    code, out, _ = run(*words, "method.iterations=2")
    assert code == 0
    assert "lm_eval-chosen" in out
    ((_, record),) = stored(tmp_path)
    known = record["identity"]["task"]["harness"]
    assert known["task"] == "chosen"
    assert known["version"] == "2.0"
    assert known["lm_eval"].startswith("0.4")
    assert len(record["demonstrations"]["indices"]) == 3


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("described", "has words of its own in front of the demonstrations"),
        ("prefixed", "begins its answers with words of its own"),
        ("open", "asks for generate_until"),
        ("endless", "end in different words"),
        ("untrained", "has no rows but its test rows"),
        ("wrong", "row 4 of lm_eval/wrong has no right option"),
    ],
)
def test_what_no_job_does_is_refused_in_one_line(
    folder: Path, run: Command, name: str, hint: str
) -> None:
    code, _, err = run(f"task=lm_eval/{name}", f"task.include_path={folder}", "data_root=null")
    assert_one_line(code, err, hint)


@pytest.mark.slow  # the harness reads the config of every task that it has
def test_a_task_that_does_not_exist_is_named(folder: Path, run: Command) -> None:
    code, _, err = run("task=lm_eval/arc_chalenge", "data_root=null")
    assert_one_line(code, err, "did you mean arc_challenge")


def test_words_of_the_command_line_name_such_tasks(run: Command) -> None:
    words = expand(["task=lm_eval/arc_easy,lm_eval/boolq", "seed=0"])
    assert [compose(each).task.name for each in words] == ["lm_eval-arc_easy", "lm_eval-boolq"]
    assert_one_line(*run("-m", "task=sst2,lm_eval/boolq")[::2], "give one command for each kind")


def test_without_the_harness_one_line_says_what_to_install(
    run: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("lm_eval", "lm_eval.tasks"):
        monkeypatch.setitem(sys.modules, name, None)
    code, _, err = run("task=lm_eval/arc_easy", "data_root=null")
    assert_one_line(code, err, "task=lm_eval/arc_easy needs lm-evaluation-harness")
