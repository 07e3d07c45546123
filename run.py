"""Run one job or, with -m, a sweep: python run.py model=gpt2-large task=sst2 method=deepthink."""

from deepthink.__main__ import main

if __name__ == "__main__":
    main()
