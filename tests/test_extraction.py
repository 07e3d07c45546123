"""Final numbers are found as lm-evaluation-harness finds them, and answers are judged by them."""

import re
from pathlib import Path

import pytest
from conftest import Command, assert_one_line

from deepthink.config.open_tasks import OpenSpec
from deepthink.structures import Example
from deepthink.tasks import extraction, written_answers
from deepthink.tasks.final_answers import final_answer
from deepthink.tasks.written_answers import judged

NUMBERS = OpenSpec(final="####", metric="exact_match", generate="ends")
SENTENCES = OpenSpec(final=None, metric="bleu", generate="ends")

ANSWERS = {
    " 6+6 = 12 pans.\n#### 12": ("12", "12"),
    "#### 12\n#### 13": ("12", "13"),
    "#### 1,212": ("1212", "1212"),
    "#### -4": ("-4", "-4"),
    "#### 0.50.": ("0.50", "0.50"),
    "####12": (None, "12"),
    "#### $12": (None, "12"),
    "It costs $1,250.": (None, "1250"),
    "First 3, then 4.": (None, "4"),
    "7": (None, "7"),
    "9 of them, or so..": (None, "."),
    "#### twelve": (None, None),
    "": (None, None),
}
"""A written answer, and the number that each way finds."""


@pytest.mark.parametrize("text", ANSWERS)
def test_both_ways_find_the_number_that_the_harness_finds(text: str) -> None:
    assert (extraction.strict(text, "####"), extraction.flexible(text)) == ANSWERS[text]


def harness(text: str, pattern: str, which: int) -> str:
    """The rules of the harness's task gsm8k, version 3, in its own words."""
    found = re.findall(pattern, text)
    if not found:
        return "[invalid]"
    match = found[which]
    number = next(filter(None, match)) if isinstance(match, tuple) else match
    for ignored in (",", r"\$", r"(?s).*#### ", r"\.$"):
        number = re.sub(ignored, "", number)
    return str(number).lower()


@pytest.mark.parametrize("text", ANSWERS)
def test_the_rules_are_those_of_the_harness(text: str) -> None:
    strict = harness(text, r"#### (\-?[0-9\.\,]+)", 0)
    flexible = harness(text, r"(-?[$0-9.,]{2,})|(-?[0-9]+)", -1)
    assert (extraction.strict(text, "####") or "[invalid]") == strict
    assert (extraction.flexible(text) or "[invalid]") == flexible


def test_a_fraction_of_the_answers_is_right() -> None:
    asked = [Example(f"{n}?", (f"So.\n#### {n:,}",), 0) for n in (5, 1200, 7, 8)]
    texts = [" So.\n#### 5", " It is 1200.", " It is 1,200.", ""]
    found = judged(texts, asked, NUMBERS)
    assert found.metrics == {"strict": 0.25, "flexible": 0.5}
    assert found.extracted["flexible"] == ["5", "1200", "1200", None]
    assert found.correct["flexible"] == [True, True, False, False]


def test_any_of_several_references_is_right() -> None:
    asked = [Example("How many?", ("Few.\n#### 2", "Some.\n#### 3"), 0)]
    assert judged(["#### 3"], asked, NUMBERS).metrics["strict"] == 1.0
    assert judged(["#### 4"], asked, NUMBERS).metrics["strict"] == 0.0


def test_the_last_mark_of_a_reference_counts() -> None:
    assert final_answer("#### 1 is wrong\n#### 2", "####") == "2"


def test_bleu_and_chrf_take_any_number_of_references() -> None:
    library = pytest.importorskip("sacrebleu")
    asked = [
        Example("a", ("An inn stands here.", "Here is an inn by the river."), 0),
        Example("b", ("There are two cheap inns.",), 0),
    ]
    texts = [" Here is an inn.\n", " There are two inns in town."]
    written = [text.strip() for text in texts]
    found = judged(texts, asked, SENTENCES).metrics
    metric = library.metrics.BLEU()
    streams = [
        ["An inn stands here.", "There are two cheap inns."],
        ["Here is an inn by the river.", None],
    ]
    assert found["bleu"] == pytest.approx(metric.corpus_score(written, streams).score)
    only_first = metric.corpus_score(written, streams[:1]).score
    assert found["bleu"] != pytest.approx(only_first)
    chrf = library.metrics.CHRF().corpus_score(written, streams).score
    assert found["chrf"] == pytest.approx(chrf)
    right = judged([example.candidates[0] for example in asked], asked, SENTENCES).metrics
    assert right == pytest.approx({"bleu": 100.0, "chrf": 100.0})


def test_a_missing_library_is_told_before_the_model_is_loaded(
    run: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    from test_open_tasks import write_data

    write_data(tmp_path / "open")
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    words = ("task=e2e", f"data_root={tmp_path / 'open'}", "demonstrations.count=2")
    code, _, err = run(*words, "task.open.generate=ends")
    assert_one_line(code, err, "BLEU and chrF need sacrebleu: run 'make bleu'")
    assert run(*words, "method.iterations=1")[0] == 0


def test_libraries_are_named_with_their_version_where_they_judge() -> None:
    library = pytest.importorskip("sacrebleu")
    assert written_answers.libraries(SENTENCES) == {"sacrebleu": library.__version__}
    assert written_answers.libraries(NUMBERS) == written_answers.libraries(None) == {}
