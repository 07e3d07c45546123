"""The options of a function: what values their annotations take, and how an identity holds them."""

import inspect
import json
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import PydanticUserError, TypeAdapter, ValidationError

from deepthink.errors import UserError, shown, unknown

REQUIRED = inspect.Parameter.empty
"""The default of an option that has none."""

RESERVED = ("name", "source")
"""What stands beside the options in a config and an identity: no option may be called so."""


@dataclass(frozen=True)
class Option:
    """An argument of a function that a config may set.

    what: how messages call it, such as "rate of refinement gradient". annotation: what it takes.

    >>> rate = Option("rate of refinement x", float, default=0.1)
    >>> rate.taken(1), rate.stored(1)
    (1.0, 1.0)
    >>> rate.taken("fast")
    Traceback (most recent call last):
    deepthink.errors.UserError: rate of refinement x is 'fast': input should be a valid number
    """

    what: str
    annotation: Any
    default: Any = REQUIRED

    def taken(self, value: Any) -> Any:
        """A config's value as the annotation has it: a list as a tuple, say, or a 1 as 1.0.

        UserError for a value that the annotation does not take. The default is always taken.
        """
        if value is self.default:
            return value
        try:
            return self._validated(plain(value, self.what))
        except ValidationError as error:
            if typing.get_origin(self.annotation) is Literal:
                valid = map(str, typing.get_args(self.annotation))
                raise unknown(f"value of {self.what}", value, valid) from error
            reason = error.errors()[0]["msg"]
            raise UserError(
                f"{self.what} is {shown(value)}: {reason[0].lower()}{reason[1:]}"
            ) from error

    def stored(self, value: Any) -> Any:
        """A value as an identity holds it: plain JSON, the same for all that mean the same.

        UserError for what is no JSON, such as an array or NaN.
        """
        whole = plain(value, self.what)
        try:
            return plain(self._validated(whole), self.what)
        except (ValidationError, UserError):  # a default that the annotation does not take, or
            return whole  # what it makes of the value is no JSON, as a set is none

    def _validated(self, value: Any) -> Any:
        try:
            adapter = TypeAdapter(self.annotation)
        except PydanticUserError as error:
            kind = getattr(self.annotation, "__name__", self.annotation)
            raise UserError(
                f"{self.what} is annotated with {kind}, which no config can hold: annotate it "
                "with a number, a text, or a list or dict of such"
            ) from error
        return adapter.validate_json(json.dumps(value), strict=True)


def options_of(function: Callable[..., Any], given: int, kind: str) -> dict[str, Option]:
    """The options of a function by name: its arguments but for the first `given`.

    kind: what messages call the function's file, such as "refinement gradient". UserError for
    arguments that have no name of their own, or one that is reserved.
    """
    annotations = typing.get_type_hints(function, include_extras=True)
    parameters = list(inspect.signature(function).parameters.values())[given:]
    unnamed = (
        inspect.Parameter.VAR_POSITIONAL,
        inspect.Parameter.VAR_KEYWORD,
        inspect.Parameter.POSITIONAL_ONLY,
    )
    for parameter in parameters:
        if parameter.kind in unnamed:
            raise UserError(
                f"{kind} takes {str(parameter).partition(':')[0]}: its options must be arguments "
                "with names"
            )
        if parameter.name in RESERVED:
            raise UserError(
                f"{kind} has an option called {parameter.name}, which configs and records use for "
                "the file itself: give the option another name"
            )
    return {
        p.name: Option(f"{p.name} of {kind}", annotations.get(p.name, Any), p.default)
        for p in parameters
    }


def plain(value: Any, what: str) -> Any:
    """A value as JSON has it, tuples as lists and all names as texts.

    what: how the message calls it. UserError for what is no JSON, such as an array or NaN.

    >>> plain({2: (0.5, None)}, "it")
    {'2': [0.5, None]}
    """
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise UserError(
            f"{what}: no record can hold {shown(value)}, but finite numbers, texts, and lists and "
            "dicts of such"
        ) from error
    return json.loads(text)
