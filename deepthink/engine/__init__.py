"""Token ids in, memories and scores out, on any decoder: no config, no files, no network."""
