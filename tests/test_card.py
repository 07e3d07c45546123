"""The card of a folder of results: what is counted, and whose terms apply."""

import csv
from pathlib import Path

import yaml
from made_records import jobs, put

from deepthink.installation import CONF
from deepthink.report import card
from deepthink.report.runs import Runs


def written(results: Path) -> str:
    return "\n".join(card.text(results, Runs.load(results)))


def row(text: str, name: str) -> list[str]:
    (line,) = (line for line in text.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_card_counts_the_records(tmp_path: Path) -> None:
    assert written(tmp_path) == "", "a folder without records has no card"
    for seed in range(3):
        for words in (("method=vanilla",), ("method=deepthink", "method.iterations=2")):
            (job,) = jobs("model=gemma3-270m", "task=sst2", *words, f"seed={seed}")
            put(tmp_path, job, dict.fromkeys(job.method.steps, 3))
    (job,) = jobs("model=opt-125m", "task=sst2", "method=vanilla")
    put(tmp_path, job, {1: 3}, data="other")
    text = written(tmp_path)
    assert "7 records of jobs, done from 2026-01-01 to 2026-01-01" in text
    gemma = row(text, "gemma3-270m")
    assert gemma[4:7] == ["1", "2", "6"] and "ai.google.dev/gemma/terms" in gemma[7]
    assert row(text, "opt-125m")[4:7] == ["1", "1", "1"]
    data = row(text, "sst2")
    assert data[1:4] == ["made up", "6", "7"] and "not known here" in data[4]


def test_every_model_and_data_set_of_the_configs_has_terms() -> None:
    names = set()
    for path in (CONF / "model").glob("[!_]*.yaml"):
        names.add(yaml.safe_load(path.read_text())["hub_id"])
    for path in (CONF / "task").glob("[!_]*.yaml"):
        sources = yaml.safe_load(path.read_text()).get("sources", [])
        names |= {source["repository"] for source in sources if not source["bundled"]}
    with Path(card.__file__).with_name("terms.csv").open() as file:
        rows = [*csv.DictReader(file)]
    assert {row["name"] for row in rows} == names
    assert all(row["terms"] and row["link"].startswith("https://") for row in rows)
