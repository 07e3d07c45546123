"""Write the measured passages of README.md and docs: no figure there is typed by hand.

    make readme

A passage stands between <!-- measured: NAME --> and <!-- end -->. Its figures are those of the file
docs/measured/NAME.json, or for the passages `findings` and `paper` those of the published studies
under results/. The same files give the same text.
"""

import json
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import findings
import gpu_page
import paper_hours
from wording import listed, seconds, table, tiny, wrapped

from deepthink.files import atomically
from deepthink.report.experiments import EARLIER
from deepthink.report.layouts import TASKS

ROOT = Path(__file__).resolve().parent.parent
MEASURED = ROOT / "docs" / "measured"
RESULTS = ROOT / EARLIER.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PASSAGE = re.compile(r"(<!-- measured: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)

Figures = dict[str, Any]


def bench(figures: Figures) -> list[str]:
    """The times of both paths on real tasks, and the range of ratios over model families."""
    settings, results = figures["settings"], figures["results"]
    parts = []
    for tasks in filter(None, (results["tasks"], results.get("gemma"))):
        parts.append(
            f"On {cores(figures)}, {settings['dtype']}, T = {settings['iterations']}, "
            f"{tasks['model']}, milliseconds per query and iteration:"
        )
        header = ("", "engine", "straightforward", "ratio", "useful work", "thinking", "scoring")
        rows = [bench_row(row) for row in tasks["workloads"]]
        parts.append(table((*header, "of the best product"), rows))
    if families := results["families"]:
        low, high = families["ratios"]
        parts.append(
            f"({low:.1f}-{high:.1f}× for random weights in the shapes of "
            f"{listed(families['shapes'])}.)"
        )
    return parts


def bench_row(row: Figures) -> list[str]:
    """A task's times, ratio and rates; a dash for what was not measured apart."""
    apart = [row.get(f"{kind}_gflops") for kind in ("thinking", "scoring")]
    return [
        f"{task(row['name'])}, {among(row['candidates'])} candidates, "
        f"{row['demonstrations']} demonstrations, {row['queries']} queries",
        f"{row['engine_ms']:.1f} ms",
        f"{row['straightforward_ms']:.1f} ms",
        f"{row['ratio']:.1f}×",
        *("–" if rate is None else f"{rate:.0f} GFLOP/s" for rate in (row["gflops"], *apart)),
        f"{row['share_of_best']:.0%}".replace("%", " %"),
    ]


def judge(figures: Figures) -> list[str]:
    """How close the numbers of lm-evaluation-harness are, and how long both models took."""
    settings, tasks = figures["settings"], figures["results"]["tasks"]
    scored = [task for task in tasks if task["difference"] is not None]
    texts = [task for task in tasks if task["difference"] is None]
    parts = [
        f"{settings['model']} in float32, η = {settings['step_size']:g}, {settings['positions']} "
        f"positions. At t = 1, the log-probabilities of "
        f"{sum(task['requests'] for task in scored)} options differ from hf's by at most "
        f"{tiny(max(task['difference'] for task in scored))}, and "
        f"{sum(task['same'] for task in scored)} greedy flags are the same."
    ]
    if texts:
        parts[0] += (
            f" Of {sum(task['requests'] for task in texts)} texts "
            f"{sum(task['same'] for task in texts)} are the same."
        )
    heads = ("hf", "t = 1", f"t = {settings['iterations']}")
    rows = [
        [
            f"`{task['name']}`",
            str(task["rows"]),
            *(f"{value:.1f} s" for value in task["seconds"]),
            *(f"{100 * value:.0f} %" for value in task["metric"]),
        ]
        for task in tasks
    ]
    parts.append(table(["task", "questions", *(f"{h}, time" for h in heads), *heads], rows))
    parts.append(
        "The times are seconds of the processor on one thread, for the whole evaluation. The last "
        "three columns are the task's accuracy or exact match; so few questions say whether the "
        "models agree, and not how good they are."
    )
    return parts


def stress(figures: Figures) -> list[str]:
    """Which records were complete after workers and drivers were killed at random."""
    results = figures["results"]
    same = "were" if results["same_numbers"] else "were NOT"
    return [
        "`make stress` kills workers and drivers of a sweep under Ray at random. On "
        f"{cores(figures)}, after {results['kills']} kills ({results['workers']} workers at work, "
        f"{results['drivers']} drivers; the command was given {results['commands']} times), "
        f"{results['records']} of {figures['settings']['jobs']} records were there, "
        f"{results['corrupt']} of them corrupt, {results['twice']} made twice, and the numbers "
        f"{same} those of an undisturbed sweep."
    ]


def launchers(figures: Figures) -> list[str]:
    """Whether the launchers' numbers are identical, and the overhead of a job."""
    ways = figures["results"]["ways"]
    apart = max(way["apart"] for way in ways)
    same = f"they differ by up to {tiny(apart)}" if apart else "all are identical"
    return [
        f"`make launchers` does {figures['settings']['jobs']} jobs in every way and compares every "
        f"score: {same}. What a job cost on top of its reading and scoring, start-up included "
        f"({cores(figures)}, tiny jobs):",
        table(
            [f"`{way['words']}`" for way in ways],
            [[f"{way['ms']:.0f} ms" for way in ways]],
        ),
    ]


def scaling(figures: Figures) -> list[str]:
    """The slowest selectors on the largest pool, and the most memory any of them held."""
    results = figures["results"]
    slowest = listed(
        [f"`{run['method']}` takes {seconds(run['seconds'])}" for run in results["slowest"]]
    )
    others = results["others_seconds"]
    rest = "" if others is None else f", each other selector {seconds(others)} at most"
    return [
        f"At n = {results['size']:,}, d = {results['width']}, on {cores(figures)}, {slowest}{rest}"
        f"; none holds more than {results['gib']:.1f} GiB with the signals (`make scaling`)."
    ]


def reading(figures: Figures) -> list[str]:
    """How fast a pool's signals are read."""
    settings, results = figures["settings"], figures["results"]
    return [
        f"{settings['model']} reads some {results['sentences_per_second']:.0f} sentences of "
        f"{task(settings['task'])} a second on {cores(figures)}."
    ]


def threads(figures: Figures) -> list[str]:
    """How much slower processes are with more threads than cores."""
    settings, results = figures["settings"], figures["results"]
    many, few = settings["threads"]
    return [
        f"On {cores(figures)}, {settings['processes']} processes of {many} threads each took "
        f"{results['times_as_long']:.0f} times as long as {settings['processes']} of {few}."
    ]


def rounding(figures: Figures) -> list[str]:
    """How far the number of threads and half precision move scores and predictions."""
    settings, results = figures["settings"], figures["results"]
    percent = 100 * results["differ"] / results["predictions"]
    return [
        f"In float32 the number of threads moved scores by {tiny(results['threads_relative'])} of "
        "their size at most and no prediction. bfloat16 is another matter: "
        f"{settings['model']} on a CPU, `scale={settings['scale']}`, "
        f"{listed([task(name) for name in settings['tasks']])}, {settings['draws']} draws, T up to "
        f"{settings['iterations']}: of {results['predictions']:,} predictions {results['differ']} "
        f"({percent:.1f} %) are not those of float32, and the accuracy on {results['examples']} "
        f"test examples differs by {results['points']} points at most."
    ]


PASSAGES: dict[str, Callable[[Figures], list[str]]] = {
    "bench": bench,
    "judge": judge,
    "stress": stress,
    "launchers": launchers,
    "scaling": scaling,
    "reading": reading,
    "threads": threads,
    "rounding": rounding,
    "gpu": gpu_page.results,
}


def source(name: str, figures: Figures) -> str:
    """The sentence that says how the figures of a passage were made, and what is not recorded."""
    code, versions = figures["code"], figures["versions"] or {}
    commit = code["commit"] and f"commit {code['commit'][:7]}"
    facts = {
        "the command": figures["command"] and f"`{figures['command']}`",
        "the day": figures["date"],
        "the commit": commit and commit + (" with changes" if code["dirty"] else ""),
        "the processor": figures["machine"]["gpu"] or figures["machine"]["cpu"],
        "the versions": ", ".join(
            f"{library} {versions[library]}" for library in ("python", "torch") if versions
        ),
    }
    parts = [*filter(None, facts.values())]
    if missing := [fact for fact, value in facts.items() if not value]:
        parts.append(f"not recorded: {listed(missing)}")
    if stated := figures.get("stated"):
        parts.append(f"these figures stand here since {stated['commit'][:7]} of {stated['date']}")
    return f"Source: [{name}.json](measured/{name}.json) ({'; '.join(parts)})."


def cores(figures: Figures) -> str:
    """The GPU, or the number of the processor's cores, in words."""
    about = figures["machine"]
    return about["gpu"] or f"{about['cores']} CPU core{'s' * (about['cores'] != 1)}"


def task(name: str) -> str:
    """A task's title; for a suite's member, the names of both."""
    suite, _, member = name.partition("/")
    return f"{suite.upper()} {member.replace('_', ' ')}" if member else TASKS.get(name, name)


def among(counts: Sequence[int]) -> str:
    """A count, or a range of counts."""
    least, most = counts
    return str(least) if least == most else f"{least}-{most}"


PUBLISHED: dict[str, Callable[[Path], list[str]]] = {
    "findings": findings.parts,
    "paper": lambda results: paper_hours.parts(results / EARLIER.name),
}
"""The passages that rest on the published studies, by the folder of the newer one."""


def passage(name: str, measured: Path = MEASURED, results: Path = RESULTS) -> str:
    """The passage of this name: on a measurement, or on the published studies."""
    if name in PUBLISHED:
        parts = PUBLISHED[name](results)
    else:
        file = measured / f"{name}.json"
        if name == "gpu" and not file.exists():
            return wrapped(gpu_page.UNMEASURED)
        figures = json.loads(file.read_text(encoding="utf-8"))
        parts = [*PASSAGES[name](figures), source(name, figures)]
    return "\n\n".join(part if part.startswith("|") else wrapped(part) for part in parts)


def written(text: str, measured: Path = MEASURED, results: Path = RESULTS) -> str:
    """A page's text with every measured passage rewritten."""
    return PASSAGE.sub(
        lambda match: f"{match[1]}{passage(match[2], measured, results)}\n{match[3]}", text
    )


def update() -> None:
    """Rewrite every page in which a passage changed."""
    for page in PAGES:
        before = page.read_text(encoding="utf-8")
        after = written(before, MEASURED, RESULTS)
        if after != before:
            atomically(page, partial(Path.write_text, data=after, encoding="utf-8"))
            print(f"wrote {page.name}")


if __name__ == "__main__":
    update()
