"""Which demonstrations are shown: the pool, its signals and the rules. No records, no terminal."""
