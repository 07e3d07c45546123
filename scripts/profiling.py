"""Where each millisecond of a call goes, by PyTorch's profiler: operators in a few groups.

The time of a group is that of its operators without those that they call. So the groups add up to
the whole call, and what no operator took is Python's and the dispatcher's.
"""

import os
from collections.abc import Callable, Sequence

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # read when torch is imported; it would print lines

from torch.profiler import ProfilerActivity, profile, record_function

LINEAR, ATTENTION, HEAD = "linear layers", "attention", "output layer"
OTHERS, PYTHON = "elementwise and copies", "Python and dispatch"
GROUPS = (LINEAR, ATTENTION, HEAD, OTHERS, PYTHON)

_PRODUCTS = ("aten::linear", "aten::addmm", "aten::mm", "mkldnn::", "aten::mkldnn_linear")
_ATTENTION = ("attention", "bmm", "aten::matmul", "softmax", "logsumexp", "sigmoid", "lerp")
_WHOLE = "the whole call"

Shapes = Sequence[object]
"""The sizes of an operator's tensors, as the profiler gives them."""


def milliseconds(call: Callable[[], object], vocabulary: int) -> dict[str, float]:
    """Milliseconds of a call on a CPU by group; other threads than the caller's are left out.

    vocabulary: V. Operators on logits [.., V], and products with weights of V rows, are the output
    layer's.
    """
    recorded = profile(activities=[ProfilerActivity.CPU], record_shapes=True)
    with recorded, record_function(_WHOLE):
        call()
    events = recorded.events() or []
    (whole,) = (event for event in events if event.name == _WHOLE)
    spent = dict.fromkeys(GROUPS, 0.0)
    for event in events:
        if event.thread == whole.thread and event.time_range.start >= whole.time_range.start:
            group = group_of(event.name, event.input_shapes, vocabulary)
            spent[group] += event.self_cpu_time_total / 1e3
    return spent


def group_of(name: str, shapes: Shapes, vocabulary: int) -> str:
    """The group of an operator.

    >>> group_of("aten::addmm", [[9, 4], [4, 7]], vocabulary=50)
    'linear layers'
    >>> group_of("aten::addmm", [[9, 4], [4, 50]], vocabulary=50)
    'output layer'
    >>> group_of("aten::embedding", [[50, 4], [9]], vocabulary=50)
    'elementwise and copies'
    """
    if name == _WHOLE:
        return PYTHON
    sizes = [size for size in shapes if isinstance(size, list) and size]
    product = name.startswith(_PRODUCTS)
    if any(size[-1] == vocabulary or (product and vocabulary in size) for size in sizes):
        return HEAD
    if product:
        return LINEAR
    return ATTENTION if any(word in name for word in _ATTENTION) else OTHERS
