"""What libraries print by themselves: nothing, unless the user wants to see everything."""

import logging

LIBRARIES = (
    "transformers", "huggingface_hub", "datasets", "torch", "pyarrow", "fsspec", "opentelemetry",
)  # fmt: skip
"""Libraries whose own messages are not shown: this program reports their errors in one line."""


def hush(verbosity: str) -> None:
    """Set the levels of the libraries' loggers, and of this package's own, "deepthink".

    verbosity: with "verbose" the libraries show warnings, and what reads a model's files lets them;
        else they show nothing. Their progress bars are never shown, since jobs have one.
    """
    verbose = verbosity == "verbose"
    logging.getLogger("deepthink").setLevel(logging.INFO if verbose else logging.WARNING)
    for name in LIBRARIES:
        logging.getLogger(name).setLevel(logging.WARNING if verbose else logging.CRITICAL)
