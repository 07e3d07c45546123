"""Where each millisecond of a call goes, by PyTorch's profiler: operators in a few groups.

An operator within the engine's attention or its output layer belongs there, any other product to
the linear layers. The time of a group is that of its operators without those that they call. So
the groups add up to the whole call, and what no operator took is Python's and the dispatcher's.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # read when torch is imported; it would print lines

from torch.profiler import ProfilerActivity, profile, record_function

from deepthink.engine import routing
from deepthink.engine.decoders import decoder
from deepthink.engine.output_layer import OutputLayer

LINEAR, ATTENTION, HEAD = "linear layers", "attention", "output layer"
OTHERS, PYTHON = "elementwise and copies", "Python and dispatch"
GROUPS = (LINEAR, ATTENTION, HEAD, OTHERS, PYTHON)

_PRODUCTS = ("aten::linear", "aten::addmm", "aten::mm", "mkldnn::", "aten::mkldnn_linear")
_WHOLE = "the whole call"
_NAMED: tuple[tuple[Any, str, str], ...] = (
    (decoder, "attended", ATTENTION),
    (routing, "attended", ATTENTION),
    (OutputLayer, "log_probabilities", HEAD),
)


def milliseconds(call: Callable[[], object]) -> dict[str, float]:
    """Milliseconds of a call on a CPU by group; other threads than the caller's are left out."""
    recorded = profile(activities=[ProfilerActivity.CPU])
    with _naming(), recorded, record_function(_WHOLE):
        call()
    events = recorded.events() or []
    (whole,) = (event for event in events if event.name == _WHOLE)
    spent = dict.fromkeys(GROUPS, 0.0)
    for event in events:
        if event.thread == whole.thread and event.time_range.start >= whole.time_range.start:
            group = group_of(event.name, [caller.name for caller in _callers(event)])
            spent[group] += event.self_cpu_time_total / 1e3
    return spent


def _callers(event: Any) -> Iterator[Any]:
    """The events within which an event lies, the innermost first."""
    while (event := event.cpu_parent) is not None:
        yield event


@contextmanager
def _naming() -> Iterator[None]:
    """Has the profiler show what runs within the engine's attention and its output layer."""
    with ExitStack() as stack:
        for place, attribute, name in _NAMED:
            stack.enter_context(patch.object(place, attribute, _named(place, attribute, name)))
        yield


def _named(place: Any, attribute: str, name: str) -> Callable[..., Any]:
    function = getattr(place, attribute)

    def call(*args: Any, **options: Any) -> Any:
        with record_function(name):
            return function(*args, **options)

    return call


def group_of(name: str, callers: list[str]) -> str:
    """The group of an operator; callers: what it runs within.

    >>> group_of("aten::addmm", ["aten::linear"]), group_of("aten::bmm", ["attention"])
    ('linear layers', 'attention')
    >>> group_of("aten::embedding", []), group_of("attention", [])
    ('elementwise and copies', 'Python and dispatch')
    """
    if name in (_WHOLE, ATTENTION, HEAD):
        return PYTHON
    within = next((caller for caller in callers if caller in (ATTENTION, HEAD)), None)
    if within is not None:
        return within
    return LINEAR if name.startswith(_PRODUCTS) else OTHERS
