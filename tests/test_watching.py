"""What a user sees while something runs: a bar in a terminal, lines in a log, little or much."""

import io
import os
import subprocess
import sys
import threading
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import Command, stored
from made_records import made
from rich.console import Console
from rich.progress import Progress

from deepthink.app import job_view, suite_view
from deepthink.app.log_lines import EVERY, FIRST, LONGEST, LogWatcher
from deepthink.app.progress_bar import ProgressWatcher, columns, shortened, watching
from deepthink.config import overrides
from deepthink.installation import CONF
from deepthink.models.resolving import Resolved
from deepthink.progress import Watcher
from deepthink.study.jobs import Outcome
from deepthink.study.requests import Results

RUN = str(CONF.parent / "run.py")
LONG = "mmlu/high_school_government_and_politics: 16 demonstrations"


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def watched(seconds: float, rate: float, total: int, **about: object) -> list[tuple[float, str]]:
    """The lines of a job that does `rate` queries a second, each with the second it is printed."""
    clock, lines = Clock(), list[tuple[float, str]]()
    begin = clock.now
    watch = LogWatcher(lambda line: lines.append((clock.now - begin, line)), clock=clock, **about)  # type: ignore[arg-type]
    watch.stage("sst2: 4 demonstrations")
    watch.start(total)
    done = 0
    while clock.now < begin + seconds:
        clock.now += 1
        new = min(total, int((clock.now - begin) * rate)) - done
        if new:
            watch.advance(new)
        done += new
        watch.beat()
    return lines


# lines in a log


def test_a_short_job_prints_no_line() -> None:
    assert watched(FIRST - 1, rate=10, total=100) == []


def test_a_job_of_minutes_prints_a_line_for_each_tenth_but_not_oftener_than_every_30_seconds() -> (
    None
):
    times = [time for time, _ in watched(600, rate=1, total=600)]
    assert times == [10, 70, 130, 190, 250, 310, 370, 430, 490, 550]
    quick = [time for time, _ in watched(100, rate=1, total=100)]
    assert quick == [10, 40, 70, 100]
    assert min(b - a for a, b in pairwise(times)) >= EVERY


def test_a_job_of_days_is_not_silent_for_hours() -> None:
    times = [time for time, _ in watched(7200, rate=0.01, total=10_000)]
    assert max(b - a for a, b in pairwise(times)) == LONGEST


def test_a_line_has_stage_share_rate_and_the_time_that_is_left() -> None:
    lines = watched(45, rate=2, total=600, place="job 3 of 40")
    assert lines[0][1] == (
        "job 3 of 40: sst2: 4 demonstrations: 20 of 600 queries (3 %), 2 a second, 5 min left"
    )


@pytest.mark.parametrize(
    ("rate", "said"), [(1 / 20, " a minute, 9"), (1 / 400, " an hour, 33 h 25 min left")]
)
def test_slow_work_is_told_in_minutes_and_hours(rate: float, said: str) -> None:
    lines = watched(2000, rate=rate, total=300)
    assert lines[0][1].endswith(": 0 of 300 queries (0 %), 10 s so far")
    assert any(said in line for _, line in lines)


def test_what_has_no_count_says_how_long_it_lasts() -> None:
    clock, lines = Clock(), list[str]()
    watch = LogWatcher(lines.append, clock=clock)
    watch.stage("fetching gpt2-large from the hub, then loading it")
    for _ in range(130):
        clock.now += 1
        watch.beat()
    assert [line.rpartition(": ")[2] for line in lines] == [
        f"{passed} so far" for passed in ("10 s", "40 s", "70 s", "2 min", "2 min")
    ]


def test_a_selection_is_told_with_its_own_count_and_the_newest_accuracies_with_theirs() -> None:
    clock, lines = Clock(), list[str]()
    watch = LogWatcher(lines.append, clock=clock)
    watch.start(600)
    with watch.aside("sets that were tried", 5000) as advance:
        for _ in range(12):
            clock.now += 1
            advance(100)
        watch.beat()
    watch.stage("sst2: 4 demonstrations")
    watch.advance(50)
    watch.step(3, "dev", 0.8)
    watch.step(3, "test", 0.781)
    clock.now += EVERY
    watch.beat()
    assert lines[0].startswith(
        "starting: sets that were tried: 1,200 of 5,000 (24 %), 100 a second"
    )
    assert lines[1].endswith("50 of 600 queries (8 %); t=3 dev 80.0%, test 78.1%")


def test_verbose_lines_tell_every_stage_at_once() -> None:
    lines = list[str]()
    watch = LogWatcher(lines.append, verbose=True, clock=Clock())
    watch.stage("loading gpt2")
    watch.detail("token budget: 1,024 tokens in a forward")
    assert lines == [
        "[   0.0 s] loading gpt2",
        f"[   0.0 s] {'token budget: 1,024 tokens in a forward'}",
    ]


