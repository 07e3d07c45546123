"""Tasks and suites as data: sources, templates, label words (Tables 4 to 6)."""

from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from pydantic import with_config

from deepthink.config.checks import STRICT, check_at_least, check_choice, check_name
from deepthink.errors import UserError, unknown
from deepthink.settings import ANSWERS


@with_config(STRICT)
@dataclass(frozen=True)
class WorkedExamples:
    """A suite's own demonstrations: one file per member, of a GitHub repository at a commit.

    sha256: member to the hash of its file, checked when it is downloaded.
    """

    repository: str
    commit: str
    file: str
    sha256: dict[str, str]


@with_config(STRICT)
@dataclass(frozen=True)
class SourceSpec:
    """Where a task's rows come from: a dataset repository of the hub, or a bundled folder.

    files: split to file pattern, where the library cannot tell them by itself, else null. In a
        pattern, {member} stands for the suite's member.
    classes: the raw values of column `label`, in the order of the task's label words; null where
        every row has its own options.
    pool: the split demonstrations come from, or a file of worked examples.
    choices: the column of each row's options, to which `label` is an index. Where it is the text
        column itself, the options are listed at the text's end and `label` is the mark of one.
    """

    repository: str
    bundled: bool
    revision: str | None
    files: dict[str, str] | None
    text: str
    label: str
    classes: list[Any] | None
    pool: str | WorkedExamples
    test: str
    choices: str | None = None

    def __post_init__(self) -> None:
        if self.classes is None and self.choices is None:
            raise UserError(f"{self.repository} needs classes, or choices: one of them is null")
        for first, second in combinations(self.classes or (), 2):
            if same(first, second):
                raise UserError(
                    f"classes of {self.repository} has one class twice: {first!r}, {second!r}"
                )


@with_config(STRICT)
@dataclass(frozen=True)
class TaskSpec:
    """A classification task as data (Table 4).

    template: a query's text, with {text} for the instance; an answer follows after `delimiter`.
    labels: the label words; empty where every row has its own options.
    demonstrations: how many the paper uses (§4.3).
    rows: pool and test rows of the full data set, to be compared with what was read.
    version: raised by hand whenever a change here changes a number.
    answer: of a row's own options, "text" scores the texts and shows no list of them, as the
        authors' program does; "letter" lists them in the prompt and scores their letters.
    given: the pool is the benchmark's own demonstrations: nothing is selected, and there are no
        rows to set a dev set aside from.
    member: what stands for {member} in the sources' file patterns.
    delimiter: what joins the template and an answer; empty where a language has no spaces.

    Not measured: answer, delimiter.
    """

    name: str
    version: int
    template: str
    labels: list[str]
    demonstrations: int
    rows: dict[str, int]
    sources: list[SourceSpec]
    answer: str = "text"
    given: bool = False
    member: str | None = None
    delimiter: str = " "

    def __post_init__(self) -> None:
        suite, slash, _ = self.name.partition("/")
        whole = slash and self.name == f"{suite}/{self.member}"  # a suite's, see `full_name`
        check_name("task.name", suite if whole else self.name)
        if self.member is not None:
            check_name("task.member", self.member)
        _check_prompt(self.template, self.answer, self.demonstrations)
        _check_sources(self.sources)
        _check_labels(self.labels)
        for source in self.sources:
            if source.classes is None:
                if self.labels:
                    raise UserError(
                        f"task.labels has words, but the rows of {source.repository} have options "
                        "of their own (classes: null): set task.labels=[]"
                    )
                continue
            check_at_least("the number of task.labels", len(self.labels), 2)
            if len(source.classes) != len(self.labels):
                raise UserError(
                    f"task.labels has {len(self.labels)} words, but {source.repository} "
                    f"{len(source.classes)} classes"
                )


