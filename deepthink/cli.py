"""The command line: Hydra composes a config, jobs run, errors become one line each."""

import os
import re
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from deepthink.config import Config, Suite, parse
from deepthink.errors import UserError, unknown
from deepthink.rounds import Busy, until_done

CONF = Path(__file__).resolve().parent.parent / "conf"
_failures: list[str] = []
_passed: list[Config] = []
"""Jobs that other processes were at."""
_done: Counter[str] = Counter()


def main() -> None:
    """Entry point of run.py. Exit code 0 if every job has its record, else 1."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hand errors up, to be told in one line here
    for told in (_failures, _passed, _done):
        told.clear()
    try:
        job()
        if _passed:
            print(f"{len(_passed)} jobs are done by other processes: waiting for their records")
            until_done(_passed, _again)
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        _fail(translate(error))
    except KeyboardInterrupt as stop:
        where = f" {stop}" if str(stop) else ""
        _fail(f"interrupted{where}: finished jobs are kept, the same command continues")
    if sum(_done.values()) + len(_failures) > 1:
        parts = [f"{count} {what}" for what, count in _done.items()]
        print(f"jobs: {', '.join([*parts, f'{len(_failures)} failed'])}")
    if len(_failures) > 1:
        print(f"{len(_failures)} jobs failed; the same command runs only those", file=sys.stderr)
    sys.exit(1 if _failures else 0)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(composed: DictConfig) -> None:
    """One job of a sweep, or a suite; its failure stops no other job."""
    try:
        request = parse(composed)
        if isinstance(request, Suite):
            _run_suite(request)
        else:
            _run_job(request)
    except Busy:
        assert isinstance(request, Config)
        _passed.append(request)
    except UserError as error:
        _fail(str(error))


def _run_job(config: Config) -> None:
    """Raises Busy where another process is at it."""
    from deepthink import (  # slow to import: a typo should not wait
        display,
        failures,
        study,
        tracking,
    )

    console = display.console()
    try:
        with display.watching(console) as watch:
            outcome = study.run(config, watch)
    except Busy:
        raise
    except Exception as error:
        raise failures.note(config, error) from error
    failures.clear(config)
    _done["done" if outcome.scores is not None else "read"] += 1
    display.show(outcome, console)
    if (failure := tracking.publish(outcome, config.wandb)) is not None:
        console.print(failure, highlight=False)


def _again(config: Config) -> None:
    """A job that another process was at."""
    try:
        _run_job(config)
    except UserError as error:
        _fail(str(error))


def _run_suite(request: Suite) -> None:
    from deepthink import display, suite, tracking  # slow to import: a typo should not wait

    console = display.console()
    with display.watching(console) as watch:
        results = suite.run(request, watch)
    display.report(request, results, console)
    reasons: dict[str, list[str]] = {}
    for name, reason in results.failures.items():
        reasons.setdefault(reason, []).append(name)
    for reason, names in reasons.items():
        others = f" and {len(names) - 3} more" if len(names) > 3 else ""
        _fail(f"{', '.join(names[:3])}{others}: {reason}")
    for outcome in results.outcomes.values():
        _done["done" if outcome.scores is not None else "read"] += 1
    if (failure := tracking.publish_suite(request, results)) is not None:
        console.print(failure, highlight=False)


def _fail(message: str) -> None:
    line = " ".join(message.split())
    if line not in _failures:  # what all jobs of a sweep get wrong is told once
        print(f"error: {line}", file=sys.stderr)
    _failures.append(line)


def translate(error: Exception) -> str:
    """Hydra's own errors in one line, with the nearest valid names."""
    text = str(error)
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = str(error.missing_cfg_file).rpartition("/")
        names = [path.stem for path in (CONF / group).glob("[!_]*.yaml")]
        return str(unknown(group or "config", name, names))
    if found := re.search(r"Could not override '([^']+)'", text):
        key = found[1].partition("@")[0]
        return str(unknown("key", key, _keys()))
    if "Ambiguous value" in text or "requires --multirun" in text:
        return f"{text.splitlines()[0]}: add -m to run every value"
    return f"{text.splitlines()[0]} (python run.py --help shows the keys and examples)"


def compose(overrides: Sequence[str]) -> Config | Suite:
    """The checked request of a command line, for scripts; UserError as there."""
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            return parse(hydra.compose("config", overrides=list(overrides)))
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        raise UserError(translate(error)) from error


def expand(overrides: Sequence[str]) -> list[list[str]]:
    """The overrides of each job of a sweep: every combination of their listed values."""
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise UserError(translate(error)) from error
    choices = [
        [f"{o.get_key_element()}={value!s}" for value in o.sweep_string_iterator()]
        if o.is_sweep_override()
        else [str(o.input_line)]
        for o in parsed
    ]
    return [list(combination) for combination in product(*choices)]


def _keys() -> list[str]:
    """Every key the asked task and method can set, dotted, and every config group."""
    named = [word for word in sys.argv if re.fullmatch(r"(task|method)=\w+", word)]
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        composed = hydra.compose("config", overrides=named)
    found = {path.name for path in CONF.iterdir() if path.is_dir()}

    def visit(node: DictConfig, prefix: str) -> None:
        for key, value in node.items_ex(resolve=False):
            found.add(f"{prefix}{key!s}")
            if isinstance(value, DictConfig):
                visit(value, f"{prefix}{key!s}.")

    visit(composed, "")
    return sorted(found)
