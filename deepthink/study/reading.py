"""The calibrations of a job: the one that makes its curve, and those that are read later."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deepthink.config.job import Config
from deepthink.errors import UserError
from deepthink.plugins import CALIBRATIONS
from deepthink.structures import Example
from deepthink.study.calibrating import Calibration
from deepthink.study.texts import Alone, Corpus, Instance, Text


@dataclass(frozen=True)
class Readings:
    """The calibration of a job's curve, and the others whose texts are scored beside its rows.

    >>> readings = Readings(Calibration("none", lambda scores, ask: scores))
    >>> readings.behind, readings.alone, readings.asking
    ((), (), ())
    """

    calibration: Calibration
    others: tuple[Calibration, ...] = ()

    @classmethod
    def of(cls, config: Config, corpus: Corpus | None = None) -> "Readings":
        """Those of a config; UserError as `Calibration.of`, or one of `readings` asks nothing.

        corpus: as in `Calibration.of`.
        """
        plugins, seed = config.plugins, config.draw
        others = [{"name": name} for name in config.readings]
        if config.method.direction == "channel":
            _check_channel([config.calibration, *others], plugins)
        calibrations = [
            Calibration.of(named, plugins, corpus, seed) for named in (config.calibration, *others)
        ]
        for named in others:
            if CALIBRATIONS.part("texts", named, plugins) is None:
                raise UserError(
                    f"readings has {named['name']}, which asks the model nothing: leave it out, "
                    "since the report reads it from the scores of any job"
                )
        return cls(calibrations[0], tuple(calibrations[1:]))

    @property
    def asking(self) -> tuple[Calibration, ...]:
        """Those that ask anything."""
        return tuple(each for each in (self.calibration, *self.others) if each.texts)

    @property
    def behind(self) -> tuple[str | Instance, ...]:
        """The texts that are scored behind the demonstrations, each once."""
        return tuple(dict.fromkeys(t for t in self._texts if not isinstance(t, Alone)))

    @property
    def alone(self) -> tuple[Alone, ...]:
        """The queries that are scored without demonstrations, each once."""
        return tuple(dict.fromkeys(t for t in self._texts if isinstance(t, Alone)))

    @property
    def _texts(self) -> Iterable[Text]:
        return (text for each in self.asking for text in each.texts)

    def check(self, scored: Sequence[Example]) -> None:
        """Raise UserError if any of them asks, and the scored examples differ in candidates."""
        for each in self.asking:
            each.check(scored)


def _check_channel(calibrations: Iterable[Mapping[str, Any]], plugins: str | None) -> None:
    """Raise UserError for a calibration that asks the model where texts are what is scored."""
    for named in calibrations:
        if CALIBRATIONS.part("texts", named, plugins):
            raise UserError(
                f"calibration {named['name']} asks for labels behind texts, but "
                "method.direction=channel scores texts behind labels: leave it out (batch and "
                "batch_dev go with it)"
            )
