"""Fetch models and tasks ahead of time, for machines without a network.

    {called} prefetch model=gpt2-large task=sst2
    {called} prefetch model=opt-125m,opt-350m task=sst2,trec,mr
    {called} prefetch model=pythia-410m task=mmlu,bbh

The words are those of a job or a sweep. Files land in the hub's own cache (HF_HOME), BBH's
demonstrations in this package's (DEEPTHINK_CACHE); copy them to the other machine and set
HF_HUB_OFFLINE=1 there.
"""

import sys
from collections.abc import Callable, Sequence

from deepthink.app import streams, terminal
from deepthink.app.progress_bar import watching
from deepthink.config.job import Config
from deepthink.config.overrides import expand, requested
from deepthink.errors import UserError
from deepthink.installation import called


def main(words: Sequence[str]) -> None:
    """Fetch what every combination of the words needs.

    Raises:
        UserError: the words are wrong.
        SystemExit: with exit code 1, if a model or a task could not be fetched.
    """
    if not words or {"-h", "--help"} & {*words}:
        print((__doc__ or "").format(called=called()))
        return
    configs = [job for sweep_words in expand(words) for job in requested(sweep_words).jobs]
    console, done, failures = terminal.console(), set(), 0
    for name, key, fetch in (need for config in configs for need in _needs(config)):
        if key in done:
            continue
        done.add(key)
        try:
            with watching(console) as watch:
                watch.stage(f"fetching {name}")
                fetch()
            console.print(f"{name}: ready", highlight=False, soft_wrap=True)
        except UserError as error:
            failures += 1
            streams.tell(f"error: {error}", error=True)
    if failures:
        sys.exit(1)


def _needs(config: Config) -> tuple[tuple[str, str, Callable[[], object]], ...]:
    """What a job needs, its model and its data: the name, a unique key, and how to fetch it."""
    from deepthink.models import loading
    from deepthink.tasks import sources  # slow to import, and not needed to print the help

    return (
        (config.model.name, repr(config.model), lambda: loading.fetch(config.model)),
        (config.task.name, repr(config.task), lambda: sources.read(config.task, config.data_root)),
    )
