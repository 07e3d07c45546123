"""Options listed in questions, and demonstrations out of files of worked examples."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from deepthink.config.tasks import WorkedExamples
from deepthink.errors import UserError
from deepthink.tasks import github_files, worked_examples
from deepthink.tasks.listed_options import parse, usual, with_letters

FILE = """A notice that does not belong into a prompt.
-----
Tell kettles from cups.

Q: What sings?
Options:
(A) a cup
(B) a kettle
A: Let's think step by step.
Cups are silent. One might say the answer is (A), but kettles whistle. So the answer is (B).

Q: Does a cup
leak?
A: Let's think step by step. It has no hole. So the answer is no.
"""


def test_marked_options_are_taken_off_the_end() -> None:
    listed = parse("Options are good.\nWhich?\nOptions:\n(A) one \n(B) two, (C) three")
    assert listed.question == "Options are good.\nWhich?"
    assert listed.marks == ("(A)", "(B)")
    assert listed.options == ("one", "two, (C) three")


def test_plain_options_have_no_marks() -> None:
    assert parse("Is it?\nOptions:\n- valid \n- invalid").options == ("valid", "invalid")
    assert parse("Is it?\nOptions:\n- valid \n- invalid").marks == ()


@pytest.mark.parametrize("text", ["Is it?", "Is it?\nOptions:\nmany", "Is it?\nOptions:\n"])
def test_a_text_without_a_list_is_all_question(text: str) -> None:
    assert parse(text).question == text.strip()
    assert parse(text).options == ()


def test_only_the_last_list_counts() -> None:
    listed = parse("One?\nOptions:\n(A) x\nTwo?\nOptions:\n(A) y\n(B) z")
    assert listed.options == ("y", "z")
    assert listed.question == "One?\nOptions:\n(A) x\nTwo?"


def test_letters_by_hand() -> None:
    assert with_letters("Which?", ["one", "two"]) == ("Which?\nA. one\nB. two", ("A", "B"))


def test_the_usual_number_is_the_most_frequent() -> None:
    assert usual([6, 5, 6, 5, 6]) == 6
    assert usual([4, 3, 3, 4]) == 3


def test_worked_examples_keep_question_and_final_answer() -> None:
    first, second = worked_examples.parse(FILE)
    assert first == ("What sings?\nOptions:\n(A) a cup\n(B) a kettle", "(B)")
    assert second == ("Does a cup\nleak?", "no")


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, ...]]]:
    """A server of one file of worked examples, in the place of GitHub."""
    folder = tmp_path / "site" / "team" / "bench" / "abc"
    folder.mkdir(parents=True)
    (folder / "kettles.txt").write_text(FILE)
    asked = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: str) -> None:
            asked.append(args)

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Handler, directory=str(tmp_path / "site"))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr(github_files, "HOST", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("DEEPTHINK_CACHE", str(tmp_path / "cache"))
    yield asked
    server.shutdown()
    server.server_close()


def source(sha256: str) -> WorkedExamples:
    return WorkedExamples("team/bench", "abc", "{member}.txt", {"kettles": sha256})


def test_a_file_is_downloaded_once_and_checked(served: list[tuple[str, ...]]) -> None:
    good = source(hashlib.sha256(FILE.encode()).hexdigest())
    assert worked_examples.read(good, "kettles", None)[1] == worked_examples.parse(FILE)
    assert worked_examples.read(good, "kettles", None)[1] == worked_examples.parse(FILE)
    assert len(served) == 1


def test_a_file_with_another_hash_is_refused(served: list[tuple[str, ...]], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"kettles.txt cannot be fetched .*hash"):
        worked_examples.read(source("0" * 64), "kettles", None)
    assert not list((tmp_path / "cache").rglob("*.txt"))


def test_a_file_without_a_hash_is_not_fetched(served: list[tuple[str, ...]]) -> None:
    with pytest.raises(UserError, match="no sha256"):
        worked_examples.read(source("0" * 64), "cups", None)
    assert not served


def test_a_server_out_of_reach_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(github_files, "HOST", "http://127.0.0.1:9")
    monkeypatch.setenv("DEEPTHINK_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="cannot be reached: set data_root") as told:
        worked_examples.read(source("0" * 64), "kettles", None)
    assert "\n" not in str(told.value)


def test_a_mirror_without_the_file_or_an_answer_is_told(tmp_path: Path) -> None:
    (tmp_path / "team" / "bench").mkdir(parents=True)
    with pytest.raises(UserError, match=r"no file team/bench/kettles\.txt"):
        worked_examples.read(source(""), "kettles", tmp_path)
    file = tmp_path / "team" / "bench" / "kettles.txt"
    for text, told in (("Q: Open?\nA: Who knows.\n", "no answer to 'Open"), ("", "no worked")):
        file.write_text(text)
        with pytest.raises(UserError, match=told):
            worked_examples.read(source(""), "kettles", tmp_path)
