"""Redraw tables, figures and README.md from the records: the command that `make tables` runs."""

import sys

from deepthink.app import commands

if __name__ == "__main__":
    commands.run("tables", sys.argv[1:])
