"""What selectors share: names, options, balance, arrangement; and random draws."""

import dataclasses
import pkgutil

import numpy as np
import pytest
from pools import made, random_pool, select, stub
from scipy.stats import chisquare

from deepthink import plugins
from deepthink.config.overrides import compose
from deepthink.errors import UserError
from deepthink.installation import CONF
from deepthink.selection import rules
from deepthink.selection.balance import shares
from deepthink.selection.choosing import choose
from deepthink.selection.pool import Pool
from deepthink.structures import Example

POOL = Pool([Example(f"example {i}", ("a", "b", "c"), i % 3) for i in range(30)])

RULES = [
    "herding",
    "k_center",
    "entropy",
    "least_confidence",
    "margin",
    "cal",
    "craig",
    "grad_match",
    "facility_location",
    "graph_cut",
]
TABLE_1 = [*RULES, "random", "lens"]


def draw(count: int, seed: int, balance: str = "equal") -> list[int]:
    return select("random", POOL, count, seed, balance=balance).indices


@pytest.mark.parametrize("balance", ["equal", "none"])
def test_draws_are_distinct_and_seeded(balance: str) -> None:
    assert len(set(draw(9, 0, balance))) == 9
    assert draw(9, 0, balance) == draw(9, 0, balance)
    assert draw(9, 0, balance) != draw(9, 1, balance)


def test_draws_are_those_of_the_stored_records() -> None:
    """Random demonstrations must not change: vanilla and deepthink records depend on them."""
    assert draw(6, 0) == [24, 23, 3, 16, 4, 11]
    assert draw(6, 1, "none") == [20, 13, 26, 11, 4, 1]


def test_every_example_is_as_likely_as_any_other() -> None:
    pool = made([0] * 5 + [1] * 5)
    counts = np.zeros(10)
    for seed in range(600):
        counts[select("random", pool, 4, seed, balance="equal").indices] += 1
    assert chisquare(counts).pvalue > 0.01


def test_equal_balance_gives_every_class_its_share() -> None:
    counts = np.bincount(POOL.labels[draw(6, 0)])
    assert counts.tolist() == [2, 2, 2]
    assert sorted(np.bincount(POOL.labels[draw(8, 0)])) == [2, 3, 3]


def test_a_small_class_gives_what_it_has() -> None:
    pool = made([0] + [1] * 9)
    chosen = select("random", pool, 6, balance="equal").indices
    assert sorted(np.bincount(pool.labels[chosen])) == [1, 5]


def test_labels_do_not_come_in_blocks() -> None:
    orders = {tuple(POOL.labels[draw(6, seed)]) for seed in range(20)}
    assert len(orders) > 10
    assert any(draw(6, seed) != sorted(draw(6, seed)) for seed in range(3))


def test_order_permutes_the_same_demonstrations() -> None:
    chosen = [choose(POOL, compose([f"order={j}"]))[0].selection.indices for j in (0, 1, 2)]
    assert sorted(chosen[0]) == sorted(chosen[1]) == sorted(chosen[2])
    assert len(set(map(tuple, chosen))) == 3


def test_order_permutes_values_with_their_demonstrations() -> None:
    pool = random_pool()
    chosen = [choose(pool, compose(["method=entropy", f"order={j}"]))[0].selection for j in (0, 1)]
    pairs = [sorted(zip(c.indices, c.values, strict=True)) for c in chosen]
    assert pairs[0] == pairs[1]
    assert chosen[0].indices != chosen[1].indices


def test_too_many_are_refused() -> None:
    with pytest.raises(UserError, match="pool holds 30"):
        draw(31, 0)


def test_shares_by_hand() -> None:
    sizes = {0: 86, 1: 1250, 2: 1162, 3: 1223, 4: 835, 5: 896}  # TREC's
    assert list(shares(sizes, 12, "equal").values()) == [2] * 6
    assert list(shares(sizes, 14, "equal").values()) == [3, 3, 2, 2, 2, 2]
    # 12 n_c / 5452: 0.19 2.75 2.56 2.69 1.84 1.97
    assert list(shares(sizes, 12, "proportional").values()) == [0, 3, 2, 3, 2, 2]
    assert list(shares({0: 1, 1: 9, 2: 2}, 8, "equal").values()) == [1, 5, 2]
    assert list(shares({0: 4, 1: 4}, 8, "proportional").values()) == [4, 4]


