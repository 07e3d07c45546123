"""The command `deepthink`, also as `python -m deepthink` and run.py."""

import sys
import warnings

from deepthink import __version__


def main() -> None:
    """Run the command line, see `deepthink.app.cli.main`."""
    if sys.argv[1:] == ["--version"]:  # Hydra would print its own
        print(f"deepthink {__version__}")
        return
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # of libraries, for their programmers
    try:
        from deepthink.app import cli

        cli.main()
    except KeyboardInterrupt:  # while it starts or ends
        sys.exit("error: interrupted: finished jobs are kept, the same command continues")


if __name__ == "__main__":
    main()
