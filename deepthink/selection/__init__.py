"""Which demonstrations are shown: the pool, what a model says of it, and the rules."""
