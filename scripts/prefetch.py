"""Fetch models and tasks ahead of time, for machines without a network.

    python scripts/prefetch.py model=gpt2-large task=sst2
    python scripts/prefetch.py model=opt-125m,opt-350m task=sst2,trec,mr
    python scripts/prefetch.py model=pythia-410m task=mmlu,bbh

Takes the same words as run.py, lists included. Files land in the hub's own cache (HF_HOME), BBH's
demonstrations in this package's (DEEPTHINK_CACHE); copy them to the other machine and set
HF_HUB_OFFLINE=1 there.
"""

import sys

try:
    from rich.console import Console

    from deepthink.app import streams
    from deepthink.config.overrides import compose, expand
    from deepthink.errors import UserError
except KeyboardInterrupt:  # these take a second
    sys.exit("interrupted")


def main() -> None:
    """Fetch what every combination of the overrides needs; exit code 1 if anything failed."""
    if not sys.argv[1:] or {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return
    from deepthink.config.job import Config, Suite
    from deepthink.models import loading
    from deepthink.tasks import sources  # slow to import, and not needed to print the help

    console, failures = Console(highlight=False), 0
    done: set[str] = set()
    configs: list[Config] = []
    try:
        for overrides in expand(sys.argv[1:]):
            request = compose(overrides)
            configs += request.jobs if isinstance(request, Suite) else [request]
    except UserError as error:
        raise SystemExit(f"error: {error}") from error
    for config in configs:
        jobs = (
            (config.model.name, config.model, lambda spec=config.model: loading.fetch(spec)),
            (config.task.name, config.task, lambda c=config: sources.read(c.task, c.data_root)),
        )
        for name, spec, fetch in jobs:
            if repr(spec) in done:
                continue
            done.add(repr(spec))
            try:
                with console.status(f"fetching {name}"):
                    fetch()
                console.print(f"{name}: ready")
            except UserError as error:
                failures += 1
                print(f"error: {error}", file=sys.stderr)
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    streams.script(main)
