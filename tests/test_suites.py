"""MMLU and BIG-Bench Hard: the published counts, and whole suites on a tiny model."""

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import Command, assert_one_line, stored
from transformers import PreTrainedTokenizerBase

from deepthink import hub
from deepthink.app import wandb_runs
from deepthink.app.progress_bar import ProgressWatcher
from deepthink.config.overrides import requested
from deepthink.config.tasks import SuiteSpec
from deepthink.errors import UserError
from deepthink.installation import CONF
from deepthink.models import loading
from deepthink.progress import Watcher
from deepthink.store import ledger, records
from deepthink.study import jobs, requests
from deepthink.study.jobs import Job, Outcome
from deepthink.tasks import prompts, sources
from deepthink.tasks.examples import examples_of
from deepthink.tasks.rows import Rows

SUITES = ("mmlu", "bbh")
LETTERS = "ABCD"


def suite_of(name: str) -> SuiteSpec:
    suite = requested([f"task={name}"]).suite
    assert suite is not None
    return suite


def members(name: str) -> list[str]:
    return list(suite_of(name).rows)


@pytest.mark.parametrize("suite", SUITES)
def test_counts_of_tables_5_and_6_are_what_the_configs_say(suite: str, mirror: Path) -> None:
    paper = (mirror.parent / "paper.txt").read_text(encoding="utf-8")
    table = {
        "mmlu": paper.partition("\nSTEM\n")[2].partition("Table 5")[0],
        "bbh": paper.partition("\nBBH\n")[2].partition("Table 6")[0],
    }[suite]
    printed = {name.replace("_", ""): int(n) for name, n in re.findall(r"(\w+): (\d+)", table)}
    ours = suite_of(suite).rows
    assert {name.replace("_", ""): n for name, n in ours.items()} == printed
    assert len(ours) == {"mmlu": 57, "bbh": 22}[suite]


@pytest.mark.parametrize("member", [f"{s}/{name}" for s in SUITES for name in members(s)])
def test_counts_of_tables_5_and_6_come_out_of_the_data(member: str, mirror: Path) -> None:
    suite, _, name = member.partition("/")
    task = requested([f"task={suite}", f"task.members=[{name}]"]).jobs[0].task
    source = sources.read(task, str(mirror))
    assert {"pool": len(source.pool), "test": len(source.test)} == task.rows
    for example in (*source.pool, *source.test):
        assert "Options:" not in example.text
        assert "canary GUID" not in example.text
        assert example.candidates[example.label].strip()


@pytest.mark.parametrize("answer", ["text", "letter"])
def test_every_member_fits_a_context_of_2048(
    answer: str, mirror: Path, tokenizer_of_smollm2: PreTrainedTokenizerBase
) -> None:
    """Pythia's context: some demonstrations are dropped, no member is lost."""
    kept = {}
    for suite in SUITES:
        for config in requested([f"task={suite}", f"task.answer={answer}"]).jobs:
            splits = sources.load(config.task, str(mirror))
            encoded = prompts.encode(
                tokenizer_of_smollm2,
                config.task.template,
                splits.pool,
                splits.test,
                "apart",
                "drop",
                2048,
            )
            kept[config.task.name] = encoded.kept
            assert 2 * len(encoded.demonstrations) <= 2048
    assert min(kept.values()) >= 1
    assert kept["mmlu/high_school_european_history"] < 5
    assert kept["mmlu/virology"] == 5


