"""The whole paper: what it takes, its jobs as one shared sweep, what failed, tables and figures.

The jobs go through the same workers as those of any sweep, so what has ended is kept, and the same
command continues. Without launcher= this process does them all.
"""

from collections.abc import Sequence
from pathlib import Path

from deepthink.app import plan_view, streams
from deepthink.app.cli import Session
from deepthink.app.commands import failures as failed
from deepthink.app.commands import plan as planned
from deepthink.app.commands import tables
from deepthink.app.sharing import Sharing, share_jobs
from deepthink.config import overrides
from deepthink.errors import UserError
from deepthink.installation import called
from deepthink.report import device_rates, plan, programme
from deepthink.store import failures

MOST = 10
"""So many failed jobs are listed at the end, each with its command."""


class Paper(Session):
    """The command `paper`, from its words to its exit code.

    words: those after the command's name. They choose and change its jobs, see
        `deepthink.report.programme`, and may name a launcher.
    """

    def __init__(self, words: Sequence[str]) -> None:
        super().__init__([programme.NAME, *words])
        self._results = Path()

    def _do(self) -> None:
        _, *words = self._words
        overrides.check(programme.plain(words))
        if flags := [word for word in words if word.startswith("-")]:
            raise UserError(f"{flags[0]}: {called()} paper takes words such as model=gpt2-xl alone")
        sharing = Sharing.of(words) or Sharing.of(["launcher=basic", *words])
        assert sharing is not None
        self._results = planned.folder_of(words)
        chosen = programme.programme(sharing.sweep)
        runs, others = planned.known_runs(words)
        works = plan.of_parts(runs, chosen.parts, others)
        if "verbosity=quiet" not in words:
            if chosen.left_out:
                streams.tell(f"left out by these words: {', '.join(chosen.left_out)}")
            plan_view.show_models(works, device_rates.rates(runs, {*chosen.models}, others))
        jobs = [[*words] for work in works for words in work.jobs]
        group = overrides.group([f"experiment={programme.NAME}", *sharing.sweep])
        self._count(share_jobs(sharing, jobs, group, self._once))

    def _close(self) -> None:
        """List the jobs that failed, and draw what the records give."""
        if self._tally.failed:
            found = failures.every(self._results)
            for failure in found[:MOST]:
                failed.tell(failure)
            if (more := len(found) - MOST) > 0:
                streams.tell(f"{more} more: {called()} failures {self._results}")
        tables.redraw(self._results)
