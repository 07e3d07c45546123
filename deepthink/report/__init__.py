"""From stored records to tables, figures and verdicts. Reads files only: no torch, no network.

runs                 records as arrays              experiments   which jobs an artefact wants
cells                numbers and their readings     statistics    intervals and tests
layouts, tables      rows and columns               paper         the paper's own numbers
comparisons          who is ahead of whom           claims, finding   verdicts, in words
figures, render      drawing, Markdown, LaTeX       page          everything that is written
plan                 what an experiment still takes
"""
