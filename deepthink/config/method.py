"""A method: which demonstrations are chosen, and how they are thought over."""

from dataclasses import dataclass, fields
from typing import Any

from pydantic import with_config

from deepthink.config.checks import STRICT, check_at_least, check_choice, check_named
from deepthink.errors import UserError
from deepthink.options import REQUIRED
from deepthink.plugins import REFINEMENTS
from deepthink.settings import (
    DIRECTIONS,
    MOST_COPIES,
    MOST_ORDERS,
    QUERIES,
    SCORED,
    THINKING,
    check_thinking,
    scored_steps,
)


@with_config(STRICT)
@dataclass(frozen=True)
class MethodSpec:
    """A selector of demonstrations, and how their memory is refined; T = 1 is vanilla ICL.

    selector: `name` of a module in deepthink/selection/rules and the options of its `select`.
    refinement: `name` of a module in deepthink/engine/refinements, and those of its options that
        are not fields below.
    readout: `name` of a module in deepthink/study/readouts and the options of its `read`.
    copies: how many times the prompt has the demonstrations.
    groups: into how many groups they are shared out, each of which is read by itself.
    orders: P, in how many orders they are read; a candidate's probability is the mean over these.
    query: whether a query is written "once" or "twice", see `deepthink.tasks.prompts`.
    direction: what is scored, the answer behind the text ("direct") or the text behind the answer
        ("channel"), see `deepthink.tasks.channel`.
    scored: after which iterations queries are scored, see `deepthink.settings.scored_steps`.
    The rest are the arguments of `deepthink.think`.

    Not measured: readout, groups, query, direction, memory_dtype.
    """

    selector: dict[str, Any]
    refinement: dict[str, Any]
    readout: dict[str, Any]
    copies: int
    groups: int
    orders: int
    query: str
    direction: str
    scored: str
    iterations: int
    step_size: float
    momentum: float
    positions: str
    memory_dtype: str

    def __post_init__(self) -> None:
        check_named("method.selector", self.selector, "method=vanilla does")
        check_named("method.refinement", self.refinement, "iterate")
        check_named("method.readout", self.readout, "candidates")
        check_at_least("method.copies", self.copies, 1)
        if self.copies > MOST_COPIES:
            raise UserError(f"method.copies is {self.copies}: it must be {MOST_COPIES:,} or less")
        check_at_least("method.orders", self.orders, 1)
        if self.orders > MOST_ORDERS:
            raise UserError(f"method.orders is {self.orders}: it must be {MOST_ORDERS:,} or less")
        check_choice("method.query", self.query, QUERIES)
        check_choice("method.direction", self.direction, DIRECTIONS)
        check_choice("method.scored", self.scored, SCORED)
        check_thinking(**self.thinking)
        for key in self.thinking:
            if key in self.refinement:
                raise UserError(
                    f"method.refinement.{key} is {self.refinement[key]!r}: it belongs to all "
                    f"refinements, so set method.{key}"
                )

    @property
    def thinking(self) -> dict[str, Any]:
        """The keyword arguments of `think`."""
        names = [field.name for field in fields(THINKING)]
        return {name: getattr(self, name) for name in names}

    def refining(self, plugins: str | None) -> dict[str, Any]:
        """The name of the refinement with the values of all its options.

        A refinement takes those values of `thinking` that it names among its arguments.

        Raises:
            UserError: a value of `thinking` that it does not take is not the default; its own
                default is not the config's; it asks for T, which stays outside; or its file is
                wrong.
        """
        name = self.refinement["name"]
        options = REFINEMENTS.options(name, plugins)
        offered = {key: value for key, value in self.thinking.items() if key != "iterations"}
        if "iterations" in options:
            raise UserError(
                f"the refinement {name} takes iterations, but yields memories without end: "
                "method.iterations says how many are taken"
            )
        for key, value in offered.items():
            default = getattr(THINKING, key)
            if key not in options and value != default:
                raise UserError(
                    f"method.{key} is {value}, but the refinement {name} does not take it: leave "
                    "it out"
                )
            if key in options and options[key].default not in (default, REQUIRED):
                raise UserError(
                    f"the refinement {name} takes {key} with a default of its own, "
                    f"{options[key].default!r}, but the config's {default!r} takes its place: make "
                    "them alike, or give the option another name"
                )
        usual = {key: o.default for key, o in options.items() if o.default is not REQUIRED}
        taken = {key: value for key, value in offered.items() if key in options}
        return {**usual, **taken, **self.refinement}

    @property
    def steps(self) -> list[int]:
        """The iterations t after which queries are scored."""
        return scored_steps(self.scored, self.iterations)

    @property
    def label(self) -> str:
        """The name of this method in paths and tables."""
        chosen = self.selector["name"]
        parts = [] if chosen == "random" else [chosen]
        refinement = self.refinement["name"]
        thinking = "deepthink" if refinement == "iterate" else refinement
        parts += ["repeat"] * (self.copies > 1) + ["structured"] * (self.groups > 1)
        parts += ["permutations"] * (self.orders > 1)
        parts += ["query_twice"] * (self.query == "twice")
        parts += ["channel"] * (self.direction == "channel")
        parts += [thinking] * (self.iterations > 1)
        readout = self.readout["name"]
        parts += [readout] * (readout != "candidates")
        return "+".join(parts) or "vanilla"