@with_config(STRICT)
@dataclass(frozen=True)
class SuiteSpec:
    """A benchmark of many tasks with demonstrations of their own (Tables 5 and 6), as data.

    members: the names to run; null runs all.
    categories: category to member to test rows.
    labels: the label words of the members whose answers are fixed; the others' rows bring options.
    The rest is as in `TaskSpec`, the same for every member.
    """

    name: str
    version: int
    template: str
    answer: str
    demonstrations: int
    members: list[str] | None
    categories: dict[str, dict[str, int]]
    labels: dict[str, list[str]]
    sources: list[SourceSpec]
    delimiter: str = " "

    def __post_init__(self) -> None:
        check_name("task.name", self.name)
        _check_prompt(self.template, self.answer, self.demonstrations)
        _check_sources(self.sources)
        for member in (*(self.members or ()), *self.labels):
            if member not in self.rows:
                raise unknown(f"member of {self.name}", member, self.rows)
        if self.members is not None:
            check_at_least("the number of task.members", len(self.members), 1)

    @property
    def rows(self) -> dict[str, int]:
        """Test rows of every member there is."""
        return {name: n for members in self.categories.values() for name, n in members.items()}

    @property
    def chosen(self) -> dict[str, list[str]]:
        """The members to run by category, categories without one left out."""
        wanted = set(self.rows if self.members is None else self.members)
        chosen = {
            category: [name for name in members if name in wanted]
            for category, members in self.categories.items()
        }
        return {category: members for category, members in chosen.items() if members}

    def full_name(self, member: str) -> str:
        """What a member is called as a task."""
        return f"{self.name}/{member}"

    def member(self, name: str) -> TaskSpec:
        """One member as a task of its own."""
        labels = self.labels.get(name, [])
        return TaskSpec(
            name=self.full_name(name),
            version=self.version,
            template=self.template,
            labels=labels,
            demonstrations=self.demonstrations,
            rows={"pool": self.demonstrations, "test": self.rows[name]},
            sources=[replace(source, classes=labels or None) for source in self.sources],
            answer=self.answer,
            given=True,
            member=name,
            delimiter=self.delimiter,
        )


def _check_sources(sources: list[SourceSpec]) -> None:
    if not sources:
        raise UserError("task.sources is empty: it lists where the rows are, see conf/task")


def _check_prompt(template: str, answer: str, demonstrations: int) -> None:
    if template.count("{text}") != 1 or template.endswith("{text}"):
        raise UserError(f"task.template '{template}' needs one {{text}} and words after it")
    check_choice("task.answer", answer, ANSWERS)
    check_at_least("task.demonstrations", demonstrations, 1)


def _check_labels(labels: list[str]) -> None:
    for label in labels:
        if not label.strip():
            raise UserError(f"task.labels has {label!r}, an empty label: write a word")
        if len(with_breaks(label).splitlines()) > 1:
            raise UserError(f"task.labels has {label!r}: a label cannot hold a line break")
        if label != label.strip():
            raise UserError(
                f"task.labels has {label!r}: leave out the space around it, task.delimiter joins "
                "template and answer"
            )
        if labels.count(label) > 1:
            raise UserError(f"task.labels has '{label}' twice: every class needs a word of its own")


def with_breaks(typed: str) -> str:
    r"""A text in which \n and \t, as two characters, are a line break and a tab.

    So a shell and single quotes in YAML leave them.
    """
    return typed.replace("\\n", "\n").replace("\\t", "\t")


def same(first: Any, second: Any) -> bool:
    """Whether two raw values are one class: text equals text, and "1" in a text file equals 1."""
    if isinstance(first, str) and isinstance(second, str):
        return first.strip() == second.strip()
    return bool(as_typed(first) == as_typed(second))


def as_typed(value: Any) -> Any:
    """A text as the number or truth value it may stand for, anything else as it is."""
    if not isinstance(value, str):
        return value
    word = value.strip()
    if word.lower() in ("true", "false"):
        return word.lower() == "true"
    try:
        return float(word)
    except ValueError:
        return word
