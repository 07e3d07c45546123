"""Parts of a record: which demonstrations were chosen, how, and which were shown."""

from dataclasses import dataclass
from typing import Any

from pydantic import StrictBool, StrictFloat, StrictInt, StrictStr

from deepthink.store.parts import Part


@dataclass(frozen=True, kw_only=True)
class ShownGroup(Part):
    """Demonstrations, and the queries that were scored after them."""

    indices: tuple[StrictInt, ...]
    """Rows of the pool, in reading order."""
    queries: tuple[StrictInt, ...]
    """The places of the queries among all scored examples, dev first."""


@dataclass(frozen=True, kw_only=True)
class Demonstrations(Part):
    """The demonstrations that were shown."""

    indices: tuple[StrictInt, ...]
    """Rows of the pool, in reading order."""
    labels: tuple[StrictInt, ...]
    """The label that each of them shows, as the index of a candidate."""
    kept: StrictInt
    """How many fit into the context. The first ones are dropped."""
    truncated: StrictBool
    """Whether their first tokens were cut off, to fit into the context."""
    copies: StrictInt
    """How many copies of them fit into the context."""
    tokens: StrictInt
    """L: the length of all copies in tokens."""
    groups: tuple[ShownGroup, ...] | None = None
    """The groups, if queries had demonstrations of their own, or these were read in several orders;
    then a query is in one group for each order. `indices` and `labels` are those of all groups
    together by their place in the pool, `kept` and `copies` are the fewest of a group, `tokens` is
    the most, and `truncated` says whether any group was."""

    @property
    def dropped(self) -> int:
        """How many did not fit; if there are several groups, the most of a group."""
        sizes = [len(group.indices) for group in self.groups or ()]
        return max(sizes, default=len(self.indices)) - self.kept


@dataclass(frozen=True, kw_only=True)
class Stage(Part):
    """A part of a selection: how many prompts it foresaw and how many the model read."""

    name: StrictStr
    """What the model computed, in words."""
    predicted: StrictInt
    """Prompts that were foreseen."""
    bound: StrictBool
    """Whether `predicted` is an upper bound."""
    read: StrictInt
    """Prompts that the model read."""
    kept: StrictInt
    """Prompts whose answers were known from an earlier job."""
    forwards: StrictInt
    """Forward passes."""
    tokens: StrictInt
    """Tokens of all prompts, those included whose answers were known."""
    shortened: StrictInt
    """Sets of demonstrations from which some were dropped, to fit into the context."""
    seconds: StrictFloat
    """Wall-clock seconds."""
    per_query: StrictBool = False
    """Whether it serves single queries, each of which needs it anew."""


@dataclass(frozen=True, kw_only=True)
class Selection(Part):
    """How the demonstrations were chosen."""

    values: tuple[StrictFloat | None, ...] | None
    """The rule's value of each demonstration at its choice: a score, a distance, a gain. It is null
    for a rule that measures nothing."""
    log: dict[str, Any]
    """Whatever else the rule noted, under names that the rule chose."""
    stages: tuple[Stage, ...]
    """The parts of the selection that used the model. It is empty for a rule that uses none."""
