"""From records to tables, figures and verdicts: no torch, no network."""
