"""How scores are corrected before the highest wins: one file per calibration.

    calibrate(scores, ask, **options) -> scores

scores: [Q, C] float64, the log-probabilities of the candidates of one split's queries after one
step. A query with fewer than C candidates has -inf in the last columns.
ask: a `deepthink.study.calibrating.Ask`, which holds what else a calibration may know.
options: arguments with names and annotations, which are checked before a model is loaded.

It returns corrected scores of the same shape without NaN. The highest score of a row is the
prediction. A calibration is a pure function: it sees no label, and calls no model. It raises
UserError for a job that it cannot correct, such as `ask.need_common_candidates()` does.

A file may also define

    texts(pool, rng) -> list[str | Instance | Alone]

pool: a `deepthink.study.texts.Corpus`, the texts of the pool's examples as a sequence. rng: a
generator that depends on the seed alone. Each string that it returns stands in every column of the
template, an `Instance` in place of all columns, and both are scored after the memory as a query is.
An `Alone` is a whole query that is scored without demonstrations. `ask(texts)` returns the scores.

For example, this subtracts the scores that the candidates have after an empty text:

    def texts(pool, rng):
        return [""]

    def calibrate(scores: Array, ask: Ask) -> Array:
        return scores - ask([""])[:, 0]

Files whose names begin with `_` are parts that calibrations import.
"""
