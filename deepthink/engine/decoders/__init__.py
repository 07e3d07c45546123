"""Decoders of the known families, run over packed tokens: the model's modules, fewer steps.

transformers' own forward computes every token of every layer, and the output layer in one piece.
Thinking needs no more than each layer's keys and values. Scoring needs few rows of the last layer.
`families` reads the modules of a model into the parts of a `decoder`, which computes just that.
Models of other families run in their own code, see `deepthink.engine.routing`.
"""
