"""Run every experiment of the paper, then draw its tables and figures.

    {called} paper
    {called} paper model=opt-125m,opt-350m task=sst2 scale=cpu
    {called} paper scale=cpu table3:scale=cpu_suite figure3:scale=cpu_suite
    {called} paper experiment=paper,ours launcher=local workers=4

It begins with the smallest model and loads each model once. First it prints how many hours each
model still takes; `{called} plan paper` prints the same and runs nothing. The same command
continues: a job that has a record is read.

experiment=, model=, task=, method=, seed= and order= choose among what the experiments have. All
other words hold for every job. A word behind an experiment and a colon holds for it alone. `ours`
are the experiments of the page that the paper does not have.
"""

import sys
from collections.abc import Sequence

from deepthink.installation import called


def main(words: Sequence[str]) -> None:
    """Run the jobs that the words choose.

    Raises:
        UserError: results= names several folders.
        SystemExit: with exit code 0 if every job has its record, else 1.
    """
    if {"-h", "--help"} & {*words}:
        print((__doc__ or "").format(called=called()))
        return
    from deepthink.app.paper import Paper  # slow to import, and not needed to print the help

    sys.exit(Paper(words).run())