@pytest.fixture
def suite_root(tmp_path: Path) -> Path:
    """Three MMLU subjects and three BBH tasks in the hub's layout, made up."""
    root = tmp_path / "suites"
    for subject, count in (("astronomy", 6), ("virology", 7), ("sociology", 5)):
        for split, number in (("dev", 5), ("test", count)):
            rows = [
                {
                    "question": f"{subject} {split} {i}?",
                    "subject": subject,
                    "choices": [f"a kettle {i}", "a dull day", " sings", f"leaks {i} and {i} "],
                    "answer": i % 4,
                }
                for i in range(number)
            ]
            write(root / "cais" / "mmlu" / subject, split, rows)
    listed = "\nOptions:\n(A) the kettle\n(B) a fine day"
    for task, ending, golds in (
        ("snarks", listed, ["(A)", "(B)"]),
        ("navigate", "\nOptions:\n- Yes\n- No", ["Yes", "No"]),
        ("sports_understanding", "", ["yes", "no"]),
    ):
        rows = [{"input": f"{task} {i}?{ending}", "target": golds[i % 2]} for i in range(6)]
        if task == "snarks":  # not the usual number of options, one with a broken target
            rows += [
                {"input": f"odd?{ending}\n(C) more", "target": "(C)"},
                {"input": "odd?\nOptions:\n(A) Cups\n(B) Inc\n(C) x", "target": "Cups, Inc"},
            ]
        write(root / "SaylorTwift" / "bbh" / task, "test", rows)
        worked = [
            f"Q: shot {i}?{ending}\nA: Hm. So the answer is {golds[i % 2]}." for i in range(3)
        ]
        file = root / "suzgunmirac" / "BIG-Bench-Hard" / "cot-prompts" / f"{task}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("a canary line\n-----\nDo it.\n\n" + "\n\n".join(worked))
    return root


