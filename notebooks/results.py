# ---
# jupyter:
#   jupytext:
#     formats: py:percent,ipynb
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # An explorer of stored results
#
# This notebook reads the records under `results/` and shows what the tables leave out. No table
# uses a number from here: tables come from `make tables`.

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from deepthink.report.layouts import TASKS
from deepthink.report.measurements import subjects
from deepthink.report.readings import BY_DEV, FIVE, LAST, ORACLE, VANILLA
from deepthink.report.runs import Runs
from deepthink.store import curves

RESULTS = next(p for p in (Path("results"), Path("../results")) if p.is_dir())
runs = Runs.load(RESULTS)
assert runs.all, "no records yet: python run.py experiment=smoke makes some"

# %% [markdown]
# ## All records
#
# The frame has one row for each record, split and step. The table counts the seeds of each method.

# %%
frame = pd.DataFrame(
    {
        "model": run.model,
        "task": run.task,
        "method": run.path.parent.name,
        "step_size": run.record.config.method.step_size,
        "positions": run.record.config.method.positions,
        "seed": run.draw[0],
        "order": run.draw[1],
        "split": point.split,
        "t": point.step,
        "accuracy": point.accuracy,
    }
    for run in runs.all
    for point in run.record.curve
)
frame.groupby(["model", "task", "method"])["seed"].nunique().unstack("method").fillna(0).astype(int)

# %% [markdown]
# ## One curve a seed
#
# A mean hides how differently the draws behave. Change `TASK`, `STEP_SIZE` and `POSITIONS`, and run
# the cell again.

# %%
TASK, STEP_SIZE, POSITIONS = "sst2", 0.1, "aligned"
MODEL = runs.models[0]
chosen = frame.query(
    "model == @MODEL and task == @TASK and step_size == @STEP_SIZE and positions == @POSITIONS "
    "and split == 'test' and method == 'deepthink' and order == 0"
)
fig, ax = plt.subplots(figsize=(6, 3))
for seed, one in chosen.groupby("seed"):
    ax.plot(one["t"], 100 * one["accuracy"], marker=".", label=f"seed {seed}", alpha=0.8)
ax.set(xlabel="iterations t", ylabel="accuracy, %")
ax.set_title(f"{MODEL}, {TASK}, η = {STEP_SIZE}, {POSITIONS}")
if len(chosen):
    ax.legend(fontsize=6, ncols=2, frameon=False)
plt.show()

# %% [markdown]
# ## Which t dev chooses
#
# The last column is what choosing on dev costs: the lead of the best t on test, which nobody can
# know beforehand.

# %%
rows = []
for run in runs.all:
    if run.iterations == 15 and run.has_dev:
        by_dev = curves.by_dev(run.record.curve)
        best = curves.oracle(run.record.curve)
        rows.append(
            {
                "task": run.task,
                "t by dev": by_dev.step,
                "oracle t": best.step,
                "lead of the oracle": 100 * (best.correct - by_dev.correct) / best.count,
            }
        )
by_run = pd.DataFrame(rows, columns=["task", "t by dev", "oracle t", "lead of the oracle"])
by_run.groupby("task").mean().round(1)

# %% [markdown]
# ## Which examples change
#
# Thinking corrects some predictions and spoils others. Are these the same examples in every seed?

# %%
for subject in subjects(runs, "table1"):
    late, early = (
        subject.measure("table1", reading, method="deepthink_curve", task="sst2")
        for reading in (LAST, VANILLA)
    )
    if late.runs:
        change = late.outcomes[0].astype(int) - early.outcomes[0]
        print(f"{subject.model}, {subject.scale}: {len(change)} seeds, {change.shape[1]} examples")
        print(f"  righted {np.mean(change > 0):.1%}, wronged {np.mean(change < 0):.1%} of all")
        righted = (change > 0).sum(axis=0)
        often = (righted >= len(change) / 2).sum()
        print(f"  examples righted in at least half of the seeds: {often}")

# %% [markdown]
# ## The three readings side by side

# %%
lines = []
for subject in subjects(runs, "table1"):
    for task in TASKS:
        line = {"model": subject.model, "task": task}
        for reading in (VANILLA, FIVE, BY_DEV, ORACLE):
            part = subject.measure("table1", reading, method="deepthink_curve", task=task)
            line[reading.name] = 100 * part.outcomes[0].mean() if part.runs else np.nan
            line["n"] = len(part.runs)
        lines.append(line)
pd.DataFrame(lines).round(1)
