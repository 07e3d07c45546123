"""The command `deepthink-lm-eval`: lm-evaluation-harness with the model `deepthink`."""

import logging
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from deepthink.app import streams
from deepthink.errors import UserError, first_line
from deepthink.installation import make

FIRST_N = "--first_n"
TARGET = "deepthink.harness.model:DeepThinkLM"
HELP = f"""\
deepthink-lm-eval is lm-evaluation-harness (lm-eval) with one more model, deepthink, which thinks
over the demonstrations of a task before its questions come. All words are lm-eval's own, but for
{FIRST_N}, with which every question of a task is shown the first rows of its training split.

  deepthink-lm-eval run --tasks arc_challenge --num_fewshot 5 {FIRST_N} \\
    --model_args pretrained=smollm2-135m,iterations=5,step_size=0.1,positions=aligned

"""


def main() -> None:
    """Entry point of `deepthink-lm-eval`: an error of the user's ends it in one line."""
    streams.script(lambda: run(sys.argv[1:]))


def run(words: Sequence[str]) -> None:
    """Run the harness's command line of these words.

    Raises:
        UserError: lm-eval is not installed, or says that something is wrong.
    """
    try:
        import lm_eval.models  # noqa: F401  (the registry is filled by this import alone)
        from lm_eval.__main__ import cli_evaluate
        from lm_eval.api.registry import model_registry
    except ImportError as error:
        raise UserError(
            "lm-eval is not installed: " + make("lm-eval", "pip install 'deepthink[lm-eval]'")
        ) from error
    if FIRST_N in words and any(word.startswith("--cache_requests") for word in words):
        raise UserError(
            f"--cache_requests would keep prompts without saying that they are those of {FIRST_N}: "
            "leave out one of the two"
        )
    from deepthink.harness.tasks import demonstrations_marked

    if "deepthink" not in model_registry:
        model_registry.register("deepthink", target=TARGET)
    sys.argv[1:] = _with_model([word for word in words if word != FIRST_N])
    if not words or set(words) & {"-h", "--help"}:
        print(HELP)
    with demonstrations_marked(FIRST_N in words):
        try:
            cli_evaluate()
        except (UserError, OSError):
            raise
        except Exception as error:
            raise _explained(error) from error


def _with_model(words: Sequence[str]) -> list[str]:
    """The words of a run; without a model or a file of settings, the model is deepthink.

    >>> _with_model(["--tasks", "arc_challenge"])
    ['run', '--tasks', 'arc_challenge', '--model', 'deepthink']
    """
    if len(words) < 2 or words[0] in ("ls", "validate"):
        return [*words]
    run = [*words] if words[0] == "run" else ["run", *words]
    named = {word.partition("=")[0] for word in words} & {"--model", "-M", "--config", "-C"}
    return run if named else [*run, "--model", "deepthink"]


def _explained(error: Exception) -> Exception:
    """An error of the harness or its libraries as one line; a fault of this package as it is."""
    logging.getLogger("lm_eval").debug("where it was raised", exc_info=error)
    *_, last = traceback.extract_tb(error.__traceback__)
    if Path(__file__).parent.parent in Path(last.filename).parents:
        return error
    return UserError(f"lm-eval: {type(error).__name__}: {first_line(error)}")
