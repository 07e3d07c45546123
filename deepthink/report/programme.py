"""The whole paper as one list of jobs: every experiment, one model after the other.

Words as on a command line choose a part of it. Whatever else they say holds for every job.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from deepthink.config.overrides import axes, values
from deepthink.errors import UserError, unknown
from deepthink.report import experiments

NAME = "paper"
"""What stands for the whole list where an experiment is named."""

PAPER = (
    *("table1", "table2", "table3", "figure3", "figure4"),
    *("figure5_seeds", "figure5_orders", "figure6"),
)
"""The experiments of the paper, in its order."""

OURS = (
    *("central", "rivals", "authors", "positions", "mechanism", "step_sizes", "stopping"),
    *("repetition", "calibrations", "flipped", "seam"),
)
"""Those of the page that the paper does not have; `experiment=paper,ours` runs them too."""

LISTS = {NAME: PAPER, "ours": OURS}
CHOOSING = ("experiment", "model", "task", "method", *experiments.DRAWS)
"""The keys of words that choose among what the experiments have. All other words set a value."""


@dataclass(frozen=True)
class Part:
    """The jobs of one experiment and one model.

    words: what the command line adds to the experiment, without its name and the model.
    """

    experiment: str
    model: str
    words: tuple[str, ...] = ()


@dataclass(frozen=True)
class Programme:
    """Parts in the order in which they run, models from small to large.

    left_out: experiments that have nothing of what was chosen.
    """

    parts: tuple[Part, ...]
    left_out: tuple[str, ...] = ()

    @property
    def models(self) -> list[str]:
        """The models, in the order in which they are loaded."""
        return list(dict.fromkeys(part.model for part in self.parts))


def programme(words: Sequence[str] = ()) -> Programme:
    """The parts that the words of a command line choose, of the whole paper by default.

    The words experiment=, model=, task=, method=, seed= and order= choose. `experiment` takes the
    names of experiments, `paper` and `ours`. The others keep of an experiment's values those that
    they name, and leave out an experiment that has none of them. Every other word is part of each
    job's command. A word that begins with an experiment and a colon holds for this one alone, in
    the place of the word for all.

    >>> [part.experiment for part in programme(["model=gpt2-xl", "task=sst2"]).parts]
    ['table2']
    >>> programme(["model=llama2-7b", "test_size=9", "table3:test_size=2"]).parts[1].words
    ('test_size=2',)

    Raises:
        UserError: an experiment does not exist, a word names what none of them has, or nothing is
            left.
    """
    names = _named(words)
    offered = {name: _offered(name) for name in names}
    own = {name: _own(name, words) for name in names}
    _check(words, own, offered)
    parts: list[Part] = []
    for name, has in offered.items():
        chosen = {_key(word): values(word) for word in own[name] if _key(word) in has}
        kept = {key: [v for v in has[key] if v in wanted] for key, wanted in chosen.items()}
        if not all(kept.values()):
            continue
        models = kept.pop("model", has["model"])
        given = [f"{key}={','.join(some)}" for key, some in kept.items() if some != has[key]]
        others = [word for word in own[name] if _key(word) not in has]
        parts += [Part(name, model, (*given, *others)) for model in models]
    left_out = tuple(name for name in names if name not in {part.experiment for part in parts})
    if not parts:
        choosing = " ".join(word for word in words if _key(word) in CHOOSING)
        raise UserError(f"no experiment has all of {choosing}: {', '.join(names)} were asked for")
    return Programme(tuple(sorted(parts, key=lambda part: _size(part.model))), left_out)


def plain(words: Sequence[str]) -> list[str]:
    """The words as a single experiment would be given them, for checks that need no experiment.

    >>> plain(["experiment=table1,table3", "seed=0", "table3:test_size=2"])
    ['seed=0', 'test_size=2']
    """
    return [_split(word)[1] for word in words if not word.startswith("experiment=")]


def _split(word: str) -> tuple[str, str]:
    """The experiment for which a word holds, "" for all of them, and the word without it."""
    experiment, colon, rest = word.partition(":")
    if colon and "=" not in experiment and "=" in rest:
        return experiment, rest
    return "", word


def _key(word: str) -> str:
    return word.partition("=")[0]


def _own(experiment: str, words: Sequence[str]) -> list[str]:
    """The words that hold for an experiment, without its name before them."""
    pairs = [_split(word) for word in words if not word.startswith("experiment=")]
    special = {_key(word) for name, word in pairs if name == experiment}
    return [w for name, w in pairs if name == experiment or (not name and _key(w) not in special)]


def _named(words: Sequence[str]) -> list[str]:
    """The experiments that `experiment=` names, each once; the paper's without such a word."""
    asked = [name for word in words if word.startswith("experiment=") for name in values(word)]
    known = [*LISTS, *experiments.names()]
    names: dict[str, None] = {}
    for name in asked or [NAME]:
        if name not in known:
            raise unknown("experiment", name, known)
        names.update(dict.fromkeys(LISTS.get(name, (name,))))
    return list(names)


def _offered(experiment: str) -> dict[str, list[str]]:
    """The values that an experiment has of every key that chooses."""
    swept = axes(experiment)
    return {key: swept.get(key, ["0"]) for key in CHOOSING if key != "experiment"}


def _check(
    words: Sequence[str],
    own: Mapping[str, Sequence[str]],
    offered: Mapping[str, Mapping[str, Sequence[str]]],
) -> None:
    """Raise UserError for a value that no experiment has: nothing would be run for it."""
    for word in words:
        if (name := _split(word)[0]) and name not in offered:
            raise unknown("experiment before the colon", name, offered)
    for word in dict.fromkeys(word for some in own.values() for word in some):
        key = _key(word)
        if key not in CHOOSING:
            continue
        known = list(dict.fromkeys(value for has in offered.values() for value in has[key]))
        for value in values(word):
            if value not in known:
                raise unknown(f"{key} of these experiments", value, known)


def _size(model: str) -> int:
    """The number of parameters; a model without one comes last."""
    return experiments.parameters(model) or 1 << 62
