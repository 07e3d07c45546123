"""A record as a log of the exchange format: https://github.com/evaleval/every_eval_ever, 0.3.0.

A log has a result for each t after which the test rows were scored, and for each metric. Its name
ends with the t, since plain in-context learning (t = 1) and each later t are results of their own.
So no t is chosen here. The t that dev chooses is marked, and dev's own numbers are left out.
"""

import hashlib
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from deepthink.installation import usual
from deepthink.report import axes as named
from deepthink.report import commands
from deepthink.report.exchange import metrics
from deepthink.report.exchange.metrics import Value
from deepthink.report.runs import Run
from deepthink.store import curves, records
from deepthink.store.identity import digest, record_id
from deepthink.store.schema import Record

SCHEMA = "0.3.0"
"""The version of the format's schema."""

COLLECTION = "deepthink"
"""The first folder of every file, which names where the numbers come from."""


@dataclass(frozen=True)
class Evaluator:
    """Who ran the jobs.

    organization: their name. relationship: to the developer of the model, "first_party",
    "third_party", "collaborative" or "other".
    """

    organization: str
    relationship: str


def log(run: Run, by: Evaluator) -> dict[str, Any]:
    """The JSON object of a record, without what names a file of samples."""
    record = run.record
    return {
        "schema_version": SCHEMA,
        "evaluation_id": evaluation_id(record),
        "evaluation_timestamp": record.finished,
        "retrieved_timestamp": _epoch(record),
        "source_metadata": _source(run, by),
        "eval_library": _library(run),
        "model_info": _model(record),
        "evaluation_results": [*_results(record)],
    }


def evaluation_id(record: Record) -> str:
    """The name of a run: the task, the model, and when which job was done."""
    return f"{_task(record)}/{model_id(record)}/{_epoch(record)}-{record_id(record.identity)}"


def result_id(record: Record, step: int, metric: str) -> str:
    """The name of one result of a record: its id, t and the metric."""
    return f"{record_id(record.identity)}.t{step}.{metric}"


def evaluation_name(record: Record, step: int) -> str:
    """What was evaluated, such as "sst2.t5": a task after five readings of the demonstrations."""
    return f"{_task(record)}.t{step}"


def model_id(record: Record) -> str:
    """The model's repository on the hub; of others "local/", the name and the weights' digest."""
    key = record.identity.model
    if not key.weights and re.fullmatch(r"[\w.-]+/[\w.-]+", key.hub_id):
        return key.hub_id
    name = re.sub(r"[^\w.-]+", "_", record.config.model.name)
    return f"local/{name}-{(key.weights or digest(key.stored()))[:8]}"


def number(record: Record) -> UUID:
    """The UUID of a record's files, of version 4 in form; the same record has the same."""
    digits = hashlib.sha256(f"every_eval_ever {records.checksum(record)}".encode()).digest()
    return UUID(bytes=digits[:16], version=4)


def _task(record: Record) -> str:
    return record.config.task.name.replace("/", ".")


def _epoch(record: Record) -> str:
    return str(int(datetime.fromisoformat(record.finished).timestamp()))


def _strings(values: dict[str, Any]) -> dict[str, str]:
    """Values as the format wants additional details; those that are missing are left out."""
    return {key: named.shown(value) for key, value in values.items() if value is not None}


def _source(run: Run, by: Evaluator) -> dict[str, Any]:
    about = {
        "record": run.path.as_posix(),
        "checksum": records.checksum(run.record),
        "device": run.record.execution.device,
        "seconds": run.record.seconds.all,
    }
    return {
        "source_name": "deepthink",
        "source_type": "evaluation_run",
        "source_organization_name": by.organization,
        "evaluator_relationship": by.relationship,
        "additional_details": _strings(about),
    }


def _library(run: Run) -> dict[str, Any]:
    """The program, the commit, and every setting of the job under the words of a command."""
    record = run.record
    about = {"commit": record.code.commit, "uncommitted_changes": record.code.dirty}
    about |= {f"version.{name}": version for name, version in record.versions.items()}
    about |= {f"setting.{key}": value for key, value in _settings(run).items()}
    return {
        "name": "deepthink",
        "version": record.versions.get("deepthink", "unknown"),
        "additional_details": _strings(about),
    }


def _settings(run: Run) -> dict[str, Any]:
    return named.of_record(run.record, run.path.parent.name)


def _model(record: Record) -> dict[str, Any]:
    key, setting = record.identity.model, record.config.model
    about = {
        "deployment_type": "self_deployed",
        "model_availability": "unknown" if key.weights else "open_weights",
        "dtype": key.dtype,
        "weights_sha256": key.weights or None,
        "revision": record.model_commit or setting.revision,
        "package": setting.package,
        "parameters": setting_of(record, "model", "parameters"),
    }
    return {
        "name": setting.name,
        "id": model_id(record),
        "inference_engine": {
            "name": "transformers",
            "version": record.versions.get("transformers", "unknown"),
        },
        "additional_details": _strings(about),
    }


def setting_of(record: Record, *keys: str) -> Any:
    """A value of the whole config; None where an earlier version had none."""
    value: Any = record.config.whole
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _results(record: Record) -> Iterator[dict[str, Any]]:
    data, generation = _data(record), _generation(record)
    chosen = curves.by_dev(record.curve)
    points: list[tuple[int, Iterator[Value]]] = [
        *((p.step, metrics.of_point(p)) for p in curves.of_split(record.curve, "test")),
        *((point.step, metrics.of_open(point)) for point in record.open),
    ]
    for step, values in points:
        about = {"t": step, "chosen_by_dev": None if chosen is None else chosen.step == step}
        config = {**generation, "additional_details": _strings(about)}
        for value in values:
            yield {
                "evaluation_result_id": result_id(record, step, value.name),
                "evaluation_name": evaluation_name(record, step),
                "source_data": data,
                "metric_config": value.metric.config(),
                "score_details": value.score_details,
                "generation_config": config,
            }


def _generation(record: Record) -> dict[str, Any]:
    words = shlex.join(commands.words_of(record))
    template = record.identity.task.template
    return {
        "generation_args": {
            "execution_command": f"{usual()} {words}",
            **({"prompt_template": template} if isinstance(template, str) else {}),
        }
    }


def _data(record: Record) -> dict[str, Any]:
    """The data set: a repository of the hub if the job's task names it as one, else in words."""
    data = record.data
    sources = setting_of(record, "task", "sources") or []
    source: Mapping[str, Any] = next(
        (each for each in sources if each["repository"] == data.repository), {}
    )
    about = {
        "rows": data.rows.test,
        "sha256_of_all_rows": record.identity.task.data,
        "commit": data.commit,
    }
    whole = {"dataset_name": _task(record), "additional_details": _strings(about)}
    if not source or source["bundled"] or source.get("sha256"):
        return {"source_type": "other", **whole}
    return {
        "source_type": "hf_dataset",
        "hf_repo": data.repository,
        "hf_split": source["test"],
        "samples_number": data.read_rows.test,
        **whole,
    }
