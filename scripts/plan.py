"""Say what an experiment still takes: the command that `make plan` runs."""

import sys

from deepthink.app import commands

if __name__ == "__main__":
    commands.run("plan", sys.argv[1:])
