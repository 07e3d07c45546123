"""Which demonstrations are drawn."""

import numpy as np
import pytest

from deepthink import selectors
from deepthink.cli import compose
from deepthink.errors import UserError
from deepthink.structures import Example
from deepthink.study import demonstration_order

POOL = tuple(Example(f"example {i}", ("a", "b", "c"), i % 3) for i in range(30))


def draw(count: int, seed: int, balance: str = "equal") -> list[int]:
    select = selectors.load({"name": "random", "balance": balance})
    return select(POOL, count, np.random.default_rng(seed))


@pytest.mark.parametrize("balance", ["equal", "none"])
def test_draws_are_distinct_and_seeded(balance):
    assert len(set(draw(9, 0, balance))) == 9
    assert draw(9, 0, balance) == draw(9, 0, balance)
    assert draw(9, 0, balance) != draw(9, 1, balance)


def test_equal_balance_gives_every_class_its_share():
    counts = np.bincount([POOL[i].label for i in draw(6, 0)])
    assert counts.tolist() == [2, 2, 2]
    assert sorted(np.bincount([POOL[i].label for i in draw(8, 0)])) == [2, 3, 3]


def test_a_small_class_gives_what_it_has():
    pool = tuple(Example(f"example {i}", ("a", "b"), int(i > 0)) for i in range(10))
    select = selectors.load({"name": "random", "balance": "equal"})
    chosen = select(pool, 6, np.random.default_rng(0))
    assert sorted(np.bincount([pool[i].label for i in chosen])) == [1, 5]


def test_labels_do_not_come_in_blocks():
    orders = {tuple(POOL[i].label for i in draw(6, seed)) for seed in range(20)}
    assert len(orders) > 10
    assert any(draw(6, seed) != sorted(draw(6, seed)) for seed in range(3))


def test_order_permutes_the_same_demonstrations():
    drawn, again, other = (demonstration_order(POOL, compose([f"order={j}"])) for j in (0, 1, 2))
    assert sorted(drawn) == sorted(again) == sorted(other)
    assert len({tuple(drawn), tuple(again), tuple(other)}) == 3


def test_too_many_are_refused():
    with pytest.raises(UserError, match="pool holds 30"):
        draw(31, 0)
