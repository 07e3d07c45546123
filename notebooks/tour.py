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
# # Thinking over demonstrations: a tour of ten minutes
#
# A frozen language model reads a few labelled examples, its *demonstrations*, and then judges new
# ones. Deep-Thinking (Yang et al., ACL 2024) lets it read them several times before the first
# question comes. Nothing is trained: only the keys and values of the demonstrations change.
#
# Everything here runs on a laptop: a model of 135M parameters and short opinions on everyday
# things, both part of the installation.

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch

from deepthink import encode, score, think
from deepthink.config.overrides import compose
from deepthink.models import loading
from deepthink.tasks import sources
from deepthink.tasks.prediction import hits, predictions

config = compose(["seed=3", "test_size=40", "dev_size=0"])
lm = loading.load(config.model, torch.device("cpu"))
splits = sources.load(config.task, None, config.test_size, config.dev_size)
queries = splits.test
queries[0]

# %% [markdown]
# ## The prompt
#
# Eight demonstrations, four of each label, drawn by the seed. A query is asked behind them, and the
# candidate whose tokens are most probable is the answer.

# %%
rng = np.random.default_rng(config.seed)
shown = [
    splits.pool[i]
    for label in (0, 1)
    for i in rng.choice([n for n, e in enumerate(splits.pool) if e.label == label], 4, False)
]
rng.shuffle(shown)
prompt = encode(
    lm.tokenizer, config.task.template, shown, queries, "apart", "drop", lm.positions, thinks=True
)
print(lm.tokenizer.decode(prompt.demonstrations + prompt.queries[0]))
print("candidates:", queries[0].candidates)

# %% [markdown]
# ## Thinking
#
# `think` yields the memory after every iteration: t = 1 is plain in-context learning. At t ≥ 2 the
# same tokens see the history and themselves side by side (Eq. 3), and the history moves a step η
# towards what they are now (Eq. 4).


# %%
def curve(iterations=6, **settings):
    """Test accuracy after every iteration."""
    found = []
    for memory in think(lm.model, prompt.demonstrations, iterations, **settings):
        scores = score(lm.model, memory, prompt.queries, prompt.candidates)
        found.append(hits(queries, predictions(queries, scores)) / len(queries))
    return found


curves = {
    "η = 0.01, continued (the paper)": curve(),
    "η = 0.1, continued": curve(step_size=0.1),
    "η = 0.1, aligned": curve(step_size=0.1, positions="aligned"),
}
fig, ax = plt.subplots(figsize=(6, 3))
for (name, values), style in zip(curves.items(), ("-o", "--s", "-.^"), strict=True):
    ax.plot(range(1, len(values) + 1), [100 * v for v in values], style, label=name, markersize=4)
ax.set(xlabel="iterations t", ylabel="accuracy, %", title=f"{len(queries)} opinions, one draw")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# One draw on forty sentences shows how thinking works, not how well. Other seeds look different.
# `results/README.md` says what holds over ten seeds and five tasks.
#
# ## What changes in the memory
#
# The curves show how far the keys and values of every layer have moved since t = 1. With continued
# positions the keys of a rotary model move even in the first layer, whose inputs never change: they
# are blended with copies of themselves that were rotated to other places.

# %%
fig, axes = plt.subplots(1, 2, figsize=(8, 3), sharey=True)
for axis, positions in zip(axes, ("continued", "aligned"), strict=True):
    first, *_, last = think(lm.model, prompt.demonstrations, 6, 0.1, positions=positions)
    for name, distances in last.drift(first).items():
        axis.plot(range(1, len(distances) + 1), distances, label=name)
    axis.set(title=f"{positions}, t = 6", xlabel="layer")
axes[0].set_ylabel("relative distance from t = 1")
axes[0].legend(frameon=False)
plt.show()

# %% [markdown]
# ## Two things that must hold
#
# With η = 0 the memory stands still at every t. Reading once is plain in-context learning.

# %%
still = curve(iterations=4, step_size=0.0)
assert len(set(still)) == 1
assert still[0] == curves["η = 0.1, aligned"][0]
still

# %% [markdown]
# ## From here
#
# The same job from the command line keeps a record of everything that made its numbers:
#
# ```bash
# python run.py method.step_size=0.1 method.positions=aligned method.iterations=8 seed=3
# python run.py experiment=smoke        # a sweep in a minute
# make plan EXPERIMENT=table1           # what the paper's Table 1 takes
# make tables                           # tables, figures and verdicts from all records
# ```
