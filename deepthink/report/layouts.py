"""The rows and columns of every table, the runs behind them, and the paper's rows beside them."""

from deepthink.report import calibrated
from deepthink.report.layout import Layout, Line
from deepthink.report.readings import BY_DEV, FIVE, LAST, ORACLE, STOPPING, VANILLA, Reading
from deepthink.report.rival_lines import METHODS, WITH_ALL_CALIBRATIONS

TASKS = {"sst2": "SST2", "sst5": "SST5", "trec": "TREC", "mr": "MR", "agnews": "AG News"}
SUITES = {"mmlu": "MMLU", "bbh": "BBH"}

PAPERS_STEP_SIZE = "0.01"
STEP_SIZES = (PAPERS_STEP_SIZE, "0.1")
"""The η at which positions are compared."""
POSITIONS = ("continued", "aligned")
STOPPING_SETTINGS = {
    f"η = {size}, {name}": {"method.step_size": size, "method.positions": name}
    for size in STEP_SIZES
    for name in POSITIONS
}
"""The settings of experiment=stopping, by name."""


RULES = {
    "herding": "Herding",
    "k_center": "K-Center Greedy",
    "entropy": "Entropy",
    "least_confidence": "Least Confidence",
    "margin": "Margin",
    "cal": "CAL",
    "craig": "CRAIG",
    "grad_match": "GradMatch",
    "facility_location": "Facility Location",
    "graph_cut": "Graph Cut",
}
NO_DEV, DEV = "without dev set", "with dev set"


def _readings(axes: dict[str, str], *more: Reading) -> list[Line]:
    """The lines of one setting: vanilla, then thinking at t = 5, by dev and by the oracle."""
    return [
        Line("ICL", axes, VANILLA),
        *(
            Line(f"Deep-Thinking, {reading.name}", axes, reading)
            for reading in (FIVE, *more, BY_DEV)
        ),
        Line("Deep-Thinking, oracle t (upper bound)", axes, ORACLE),
    ]


