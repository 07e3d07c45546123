"""How scores are corrected before the highest wins: one file per calibration.

    calibrate(scores, ask, **options) -> scores

scores: [Q, C] float64, the log-probabilities of the candidates of one split's queries after one
step; -inf beyond the candidates of a query that has fewer than others. ask: an `Ask`, which says
what else may be known. Returned are corrected scores of the same shape, the highest of a row being
the prediction. A calibration is pure: it may look at no label, and asks no model by itself.

A file may also define

    texts(pool, rng) -> list[str]

with the texts of the pool's examples and a generator of the seed. Each text takes the place of an
instance in the template and is scored after the memory as queries are: `ask(texts)` has its scores.
"""
