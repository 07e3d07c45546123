"""Demonstrations from a benchmark's file of worked examples, such as BIG-Bench Hard's cot-prompts.

The question and the final answer of each example are kept. What stands before the first example, a
notice that the text must stay out of training corpora and a sentence on the task, is not.
"""

import re
from pathlib import Path

from deepthink.config.tasks import WorkedExamples
from deepthink.errors import UserError, first_line
from deepthink.tasks.github_files import fetched
from deepthink.tasks.split_files import Absent

_EXAMPLE = re.compile(r"^Q: (.+?)\nA: (.+?)(?=\n\s*\nQ: |\Z)", re.DOTALL | re.MULTILINE)
_ANSWER = re.compile(r"the answer is (.+?)\.?\s*\Z", re.DOTALL)


def read(
    source: WorkedExamples, member: str, root: Path | None
) -> tuple[Path, list[tuple[str, str]]]:
    """The file of one member of a suite, and its questions and final answers in order.

    The file is the one below `root`. Without a root it is downloaded once and checked against its
    hash.

    Raises:
        Absent: the file is missing or cannot be reached.
        UserError: the file cannot be fetched or read, or holds no answered question.
    """
    if root is not None:
        path = path_below(root, source, member)
        if not path.is_file():
            raise Absent(f"data_root has no file {path.relative_to(root).as_posix()}")
    else:
        path = _download(source, member)
    try:
        pairs = parse(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({first_line(error)})") from error
    if not pairs:
        raise UserError(f"{path} holds no worked example")
    return path, pairs


def path_below(root: Path, source: WorkedExamples, member: str) -> Path:
    """Where the file of one member of a suite lies below a folder of all sources."""
    return root / source.repository / _file(source, member)


def _file(source: WorkedExamples, member: str) -> str:
    return source.file.replace("{member}", member)


def parse(text: str) -> list[tuple[str, str]]:
    r"""The questions and final answers in a file of worked examples.

    >>> parse("Q: Which sings?\nA: Kettles whistle. So the answer is (B).")
    [('Which sings?', '(B)')]

    Raises:
        ValueError: a question without a final answer.
    """
    pairs = []
    for question, reasoning in _EXAMPLE.findall(text):
        answer = _ANSWER.search(reasoning[reasoning.rfind("the answer is") :])
        if answer is None:
            raise ValueError(f"no answer to '{question.splitlines()[0]}'")
        pairs.append((question.strip(), answer[1]))
    return pairs


def _download(source: WorkedExamples, member: str) -> Path:
    file = _file(source, member)
    if member not in source.sha256:
        raise UserError(f"the config has no sha256 for {source.repository}/{file}")
    known = source.sha256[member]
    kept = Path(file).name
    return fetched(source.repository, source.commit, file, known, kept, "worked examples")
