"""From stored records to tables, figures and verdicts. Reads files only: no torch, no network.

runs          records as arrays               experiments   which jobs an artefact wants
statistics    intervals and tests             paper         the paper's own numbers
cells         an artefact's numbers           tables, figures, claims, page   what is shown
"""
