"""From stored records to tables, figures and verdicts. Reads files only: no torch, no network.

runs: records as arrays. experiments: which jobs an artefact asks for. plan: what is still to run.
cells: numbers and their readings. statistics: intervals and tests. comparisons: who is ahead.
layouts, tables: rows and columns. counts: Tables 4 to 6. paper: the paper's own numbers.
contrasts, figures, render: Markdown, LaTeX, CSV, drawings. claims, finding: verdicts in words.
page: results/README.md and all beside it, by way of writer.
"""
