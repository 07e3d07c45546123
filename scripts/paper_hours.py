"""The passage on the hours of the whole paper, which `make plan EXPERIMENT=paper` counts."""

from pathlib import Path

from wording import table

from deepthink.report import device_rates, plan, programme
from deepthink.report.runs import Runs
from deepthink.report.words import MISSING


def parts(results: Path) -> list[str]:
    """A table with a line for each model, before anything was run, and what its hours rest on."""
    known = Runs.load(results).all
    works = plan.of_parts(Runs([]), programme.programme().parts, known)
    a100 = device_rates.of_an_a100(device_rates.rates(Runs([]), set(), known))
    rows = []
    for model in dict.fromkeys(work.model for work in works):
        own = [work for work in works if work.model == model]
        names = dict.fromkeys(f"`{work.experiment}`" for work in own)
        rows.append([f"`{model}`", ", ".join(names), *_numbers(own, a100)])
    rows.append(["all", "", *_numbers(works, a100)])
    return [
        table(("model", "experiments", "jobs", "hours on an A100"), rows),
        f"The hours rest on {a100.flops / 1e12:.0f} · 10¹² operations a second ({a100.source}). "
        "≥ stands where no record says yet what a selector reads that tries sets.",
    ]


def _numbers(works: list[plan.Work], a100: device_rates.Rate) -> list[str]:
    hours = [a100.hours(work) for work in works if work.missing]
    sign = "" if all(work.known for work in works) and None not in hours else "≥ "
    counted = sum(hour or 0.0 for hour in hours)
    jobs = f"{sum(work.missing for work in works):,}"
    return [jobs, f"{sign}{counted:.1f}" if counted else MISSING]
