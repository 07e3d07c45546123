"""What a table is made of: its rows, and the runs and readings behind each."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from deepthink.report.readings import Calibration, Reading


@dataclass(frozen=True)
class Budget:
    """How many draws a costly line gets on one scale, where its experiment asks for more.

    Its cells are final with these draws. scale: the name of a file of conf/scale. draws: by task; a
    task without a number has all draws of the experiment.
    """

    scale: str
    draws: Mapping[str, int]


@dataclass(frozen=True)
class Line:
    """One row of a layout: the setting of its experiment, the reading, and the paper's row.

    axes: the values that single out the setting in its experiment, apart from the task.
    published: the columns and values that single out the paper's row in its CSV, apart from task
        and model; None if the paper has no such row.
    pooled: as in `Cell`. chooses: whether the method chooses demonstrations of its own, so that its
        draws have nothing to do with those of another. budget: None gives the line every draw.
    """

    label: str
    axes: dict[str, str]
    reading: Reading
    published: dict[str, str] | None = None
    pooled: bool = False
    chooses: bool = False
    budget: Budget | None = None

    def after(self, calibration: Calibration) -> "Line":
        """The same line with calibrated scores, which has no row in the paper."""
        label = f"{self.label}, {calibration.name}"
        return replace(self, label=label, reading=self.reading.after(calibration), published=None)


@dataclass(frozen=True)
class Layout:
    """The rows and columns of one table. Its runs are those of the experiment of the same name.

    places: the heading of each task's column. Empty if the columns are the categories of the
        experiment's suite.
    in_paper: whether the experiment is the paper's. The paper's models are then shown even if
        nothing was run on them.
    reference: the paper's model whose numbers stand beside models that the paper does not have.
    front: whether the table is shown on the page itself, and not only in a file of its own.
    """

    name: str
    title: str
    places: dict[str, str]
    sections: dict[str, list[Line]]
    notes: tuple[str, ...] = ()
    in_paper: bool = True
    reference: str | None = None
    front: bool = False
