"""When a generated text has ended, and what a streamer sees of it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase, StoppingCriteria
from transformers.generation.streamers import BaseStreamer


class Stopping(StoppingCriteria):
    """Several criteria, of which one suffices; it remembers how long each row was when it ended.

    transformers goes on with a row that has ended until the others have, and fills it with the
    end-of-text token, which not every model has.

    criteria: as transformers takes them. begin: how many ids a row has that are not new. ends: by
    row, the number of new tokens when it ended. Rows of a beam search change places, so that it
    tells nothing there.

    >>> stopping = Stopping([lambda ids, scores: ids[:, -1] == 9], begin=1)
    >>> stopping(torch.tensor([[3, 9], [3, 4]]), None).tolist(), stopping.ends
    ([True, False], {0: 1})
    """

    def __init__(self, criteria: Sequence[Any], begin: int) -> None:
        self.criteria, self.begin = list(criteria), begin
        self.ends: dict[int, int] = {}

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        """Whether each row has ended: [B] bool."""
        ended = torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)
        for criterion in self.criteria:
            ended = ended | torch.as_tensor(criterion(input_ids, scores, **kwargs)).to(ended)
        for row in ended.nonzero().flatten().tolist():
            self.ends.setdefault(row, input_ids.shape[1] - self.begin)
        return ended


class TextHas(StoppingCriteria):
    """Ends a row as soon as its new text has one of some strings.

    Unlike transformers' own criterion it never looks at the text before.

    >>> class Letters:
    ...     def batch_decode(self, rows, **_):
    ...         return ["".join(map(chr, row)) for row in rows]
    >>> criterion = TextHas(["bc"], Letters(), begin=1)
    >>> criterion(torch.tensor([[98, 99, 97], [97, 98, 99]]), None).tolist()
    [False, True]
    """

    def __init__(
        self, strings: Sequence[str], tokenizer: PreTrainedTokenizerBase, begin: int
    ) -> None:
        self._strings, self._tokenizer, self._begin = tuple(strings), tokenizer, begin
        # a token is a byte or more; some come before the string, and may hold its first letters
        self._reach = max(len(string.encode()) for string in strings) + 8

    def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
        """Whether each row has ended: [B] bool."""
        new = input_ids[:, self._begin :][:, -self._reach :].tolist()
        texts = self._tokenizer.batch_decode(new, clean_up_tokenization_spaces=False)
        has = [any(string in text for string in self._strings) for text in texts]
        return torch.tensor(has, device=input_ids.device)


class Behind(BaseStreamer):
    """A streamer that is not shown the ids of the memory, which come first of all.

    >>> class Shown:
    ...     put, end = print, lambda: None
    >>> streamer = Behind(Shown, hidden=2)
    >>> streamer.put(torch.tensor([[5, 6, 7]]))
    tensor([[7]])
    >>> streamer.put(torch.tensor([8]))
    tensor([8])
    """

    def __init__(self, streamer: Any, hidden: int) -> None:
        self._streamer, self._hidden = streamer, hidden

    def put(self, value: Tensor) -> None:
        """Hand on the prompt's ids [1, n] without the memory's, then each new id."""
        if value.dim() > 1:
            value = value[:, self._hidden :]
        self._streamer.put(value)

    def end(self) -> None:
        """Hand on that the text has ended."""
        self._streamer.end()
