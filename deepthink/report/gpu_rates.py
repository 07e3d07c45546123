"""How much of a GPU's peak the engine reaches, as `make gpu` measured it: for plans."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

from deepthink.installation import CONF, IN_CHECKOUT

MEASURED = CONF.parent / "docs" / "measured" / "gpu.json"


@dataclass(frozen=True)
class Utilisation:
    """The share of a GPU's specified peak that useful operations reach, by a model's parameters.

    gpu: the GPU's name. shares: one share for each measured number of parameters, the mean over
    tasks.

    >>> Utilisation("NVIDIA H100", {774_030_080: 0.3, 6_738_415_616: 0.5}).near(1_500_000_000)
    0.3
    """

    gpu: str
    shares: Mapping[int, float]

    def near(self, parameters: int | None) -> float:
        """The share of the model nearest by the ratio of parameters; of None: their mean."""
        if parameters is None:
            return mean(self.shares.values())
        return self.shares[
            min(self.shares, key=lambda measured: abs(math.log(measured / parameters)))
        ]


def measured(file: Path = MEASURED) -> Utilisation | None:
    """What was measured on a GPU whose peak is known; None if nothing was."""
    if not (IN_CHECKOUT and file.is_file()):
        return None
    figures = json.loads(file.read_text(encoding="utf-8"))
    results, gpu = figures["results"], figures["machine"]["gpu"]
    if gpu is None or results.get("stand_in", True):
        return None
    shares = {
        part["parameters"]: share
        for name, part in results.items()
        if name.startswith("products ")
        and (share := _share(results, name.removeprefix("products "), part)) is not None
    }
    return Utilisation(gpu, shares) if shares else None


def _share(results: Mapping[str, Any], model: str, products: Mapping[str, Any]) -> float | None:
    spec = products.get("spec_tflops")
    rates = [
        part["tflops"]
        for name, part in results.items()
        if name.startswith(f"speed {model} ") and "tflops" in part
    ]
    return mean(rates) / spec if spec and rates else None
