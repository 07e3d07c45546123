"""The rivals: every method that is tried with the same frozen model, and how it is read."""

from deepthink.report.layout import Line
from deepthink.report.readings import BY_DEV, FIVE, VANILLA, at

METHODS = tuple(
    Line(label, {"method": method}, reading, chooses=method in ("knn", "bm25"))
    for method, readings in {
        "deepthink_curve": {
            "Vanilla": VANILLA,
            "Thinking, the paper's setting, t = 5": FIVE,
            "Thinking, the paper's setting, t by dev": BY_DEV,
        },
        "authors": {
            "Thinking, the authors' program, t = 7": at(7),
            "Thinking, the authors' program, t by dev": BY_DEV,
        },
        "aligned": {
            "Thinking, aligned, η = 0.1, t = 5": FIVE,
            "Thinking, aligned, η = 0.1, t by dev": BY_DEV,
        },
        "rotated": {
            "Thinking, rotated back, η = 0.1, t = 5": FIVE,
            "Thinking, rotated back, η = 0.1, t by dev": BY_DEV,
        },
        "average": {"Mean of passes, t = 5": FIVE, "Mean of passes, t by dev": BY_DEV},
        "kv_tuning": {
            "Gradient descent (CT-KV), 20 epochs": at(21),
            "Gradient descent (CT-KV), epochs by dev": BY_DEV,
        },
        "mezo": {
            "Descent without gradients (MeZO), 20 steps": at(21),
            "Descent without gradients (MeZO), steps by dev": BY_DEV,
        },
        "gain": {"Memory gain, b by dev": BY_DEV},
        "zero_tuning": {"First slot's gain (ZeroTuning), b by dev": BY_DEV},
        "structured": {"Structured prompting, two groups": VANILLA},
        "permutations": {"Five orders averaged": VANILLA},
        "repeat": {"Demonstrations five times over": VANILLA},
        "query_twice": {"Query twice": VANILLA},
        "channel": {"Noisy channel": VANILLA},
        "knn": {"Nearest demonstrations by state (KATE)": VANILLA},
        "bm25": {"Nearest demonstrations by BM25": VANILLA},
        "knn_prompting": {"kNN prompting": VANILLA},
        "hidden_calibration": {"Hidden calibration": VANILLA},
        "task_vector": {"Task vector": VANILLA},
    }.items()
    for label, reading in readings.items()
)
"""Everything that is tried with the same frozen model: a line for each method and reading of t."""

WITH_ALL_CALIBRATIONS = [
    *METHODS[:2],
    next(line for line in METHODS if line.axes["method"] == "aligned"),
]
"""Vanilla, and thinking at t = 5 in two settings."""
