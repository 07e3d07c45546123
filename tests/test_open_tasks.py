"""Open tasks: references are scored token by token, and nothing that needs given answers runs."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Command, assert_one_line, stored
from pydantic import ValidationError
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from deepthink.config.open_tasks import OpenSpec
from deepthink.config.overrides import compose, requested
from deepthink.engine import reference
from deepthink.errors import UserError
from deepthink.report.open_answers import Questions, change
from deepthink.store import schema, scores
from deepthink.tasks import github_files, sources
from deepthink.tasks.final_answers import beginnings

TEMPLATE = "Question: {text}\nAnswer:"
STEPS = 3


def asked(number: int) -> str:
    """A made-up problem as it stands in a prompt."""
    return TEMPLATE.replace("{text}", problem(number)["question"])


def problem(number: int) -> dict[str, str]:
    """A made-up problem and its solution."""
    total = number + 3
    question = f"Ann has {number} pans and buys 3. How many?"
    return {"question": question, "answer": f"{number}+3 = {total} pans.\n#### {total}"}


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    """The data of `write_data`."""
    write_data(tmp_path / "data")
    return tmp_path / "data"


def write_data(root: Path) -> None:
    """GSM8K's and E2E's files in the layout of their repositories, with rows of our own."""
    folder = root / "openai" / "grade-school-math" / "grade_school_math" / "data"
    folder.mkdir(parents=True)
    for split, numbers in (("train", range(10, 24)), ("test", range(40, 46))):
        rows = [json.dumps(problem(number)) for number in numbers]
        (folder / f"{split}.jsonl").write_text("\n".join(rows))
    folder = root / "tuetschek" / "e2e-dataset"
    folder.mkdir(parents=True)
    for name, inns in (("devset", range(8)), ("testset_w_refs", range(20, 24))):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["mr", "ref"])
            for number in inns:
                writer.writerow([f"name[Inn {number}]", f"There is an inn, {number}."])
                writer.writerow([f"name[Inn {number}]", f"Inn {number} is an inn."])


def done(run: Command, tmp_path: Path, *words: str) -> tuple[dict[str, Any], pd.DataFrame]:
    """The record and the scores of a job that must succeed."""
    code, _, err = run("demonstrations.count=2", f"method.iterations={STEPS}", *words)
    assert code == 0, err
    (found,) = stored(tmp_path)
    table = scores.read(found[0], found[1]["scores"])
    assert table is not None
    return found[1], table


def encoded(tokenizer: PreTrainedTokenizerFast, text: str) -> list[int]:
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])


@pytest.mark.parametrize("positions", ["continued", "aligned"])
def test_the_log_probabilities_of_solutions_are_those_of_the_slow_program(
    run: Command,
    tmp_path: Path,
    tiny_folder: Path,
    tokenizer: PreTrainedTokenizerFast,
    positions: str,
) -> None:
    words = ("task=gsm8k", "method.step_size=0.3", f"method.positions={positions}")
    record, table = done(run, tmp_path, *words)
    model = AutoModelForCausalLM.from_pretrained(tiny_folder).eval()
    shown = [problem(number) for number in (10, 11)]
    questions = [asked(n) for n in range(40, 46)]
    solved = [" " + problem(n)["answer"] for n in range(40, 46)]
    text = "".join(f"Question: {p['question']}\nAnswer: {p['answer']}\n\n" for p in shown)
    memories = reference.think(model, encoded(tokenizer, text), STEPS, 0.3, positions=positions)
    queries = [encoded(tokenizer, question) for question in questions]
    whole = [encoded(tokenizer, solution) for solution in solved]
    fronts = [encoded(tokenizer, solution.rpartition(" ")[0]) for solution in solved]
    for step, memory in enumerate(memories, start=1):
        rows = reference.score(
            model, memory, queries, [list(pair) for pair in zip(whole, fronts, strict=True)]
        )
        at = record["open"][step - 1]
        per_token = np.array([row[0] / len(ids) for row, ids in zip(rows, whole, strict=True)])
        finals = np.array([row[0] - row[1] for row in rows])
        assert at["step"] == step and at["count"] == 6
        assert at["log_p"] == pytest.approx(per_token.mean(), abs=2e-6)
        assert at["final_log_p"] == pytest.approx(finals.mean(), abs=2e-5)
        kept = Questions.of(table)
        assert sorted(kept.log_p[step]) == pytest.approx(sorted(per_token), abs=1e-5)
        assert sorted(kept.final[step]) == pytest.approx(sorted(finals), abs=5e-5)
    assert record["open"][0]["log_p"] != pytest.approx(record["open"][2]["log_p"], abs=1e-5)


def test_a_question_counts_once_however_many_references_it_has(
    run: Command, tmp_path: Path, tiny_folder: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    record, table = done(run, tmp_path, "task=e2e", "method=vanilla")
    assert "final_log_p" not in record["open"][0] and "final" not in table
    assert table.groupby("query").size().tolist() == [2, 2, 2, 2]
    pool = sources.load(compose(["task=e2e"]).task, str(tmp_path / "data")).pool
    shown = [pool[i] for i in record["demonstrations"]["indices"]]
    text = "".join(f"Data: {e.text}\nSentence: {e.candidates[0]}\n\n" for e in shown)
    model = AutoModelForCausalLM.from_pretrained(tiny_folder).eval()
    means = []
    for number in range(20, 24):
        logs = []
        for answer in (f" There is an inn, {number}.", f" Inn {number} is an inn."):
            front = encoded(tokenizer, text)
            front += encoded(tokenizer, f"Data: name[Inn {number}]\nSentence:")
            ids = encoded(tokenizer, answer)
            with torch.no_grad():
                logits = model(torch.tensor([front + ids])).logits[0].log_softmax(-1)
            at = range(len(front) - 1, len(front) + len(ids) - 1)
            logs.append(np.mean([logits[p, t].item() for p, t in zip(at, ids, strict=True)]))
        means.append(np.mean(logs))
    assert record["open"][0]["log_p"] == pytest.approx(np.mean(means), abs=2e-6)


def test_a_record_of_an_open_task_has_no_accuracy(run: Command, tmp_path: Path) -> None:
    record, _ = done(run, tmp_path, "task=gsm8k")
    assert record["curve"] == [] and record["step_by_dev"] is None
    assert record["identity"]["task"]["open"] == {"final": "####"}
    assert "answer" not in record["identity"]["task"]
    assert [drift["step"] for drift in record["drift"]] == [2, 3]
    code, out, _ = run("task=gsm8k", "demonstrations.count=2", f"method.iterations={STEPS}")
    assert code == 0 and "read, not run again" in out
    assert (
        "log p per token" in out and "accuracy" not in out and "%" not in out.partition("t ")[2][:0]
    )


def test_a_change_since_plain_learning_has_students_interval_over_questions() -> None:
    rng = np.random.default_rng(0)
    first, later = rng.normal(size=(2, 30))
    estimate = change([{1: first, 4: later}], 4)
    gaps = later - first
    from scipy import stats

    low, high = stats.t.interval(0.95, 29, gaps.mean(), gaps.std(ddof=1) / np.sqrt(30))
    assert (estimate.mean, estimate.low, estimate.high) == pytest.approx((gaps.mean(), low, high))


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["calibration=batch"], "leave out calibration"),
        (["answer_score=mean"], "always measured per token"),
        (["demonstrations.labels=flipped"], "no other labels"),
        (["dev_size=4"], "t is not chosen on dev rows"),
        (["scale=cpu"], "t is not chosen on dev rows"),
        (["method=best_random"], "the demonstrations of gsm8k are the benchmark's own"),
        (["task.open.generate=always"], "valid: all, ends, none"),
        (["task.open.metric=rouge"], "task.open.metric"),
        (["task.open.final=null"], "compares final answers"),
        (["task.open.final=' '"], "task.open.final is empty"),
        (["task.open.max_new_tokens=0"], "must be 1 or more"),
        (["task.open.max_new_tokens=100000"], "must be 4,096 or less"),
        (["task.open.stop=['']"], "at which every answer ends"),
        (["task.open=null"], "needs classes, or choices"),
        (["task.open.final='=> '"], "nothing behind '=> '"),
        (["test_size=7"], "has 6 test examples"),
    ],
)
def test_what_needs_given_answers_is_refused_in_a_line(
    run: Command, tmp_path: Path, words: list[str], hint: str
) -> None:
    code, _, err = run("task=gsm8k", "demonstrations.count=2", *words)
    assert_one_line(code, err, hint)
    assert not stored(tmp_path)


@pytest.mark.parametrize("method", ["herding", "best_random", "lens"])
def test_rules_that_compare_label_words_are_refused_in_a_line(run: Command, method: str) -> None:
    code, _, err = run("task=e2e", "demonstrations.count=2", f"method={method}")
    assert_one_line(code, err, "")


@pytest.mark.parametrize(
    ("split", "row", "hint"),
    [
        ("test", {"question": "Why?", "answer": "Because."}, "row 7 of"),
        ("test", {"question": "Why?", "answer": "Because.\n#### "}, "nothing behind '####'"),
        ("test", {"question": "Why?", "answer": None}, "no reference answer"),
        ("test", {"question": " ", "answer": "Because.\n#### 1"}, "no text"),
    ],
)
def test_a_row_without_a_question_or_a_final_answer_is_named(
    run: Command, data_root: Path, split: str, row: dict[str, Any], hint: str
) -> None:
    file = data_root / f"openai/grade-school-math/grade_school_math/data/{split}.jsonl"
    file.write_text(file.read_text() + "\n" + json.dumps(row))
    code, _, err = run("task=gsm8k", "demonstrations.count=2")
    assert_one_line(code, err, hint)


@pytest.mark.usefixtures("wandb_offline")
def test_an_open_job_is_sent_to_wandb_with_its_likelihoods_and_answers(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import wandb

    sent: list[dict[str, Any]] = []
    log = wandb.sdk.wandb_run.Run.log

    def logged(self: Any, data: dict[str, Any], *rest: Any) -> None:
        sent.append(data)
        log(self, data, *rest)

    monkeypatch.setattr(wandb.sdk.wandb_run.Run, "log", logged)
    words = ("task=gsm8k", "demonstrations.count=2", "method.iterations=2", "test_size=2")
    written = ("task.open.generate=ends", "task.open.max_new_tokens=4")
    code, out, _ = run(*words, *written, "wandb.mode=offline")
    assert code == 0 and "not sent" not in out
    assert [set(line) for line in sent[:2]] == [
        {"t", "test/log p per token", "test/log p final answer", "test/strict", "test/flexible"}
    ] * 2
    assert {"score", "tokens", "written"} <= set(sent[2]["predictions"].columns)


def test_a_record_whose_points_do_not_fit_is_not_read(run: Command, tmp_path: Path) -> None:
    record, _ = done(run, tmp_path, "task=gsm8k")
    record.pop("checksum")
    assert schema.parse(record).open
    for wrong in ({"count": 5}, {"step": 7}):
        points = [{**record["open"][0], **wrong}, *record["open"][1:]]
        with pytest.raises(ValidationError):
            schema.parse({**record, "open": points})


def test_drawn_demonstrations_depend_on_the_seed_and_given_ones_do_not(
    run: Command, tmp_path: Path
) -> None:
    for seed in (0, 1):
        for task in ("gsm8k", "gsm8k_drawn"):
            words = (f"task={task}", f"seed={seed}", "demonstrations.count=2", "method=vanilla")
            assert run(*words)[0] == 0
    shown = {
        (path.parts[-3], r["identity"]["seed"]): r["demonstrations"]["indices"]
        for path, r in stored(tmp_path)
    }
    assert shown["gsm8k", 0] == [0, 1] and ("gsm8k", 1) not in shown
    assert shown["gsm8k_drawn", 0] != shown["gsm8k_drawn", 1]


def test_a_test_question_is_no_demonstration_whatever_solution_it_has(
    run: Command, tmp_path: Path, data_root: Path
) -> None:
    file = data_root / "openai/grade-school-math/grade_school_math/data/train.jsonl"
    again = {**problem(40), "answer": "Count them.\n#### 43"}
    file.write_text(file.read_text() + "\n" + json.dumps(again))
    task = compose(["task=gsm8k_drawn"]).task
    splits = sources.load(task, str(data_root))
    assert problem(40)["question"] not in {example.text for example in splits.pool}
    assert splits.overlap["test"] == 1 and len(splits.pool) == 14


def test_copies_and_refinements_of_a_plugin_serve_open_tasks(run: Command, tmp_path: Path) -> None:
    plugins = Path(__file__).parent.parent / "examples" / "plugins"
    words = ("task=gsm8k", "demonstrations.count=2", "method.iterations=2")
    assert run(*words, "method=repeat", "method.copies=2", "method.iterations=1")[0] == 0
    assert run(*words, f"plugins={plugins}", "method.refinement.name=gradient")[0] == 0
    copied, refined = sorted(stored(tmp_path), key=lambda pair: len(pair[1]["open"]))
    assert copied[1]["demonstrations"]["copies"] == 2
    assert [point["step"] for point in refined[1]["open"]] == [1, 2]


def test_how_answers_are_written_is_no_part_of_the_key_where_none_are(tmp_path: Path) -> None:
    def known(*words: str) -> object:
        task = requested(["task=gsm8k", *words]).jobs[0].task
        assert task.open is not None
        return task.open.known

    assert known() == known("task.open.stop=[END]", "task.open.max_new_tokens=9")
    assert known("task.open.generate=ends") != known()
    written = "task.open.generate=ends"
    assert known(written) != known(written, "task.open.max_new_tokens=9")


def test_a_source_of_github_is_checked_by_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPTHINK_CACHE", str(tmp_path))
    monkeypatch.setattr(github_files, "HOST", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="cannot be reached: set data_root"):
        sources.read(compose(["task=e2e"]).task, None)


def test_the_beginning_of_a_reference_is_cut_at_a_token(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    reference = "3+4 = 7 pans.\n#### 7"
    (count,) = beginnings(
        tokenizer, TEMPLATE, {reference: encoded(tokenizer, f" {reference}")}, "####"
    )
    assert count == len(encoded(tokenizer, " 3+4 = 7 pans.\n####"))
    merged = "it is positive"
    with pytest.raises(UserError, match="no tokens for the final answer"):
        ids = encoded(tokenizer, f" {merged}")
        beginnings(tokenizer, TEMPLATE, {merged: ids}, "posit")


def test_a_specification_says_after_which_t_answers_are_written() -> None:
    ways = {way: OpenSpec(None, "bleu", generate=way) for way in ("none", "ends", "all")}
    steps = [1, 2, 5]
    assert [spec.steps(steps) for spec in ways.values()] == [[], [1, 5], steps]
    assert ways["ends"].steps([1]) == [1]


def test_written_answers_are_those_that_the_model_writes_after_the_whole_prompt(
    run: Command, tmp_path: Path, tiny_folder: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    written = ("task.open.generate=ends", "task.open.max_new_tokens=12", "task.open.stop=[]")
    record, table = done(run, tmp_path, "task=gsm8k", "method.step_size=0.5", *written)
    assert [("metrics" in point) for point in record["open"]] == [True, False, True]
    assert set(record["open"][0]["metrics"]) == {"strict", "flexible"}
    model = AutoModelForCausalLM.from_pretrained(tiny_folder).eval()
    shown = "".join(f"{asked(10 + n)} {problem(10 + n)['answer']}\n\n" for n in range(2))
    splits = sources.load(compose(["task=gsm8k"]).task, str(tmp_path / "data"))
    first = table[table["step"] == 1].set_index("query")["written"]
    for place, example in enumerate(splits.test):
        question = TEMPLATE.replace("{text}", example.text)
        ids = torch.tensor([encoded(tokenizer, shown) + encoded(tokenizer, question)])
        whole = model.generate(ids, max_new_tokens=12, do_sample=False, pad_token_id=1)
        new = tokenizer.decode(whole[0, ids.shape[1] :], skip_special_tokens=True)
        assert first[place] == new
    assert table[table["step"] == 2]["written"].isna().all()
    assert table[table["step"] == 2]["flexible_correct"].isna().all()
    last = table[table["step"] == 3]
    assert record["open"][2]["metrics"]["flexible"] == last["flexible_correct"].mean()


def test_an_answer_ends_at_a_stop_text_and_where_the_positions_end(
    run: Command, tmp_path: Path
) -> None:
    words = ("task=gsm8k", "demonstrations.count=2", "method=vanilla", "task.open.generate=all")
    assert run(*words, "task.open.max_new_tokens=4096", "test_size=2")[0] == 0
    ((path, record),) = stored(tmp_path)
    whole = scores.read(path, record["scores"])
    assert whole is not None and len(whole["written"][0]) > 200
    stop = whole["written"][0][5:8]
    assert run(*words, f"task.open.stop=[{json.dumps(stop)}]", "test_size=2")[0] == 0
    tables = [scores.read(path, record["scores"]) for path, record in stored(tmp_path)]
    texts = [table["written"][0] for table in tables if table is not None]
    assert whole["written"][0].partition(stop)[0] in texts
