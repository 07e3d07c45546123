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
# A model of 135M parameters thinks over eight demonstrations. What it has thought, its *memory*, is
# saved in a file. A new process loads the file, classifies ten texts with it and writes three answers.

# %%

import deepthink

model, tokenizer = deepthink.load("smollm2-135m")
template = "Opinion: {text}\nVerdict:"
labels = ["bad", "good"]
demonstrations = [
    ("The soup arrived cold and nobody cared.", "bad"),
    ("A warm room, a kind host, a perfect evening.", "good"),
    ("Every scene drags, and the ending is stolen.", "bad"),
    ("The new bridge saves me an hour each day.", "good"),
    ("My umbrella broke in its first rain.", "bad"),
    ("She explains hard things so that they seem easy.", "good"),
    ("The lamp flickers and smells of burnt dust.", "bad"),
    ("I have read this book three times and will again.", "good"),
]
