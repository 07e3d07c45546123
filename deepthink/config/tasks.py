"""Tasks and suites as data: sources, templates, label words (Tables 4 to 6)."""

from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from pydantic import with_config

from deepthink.config.checks import STRICT, check_at_least, check_choice, check_name, with_breaks
from deepthink.config.harness_tasks import HarnessSpec
from deepthink.config.open_tasks import OpenSpec
from deepthink.config.own import OwnSpec
from deepthink.config.templates import TEXT, Template
from deepthink.errors import UserError, unknown
from deepthink.settings import ANSWERS


@with_config(STRICT)
@dataclass(frozen=True)
class WorkedExamples:
    """The demonstrations that a suite brings: a file for each member, at a commit on GitHub.

    sha256: member → SHA-256 of its file, which is checked when the file is downloaded.
    """

    repository: str
    commit: str
    file: str
    sha256: dict[str, str]


@with_config(STRICT)
@dataclass(frozen=True)
class SourceSpec:
    """Where a task's rows come from: a dataset repository of the hub, or a bundled folder.

    files: split → file pattern; null where the library finds the splits by itself. In a pattern,
        {member} stands for the suite's member.
    text, label: the columns of a row's text and of its label.
    classes: the raw values of column `label`, in the order of the task's label words. Where every
        row has options of its own, null, or the raw values that stand for the options in order.
        Null also where column `label` holds an open answer.
    pool: the split that demonstrations come from, or a file of worked examples.
    test: the split that test rows come from.
    choices: the column of each row's options, in which `label` is an index, or a column for each
        option. If it is the text column, the options are listed at the end of the text and `label`
        is the mark of an option.
    sha256: where the repository is one of GitHub, split → SHA-256 of its file. The files are then
        those of the commit `revision`, and `files` names a single file for each split.

    Raises:
        UserError: two classes are the same.
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
    choices: str | list[str] | None = None
    sha256: dict[str, str] | None = None

    def __post_init__(self) -> None:
        if self.sha256 is not None and self.sha256.keys() != (self.files or {}).keys():
            raise UserError(f"{self.repository} needs in sha256 the splits that files has")
        for first, second in combinations(self.classes or (), 2):
            if same(first, second):
                raise UserError(
                    f"classes of {self.repository} has one class twice: {first!r}, {second!r}"
                )

    @property
    def options(self) -> list[str]:
        """The columns that hold a row's options."""
        return [self.choices] if isinstance(self.choices, str) else list(self.choices or ())


@with_config(STRICT)
@dataclass(frozen=True)
class TaskSpec:
    """A task as data (Table 4).

    template: what a query says, with {text} for the column of the text, and other columns in braces
        by their own names; an answer follows after `delimiter`. See `deepthink.config.templates`.
    labels: the label words; empty where every row has options of its own.
    demonstrations: how many the paper uses (§4.3).
    rows: pool and test rows of the full data set, which are compared with the rows that are read.
    version: raised by hand whenever a change here changes a number.
    answer: how options of a row's own are scored. "text" scores their texts and shows no list of
        them, as the authors' program does. "letter" lists them in the prompt and scores letters.
    given: whether the pool holds exactly the benchmark's demonstrations. Then nothing is selected,
        and no rows can be set aside as a dev set.
    member: the text that replaces {member} in the sources' file patterns.
    delimiter: what joins the template and an answer; empty where a language has no spaces.
    own: the file of a task of the user's own. Until it is read (see `deepthink.tasks.own`), such a
        task has neither labels nor sources.
    harness: the same for a task of lm-evaluation-harness, see `deepthink.tasks.harness_tasks`.
    open: how open answers are measured; null for a classification task.

    Not measured: answer, delimiter, open, harness.

    Raises:
        UserError: a name, the template, the labels or the sources are wrong.
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
    own: OwnSpec | None = None
    open: OpenSpec | None = None
    harness: HarnessSpec | None = None

    def __post_init__(self) -> None:
        suite, slash, _ = self.name.partition("/")
        whole = slash and self.name == f"{suite}/{self.member}"  # a suite's, see `full_name`
        check_name("task.name", suite if whole else self.name)
        if self.member is not None:
            check_name("task.member", self.member)
        _check_prompt(self.template, self.answer, self.demonstrations)
        if self.own is None and self.harness is None:
            _check_sources(self.sources, self.open is not None)
        _check_labels(self.labels)
        for source in self.sources:
            if source.classes is None or (source.choices is not None and not self.labels):
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

    @property
    def parsed(self) -> Template:
        """The template, taken apart at its columns."""
        return Template.parse(self.template)

    def columns(self, source: SourceSpec) -> dict[str, str]:
        """The columns of the template, by their names in it, as a source calls them."""
        return {name: source.text if name == TEXT else name for name in self.parsed.columns}


@with_config(STRICT)
@dataclass(frozen=True)
class SuiteSpec:
    """A benchmark of many tasks that brings its demonstrations (Tables 5 and 6), as data.

    members: the names of the members to run; null runs all.
    categories: category → member → number of test rows.
    labels: member → its label words. The rows of other members have options of their own.
    The rest is as in `TaskSpec`, the same for every member.

    Raises:
        UserError: a name is wrong, or that of no member, or the template or the sources are wrong.
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
        _check_sources(self.sources, opened=False)
        for member in (*(self.members or ()), *self.labels):
            if member not in self.rows:
                raise unknown(f"member of {self.name}", member, self.rows)
        if self.members is not None:
            check_at_least("the number of task.members", len(self.members), 1)

    @property
    def rows(self) -> dict[str, int]:
        """Member → number of its test rows, for all members."""
        return {name: n for members in self.categories.values() for name, n in members.items()}

    @property
    def chosen(self) -> dict[str, list[str]]:
        """Category → its members to run. A category without any is left out."""
        wanted = set(self.rows if self.members is None else self.members)
        chosen = {
            category: [name for name in members if name in wanted]
            for category, members in self.categories.items()
        }
        return {category: members for category, members in chosen.items() if members}

    def full_name(self, member: str) -> str:
        """The name of a member as a task."""
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


def _check_sources(sources: list[SourceSpec], opened: bool) -> None:
    if not sources:
        raise UserError("task.sources is empty: it lists where the rows are, see conf/task")
    for source in sources:
        given = source.classes is not None or source.choices is not None
        if opened and given:
            raise UserError(
                f"task.open means that answers are open, but {source.repository} has classes or "
                "choices: set them to null"
            )
        if not opened and not given:
            raise UserError(f"{source.repository} needs classes, or choices: one of them is null")


def _check_prompt(template: str, answer: str, demonstrations: int) -> None:
    Template.parse(template)
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


def same(first: Any, second: Any) -> bool:
    """Whether two raw values are the same class: text equals text, and the text "1" equals 1.

    >>> same("1", 1), same("1", "1.0"), same("yes", "yes ")
    (True, False, True)
    """
    if isinstance(first, str) and isinstance(second, str):
        return first.strip() == second.strip()
    return bool(as_typed(first) == as_typed(second))


def as_typed(value: Any) -> Any:
    """The number or truth value that a text stands for, and any other value as it is.

    >>> as_typed(" 1 "), as_typed("True"), as_typed("yes"), as_typed(None)
    (1.0, True, 'yes', None)
    """
    if not isinstance(value, str):
        return value
    word = value.strip()
    if word.lower() in ("true", "false"):
        return word.lower() == "true"
    try:
        return float(word)
    except ValueError:
        return word
