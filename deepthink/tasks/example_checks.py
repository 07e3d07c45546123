"""Whether examples can be written as prompts, whoever made them, and in the way that was asked."""

from collections.abc import Iterable, Mapping

from deepthink.errors import UserError, shown, unknown
from deepthink.settings import DIRECTIONS, OVERFLOWS, QUERIES, SEAMS, check_channel
from deepthink.structures import Example, Tokens


def check_settings(
    template: object,
    seam: str,
    overflow: str,
    copies: int,
    query: str,
    direction: str,
    chat: bool,
) -> None:
    """Raise UserError for settings of `deepthink.encode` that do not exist or go together."""
    if not isinstance(template, str):
        raise UserError(f"the template is {shown(template)}: it must be a text with {{text}}")
    settings = (
        ("seam", seam, SEAMS),
        ("overflow", overflow, OVERFLOWS),
        ("query", query, QUERIES),
        ("direction", direction, DIRECTIONS),
    )
    for name, value, valid in settings:
        if value not in valid:
            raise unknown(f"value of {name}", value, valid)
    if "{text}" not in template:
        raise UserError(
            f"the template '{template}' has no {{text}}, where an example's text stands"
        )
    if copies < 1:
        raise UserError(f"copies is {copies}: it must be 1 or more")
    if direction == "channel":
        check_channel(query, seam, chat)


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
