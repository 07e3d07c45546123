"""From Hydra's composed config to one frozen, checked `Config`. The only reader of omegaconf."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from itertools import combinations
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from deepthink.classes import same
from deepthink.errors import UserError, first_line, unknown
from deepthink.files import at_home
from deepthink.options import (
    ANSWER_SCORES,
    ANSWERS,
    LABELS,
    MOST_COPIES,
    OVERFLOWS,
    OVERLAPS,
    SCORED,
    SEAMS,
    check_thinking,
    scored_steps,
)
from deepthink.redaction import refuse_secrets

STRICT = ConfigDict(strict=True, extra="forbid")

MOST = 2**63 - 1
"""The largest number that arrays and files hold."""

DTYPES = ("auto", "float32", "bfloat16", "float16")
DEVICES = ("auto", "cpu", "cuda", "mps")
WANDB_MODES = ("offline", "online", "disabled")


def _choice(name: str, value: str, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise unknown(f"value of {name}", value, valid)


def _at_least(name: str, value: int | None, least: int) -> None:
    if value is not None and value < least:
        raise UserError(f"{name} is {value}: it must be {least} or more")


_LONGEST_NAME = 200
"""Bytes: file systems take 255 for one part of a path."""

_NO_NAME = re.compile(r"""^$|^[.~\s-]|[.\s]$|[\x00-\x1f\x7f/\\:*?"<>|\[\]]""")
"""What makes a text more than a name: part of a path, a pattern or an option, or not visible."""


def _plain(key: str, name: str) -> None:
    """Records lie in folders of this name, so it must be one."""
    if _NO_NAME.search(name) or not name.isprintable():
        raise UserError(
            f"{key} is {_shown(name)}: it names a folder of the results, so it must be a plain "
            "name, such as gpt2-large"
        )
    if len(name.encode()) > _LONGEST_NAME:
        raise UserError(
            f"{key} is {_shown(name)}: it has {len(name.encode())} bytes, a folder's name takes "
            f"{_LONGEST_NAME}"
        )


