"""What the licence of a model's weights wants said where they are used."""

from transformers import PretrainedConfig

_GEMMA = {"gemma", "gemma2", "gemma3", "gemma3_text", "gemma3n", "gemma3n_text"}
"""The model types to whose weights these terms apply. Later ones have another licence."""


def notice(config: PretrainedConfig, name: str) -> str | None:
    """A line on the terms of a model's weights; None where nothing has to be said.

    >>> from transformers import GPT2Config
    >>> notice(GPT2Config(), "gpt2-large") is None
    True
    """
    if config.model_type not in _GEMMA:
        return None
    return f"Gemma's terms of use apply to {name}: https://ai.google.dev/gemma/terms"