def write(folder: Path, split: str, rows: list[dict[str, Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_parquet(folder / f"{split}-00000-of-00001.parquet")


MMLU = ("task=mmlu", "task.members=[astronomy,virology,sociology]")
BBH = ("task=bbh", "task.members=[snarks,navigate,sports_understanding]")


@pytest.mark.parametrize(("words", "questions"), [(MMLU, [6, 7, 5]), (BBH, [6, 6, 6])])
def test_a_suite_has_a_record_per_member_and_one_report(
    run: Command, suite_root: Path, tmp_path: Path, words: tuple[str, str], questions: list[int]
) -> None:
    code, out, err = run(*words, f"data_root={suite_root}")
    assert (code, err) == (0, "")
    found = {record["identity"]["task"]["name"]: record for _, record in stored(tmp_path)}
    suite = requested(list(words))
    assert set(found) == {job.task.name for job in suite.jobs}
    assert sorted(r["data"]["rows"]["test"] for r in found.values()) == sorted(questions)
    for record in found.values():
        assert record["data"]["rows"]["dev"] == 0
        assert suite.suite is not None
        assert record["demonstrations"]["kept"] == suite.suite.demonstrations
    for words_of_report in ("macro", "micro", "t=1", "t=3", "3 records written"):
        assert words_of_report in out
    # the micro average of the report is that of the records
    last = [record["curve"][-1] for record in found.values()]
    share = sum(p["correct"] for p in last) / sum(p["count"] for p in last)
    rows = [line for line in out.splitlines() if "micro" in line and "%" not in line]
    assert f"{100 * share:.1f} [" in rows[-1]


def test_records_of_members_say_what_their_numbers_depend_on(
    run: Command, suite_root: Path, tmp_path: Path
) -> None:
    run(*MMLU, f"data_root={suite_root}")
    for path, record in stored(tmp_path):
        task = record["identity"]["task"]
        assert record["identity"]["selector"] == {"name": "given"}
        assert task["answer"] == "text"
        assert path.parent.parent.name == record["config"]["task"]["member"]
        scores = pd.read_parquet(path.with_suffix(".parquet"))
        assert set(scores["candidate"]) == {0, 1, 2, 3}


def test_candidates_of_their_own_change_the_key(suite_root: Path) -> None:
    task = requested([*MMLU]).jobs[0].task
    first = sources.load(task, str(suite_root))
    file = suite_root / "cais" / "mmlu" / "astronomy" / "test-00000-of-00001.parquet"
    rows = pd.read_parquet(file)
    rows["choices"] = [["something", "else", " sings", "leaks"], *rows["choices"][1:]]
    rows.to_parquet(file)
    again = sources.load(task, str(suite_root))
    assert sources.fingerprint(first, task) != sources.fingerprint(again, task)


def test_a_rerun_does_only_what_is_missing(run: Command, suite_root: Path, tmp_path: Path) -> None:
    words = (*MMLU, f"data_root={suite_root}")
    run(*words)
    before = dict(stored(tmp_path))
    lost = next(path for path in before if "virology" in str(path))
    lost.unlink()
    code, out, _ = run(*words)
    assert code == 0
    assert "1 records written, 2 read" in out
    after = dict(stored(tmp_path))
    assert {p: r["curve"] for p, r in after.items()} == {p: r["curve"] for p, r in before.items()}
    assert [p for p in after if after[p]["finished"] != before[p]["finished"]] in ([lost], [])


def test_seeds_change_nothing_and_orders_do(run: Command, suite_root: Path, tmp_path: Path) -> None:
    words = (*BBH, f"data_root={suite_root}")
    run(*words)
    _, out, _ = run(*words, "seed=5")
    assert "0 records written, 3 read" in out
    assert "seed=5 changes nothing" in out
    for order in (1, 2, 3):
        _, out, _ = run(*words, f"order={order}", "seed=5", "task.answer=text")
        assert f"bbh · order {order} · deepthink" in out
    _, out, _ = run(*words, "order=1", "seed=6")
    assert "0 records written, 3 read" in out
    shots = {r["identity"]["order"]: r["demonstrations"]["indices"] for _, r in stored(tmp_path)}
    assert shots[0] == [0, 1, 2]
    assert all(sorted(indices) == [0, 1, 2] for indices in shots.values())
    assert len({tuple(indices) for indices in shots.values()}) > 2


def test_fewer_demonstrations_are_the_first(run: Command, suite_root: Path, tmp_path: Path) -> None:
    assert run(*BBH, f"data_root={suite_root}", "demonstrations.count=2")[0] == 0
    shots = [record["demonstrations"]["indices"] for _, record in stored(tmp_path)]
    assert shots == [[0, 1]] * 3


def narrow(folder: Path, tmp_path: Path, positions: int) -> Path:
    """A copy of a model that knows fewer positions."""
    copy = tmp_path / "narrow"
    shutil.copytree(folder, copy)
    settings = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(
        json.dumps({**settings, "max_position_embeddings": positions})
    )
    return copy


def test_the_report_says_how_many_demonstrations_each_member_kept(
    run: Command, suite_root: Path, tmp_path: Path, tiny_folder: Path
) -> None:
    file = suite_root / "cais" / "mmlu" / "virology" / "dev-00000-of-00001.parquet"
    rows = pd.read_parquet(file)
    rows["question"] = "a dull day " * 12
    rows.to_parquet(file)
    model = f"model.hub_id={narrow(tiny_folder, tmp_path, 512)}"
    code, out, _ = run(*MMLU, f"data_root={suite_root}", model)
    assert code == 0
    kept = {r["config"]["task"]["member"]: r["demonstrations"]["kept"] for _, r in stored(tmp_path)}
    assert kept["astronomy"] == 5
    assert 1 <= kept["virology"] < 5
    (line,) = (line for line in out.splitlines() if line.startswith(" virology"))
    assert f"{kept['virology']} of 5" in line
    assert "all demonstrations of 1 member" in " ".join(out.split())


def test_one_bar_spans_the_whole_suite(suite_root: Path, tiny_folder: Path, tmp_path: Path) -> None:
    class Recorder(Watcher):
        def __init__(self) -> None:
            self.totals: list[int] = []
            self.readings = 0

        def start(self, total: int) -> None:
            self.totals.append(total)

        def advance(self, readings: int) -> None:
            self.readings += readings

    request = requested(
        [
            *MMLU,
            f"data_root={suite_root}",
            f"results={tmp_path}",
            f"model.hub_id={tiny_folder}",
            "model.package=null",
        ]
    )
    watch = Recorder()
    requests.run(request, watch)
    assert watch.totals == [5 * (6 + 7 + 5)]
    assert watch.readings == watch.totals[0]
    requests.run(request, watch)
    assert watch.totals[1:] == [0]


def test_a_failing_member_is_named_and_stops_no_other(
    run: Command, suite_root: Path, tmp_path: Path
) -> None:
    file = suite_root / "cais" / "mmlu" / "virology" / "test-00000-of-00001.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[:100])
    code, out, err = run(*MMLU, f"data_root={suite_root}")
    assert code == 1
    assert err.startswith("error: mmlu/virology: ")
    assert err.count("\n") == 1
    assert "failed" in out
    assert len(stored(tmp_path)) == 2
    averages = {
        line.partition(",")[0].strip(): line for line in out.splitlines() if "macro" in line
    }
    for group, missing in (("STEM", False), ("Others", True), ("all", True)):
        assert ("–" in averages[group]) == missing
    file.write_bytes(whole)
    code, out, _ = run(*MMLU, f"data_root={suite_root}")
    assert code == 0
    assert "1 records written, 2 read" in out


def test_what_stops_every_member_is_met_once(
    run: Command, suite_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads = []

    def refuse(*arguments: object, **_: object) -> None:
        loads.append(arguments)
        raise UserError("no such weights")

    monkeypatch.setattr(loading, "load", refuse)
    code, _, err = run(*MMLU, f"data_root={suite_root}")
    assert (code, err) == (1, "error: no such weights\n")
    assert len(loads) == 1
    assert len(list((tmp_path / "results" / "failures").rglob("*.json"))) == 3


def test_what_breaks_unexpectedly_is_one_line_and_recorded(
    run: Command, suite_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("hidden_act")

    monkeypatch.setattr(loading, "load", broken)
    code, _, err = run(*MMLU, f"data_root={suite_root}")
    assert_one_line(code, err, "hidden_act")
    assert len(list((tmp_path / "results" / "failures").rglob("*.json"))) == 3


def test_equal_reasons_are_told_once(run: Command, tmp_path: Path) -> None:
    (tmp_path / "bare").mkdir()
    code, _, err = run("task=mmlu", f"data_root={tmp_path / 'bare'}")
    assert code == 1
    assert err.count("error:") == 1
    assert "and 54 more: data_root has no folder cais/mmlu" in err


def test_an_interrupted_member_is_named_and_the_others_kept(
    run: Command, suite_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    perform = jobs.perform

    def impatient(job: Job, watch: ProgressWatcher) -> Outcome:
        if "virology" in job.config.task.name:
            raise KeyboardInterrupt
        return perform(job, watch)

    monkeypatch.setattr(jobs, "perform", impatient)
    code, _, err = run(*MMLU, f"data_root={suite_root}")
    assert code == 1
    assert "in mmlu/virology, 2 of 3 members are kept" in err
    assert len(stored(tmp_path)) == 2


def test_a_killed_suite_continues_and_ends_with_the_same_numbers(
    run: Command, tiny_folder: Path, suite_root: Path, tmp_path: Path
) -> None:
    """SIGKILL after the first record; the same words then give what an uninterrupted run does."""

    def words(results: str) -> list[str]:
        return [
            *MMLU,
            f"data_root={suite_root}",
            f"model.hub_id={tiny_folder}",
            "model.package=null",
            "method.iterations=40",
            f"results={tmp_path / results}",
            "wandb.mode=disabled",
        ]

    command = [sys.executable, str(CONF.parent / "run.py"), *words("killed")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path)
    while process.poll() is None and not list((tmp_path / "killed").rglob("*.json")):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = len(list((tmp_path / "killed").rglob("*.json")))
    assert done >= 1  # on a loaded machine the kill may come after the last
    printed = []
    for results in ("killed", "whole"):
        code, out, err = run(*words(results))
        assert (code, err) == (0, "")
        printed.append(out)
    assert f"{3 - done} records written, {done} read" in printed[0]
    tables = [out.partition(" records written")[0].rstrip("0123456789") for out in printed]
    assert tables[0] == tables[1]
    curves = [
        {r.identity.task.name: r.curve for _, r in records.load_all(tmp_path / results).records}
        for results in ("killed", "whole")
    ]
    assert curves[0] == curves[1]


@pytest.mark.parametrize("options", [["one", " "], ["one", 2], "one"])
def test_options_that_are_no_texts_are_refused(options: list[int | str] | str) -> None:
    task = requested([*MMLU]).jobs[0].task
    columns: dict[str, list[Any]] = {"question": ["Which?"], "choices": [options], "answer": [0]}
    rows = Rows(columns, [(Path("test.parquet"), 1)], {})
    with pytest.raises(UserError, match=r"row 1 of test\.parquet has options"):
        list(examples_of(rows, task.sources[0], task))


@pytest.mark.parametrize("answer", ["text", "letter"])
def test_prompts_of_both_answers_by_hand(answer: str, suite_root: Path) -> None:
    suite = requested([*MMLU, f"task.answer={answer}"])
    example = sources.load(suite.jobs[0].task, str(suite_root)).test[1]
    listing = "\nA. a kettle 1\nB. a dull day\nC. sings\nD. leaks 1 and 1"
    texts: tuple[str, ...] = ("a kettle 1", "a dull day", "sings", "leaks 1 and 1")
    shown, candidates = {"text": ("", texts), "letter": (listing, tuple(LETTERS))}[answer]
    assert example.text == f"astronomy test 1?{shown}"
    assert example.candidates == candidates
    assert example.label == 1
    suite = requested([*BBH, f"task.answer={answer}"])
    loaded = {job.task.member: sources.load(job.task, str(suite_root)) for job in suite.jobs}
    listing = "\nOptions:\n(A) the kettle\n(B) a fine day"
    texts = ("the kettle", "a fine day")
    shown, candidates = {"text": ("", texts), "letter": (listing, ("(A)", "(B)"))}[answer]
    assert loaded["snarks"].left_out == 2
    for example in (loaded["snarks"].pool[1], loaded["snarks"].test[1]):
        assert example.text.endswith(f"1?{shown}")
        assert (example.candidates, example.label) == (candidates, 1)
    listing = {"text": "", "letter": "\nOptions:\n- Yes\n- No"}[answer]
    assert loaded["navigate"].test[0].text == f"navigate 0?{listing}"
    assert loaded["navigate"].test[0].candidates == ("No", "Yes")
    assert loaded["sports_understanding"].test[1].candidates == ("no", "yes")


BAD = {
    "unknown member": (["task.members=[virologie]"], "virology"),
    "a key tasks have": (["task.member=virology"], "task.members"),
    "no members": (["task.members=[]"], "1 or more"),
    "a name for a list": (["task.members=virology"], "task.members"),
    "unknown answer": (["task.answer=number"], "letter"),
    "a dev set of given demonstrations": (["dev_size=3"], "leave it out"),
    "more demonstrations than given": (["demonstrations.count=9"], "pool holds 5"),
    "a selector of given demonstrations": (["method.selector.name=topk"], "method=vanilla"),
    "more test examples than there are": (["test_size=9"], "test examples"),
    "results under a file": (["results=/dev/null/results"], "cannot write"),
    "no network for the model": (["model=gpt2-large"], "python run.py prefetch model=gpt2-large"),
    "a device that is not there": (["device=mps"], "device=auto"),
    "no room in the context": (["prompt.overflow=error", "model=narrow"], "positions"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_to_a_suite_is_one_clear_line(
    run: Command, suite_root: Path, kind: str, tmp_path: Path, tiny_folder: Path
) -> None:
    words, hint = BAD[kind]
    if "model=narrow" in words:
        words = [words[0], f"model.hub_id={narrow(tiny_folder, tmp_path, 40)}"]
    code, _, err = run("task=mmlu", f"data_root={suite_root}", "task.members=[virology]", *words)
    assert_one_line(code, err, hint)
    assert not stored(tmp_path)


@pytest.mark.usefixtures("wandb_offline")
def test_a_suite_is_one_wandb_run(
    run: Command, suite_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, publish = [], wandb_runs.send_suite

    def counted(*arguments: Any) -> None:
        sent.append(arguments)
        publish(*arguments)

    monkeypatch.setattr(wandb_runs, "send_suite", counted)
    words = (*MMLU, f"data_root={suite_root}", "wandb.mode=offline")
    for _ in range(2):  # the second time every record is read
        code, out, _ = run(*words)
        assert code == 0
        assert "not sent" not in out
    assert len(sent) == 1
    assert len(list((tmp_path / "wandb").glob("offline-run-*"))) == 1


SHARED = ("launcher=basic", "workers=2", *MMLU)


def logs(tmp_path: Path) -> list[str]:
    return [path.read_text() for path in (tmp_path / "results" / "sweeps").rglob("worker*.log")]


def test_a_shared_suite_is_done_member_by_member(
    run: Command, suite_root: Path, tmp_path: Path
) -> None:
    """Asked for with force, each once more; at the end one worker reports the whole."""
    for times, force in ((1, "force=false"), (2, "force=true")):
        code, out, err = run(*SHARED, f"data_root={suite_root}", "order=0,1", force)
        assert (code, err) == (0, "")
        assert "6 jobs, 2 workers" in out
        assert "jobs: 6 done, 0 read, 0 failed" in out
        told = "".join(logs(tmp_path))
        assert told.count("wrote ") == 6 * times
        assert told.count("0 records written, 3 read") == 2 * times
    assert len(stored(tmp_path)) == 6


def test_a_failing_member_of_a_shared_suite_is_tried_once(
    run: Command, suite_root: Path, tmp_path: Path
) -> None:
    file = suite_root / "cais" / "mmlu" / "virology" / "test-00000-of-00001.parquet"
    file.write_bytes(file.read_bytes()[:100])
    code, out, err = run(*SHARED, f"data_root={suite_root}")
    assert (code, err.count("\n")) == (1, 1)
    assert err.startswith("error: mmlu/virology: ")
    assert "jobs: 2 done, 0 read, 1 failed" in out
    journals = (tmp_path / "results" / "sweeps").rglob("worker*.jsonl")
    assert sum(len(path.read_text().splitlines()) for path in journals) == 3
    assert "macro" not in "".join(logs(tmp_path))
    for member in ("astronomy", "sociology"):
        shutil.rmtree(suite_root / "cais" / "mmlu" / member)
    shutil.rmtree(tmp_path / "results" / "records")
    code, _, err = run(*SHARED, f"data_root={suite_root}")
    assert code == 1
    assert err.count("\n") < 3  # what several get wrong is told once


@pytest.mark.usefixtures("wandb_offline")
def test_a_shared_suite_is_one_wandb_run(run: Command, suite_root: Path, tmp_path: Path) -> None:
    for _ in range(2):
        code, out, _ = run(*SHARED, f"data_root={suite_root}", "wandb.mode=offline")
        assert code == 0
        assert "not sent" not in out
    assert "not sent" not in "".join(logs(tmp_path))
    assert len(list((tmp_path / "wandb").glob("offline-run-*"))) == 1
    assert len(ledger.sent(tmp_path / "results")) == 3


@pytest.mark.usefixtures("wandb_offline")
def test_a_suite_killed_before_it_was_sent_is_sent_later(
    run: Command, suite_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = (*MMLU, f"data_root={suite_root}", "wandb.mode=offline")
    with monkeypatch.context() as patch:
        patch.setattr(wandb_runs, "publish_suite", lambda *_: None)
        run(*words)
    assert not ledger.sent(tmp_path / "results")
    for _ in range(2):
        run(*words)
        assert len(list((tmp_path / "wandb").glob("offline-run-*"))) == 1
        assert len(ledger.sent(tmp_path / "results")) == 3


def test_the_hub_is_asked_once_for_all_members(
    suite_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for the hub's client; the layout of the copy is the hub's."""
    asked = []

    def snapshot(repository: str, **options: Any) -> str:
        asked.append((repository, sorted(options["allow_patterns"]), options["repo_type"]))
        return str(suite_root / repository)

    monkeypatch.setattr(hub, "snapshot_download", snapshot)
    hub.dataset_folder.cache_clear()
    loaded = [sources.read(job.task, None) for job in requested([*MMLU]).jobs]
    hub.dataset_folder.cache_clear()
    assert [len(source.test) for source in loaded] == [6, 5, 7]
    assert {source.commit for source in loaded} == {
        "mmlu"
    }  # the copy's name, on the hub its commit
    assert asked == [("cais/mmlu", ["*/dev-*.parquet", "*/test-*.parquet"], "dataset")]


def test_examples_with_own_candidates_refuse_an_unknown_gold(suite_root: Path) -> None:
    file = suite_root / "cais" / "mmlu" / "astronomy" / "test-00000-of-00001.parquet"
    rows = pd.read_parquet(file)
    rows.loc[0, "answer"] = 4
    rows.to_parquet(file)
    with pytest.raises(UserError, match=r"label 4, which is none of \[0, 1, 2, 3\]"):
        sources.read(requested([*MMLU]).jobs[0].task, str(suite_root))