def _shown(value: Any) -> str:
    """A value as a message shows it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:60]}…{text[-10:]}"


@with_config(STRICT)
@dataclass(frozen=True)
class ModelSpec:
    """A causal language model: `hub_id` at `revision`, or the GGUF file of an installed `package`.

    dtype: "auto" is bfloat16 on CUDA and float32 elsewhere.
    parameters: how many there are, for estimates of time; null: unknown.
    """

    name: str
    hub_id: str
    revision: str
    package: str | None
    dtype: str
    parameters: int | None = None

    def __post_init__(self) -> None:
        _plain("model.name", self.name)
        _choice("model.dtype", self.dtype, DTYPES)


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
        for one, other in combinations(self.classes or (), 2):
            if same(one, other):
                raise UserError(
                    f"classes of {self.repository} has one class twice: {one!r}, {other!r}"
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
        _plain("task.name", suite if whole else self.name)
        if self.member is not None:
            _plain("task.member", self.member)
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
            _at_least("the number of task.labels", len(self.labels), 2)
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
        _plain("task.name", self.name)
        _check_prompt(self.template, self.answer, self.demonstrations)
        _check_sources(self.sources)
        for member in (*(self.members or ()), *self.labels):
            if member not in self.rows:
                raise unknown(f"member of {self.name}", member, self.rows)
        if self.members is not None:
            _at_least("the number of task.members", len(self.members), 1)

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
    _choice("task.answer", answer, ANSWERS)
    _at_least("task.demonstrations", demonstrations, 1)


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


@with_config(STRICT)
@dataclass(frozen=True)
class MethodSpec:
    """A selector of demonstrations and how they are thought over; T = 1 is vanilla ICL.

    selector: `name` of a module in deepthink/selectors and the options of its `select`.
    copies: how often the prompt repeats the demonstrations.
    scored: after which iterations queries are scored, see `options.scored_steps`.
    The rest are the arguments of `deepthink.think`.
    """

    selector: dict[str, Any]
    copies: int
    scored: str
    iterations: int
    step_size: float
    momentum: float
    positions: str
    memory_dtype: str

    def __post_init__(self) -> None:
        if not isinstance(name := self.selector.get("name"), str):
            raise UserError(
                f"method.selector.name is {_shown(name)}: it must name a selector, such as "
                "method=vanilla does"
            )
        _plain("method.selector.name", name)
        _at_least("method.copies", self.copies, 1)
        if self.copies > MOST_COPIES:
            raise UserError(f"method.copies is {self.copies}: it must be {MOST_COPIES:,} or less")
        _choice("method.scored", self.scored, SCORED)
        check_thinking(**self.thinking)

    @property
    def thinking(self) -> dict[str, Any]:
        """The keyword arguments of `think`."""
        others = ("selector", "copies", "scored")
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name not in others}

    @property
    def steps(self) -> list[int]:
        """The iterations t after which queries are scored."""
        return scored_steps(self.scored, self.iterations)

    @property
    def label(self) -> str:
        """What this method is called in paths and tables."""
        chosen = self.selector["name"]
        parts = [] if chosen == "random" else [chosen]
        parts += ["repeat"] * (self.copies > 1) + ["deepthink"] * (self.iterations > 1)
        return "+".join(parts) or "vanilla"


@with_config(STRICT)
@dataclass(frozen=True)
class DemonstrationSpec:
    """How many are shown, and with which labels.

    count: null takes the task's own number. labels: "gold", "flipped" or "random", see
    `deepthink.relabel`; demonstrations are chosen by their gold labels in any case.
    """

    count: int | None
    labels: str

    def __post_init__(self) -> None:
        _at_least("demonstrations.count", self.count, 1)
        _choice("demonstrations.labels", self.labels, LABELS)


@with_config(STRICT)
@dataclass(frozen=True)
class PoolSpec:
    """Which training rows demonstrations may come from.

    overlap: "drop" leaves out rows whose text is also a dev or test row's, "keep" does not.
    """

    overlap: str

    def __post_init__(self) -> None:
        _choice("pool.overlap", self.overlap, OVERLAPS)


@with_config(STRICT)
@dataclass(frozen=True)
class PromptSpec:
    """How text becomes tokens; see `deepthink.prompts`."""

    seam: str
    overflow: str

    def __post_init__(self) -> None:
        _choice("prompt.seam", self.seam, SEAMS)
        _choice("prompt.overflow", self.overflow, OVERFLOWS)


@with_config(STRICT)
@dataclass(frozen=True)
class WandbSpec:
    """Where finished jobs are also sent."""

    mode: str
    project: str
    entity: str | None
    group: str | None

    def __post_init__(self) -> None:
        _choice("wandb.mode", self.mode, WANDB_MODES)


@with_config(STRICT)
@dataclass(frozen=True)
class Config:
    """One job. `records` says which of its fields can change a number, and how."""

    model: ModelSpec
    task: TaskSpec
    method: MethodSpec
    demonstrations: DemonstrationSpec
    prompt: PromptSpec
    pool: PoolSpec
    answer_score: str
    seed: int
    order: int
    test_size: int | None
    dev_size: int | None
    pool_size: int | None
    data_root: str | None
    results: str
    force: bool
    device: str
    token_budget: int | None
    wandb: WandbSpec

    def __post_init__(self) -> None:
        _choice("answer_score", self.answer_score, ANSWER_SCORES)
        _choice("device", self.device, DEVICES)
        _at_least("seed", self.seed, 0)
        _at_least("order", self.order, 0)
        _at_least("test_size", self.test_size, 1)
        _at_least("dev_size", self.dev_size, 0)
        _at_least("pool_size", self.pool_size, 1)
        _at_least("token_budget", self.token_budget, 1)
        if self.task.given:
            self._check_given()

    def _check_given(self) -> None:
        name = self.task.name.partition("/")[0]
        selector = self.method.selector.get("name")
        if selector != "random":
            raise UserError(
                f"selector {selector} has nothing to choose from: the demonstrations of {name} "
                "are the benchmark's own, use method=vanilla or method=deepthink"
            )
        if self.dev_size:
            raise UserError(
                f"dev_size is {self.dev_size}, but {name} has no training rows to set aside: "
                "leave it out (a subset for suites is scale=cpu_suite)"
            )
        if self.pool_size:
            raise UserError(
                f"pool_size is {self.pool_size}, but the demonstrations of {name} are given: "
                "leave it out"
            )

    @property
    def count(self) -> int:
        """k: how many demonstrations are drawn."""
        return self.demonstrations.count or self.task.demonstrations

    @property
    def draw(self) -> int:
        """The seed, or 0 where no seed changes anything: given demonstrations, as they are."""
        return 0 if self.task.given and self.demonstrations.labels != "random" else self.seed

    @property
    def label(self) -> str:
        """What this job's method is called in paths and tables, with the labels it shows."""
        labels = self.demonstrations.labels
        return self.method.label + (f"-{labels}" if labels != "gold" else "")

    def resolved(self) -> dict[str, Any]:
        """The whole config as plain values, for the record."""
        return asdict(self)


@dataclass(frozen=True)
class Suite:
    """A request for many jobs that differ in their task alone: the chosen members of `spec`."""

    spec: SuiteSpec
    jobs: tuple[Config, ...]


def in_group(request: Config | Suite, group: str) -> Config | Suite:
    """The same, its W&B runs in this group unless the user named one."""
    if isinstance(request, Suite):
        jobs = tuple(replace(job, wandb=_grouped(job.wandb, group)) for job in request.jobs)
        return replace(request, jobs=jobs)
    return replace(request, wandb=_grouped(request.wandb, group))


