"""What calibrations ask is stored beside a job's rows, and read later without a model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import Command, assert_one_line, stored
from test_compare import told
from transformers import AutoModelForCausalLM, AutoTokenizer

from deepthink.config.overrides import compose
from deepthink.engine.scoring import Scorer
from deepthink.errors import UserError
from deepthink.models import loading
from deepthink.progress import Watcher
from deepthink.report import axes, commands
from deepthink.report.calibrated import FREE, NAMES, reading
from deepthink.report.runs import Run, Runs
from deepthink.store import scores as score_files
from deepthink.store.identity import family, identity, record_id
from deepthink.study import calibrating, jobs

ASKING = ("contextual", "domain", "pmi")
ALL = f"readings=[{','.join(ASKING)}]"
SMALL = ("test_size=9", "dev_size=6", "pool_size=30", "method.iterations=3")


def runs(folder: Path) -> dict[str, Run]:
    """The runs of a folder by the calibration of their own curve."""
    return {
        (run.record.identity.calibration or {"name": "none"})["name"]: run
        for run in Runs.load(folder / "results").all
    }


def of_one_group_each(folder: Path) -> str:
    """A rule of a plugin that shows every query demonstrations of its own."""
    rules = folder / "mine" / "rules"
    rules.mkdir(parents=True)
    (rules / "near.py").write_text(
        "from deepthink.selection.balance import Selection\n"
        "def select(pool, count, rng):\n"
        "    first = [query % 3 for query in range(len(pool.queries))]\n"
        "    return [Selection(list(range(at, at + count))) for at in first]\n"
    )
    return str(folder / "mine")


@pytest.mark.parametrize("selector", ["random", "near"])
def test_a_reading_of_stored_texts_is_the_curve_of_a_job_with_that_calibration(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, selector: str
) -> None:
    """Label by label and step by step, for every calibration, with one group and with several."""
    words = [*SMALL, f"plugins={of_one_group_each(tmp_path)}", "demonstrations.count=4"]
    words += ["seed=3", "method.step_size=0.5"]
    if selector == "near":
        words += ["method.selector.name=near", "~method.selector.balance"]
    assert run(*words, ALL)[0] == 0
    for name in NAMES:
        assert run(*words, f"calibration={name}")[0] == 0

    def refused(*_: Any, **__: Any) -> Any:
        raise AssertionError("a reading has no model")

    monkeypatch.setattr(loading, "load", refused)
    monkeypatch.setattr(Scorer, "score", refused)
    found = runs(tmp_path)
    curves = {}
    for name in NAMES:
        read = reading(name).apply(found["none"])
        assert read is not None
        curves[name] = [point.stored() for point in read.record.curve]
        assert curves[name] == [point.stored() for point in found[name].record.curve]
        assert reading(name).apply(found[name]) is None  # it is calibrated already
    assert len({json.dumps(curve) for curve in curves.values()}) > 2


def test_readings_leave_the_rows_and_the_curve_to_the_bit(run: Command, tmp_path: Path) -> None:
    tables, curves = [], []
    for words in ([], [ALL]):
        assert run(*SMALL, *words, "force=true")[0] == 0
        ((path, record),) = stored(tmp_path)
        tables.append(pd.read_parquet(path.with_suffix(".parquet")))
        curves.append(record["curve"])
        path.unlink()
    plain, read = tables
    assert curves[0] == curves[1]
    rows = score_files.of_rows(read).reset_index(drop=True)
    pd.testing.assert_frame_equal(plain.astype({"split": str}), rows.astype({"split": str}))
    texts = read[read["label"] == -1]
    counts = texts.groupby("split", observed=True)["query"].nunique().to_dict()
    assert counts == {"texts of contextual": 3, "texts of domain": 20, "texts of pmi": 1}
    over_t = {name: texts[texts["split"] == score_files.texts_of(name)] for name in ASKING}
    numbers = {
        name: {part["score"].nunique() for _, part in of.groupby(["query", "candidate"])}
        for name, of in over_t.items()
    }
    assert numbers["pmi"] == {1}  # no demonstrations, so t changes nothing
    assert numbers["contextual"] == numbers["domain"] == {3}


@pytest.mark.parametrize(
    ("name", "queries"),
    [
        ("pmi", ["Sentiment:"]),
        ("contextual", [f"Review: {text}\nSentiment:" for text in ("N/A", "", "[MASK]")]),
    ],
)
def test_texts_have_the_scores_that_transformers_gives_them(
    run: Command, tmp_path: Path, tiny_folder: Path, name: str, queries: list[str]
) -> None:
    """The premise stands alone, and a content-free input behind the demonstrations."""
    words = [*SMALL, "method=vanilla", "prompt.seam=joint", f"readings=[{name}]"]
    assert run(*words)[0] == 0
    ((path, record),) = stored(tmp_path)
    place = [f"data_root={tmp_path / 'data'}", f"model.hub_id={tiny_folder}", "model.package=null"]
    pool = jobs.prepare(compose(["task=sst2", *words, *place]), Watcher()).splits.pool
    labels, indices = ("negative", "positive"), record["demonstrations"]["indices"]
    front = "".join(
        f"Review: {pool[i].text}\nSentiment: {labels[pool[i].label]}\n\n" for i in indices
    )
    model = AutoModelForCausalLM.from_pretrained(tiny_folder, dtype=torch.float64)
    tokenizer = AutoTokenizer.from_pretrained(tiny_folder)
    table = pd.read_parquet(path.with_suffix(".parquet"))
    scores = table[table["split"] == score_files.texts_of(name)]["score"].to_numpy()
    wanted = []
    for query in queries:
        for label in labels:
            before = tokenizer((front if name != "pmi" else "") + query).input_ids
            answer = tokenizer(f" {label}", add_special_tokens=False).input_ids
            logs = model(torch.tensor([before + answer])).logits[0].log_softmax(-1)
            places = range(len(before) - 1, len(before) + len(answer) - 1)
            wanted.append(sum(logs[i, j].item() for i, j in zip(places, answer, strict=True)))
    np.testing.assert_allclose(scores, wanted, atol=1e-4)


def test_a_run_without_stored_texts_has_no_such_number(run: Command, tmp_path: Path) -> None:
    assert run(*SMALL, "readings=[domain]")[0] == 0
    (found,) = Runs.load(tmp_path / "results").all
    applied = {name for name in NAMES if reading(name).apply(found) is not None}
    assert applied == {*FREE, "domain"}
    with pytest.raises(UserError, match="did you mean domain"):
        reading("domian")


def test_probabilities_are_not_read_as_their_logarithms(run: Command, tmp_path: Path) -> None:
    assert run(*SMALL, "answer_score=probability")[0] == 0
    (found,) = Runs.load(tmp_path / "results").all
    assert not any(reading(name).apply(found) for name in NAMES)


def test_texts_have_operations_of_their_own(run: Command, tmp_path: Path) -> None:
    flops = {}
    for words in ("order=0", "calibration=contextual", "readings=[contextual]", ALL):
        assert run(*SMALL, words)[0] == 0
    for _, record in stored(tmp_path):
        name = (record["identity"].get("calibration") or {}).get("name", "none")
        asked = [named["name"] for named in record["identity"].get("readings", ())]
        flops[name, *asked] = record["flops"]
    assert len({of["scoring"] for of in flops.values()}) == 1
    assert "texts" not in flops["none",]
    assert flops["contextual",]["texts"] == flops["none", "contextual"]["texts"] > 0
    assert flops["none", *ASKING]["texts"] > 6 * flops["none", "contextual"]["texts"]


def test_readings_are_in_the_identity_and_in_no_family() -> None:
    def key(*words: str) -> Any:
        return identity(compose(words), "float32", "data")

    assert "readings" not in key().stored()
    ordered, turned = key("readings=[pmi,contextual]"), key("readings=[contextual,pmi]")
    assert record_id(ordered) == record_id(turned) != record_id(key())
    assert family(ordered) == family(key())
    assert axes.of_config(compose([ALL]))["readings"] == ASKING
    assert axes.of_config(compose([]))["readings"] == ()


def test_a_stored_job_with_readings_can_be_asked_for_again(
    run: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*SMALL, ALL)[0] == 0
    (found,) = Runs.load(tmp_path / "results").all
    assert ALL in commands.words_of(found.record)
    assert run(*SMALL, "readings=[pmi,domain,contextual]")[0] == 0
    ((path, _),) = stored(tmp_path)  # the order changes nothing
    code, out, _ = told(capsys, "show", path)
    assert code == 0 and f"{ALL}" in out
    code, out, _ = run("-m", *SMALL, "readings=[],[contextual]", "method=vanilla,deepthink")
    assert code == 0 and len(stored(tmp_path)) == 5
    assert "readings" in out  # the closing table tells the two apart
    sides = ("method=deepthink readings=[]", "method=deepthink readings=[contextual]")
    code, out, err = told(capsys, "compare", *sides, f"results={tmp_path / 'results'}")
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["readings=[domian]"], "did you mean domain"),
        (["readings=[domain,domain]"], "readings has domain twice"),
        (["readings=[none]"], "readings has none, which asks the model nothing"),
        (["readings=[batch]"], "readings has batch, which asks the model nothing"),
        (["readings=[pmi]", "calibration=pmi"], "which is the calibration of this job"),
        (["readings=[pmi]", "answer_score=probability"], "corrects log-probabilities"),
        (["readings=pmi"], "readings"),
        (["readings=[1]"], "readings"),
        (["readings=['a/b']"], "readings is 'a/b'"),
        (["readings=[pmi]", "task=e2e"], "leave out calibration and readings"),
        (["readings=[pmi]", "task.template='{text}\n'"], "calibration pmi asks about the words"),
    ],
)
def test_readings_that_cannot_be_scored_are_told_in_one_line(
    run: Command, words: list[str], says: str
) -> None:
    code, _, err = run(*SMALL[:3], *words)
    assert_one_line(code, err, says)


def test_a_plugins_calibration_is_stored_like_the_others(run: Command, tmp_path: Path) -> None:
    folder = tmp_path / "mine" / "calibrations"
    folder.mkdir(parents=True)
    (folder / "first.py").write_text(
        "from deepthink.study.texts import Alone\n"
        "def texts(pool, rng):\n    return [pool[0], Alone('So:'), pool[0], '']\n"
        "def calibrate(scores, ask):\n    return scores - ask.all.mean(axis=1)\n"
    )
    assert run(*SMALL, f"plugins={tmp_path / 'mine'}", "readings=[first]")[0] == 0
    ((path, record),) = stored(tmp_path)
    table = score_files.read(path, record["scores"])
    assert table is not None
    of_texts = table[table["split"] == "texts of first"]
    assert sorted(of_texts["query"].unique()) == [0, 1, 2, 3]
    twice = of_texts.pivot(index=["step", "candidate"], columns="query", values="score")
    assert (twice[0] == twice[2]).all() and (twice[0] != twice[1]).all()
    (named,) = record["identity"]["readings"]
    assert named["name"] == "first" and len(named["source"]) == 64


@pytest.fixture
def letters(tmp_path: Path) -> Callable[[list[int]], list[str]]:
    """Words for a task of questions with so many options each, answered by letters."""

    def words(options: list[int]) -> list[str]:
        rows = [
            {
                "question": f"Which is number {i}?",
                "choices": [f"option {i} {n}" for n in range(options[i % len(options)])],
                "answer": i % 2,
            }
            for i in range(24)
        ]
        path = tmp_path / "questions.jsonl"
        path.write_text("\n".join(map(json.dumps, rows)))
        about = ("file=questions.jsonl", "text=question", "choices=choices", "label=answer")
        return [*(f"task.{word}" for word in about), "task.answer=letter"]

    return words


def test_letters_are_common_candidates(
    run: Command, tmp_path: Path, letters: Callable[[list[int]], list[str]]
) -> None:
    words = [*letters([4]), "test_size=6", "dev_size=6", "demonstrations.count=2"]
    assert run(*words, ALL)[0] == 0
    for name in NAMES:
        assert run(*words, f"calibration={name}")[0] == 0
    found = runs(tmp_path)
    for name in NAMES:
        read = reading(name).apply(found["none"])
        assert read is not None
        assert read.record.curve == found[name].record.curve


@pytest.mark.parametrize("answer", ["letter", "text"])
def test_options_of_a_rows_own_are_refused(
    run: Command, tmp_path: Path, letters: Callable[[list[int]], list[str]], answer: str
) -> None:
    words = [*letters([4, 3] if answer == "letter" else [4]), f"task.answer={answer}"]
    words += ["test_size=6", "dev_size=6", "demonstrations.count=2"]
    for asked in [*(f"calibration={name}" for name in NAMES), ALL]:
        code, _, err = run(*words, asked)
        assert_one_line(code, err, "answers of their own")
    assert run(*words)[0] == 0
    (found,) = Runs.load(tmp_path / "results").all
    assert not any(reading(name).apply(found) for name in NAMES)


def test_older_files_of_scores_are_read(tmp_path: Path) -> None:
    """Files without texts have two values of `split`, and nothing else in this column."""
    table = pd.DataFrame({"split": pd.Categorical(["dev", "test"]), "score": [-1.0, -2.0]})
    assert len(score_files.of_rows(table)) == 2
    assert calibrating.Calibration.of({"name": "contextual"}).texts == ()
    assert np.array_equal(score_files.of_rows(table)["score"], [-1.0, -2.0])


@pytest.mark.parametrize("words", ["method.groups=2", "method.orders=3", "method.query=twice"])
def test_texts_are_asked_about_behind_every_kind_of_prompt(
    run: Command, tmp_path: Path, words: str
) -> None:
    """What stands alone has no demonstrations that could be grouped or ordered."""
    assert run(*SMALL, "method.iterations=1", ALL, words)[0] == 0
    (found,) = Runs.load(tmp_path / "results").all
    assert all(reading(name).apply(found) is not None for name in ASKING)


@pytest.mark.parametrize("words", [["readings=[domain]"], ["calibration=pmi"]])
def test_rows_that_cannot_be_asked_about_are_refused_before_a_model_is_loaded(
    run: Command,
    monkeypatch: pytest.MonkeyPatch,
    letters: Callable[[list[int]], list[str]],
    words: list[str],
) -> None:
    monkeypatch.setattr(loading, "load", lambda *_, **__: pytest.fail("a model was loaded"))
    code, _, err = run(*letters([4]), "task.answer=text", "test_size=6", "dev_size=6", *words)
    assert_one_line(code, err, "answers of their own")
