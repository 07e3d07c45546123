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
# # A thought that is kept
#
# A model of 135M parameters thinks over eight demonstrations. What it has thought, its *memory*,
# is saved in a file. A new process loads the file, judges ten texts with it and writes three
# answers.

# %%
import subprocess
import sys
import warnings
from pathlib import Path
from tempfile import mkdtemp

import deepthink

warnings.filterwarnings("ignore", message="IProgress")  # no widgets are needed
model, tokenizer = deepthink.load("smollm2-135m")
template, labels = "Opinion: {text}\nVerdict:", ["bad", "good"]
demonstrations = [
    ("The soup arrived cold and nobody cared.", "bad"),
    ("A warm room, a kind host, a perfect evening.", "good"),
    ("Every scene drags, and the ending is no ending.", "bad"),
    ("The new bridge saves me an hour each day.", "good"),
    ("My umbrella broke in its first rain.", "bad"),
    ("She explains hard things so that they seem easy.", "good"),
    ("The lamp flickers and smells of burnt dust.", "bad"),
    ("I have read this book three times and will again.", "good"),
]

# %% [markdown]
# ## Think and save

# %%
settings = {"step_size": 0.1, "positions": "aligned"}
memory = deepthink.remember(
    model, tokenizer, template, demonstrations, labels, iterations=3, **settings
)
file = Path(mkdtemp()) / "opinions.safetensors"
memory.save(file)
print(memory, f"{file.stat().st_size:,} bytes", sep="\n")

# %% [markdown]
# ## Load in a new process
#
# The file names the model that made it: it is refused for any other. Free text tells how far the
# memory has gone: at t = 3 this small model still writes sentences; at t = 5 it repeats one letter,
# although it still judges texts well.

# %%
program = """
import sys
import deepthink

model, tokenizer = deepthink.load("smollm2-135m")
memory = deepthink.Memory.load(sys.argv[1], model)
texts = [
    "The train was late again, and packed.",
    "A song to dance to all night.",
    "The paint peeled after a week.",
    "Our guide knew every flower by name.",
    "I waited an hour for a stale roll.",
    "The chair is light, strong and cheap.",
    "The plot has more holes than a net.",
    "This soap leaves my hands soft.",
    "The screen went black on the second day.",
    "What a view from the tower!",
]
template, labels = "Opinion: {text}\\nVerdict:", ["bad", "good"]
print(deepthink.predict(model, tokenizer, template, memory, texts, labels).round(3).to_string())

prompts = ["Opinion: The bread", "Opinion: Our new neighbour", "Opinion: This phone"]
settings = {"max_new_tokens": 30, "do_sample": False, "stop_strings": ["\\n\\n"]}
answers = deepthink.generate(model, tokenizer, memory, prompts, **settings)
for prompt, answer in zip(prompts, answers):
    print("", prompt + answer, sep="\\n")
"""
new = subprocess.run([sys.executable, "-c", program, file], text=True, capture_output=True)
print(new.stdout)

# %% [markdown]
# ## A curve
#
# `every_step` gives a row for each text after each t; t = 1 is plain in-context learning. The
# curve shows the probability of the right word, averaged over eight texts that are not among the
# demonstrations. So few texts show how it works, and not that it helps.

# %%
texts = {
    "The queue never moved and the clerk yawned.": "bad",
    "A fresh breeze, ripe plums, and no hurry.": "good",
    "The zip tore the first time I used it.": "bad",
    "He plays the violin as if it sang by itself.": "good",
    "The map was wrong and so was the guide.": "bad",
    "The tent stood dry through a night of storm.": "good",
    "The jokes are old and told too slowly.": "bad",
    "The nurse had time for every question.": "good",
}
frame = deepthink.predict(
    model, tokenizer, template, demonstrations, list(texts), labels, every_step=True, **settings
)
right = frame["text"].map(texts)
frame["p"] = frame["p_good"].where(right == "good", frame["p_bad"])
frame["accuracy"] = frame["prediction"] == right
curve = frame.groupby("t")[["p", "accuracy"]].mean()
axes = curve.plot(y="p", marker="o", legend=False, xticks=curve.index, figsize=(5, 3))
axes.set_ylabel("probability of the right word")
curve.round(3)