def test_lines_are_printed_while_the_work_itself_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    """The beat is on a thread: what computes for minutes need not call anything."""
    out = io.StringIO()
    monkeypatch.setattr("deepthink.app.log_lines.FIRST", 0.0)
    with watching(Console(file=out)) as watch:
        watch.stage("loading gpt2")
        threading.Event().wait(1.5)
    assert "loading gpt2: " in out.getvalue()


# a terminal


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_only_a_terminal_that_somebody_looks_at_has_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    with watching(Console(file=Tty(), force_terminal=True)) as watch:
        assert isinstance(watch, ProgressWatcher)
    monkeypatch.setenv("FORCE_COLOR", "1")  # as CI sets it, which is no terminal
    with watching(Console(file=io.StringIO())) as watch:
        assert isinstance(watch, LogWatcher)
    monkeypatch.setenv("TERM", "dumb")
    with watching(Console(file=Tty(), force_terminal=True)) as watch:
        assert isinstance(watch, LogWatcher)
    with watching(Console(file=Tty(), force_terminal=True), "quiet") as watch:
        assert type(watch) is Watcher


@pytest.mark.parametrize("width", [118, 80, 60])
def test_the_bar_fits_a_terminal_and_keeps_its_numbers(width: int) -> None:
    console = Console(width=width, file=io.StringIO())
    bar = Progress(*columns(width), console=console, expand=True)
    watch = ProgressWatcher(bar, "job 13 of 400")
    watch.stage(LONG)
    watch.start(65_400)
    watch.advance(1200)
    watch.step(3, "test", 0.781)
    with watch.aside("sets that were tried", 5000) as advance:
        advance(300)
        console.print(bar.get_renderable())
    first, second = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(len(first), len(second)) <= width
    assert first.startswith("job 13 of")
    assert "demonstrations" in first or width < 100
    assert "t=3 test 78.1%" in first
    assert "1200/65400" in first
    assert "300/5000" in second


def test_a_long_name_keeps_its_beginning_and_its_end() -> None:
    assert shortened("sst2", 4) == "sst2"
    for width in range(1, 70):
        text = shortened(LONG, width)
        assert len(text) == min(width, len(LONG))
    assert shortened(LONG, 40).startswith("mmlu/high_school_")
    assert shortened(LONG, 40).endswith("demonstrations")


def shown(width: int, *words: str, followed: int | None = None) -> list[str]:
    """The lines that a terminal of this width shows of a job or a suite."""
    console = Console(width=width, file=io.StringIO(), markup=False)
    request = overrides.requested(["method=deepthink", "method.scored=ends", *words])
    outcomes = {}
    for config in request.jobs:
        record = made(config, {1: 3, 5: 6}, None if request.suite else {1: 2, 5: 2})
        if followed is not None:
            curve = tuple(replace(point, followed=followed) for point in record.curve)
            record = replace(record, curve=curve)
        path = Path(f"r/records/m/{config.task.name}/deepthink/seed0-12345678.json")
        outcomes[config.task.name] = Outcome(path, record, None)
    if request.suite:
        suite_view.show(request, Results(outcomes, {}), console)
    else:
        job_view.show(next(iter(outcomes.values())), console)
    return str(console.file.getvalue()).splitlines()  # type: ignore[attr-defined]


@pytest.mark.parametrize("width", [118, 80, 60])
@pytest.mark.parametrize("task", ["sst2", "mmlu"])
def test_tables_fit_a_terminal_and_cut_no_number(width: int, task: str) -> None:
    lines = shown(width, f"task={task}", followed=2 if task == "sst2" else None)
    tables = [line for line in lines[1:] if not line.startswith(("0 records", "read, not", "in "))]
    assert max(map(len, tables)) <= width
    assert not any("…" in line for line in tables)
    if task == "sst2":
        (last,) = (line for line in lines if line.strip("│ ").startswith("5 "))
        assert last.count("%") == (8 if width > 72 else 4)
    else:
        text = "".join(line.split(" ")[1] for line in lines if line.startswith(" ")).replace(
            " ", ""
        )
        assert "high_school_government_and_politics" in text
        (row,) = (line for line in lines if line.startswith(" virology "))
        assert row.split()[:4] == ["virology", "2", "6", "50.0"]
        assert ("[61.0, 100.0]" in row) == (width > 72)


# one switch