_TABLE_2 = (
    Line("ICL", {}, VANILLA, {"method": "vanilla"}),
    Line("Deep-Thinking, t = 5", {}, FIVE, {"method": "deepthink"}),
    Line("Deep-Thinking, t by dev", {}, BY_DEV, {"method": "deepthink"}),
)
_CURVE = {"method": "deepthink_curve"}
_PAPERS = {"method": "deepthink"}
LAYOUTS = (
    Layout(
        "table1",
        "Table 1: ways to choose demonstrations, and thinking",
        TASKS,
        {
            NO_DEV: [
                Line("Random", _CURVE, VANILLA, {"method": "random"}),
                *(Line(name, {"method": m}, VANILLA, {"method": m}) for m, name in RULES.items()),
                Line("Deep-Thinking", _CURVE, FIVE, _PAPERS),
            ],
            DEV: [
                Line(label, {"method": method}, reading, {"method": method})
                for label, method, reading in (
                    ("LENS", "lens", VANILLA),
                    ("Random ♣", "best_random", VANILLA),
                    ("Deep-Thinking ♣", "deepthink_dev", BY_DEV),
                )
            ],
        },
        (
            "The paper's rows without a dev set but Deep-Thinking, and LENS, were copied from the "
            "LENS paper (other prompts and label words, four templates): compare order and rough "
            "size. All are GPT-2 Large's.",
            "Random is t = 1 of the Deep-Thinking runs: the same demonstrations. Rules without a "
            "draw of their own (all but Random and K-Center Greedy) choose one set for all seeds: "
            "their n counts its orders. ♣ is here the best of ten random sets by vanilla accuracy "
            "on dev, for every seed (the paper does not say how many it tried); t ≤ 15 by dev.",
        ),
        reference="gpt2-large",
        front=True,
    ),
    Layout(
        "table2",
        "Table 2: vanilla in-context learning and Deep-Thinking across models",
        TASKS,
        {
            "": [
                *_TABLE_2,
                Line("Deep-Thinking, oracle t (upper bound)", {}, ORACLE),
                *(line.after(c) for c in calibrated.readings() for line in _TABLE_2),
            ]
        },
        (
            "The paper does not say how t was chosen here; its program's logs show the best t on "
            "the test split. Three readings stand side by side; the oracle is an upper bound.",
        ),
        front=True,
    ),
    Layout(
        "table3",
        "Table 3: MMLU and BIG-Bench Hard",
        SUITES,
        {
            "over questions": [
                Line("ICL", {}, VANILLA, {"method": "vanilla"}, pooled=True),
                Line("Deep-Thinking, t = 5", {}, FIVE, _PAPERS, pooled=True),
            ],
            "over tasks": [
                Line("ICL", {}, VANILLA),
                Line("Deep-Thinking, t = 5", {}, FIVE),
            ],
        },
        (
            "The paper's averages are over questions, as far as can be told "
            "(deepthink/report/paper/NOTES.md): a task weighs as much as the data have questions "
            "of it, however many were read. Over tasks, every one of the 57 or 22 weighs the same. "
            "The demonstrations are given: there is one run, and its interval is over questions "
            "alone.",
        ),
        front=True,
    ),
    Layout(
        "figure3",
        "Figure 3: MMLU by category",
        {},
        {
            "": [
                Line("ICL", {}, VANILLA, {"method": "vanilla"}, pooled=True),
                Line("Deep-Thinking, t = 5", {}, FIVE, _PAPERS, pooled=True),
            ]
        },
        front=True,
    ),
    Layout(
        "figure4",
        "Figure 4: how many demonstrations",
        {task: TASKS[task] for task in ("sst2", "agnews")},
        {
            f"{count} demonstrations": [
                Line("ICL", {"demonstrations.count": count}, VANILLA),
                Line("Deep-Thinking, t = 5", {"demonstrations.count": count}, FIVE),
            ]
            for count in ("2", "4", "8", "16")
        },
    ),
    Layout(
        "figure5_orders",
        "Figure 5, right: orders of one draw",
        {"sst2": TASKS["sst2"]},
        {"": [Line("ICL", {}, VANILLA), Line("Deep-Thinking, t = 5", {}, FIVE)]},
        ("The left half, draws, is SST2 of Table 1.",),
    ),
    Layout(
        "figure6",
        "Figure 6: step sizes",
        {"sst2": TASKS["sst2"]},
        {
            f"η = {size}": _readings({"method.step_size": size}, LAST)
            for size in ("0.001", *STEP_SIZES)
        },
    ),
    Layout(
        "repetition",
        "Repetition: the demonstrations written five times over",
        TASKS,
        {"": [Line("ICL with five copies", {}, VANILLA)]},
        in_paper=False,
    ),
    Layout(
        "positions",
        "Positions: where present tokens stand at t ≥ 2",
        TASKS,
        {
            f"η = {size}, {name}": _readings(
                {"method.step_size": size, "method.positions": name}, LAST
            )
            for size in STEP_SIZES
            for name in POSITIONS
        },
        in_paper=False,
    ),
    Layout(
        "flipped",
        "Flipped labels: does a model learn labels that it is shown wrong?",
        TASKS,
        {
            f"{labels} labels, {name}": _readings(
                {"demonstrations.labels": labels, "method": method}
            )
            for name, method in (("the paper's setting", "deepthink_curve"), ("aligned", "aligned"))
            for labels in ("gold", "flipped")
        },
        ("The accuracy is that against the gold labels, whatever the demonstrations show.",),
        in_paper=False,
    ),
    Layout(
        "seam",
        "The seam: demonstrations and query tokenised apart, or as one text",
        TASKS,
        {f"{seam}": _readings({"prompt.seam": seam}) for seam in ("apart", "joint")},
        in_paper=False,
    ),
    Layout(
        "rivals",
        "Rivals: what else a frozen model can do with demonstrations",
        TASKS,
        {
            "scores as the model gave them": [*METHODS],
            "after batch calibration from dev": [
                line.after(calibrated.reading("batch_dev")) for line in METHODS
            ],
        },
        in_paper=False,
    ),
    Layout(
        "calibrations",
        "Calibrations: one memory, and the ways to correct its scores",
        TASKS,
        {
            line.label: [line, *(line.after(calibrated.reading(name)) for name in calibrated.NAMES)]
            for line in WITH_ALL_CALIBRATIONS
        },
        in_paper=False,
    ),
    Layout(
        "stopping",
        "Stopping: accuracy at the t that a rule chooses",
        TASKS,
        {
            name: [
                *(Line(reading.name, axes, reading) for reading in STOPPING),
                Line("oracle t (upper bound)", axes, ORACLE),
            ]
            for name, axes in STOPPING_SETTINGS.items()
        },
        (
            "By dev log-likelihood: the t at which the gold answers of dev are likeliest among the "
            "candidates. By leave-one-out: the t at which the demonstrations' own answers are "
            "likeliest, each behind the memory less its own slots, without dev set or further "
            "labels. Of equals the smallest t.",
        ),
        in_paper=False,
    ),
)
