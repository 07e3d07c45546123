"""Progress where there is no terminal: a line now and then, in a log or in the output of CI."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from deepthink.progress import Watcher

FIRST, EVERY, LONGEST = 10.0, 30.0, 300.0
"""Seconds: until the first line, between two lines at least, and between two lines at most."""
SHARE = 0.1
"""The part of the work that lies between two lines, unless that takes longer than `LONGEST`."""


@dataclass
class Pace:
    """Decides when a line is due.

    The first line is due after `FIRST` seconds. Each further line is due after `EVERY` seconds, or
    when a tenth of the work was done since the last line, whichever is later; it is due after
    `LONGEST` seconds in any case. Where the share of the work is unknown, only seconds count.

    >>> pace = Pace(now=0.0)
    >>> [pace.due(now, share) for now, share in ((5, 0.0), (12, 0.0), (50, 0.05), (60, 0.1))]
    [False, True, False, True]
    """

    now: float
    _told: float | None = None
    _share: float = 0.0

    def due(self, now: float, share: float | None) -> bool:
        """Whether a line is due; if it is, the next one is counted from here.

        now: seconds of the clock. share: the part of the work that is done; None if it is unknown.
        """
        if self._told is None:
            due = now - self.now >= FIRST
        else:
            since = now - self._told
            further = share is None or not 0 <= round(share - self._share, 6) < SHARE
            due = since >= LONGEST or (since >= EVERY and further)
        if due:
            self._told, self._share = now, share or 0.0
        return due


@dataclass
class Count:
    """How much of a piece of work is done, and how fast.

    total: None if it is unknown. unit: what is counted; empty if the text says it.
    """

    total: int | None
    unit: str = ""
    done: int = 0
    _first: tuple[float, int] | None = field(default=None)

    def advance(self, more: int, now: float) -> None:
        """So many more are done at this time."""
        self.done += more
        self._first = self._first or (now, self.done)

    @property
    def share(self) -> float | None:
        """The part that is done; None if the total is unknown."""
        return self.done / self.total if self.total else None

    def words(self, now: float) -> str:
        """Such as "120 of 600 queries (20 %), 12 a second, 40 s left"; empty without a total."""
        if not self.total:
            return ""
        share = int(100 * self.done / self.total)
        parts = [f"{self.done:,} of {self.total:,}{self.unit and f' {self.unit}'} ({share} %)"]
        begin, before = self._first or (now, self.done)
        if now > begin and self.done > before:
            rate = (self.done - before) / (now - begin)
            parts += [_rate(rate), f"{duration((self.total - self.done) / rate)} left"]
        return ", ".join(parts)


def _rate(rate: float) -> str:
    """So many a second, a minute or an hour, whichever is the first number of 1 or more."""
    for unit, factor in (("second", 1), ("minute", 60)):
        if rate * factor >= 1:
            return f"{rate * factor:,.3g} a {unit}"
    return f"{rate * 3600:,.2g} an hour"


def duration(seconds: float) -> str:
    """A time in words.

    >>> duration(42.3), duration(130), duration(7300)
    ('42 s', '2 min', '2 h 2 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


class LogWatcher(Watcher):
    """Prints a line whenever one is due. `beat` has to be called at short intervals.

    say: prints a line. place: where in a sweep the job stands; empty outside sweeps. unit: what
    `start` and `advance` count. verbose: every stage and detail is printed at once. clock: seconds.
    """

    def __init__(
        self,
        say: Callable[[str], object],
        place: str = "",
        unit: str = "queries",
        verbose: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say, self._place, self._verbose, self._clock = say, place, verbose, clock
        self._begin = self._since = clock()
        self._pace = Pace(self._begin)
        self._stage = "starting"
        self._latest: dict[str, str] = {}
        self._main = Count(None, unit)
        self._asides: list[tuple[str, Count]] = []

    def stage(self, text: str) -> None:
        """Note the stage. It is printed now if everything is."""
        self._stage, self._since = text, self._clock()
        self._latest.clear()
        self.detail(text)

    def tell(self, text: str) -> None:
        """Print the line."""
        self._say(text)

    def detail(self, text: str) -> None:
        """Print the line, if everything is printed, with the seconds since the beginning."""
        if self._verbose:
            self._say(f"[{self._clock() - self._begin:6.1f} s] {text}")

    def start(self, total: int) -> None:
        """Note how many queries will be scored."""
        self._main.total = total

    def advance(self, readings: int) -> None:
        """Count them."""
        self._main.advance(readings, self._clock())

    def step(self, t: int, split: str, accuracy: float) -> None:
        """Note an accuracy. It is printed now if everything is."""
        self._latest[split] = f"{split} {accuracy:.1%}"
        self._latest["t"] = f"t={t}"
        self.detail(f"{self._stage}: t={t} {self._latest[split]}")

    @contextmanager
    def aside(self, text: str, total: int) -> Iterator[Callable[[int], object]]:
        """Count other work, which stands in the lines while the block runs."""
        count = Count(total)
        self._asides.append((text, count))
        self.detail(f"{self._stage}: {text}, {total:,}")
        try:
            yield lambda readings: count.advance(readings, self._clock())
        finally:
            self._asides.pop()

    def beat(self) -> None:
        """Print a line if one is due."""
        now = self._clock()
        share = (self._asides[-1][1] if self._asides else self._main).share
        if self._pace.due(now, share):
            self._say(self._line(now))

    def _line(self, now: float) -> str:
        parts = [self._place] if self._place else []
        parts.append(self._stage)
        if self._asides:
            text, count = self._asides[-1]
            parts.append(": ".join(filter(None, (text, count.words(now)))))
        elif self._main.done:
            parts.append(self._main.words(now))
        else:
            passed = f"{duration(now - self._since)} so far"
            parts.append(", ".join(filter(None, (self._main.words(now), passed))))
        line = ": ".join(parts)
        latest = {**self._latest}
        if step := latest.pop("t", ""):
            line += f"; {step} {', '.join(latest.values())}"
        return line
