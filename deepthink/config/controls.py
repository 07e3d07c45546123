"""Which controls of a prompt go with a task: orders, the query twice, the noisy channel."""

from deepthink.config.method import MethodSpec
from deepthink.config.tasks import TaskSpec
from deepthink.errors import UserError
from deepthink.settings import check_channel


def check_controls(
    method: MethodSpec, task: TaskSpec, answer_score: str, seam: str, chat: bool
) -> None:
    """Raise UserError for a control of the method that is not defined for such a job.

    answer_score: the config's. seam, chat: those of its prompt.
    """
    if method.orders > 1:
        _check_orders(method.orders, task, answer_score)
    if method.direction == "channel":
        _check_channel(method, task, answer_score, seam, chat)


def _check_orders(orders: int, task: TaskSpec, answer_score: str) -> None:
    if task.open is not None:
        raise UserError(
            f"method.orders is {orders}, but {task.name} has open answers, and probabilities among "
            "candidates are what orders are averaged by: leave it out"
        )
    if answer_score == "probability":
        raise UserError(
            f"method.orders is {orders}, which averages the softmax of log-probabilities: leave "
            "out answer_score=probability"
        )


def _check_channel(
    method: MethodSpec, task: TaskSpec, answer_score: str, seam: str, chat: bool
) -> None:
    if task.open is not None:
        raise UserError(
            f"method.direction=channel scores a text behind each label, but {task.name} has open "
            "answers: leave it out"
        )
    if task.sources and not task.labels:  # without sources the task is not read yet
        raise UserError(
            f"method.direction=channel needs label words that all rows share, but the rows of "
            f"{task.name} have options of their own: leave it out"
        )
    if answer_score == "probability":
        raise UserError(
            "method.direction=channel scores a text by the sum or the mean of its "
            "log-probabilities: leave out answer_score=probability"
        )
    check_channel(method.query, seam, chat)
