"""Deep-Thinking: a frozen language model learns more from its demonstrations by rereading them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deepthink.memory import Memory
    from deepthink.prompts import encode
    from deepthink.scoring import score
    from deepthink.structures import Example
    from deepthink.thinking import think

__version__ = "0.1.0"
__all__ = ["Example", "Memory", "encode", "score", "think"]


def __getattr__(name: str) -> Any:
    """Import on first use: torch takes seconds, and a mistyped command should not wait for it."""
    from importlib import import_module

    homes = {
        "Example": "structures",
        "Memory": "memory",
        "encode": "prompts",
        "score": "scoring",
        "think": "thinking",
    }
    if name not in homes:
        raise AttributeError(f"module 'deepthink' has no attribute '{name}'")
    return getattr(import_module(f"deepthink.{homes[name]}"), name)
