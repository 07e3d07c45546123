"""Run one job or, with -m, a sweep: python run.py model=gpt2-large task=sst2 method=deepthink."""

import sys
import warnings

if __name__ == "__main__":
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # of libraries, for their programmers
    try:
        from deepthink.app.cli import main

        main()
    except KeyboardInterrupt:  # while it starts or ends
        sys.exit("error: interrupted: finished jobs are kept, the same command continues")