def test_quiet_prints_a_line_for_each_result(run: Command, tmp_path: Path) -> None:
    code, out, err = run("-m", "seed=0,1", "verbosity=quiet")
    paths = sorted(str(path) for path, _ in stored(tmp_path))
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert [line.partition("; ")[2] for line in lines[:2]] == paths
    assert lines[0].startswith("smollm2-135m sst2 deepthink seed 0: t=1 ")
    assert "reading sst2" not in out
    assert not any(line.startswith(("wrote", "t chosen", "the data read")) for line in lines)
    assert lines[-1] == "jobs: 2 done, 0 read, 0 failed"


def test_quiet_still_prints_errors(run: Command) -> None:
    code, out, err = run("verbosity=quiet", "demonstrations.count=600")
    assert (code, out) == (1, "")
    assert err.startswith("error: ")


def test_a_quiet_suite_is_one_line(run: Command, tmp_path: Path) -> None:
    request = overrides.requested(["task=mmlu", "method=deepthink", "verbosity=quiet"])
    assert request.verbosity == "quiet"
    console = Console(width=118, file=io.StringIO(), markup=False)
    outcomes = {
        config.task.name: Outcome(
            tmp_path / "a" / "b" / "c" / "seed0.json",
            made(config, {1: 3, 2: 3, 3: 3, 4: 3, 5: 6}),
            None,
        )
        for config in request.jobs
    }
    suite_view.show_briefly(request, Results(outcomes, {}), console)
    (line,) = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert line.startswith(
        "smollm2-135m mmlu c: 57 of 57 members, t=1 50.0% (macro), t=5 100.0% (macro); under "
    )


def test_verbose_tells_device_dtype_budget_and_what_was_known(run: Command) -> None:
    _, normal, _ = run()
    assert "token budget" not in normal
    code, out, _ = run("-m", "verbosity=verbose", "force=true", "seed=1", "token_budget=77")
    assert code == 0
    assert "float32" in out
    assert "token budget: 77 tokens in a forward" in out
    assert "s] reading sst2" in out
    _, out, _ = run("-m", "verbosity=verbose", "method.step_size=0.1,0.2", "seed=2")
    assert out.count("the scores at t = 1 were known from an earlier job") == 1
    assert "job 1 of 2" not in out  # no line was due


def test_the_switch_is_no_part_of_a_job(run: Command, tmp_path: Path) -> None:
    plain, loud = (overrides.requested([word]) for word in ("seed=0", "verbosity=verbose"))
    assert plain.jobs == loud.jobs
    assert overrides.group(["seed=0,1"]) == overrides.group(["seed=0,1", "verbosity=quiet"])
    run("verbosity=verbose")
    ((_, record),) = stored(tmp_path)
    assert "verbosity" not in record["config"]


def test_a_mistyped_verbosity_is_one_line(run: Command) -> None:
    code, _, err = run("verbosity=quite")
    assert (code, err) == (1, "error: unknown value of verbosity 'quite': did you mean quiet?\n")


# libraries


def test_a_download_and_a_conversion_are_stages_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = overrides.compose(["model=opt-125m"]).model
    model = Resolved(spec, spec.hub_id, tmp_path, commit="0" * 40)
    assert model.stage == "fetching opt-125m from the hub, then loading it"
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "model.safetensors").write_bytes(b"")
    assert model.stage == "loading opt-125m"
    assert replace(model, commit=None).stage == "loading opt-125m"
    monkeypatch.setenv("DEEPTHINK_CACHE", str(tmp_path / "cache"))
    packed = Resolved(overrides.compose([]).model, "", tmp_path, gguf=(tmp_path / "x.gguf",))
    assert packed.stage == "converting the weights of smollm2-135m"
    (tmp_path / "cache" / packed.name).mkdir(parents=True)
    assert packed.stage == "loading smollm2-135m"


@pytest.mark.slow
def test_no_library_draws_a_bar_of_its_own(
    tiny_folder: Path, data_root: Path, tmp_path: Path
) -> None:
    """Neither for weights nor for data, in the streams of a process of its own."""
    words = [
        f"model.hub_id={tiny_folder}", "model.package=null", "task=sst2", f"data_root={data_root}",
        f"results={tmp_path / 'results'}", "wandb.mode=disabled", "method.iterations=2",
    ]  # fmt: skip
    for verbosity in ("normal", "verbose"):
        ended = subprocess.run(
            [sys.executable, RUN, *words, f"verbosity={verbosity}", "force=true"],
            capture_output=True, text=True, check=False,
            env={**os.environ, "DEEPTHINK_CACHE": str(tmp_path / "cache")},
        )  # fmt: skip
        assert ended.returncode == 0
        assert ended.stderr == ""
        assert "it/s" not in ended.stdout
        assert "Loading weights" not in ended.stdout
