"""The final number of a written answer, by the two conventions of lm-evaluation-harness for GSM8K.

"strict" takes the number behind the first mark, which an answer in the form of the demonstrations
has. "flexible" takes the last number of the text, wherever it stands.
"""

import re

_NUMBER = re.compile(r"-?[$0-9.,]{2,}|-?[0-9]+")


def strict(text: str, mark: str) -> str | None:
    r"""The number behind the first mark and a space, as `normal` writes it; None without one.

    >>> strict("6 + 6 = 12\n#### 1,212.", "####"), strict("It is 12.", "####")
    ('1212', None)
    """
    found = re.search(rf"{re.escape(mark)} (-?[0-9.,]+)", text)
    return normal(found[1]) if found else None


def flexible(text: str) -> str | None:
    """The last number of a text, as `normal` writes it; None without one.

    As in the harness, two or more of the signs `$.,` count as a number too.

    >>> flexible("He has $12, which is more than 5."), flexible("None at all")
    ('5', None)
    """
    numbers = _NUMBER.findall(text)
    return normal(numbers[-1]) if numbers else None


def normal(number: str) -> str:
    """A number without commas, dollar signs and a full stop at its end.

    >>> normal("$1,250."), normal("0.5")
    ('1250', '0.5')
    """
    return re.sub(r"[,$]", "", number).removesuffix(".").lower()