def _grouped(settings: WandbSpec, group: str) -> WandbSpec:
    return replace(settings, group=settings.group or group)


SHARING = ("workers", "worker", "sweep")
"""Keys of a sweep that several processes share, not of a job."""


def parse(composed: DictConfig) -> Config | Suite:
    """Check a composed config and freeze it; UserError names the first key that is wrong."""
    try:
        values: Any = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException as error:
        raise UserError(first_line(error)) from error
    except RecursionError as error:
        raise UserError("a key of the config refers to itself: set it to a value") from error
    for name in SHARING:
        values.pop(name, None)
    for key, value in _leaves(values):
        _check_leaf(key, value)
    refuse_secrets((key, value) for key, value in _leaves(values) if isinstance(value, str))
    _keep_plain(values)
    if isinstance(results := values.get("results"), str):
        values["results"] = at_home(results)
    task = values.get("task")
    if isinstance(task, dict):
        for name in ("template", "delimiter"):
            if isinstance(typed := task.get(name), str):
                task[name] = with_breaks(typed)
    if not (isinstance(task, dict) and "categories" in task):
        return _checked(Config, values)
    spec = _checked(SuiteSpec, task, "task.")
    members = [spec.member(name) for names in spec.chosen.values() for name in names]
    first = _checked(Config, {**values, "task": asdict(members[0])})
    return Suite(spec, tuple(replace(first, task=task) for task in members))


def with_breaks(typed: str) -> str:
    r"""A text in which \n and \t, as two characters, are a line break and a tab.

    So a shell and single quotes in YAML leave them.
    """
    return typed.replace("\\n", "\n").replace("\\t", "\t")


def notes(composed: DictConfig) -> tuple[str, ...]:
    """What a config that was parsed asked for and did not get, in one line each."""
    method = composed.method
    if method.get("thinks", True) or (asked := method.iterations) == 1:
        return ()
    return (
        f"method=vanilla is T = 1 whatever method.iterations says ({asked} here): "
        f"method=deepthink method.iterations={asked} thinks over the same demonstrations",
    )


def _keep_plain(values: dict[str, Any]) -> None:
    """Plain in-context learning stays T = 1 in a sweep that has another T for its other methods."""
    method = values.get("method")
    if isinstance(method, dict) and method.pop("thinks", True) is False:
        method["iterations"] = 1


def _leaves(values: Any, inside: str = "") -> Iterator[tuple[str, Any]]:
    """Every value that is no list and no dict, and every name of a dict, with its dotted key."""
    if isinstance(values, dict):
        for name, value in values.items():
            key = f"{inside}.{name}" if inside else str(name)
            yield f"a name in {inside or 'the config'}", str(name)
            yield from _leaves(value, key)
    elif isinstance(values, list):
        for value in values:
            yield from _leaves(value, inside)
    else:
        yield inside, values


def _check_leaf(key: str, value: Any) -> None:
    """Raise UserError for what no key takes."""
    match value:
        case bool() | None:
            return
        case str():
            check_text(key, value)
        case int():
            if abs(value) > MOST:
                raise UserError(f"{key} has {len(str(value))} digits: no number may exceed {MOST}")
        case float():
            if not math.isfinite(value):
                raise UserError(f"{key} is {value}: it must be a finite number")
        case _:
            raise UserError(f"{key} is {_shown(value)}: it must be a text or a number")


def check_text(key: str, value: str) -> None:
    """Raise UserError for bytes that are no text, which no file and no tokenizer takes."""
    try:
        whole = "\0" not in value and value.encode()
    except UnicodeEncodeError:
        whole = False
    if whole is False:
        raise UserError(f"{key} is {_shown(value)}: it holds bytes that are no text")


_Checked = TypeVar("_Checked")


def _checked(kind: type[_Checked], values: Any, inside: str = "") -> _Checked:
    """`values` as a dataclass of this kind; `inside` is where they stand in the whole config."""
    try:
        return TypeAdapter(kind).validate_json(json.dumps(values))
    except ValidationError as error:
        first = error.errors()[0]
        where = inside + ".".join(map(str, first["loc"]))
        if first["type"] == "unexpected_keyword_argument":
            raise UserError(
                f"unknown key '{where}': python run.py --help lists the keys"
            ) from error
        if first["type"] in ("missing", "missing_argument"):
            raise UserError(
                f"{where} has no value: python run.py --help shows the keys and their values"
            ) from error
        told = first["msg"][0].lower() + first["msg"][1:]
        if first["type"] == "string_type" and isinstance(first["input"], bool | int | float | None):
            told += " (in YAML, words such as no, yes, true, null and numbers need quotation marks)"
        raise UserError(f"{where} is {_shown(first['input'])}: {told}") from error
