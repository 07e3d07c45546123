"""Deep-Thinking: a frozen language model learns more from its demonstrations by rereading them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepthink.engine.generation import generate
    from deepthink.engine.memory import Memory
    from deepthink.engine.scoring import score
    from deepthink.engine.thinking import think
    from deepthink.models.by_name import load
    from deepthink.report.frames import predictions, results
    from deepthink.structures import Example
    from deepthink.study.predicting import predict, remember
    from deepthink.tasks.prompts import encode

__version__ = "0.2.0"
__all__ = [
    "Example",
    "Memory",
    "encode",
    "generate",
    "load",
    "predict",
    "predictions",
    "remember",
    "results",
    "score",
    "think",
]

_HOMES = {
    "Example": "structures",
    "Memory": "engine.memory",
    "encode": "tasks.prompts",
    "generate": "engine.generation",
    "load": "models.by_name",
    "predict": "study.predicting",
    "remember": "study.predicting",
    "predictions": "report.frames",
    "results": "report.frames",
    "score": "engine.scoring",
    "think": "engine.thinking",
}


def __getattr__(name: str) -> Any:
    """Import on first use: torch takes seconds, and a mistyped command should not wait for it."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'deepthink' has no attribute '{name}'")
    return getattr(import_module(f"deepthink.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
