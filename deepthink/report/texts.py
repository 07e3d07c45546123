"""The texts of a record's examples, read once more from where its job had read them."""

from deepthink.config.overrides import requested
from deepthink.errors import UserError
from deepthink.report.commands import words_of
from deepthink.store.schema import Record


def of_record(record: Record) -> dict[str, list[str]]:
    """The texts of the dev and test examples, in the order in which the job scored them.

    Raises:
        UserError: the data cannot be read, or are not those of the record any more.
    """
    from deepthink.tasks import own, sources  # slow to import, and only texts need it

    config = requested(words_of(record)).jobs[0]
    task = own.resolved(config.task)
    sizes = config.test_size, config.dev_size, config.pool_size
    splits = sources.load(task, config.data_root, *sizes, config.pool.overlap)
    if sources.fingerprint(splits, task) != record.identity.task.data:
        raise UserError(
            f"the rows of {task.name} are not those of the record any more: put the data back "
            "where the job read them, or leave out texts=True"
        )
    return {
        "dev": [example.text for example in splits.dev],
        "test": [example.text for example in splits.test],
    }
