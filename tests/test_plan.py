"""What an experiment still takes, from made-up records."""

import re
import runpy
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from made_records import jobs, put

from deepthink.installation import CONF
from deepthink.report import device_rates, plan
from deepthink.report.runs import Runs
from deepthink.store.schema import Execution

SMALL = ("model=smollm2-135m", "test_size=6", "dev_size=6", "pool_size=9")
ASKED = (*SMALL, "task=sst2", "method=deepthink_curve")


def curves(folder: Path, seeds: Iterable[int], *overrides: str) -> Runs:
    for seed in seeds:
        (config,) = jobs(*ASKED, f"seed={seed}", *overrides)
        put(folder, config, dict.fromkeys(range(1, 16), 3), dict.fromkeys(range(1, 16), 3))
    return Runs.load(folder)


def test_jobs_with_a_record_are_done(tmp_path: Path) -> None:
    runs = curves(tmp_path, (0, 3))
    (line,) = plan.work(runs, "table1", ASKED)
    assert (line.model, line.task, line.done, line.missing) == ("smollm2-135m", "sst2", 2, 8)


def test_every_missing_job_has_a_command_that_is_it(tmp_path: Path) -> None:
    runs = curves(tmp_path, range(1, 10))
    (line,) = plan.work(runs, "table1", ASKED)
    (command,) = line.commands
    (job,) = jobs(*command.split()[2:])
    path = put(tmp_path, job, {1: 3}, {1: 3})
    assert path.parent.name == "deepthink"
    (line,) = plan.work(Runs.load(tmp_path), "table1", ASKED)
    assert (line.done, line.commands) == (10, ())


def test_a_record_of_another_setting_is_not_the_job(tmp_path: Path) -> None:
    runs = curves(tmp_path, range(3), "method.scored=sparse")
    (line,) = plan.work(runs, "table1", ASKED)
    assert (line.done, line.missing) == (0, 10)
    (other,) = plan.work(runs, "table1", (*ASKED, "method.scored=sparse"))
    assert (other.done, other.missing) == (3, 7)


def test_tokens_and_operations_by_hand(tmp_path: Path) -> None:
    """132 tokens in 12 queries; 20 tokens in two demonstrations; 4·10⁹ operations a scoring."""
    runs = curves(tmp_path, range(9))
    (line,) = plan.work(runs, "table1", ASKED)
    scored = 12 * (132 / 12) * 15
    read = 10 * 8 * 15
    assert line.tokens == pytest.approx(scored + read)
    assert line.tokens is not None
    assert line.flops == pytest.approx(line.tokens * 4e9 / 132)


@pytest.mark.parametrize(
    ("override", "scored", "read"),
    [("method.orders=3", 3, 3), ("method.query=twice", 2, 1), ("method.direction=channel", 2, 1)],
)
def test_what_is_read_several_times_counts_so(
    tmp_path: Path, override: str, scored: int, read: int
) -> None:
    """Estimates rest on runs that read a query once; the channel reads it behind two labels."""
    curves(tmp_path, range(1))
    runs = curves(tmp_path, range(1, 2), override)
    (line,) = plan.work(runs, "table1", (*ASKED, override))
    assert line.tokens == pytest.approx(15 * 9 * (132 * scored + 80 * read))


def test_a_larger_model_takes_proportionally_more(tmp_path: Path) -> None:
    runs = curves(tmp_path, range(1))
    small, large = (
        plan.work(runs, "table2", (f"model={m}", *ASKED[1:]))[0] for m in ("opt-125m", "llama2-7b")
    )
    assert small.flops is not None
    assert large.flops is not None
    assert large.flops / small.flops == pytest.approx(6_738_415_616 / 125_239_296)


def test_signals_of_a_pool_are_read_once_for_all_rules(tmp_path: Path) -> None:
    runs = curves(tmp_path, range(1))
    rules = (*ASKED[:-1], "method=entropy,margin", "seed=0")
    first, second = plan.work(runs, "table1", rules)
    assert first.tokens is not None
    assert second.tokens is not None
    assert first.tokens - second.tokens == pytest.approx(9 * 132 / 12)
    assert first.known
    (lens,) = plan.work(runs, "table1", (*ASKED[:-1], "method=lens", "seed=0"))
    assert not lens.known


def test_a_task_without_records_has_no_estimate(tmp_path: Path) -> None:
    runs = curves(tmp_path, range(1))
    (line,) = plan.work(runs, "table1", (*SMALL, "task=trec", "method=deepthink_curve"))
    assert line.tokens is line.flops is None


def test_rates_are_the_records_own_and_the_a100_is_assumed_until_then(tmp_path: Path) -> None:
    runs = curves(tmp_path, range(2))
    first, second = device_rates.rates(runs, {"smollm2-135m"})
    assert (first.device, first.records) == ("cpu test", 2)
    assert first.flops == pytest.approx(15e9 + 15 * 4e9)
    assert (second.records, second.flops) == (0, device_rates.A100_PEAK * device_rates.A100_SHARE)
    assert device_rates.rates(runs, {"gpt2-large"})[0].device == "NVIDIA A100"


def test_operations_that_were_not_done_do_not_make_a_device_faster(tmp_path: Path) -> None:
    (config,) = jobs(*ASKED, "seed=0")
    execution = Execution(device="cpu test", token_budget=1024, reused=4 * 10**9)
    put(tmp_path, config, dict.fromkeys(range(1, 16), 3), execution=execution)
    (rate,) = (r for r in device_rates.rates(Runs.load(tmp_path), {"smollm2-135m"}) if r.records)
    assert rate.flops == pytest.approx(15e9 + 14 * 4e9)


def test_the_command_prints_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    curves(tmp_path, range(2))
    script = str(CONF.parent / "scripts" / "plan.py")
    for folder in ([f"results={tmp_path}"], ["--results", str(tmp_path)]):
        monkeypatch.setattr(sys, "argv", ["plan.py", "table1", *ASKED, *folder])
        runpy.run_path(script, run_name="__main__")
        out = capsys.readouterr().out
        assert re.search(r"deepthink_curve +2 +8 ", out)
        assert f"python run.py experiment=table1 {' '.join(ASKED)} results={tmp_path}\n" in out
    for wrong, hint in (("tabel1", "table1"), ("table1 sed=1", "seed")):
        monkeypatch.setattr(sys, "argv", ["plan.py", *wrong.split()])
        with pytest.raises(SystemExit, match=f"^error: .*{hint}"):
            runpy.run_path(script, run_name="__main__")
