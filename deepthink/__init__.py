"""Deep-Thinking: a frozen language model learns more from its demonstrations by rereading them."""

from deepthink.scoring import score
from deepthink.structures import Memory
from deepthink.think import think

__all__ = ["Memory", "score", "think"]
