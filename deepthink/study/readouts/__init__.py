"""How a memory becomes scores of the candidates: one file per readout.

    read(ask, **options) -> scores | Reading

ask: a `deepthink.study.reading_out.Ask`, which asks the model about one memory: scores of the
candidates, states and distributions at the last tokens of prompts, and labelled rows to learn from.
options: arguments with names and annotations, which are checked before a model is loaded.

It returns a number for each candidate of each of `ask.queries`, [Q, C]. The highest is the
prediction, and what compares scores further (a calibration, a dev log-likelihood) takes them for
log-probabilities. A `Reading` adds notes for the record. A readout sees the labels of the anchors
and of the dev rows, and never those of the test rows. It is called after every scored step, and is
a pure function of what it asks. It raises UserError for a job that it cannot read.

For example, this takes the label whose rows have the most similar state:

    def read(ask):
        rows = ask.anchors(32)
        near = ask.states(ask.queries) @ ask.states(rows).T
        return torch.stack([near[:, rows.labels == c].amax(1) for c in range(ask.classes)], dim=1)

`candidates` takes the scores of the candidates as they are (Eq. 1), and is the default. All others
need label words that all rows share, and go with no calibration that asks about texts. Files whose
names begin with `_` are parts that readouts import.
"""
