"""Hidden calibration (Cho et al. 2024, arXiv 2406.16535): the label whose mean state is nearest."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from deepthink.errors import UserError
from deepthink.study.reading_out import Ask


def read(ask: Ask, anchors: Annotated[int, Field(ge=1)] = 128) -> Tensor:
    """[Q, C] float64: -‖h_q - c_y‖, the distance of a query's state to the centroid of each label.

    h is the input of the output layer at a prompt's last token, behind the demonstrations, and c_y
    the mean of h over the anchors of the label y. The softmax of these scores is what the authors'
    program returns.

    anchors: how many, of all labels together; 128 in the authors' program, which draws new
    demonstrations for each of them. Here all stand behind those of the job.

    Raises:
        UserError: no row of the pool is left, or a label has no anchor.
    """
    rows = ask.anchors(anchors)
    counts = [int((rows.labels == label).sum()) for label in range(ask.classes)]
    if not all(counts):
        raise UserError(
            f"readout hidden_calibration has no anchor of label {counts.index(0)}: raise its "
            "option anchors or pool_size"
        )
    known, asked = ask.states(rows).double(), ask.states(ask.queries).double()
    means = [known[torch.from_numpy(rows.labels == c)].mean(0) for c in range(ask.classes)]
    return -torch.cdist(asked, torch.stack(means))
