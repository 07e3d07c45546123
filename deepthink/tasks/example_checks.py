"""Whether examples can be written as prompts, whoever made them."""

from collections.abc import Iterable, Mapping

from deepthink.errors import UserError
from deepthink.structures import Example, Tokens


def checked(given: Iterable[Example]) -> tuple[Example, ...]:
    """A list or a generator of examples as a checked tuple."""
    if isinstance(given, str | Example) or not isinstance(given, Iterable):
        raise UserError(f"a list of examples is needed, not {type(given).__name__}")
    examples = tuple(given)
    for example in examples:
        if not isinstance(example, Example):
            raise UserError(f"an Example is needed, not {type(example).__name__}")
        _check_candidates(example)
    return examples


def _check_candidates(example: Example) -> None:
    if not 0 <= example.label < len(example.candidates):
        raise UserError(
            f"an example has label {example.label}, but {len(example.candidates)} candidates"
        )
    if not all(word.strip() for word in example.candidates):
        raise UserError("an example has an empty candidate")
    if spaced := [word for word in example.candidates if word[0].isspace()]:
        raise UserError(
            f"an example has the candidate {spaced[0]!r}: leave out the space in front, the "
            "delimiter joins template and answer"
        )


def check_different(ids_of: Mapping[str, Tokens]) -> None:
    """Raise UserError for label words with the same tokens: the first of them would always win."""
    seen: dict[tuple[int, ...], str] = {}
    for word, ids in ids_of.items():
        if (other := seen.setdefault(tuple(ids), word)) != word:
            raise UserError(
                f"the labels '{other}' and '{word}' are the same tokens to this model's tokenizer: "
                "use other task.labels"
            )
