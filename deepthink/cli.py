"""The command line: Hydra composes a config, jobs run, errors become one line each."""

import os
import re
import sys
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

CONF = Path(__file__).resolve().parent.parent / "conf"
_failures: list[str] = []


def main() -> None:
    """Entry point of run.py. Exit code 0 if every job has its record, else 1."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # hand errors up, to be told in one line here
    _failures.clear()
    try:
        job()
    except (HydraException, OmegaConfBaseException, YAMLError) as error:
        _fail(translate(error))
    except KeyboardInterrupt as stop:
        where = f" {stop}" if str(stop) else ""
        _fail(f"interrupted{where}: finished jobs are kept, the same command continues")
    if len(_failures) > 1:
        print(f"{len(_failures)} jobs failed; the same command runs only those", file=sys.stderr)
    sys.exit(1 if _failures else 0)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")
def job(composed: DictConfig) -> None:
    """One job of a sweep, or a suite; a failure the user can put right stops no other job."""
    try:
        request = parse(composed)
        if isinstance(request, Suite):
            _run_suite(request)
        else:
            _run_job(request)
    except UserError as error:
        _fail(str(error))


def _run_job(config: Config) -> None:
    from deepthink import display, study, tracking  # slow to import: a typo should not wait

    console = display.console()
    with display.watching(console) as watch:
        outcome = study.run(config, watch)
    display.show(outcome, console)
    if (failure := tracking.publish(outcome, config.wandb)) is not None:
        console.print(failure, highlight=False)


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