@pytest.mark.parametrize("name", RULES)
def test_rules_return_distinct_examples_balanced_as_asked(name: str) -> None:
    pool = random_pool()
    for count in (3, 6, 40):
        chosen = select(name, pool, count, balance="equal").indices
        assert len(set(chosen)) == count
        if count < 40:
            assert np.bincount(pool.labels[chosen]).tolist() == [count // 3] * 3


@pytest.mark.parametrize("name", [name for name in RULES if name != "k_center"])
def test_seeds_shuffle_one_selection(name: str) -> None:
    """Selections without a draw of their own are the same for every seed, in another order."""
    pool = random_pool()
    chosen = [select(name, pool, 6, seed, arrangement="shuffle").indices for seed in range(4)]
    assert len({tuple(sorted(c)) for c in chosen}) == 1
    assert len(set(map(tuple, chosen))) > 1


@pytest.mark.parametrize("name", [name for name in RULES if name != "k_center"])
@pytest.mark.parametrize("balance", ["equal", "none"])
def test_the_pools_order_does_not_matter(name: str, balance: str) -> None:
    pool = random_pool(n=300)  # so many that no two cover just each other, which is a tie
    perm = np.random.default_rng(5).permutation(len(pool))
    other = made(pool.labels[perm], pool.hidden[perm], scores=pool.scores[perm])
    chosen = select(name, pool, 6, balance=balance).indices
    again = perm[select(name, other, 6, balance=balance).indices]
    assert set(chosen) == set(again.tolist())


def test_arrangements_by_hand() -> None:
    pool = made([0, 1, 0, 1], probabilities=[[0.9, 0.1], [0.5, 0.5], [0.6, 0.4], [0.2, 0.8]])

    def order(arrangement: str) -> list[int]:
        return select("entropy", pool, 4, balance="equal", arrangement=arrangement).indices

    assert order("class_block") == [2, 0, 1, 3]
    assert order("picked") == [2, 1, 0, 3]
    assert order("pool") == [0, 1, 2, 3]
    assert sorted(order("shuffle")) == [0, 1, 2, 3]


def test_the_arrangement_of_a_seed_is_the_same_for_all_rules() -> None:
    pool = random_pool()

    def places(name: str, seed: int) -> list[int]:
        plain = select(name, pool, 6, seed, arrangement="class_block").indices
        return [plain.index(i) for i in select(name, pool, 6, seed, arrangement="shuffle").indices]

    assert places("herding", 3) == places("graph_cut", 3) == places("k_center", 3)
    assert places("herding", 3) != places("herding", 4)


def test_a_rules_own_draws_start_anew_in_every_class() -> None:
    points = np.random.default_rng(0).normal(size=(50, 4))
    twice = made([0] * 50 + [1] * 50, np.concatenate([points, points]))
    for seed in range(5):
        options = {"balance": "equal", "arrangement": "class_block"}
        chosen = select("k_center", twice, 6, seed, **options).indices
        assert [index + 50 for index in chosen[:3]] == chosen[3:]


def test_every_row_of_table_1_is_a_method() -> None:
    names = {path.stem for path in (CONF / "method").glob("[!_]*.yaml")}
    assert set(TABLE_1) <= names
    modules = {m.name for m in pkgutil.iter_modules(rules.__path__) if m.name[0] != "_"}
    assert {compose([f"method={name}"]).method.selector["name"] for name in names} == modules


@pytest.mark.parametrize("name", TABLE_1)
def test_thinking_goes_with_every_selector(name: str) -> None:
    method = compose([f"method={name}", "method.iterations=5"]).method
    assert method.label.endswith("deepthink")
    assert method.thinking["iterations"] == 5
    assert compose([f"method={name}"]).method.iterations == 1


BAD = {
    "a value it does not know": ({"balance": "eqal"}, "equal"),
    "another kind of value": ({"neighbours": "ten"}, "neighbours of selector cal is 'ten'"),
    "out of range": ({"neighbours": 0}, "greater than or equal to 1"),
    "an unknown option": ({"neighbors": 3}, "neighbours"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_options_are_told_by_name(kind: str) -> None:
    options, hint = BAD[kind]
    selector = {**compose(["method=cal"]).method.selector, **options}
    with pytest.raises(UserError, match=hint):
        plugins.RULES.load(selector)


def test_a_missing_option_names_the_method_that_sets_it() -> None:
    with pytest.raises(UserError, match="method=graph_cut sets it"):
        plugins.RULES.load({"name": "graph_cut", "balance": "equal"})


def test_a_selector_that_returns_nonsense_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins.Kind, "load", lambda *_: lambda *_: [0, 0, 1])
    config = compose(["demonstrations.count=3"])
    with pytest.raises(UserError, match="3 different pool indices"):
        choose(POOL, config)


def test_examples_with_options_of_their_own_cannot_be_compared() -> None:
    examples = [dataclasses.replace(e, candidates=(e.text, "other")) for e in POOL.examples]
    pool = Pool(examples, reader=stub(examples))
    with pytest.raises(UserError, match="options of its own"):
        select("herding", pool, 3)
