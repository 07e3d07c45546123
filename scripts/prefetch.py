"""Fetch models and tasks ahead of time: python scripts/prefetch.py model=gpt2-large task=sst2."""

import sys

from deepthink.app import commands

if __name__ == "__main__":
    commands.run("prefetch", sys.argv[1:])
