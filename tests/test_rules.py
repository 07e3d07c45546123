"""Each selection rule against answers worked out by hand, brute force, or its definition."""

from collections.abc import Callable, Sequence
from itertools import combinations
from math import ceil, exp

import numpy as np
import pytest
from numpy import float32, float64
from pools import gradients, made, random_pool, select, stub
from scipy.special import softmax

from deepthink.selection.outer import Outer
from deepthink.selection.pool import Pool
from deepthink.selection.rules import cal, facility_location, grad_match, graph_cut
from deepthink.selection.rules._lazy_greedy import lazy_greedy


def greedy(n: int, count: int, worth: Callable[[list[int]], float]) -> list[int]:
    """One after the other whatever adds most, the lowest of equals, every gain evaluated."""
    chosen: list[int] = []
    for _ in range(count):
        values = [(-np.inf if j in chosen else worth([*chosen, j])) for j in range(n)]
        chosen.append(int(np.argmax(np.array(values) >= max(values) - 1e-9)))
    return chosen


GREEDY = 1 - exp(-1)
"""What a greedy set of a monotone submodular function is worth at least, against the best."""


def on_a_line(*points: float) -> Pool:
    return made([0] * len(points), np.array(points)[:, None])


# herding


def test_herding_by_hand() -> None:
    pool = on_a_line(0, 1, 2, 3, 10)
    values = pool.hidden[:, 0]
    assert values[select("herding", pool, 5).indices].tolist() == [3, 2, 1, 10, 0]
    library = select("herding", pool, 5, variant="reference_library").indices
    assert values[library].tolist() == [10, 3, 2, 1, 0]


def test_herding_follows_the_mean() -> None:
    rng = np.random.default_rng(0)
    pool = made([0] * 400, rng.normal(size=(400, 16)))
    mean = pool.hidden.mean(axis=0)

    def error(indices: Sequence[int] | np.ndarray) -> float32:
        return np.linalg.norm(pool.hidden[indices].mean(axis=0) - mean)

    drawn = [error(rng.choice(400, 8, replace=False)) for _ in range(50)]
    assert error(select("herding", pool, 8).indices) < np.mean(drawn) / 2
    assert error(select("herding", pool, 400).indices) < 1e-5


def test_herding_depends_on_neither_origin_nor_axes() -> None:
    pool = random_pool(d=4)
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(4, 4)))[0]
    moved = made(pool.labels, pool.hidden @ turn + 100.0)
    assert select("herding", pool, 8).indices == select("herding", moved, 8).indices


# k-center


def test_k_center_by_hand() -> None:
    pool = on_a_line(0, 1, 2, 10, 11, 20)
    seed = next(s for s in range(99) if select("k_center", pool, 1, s).indices == [0])
    chosen = select("k_center", pool, 3, seed)
    assert pool.hidden[chosen.indices, 0].tolist() == [0, 20, 10]
    assert chosen.values == [0, 20, 10]
    assert select("k_center", pool, 1, init="central").indices == [3]  # the mean is 7.33


def radius(points: np.ndarray, centres: Sequence[int]) -> float64:
    return np.linalg.norm(points[:, None] - points[list(centres)], axis=2).min(axis=1).max()


@pytest.mark.parametrize("seed", range(12))
def test_k_center_covers_within_twice_the_best(seed: int) -> None:
    pool = random_pool(n=11, d=2, seed=seed)
    points = pool.hidden.astype(float)
    radii = []
    for count in (1, 2, 3):
        chosen = select("k_center", pool, count, seed).indices
        best = min(radius(points, centres) for centres in combinations(range(11), count))
        radii.append(radius(points, chosen))
        assert radii[-1] <= 2 * best + 1e-9
    assert radii == sorted(radii, reverse=True)


def test_k_center_takes_no_duplicate_before_every_other_point() -> None:
    points = np.random.default_rng(0).normal(size=(6, 3))
    pool = made([0] * 12, np.concatenate([points, points]))
    for seed in range(6):
        chosen = np.array(select("k_center", pool, 6, seed).indices)
        assert sorted(chosen % 6) == list(range(6))


# uncertainty

UNCERTAIN = ["entropy", "least_confidence", "margin"]


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [("entropy", 0.8018, 1.0671), ("least_confidence", 0.3, 0.55), ("margin", -0.5, -0.15)],
)
def test_uncertainties_by_hand(name: str, first: float, second: float) -> None:
    pool = made([0, 0, 0], probabilities=[(0.7, 0.2, 0.1), (0.45, 0.30, 0.25), (1, 1e-9, 1e-9)])
    chosen = select(name, pool, 2)
    assert chosen.indices == [1, 0]
    assert chosen.values == pytest.approx([second, first], abs=1e-4)


@pytest.mark.parametrize(
    ("pair", "winner"),
    [
        # wins by its margin alone: 0 < .15; but H .69 < 1.07 and 1 - max p .5 < .55
        ([(0.5, 0.5, 0.0), (0.45, 0.30, 0.25)], {"margin": 0, "entropy": 1, "least_confidence": 1}),
        # .41 > .38 of confidence, but H .7239 < .9275
        ([(0.40, 0.59, 0.01), (0.62, 0.19, 0.19)], {"least_confidence": 0, "entropy": 1}),
    ],
)
def test_uncertainties_disagree_where_they_should(
    pair: list[tuple[float, float, float]], winner: dict[str, int]
) -> None:
    pool = made([0, 0], probabilities=np.maximum(pair, 1e-12))
    for name, index in winner.items():
        assert select(name, pool, 1).indices == [index], name


def test_with_two_labels_the_three_are_one() -> None:
    pool = random_pool(classes=2)
    chosen = [select(name, pool, 12, balance="equal").indices for name in UNCERTAIN]
    assert chosen[0] == chosen[1] == chosen[2]


def test_only_raw_least_confidence_sees_a_constant() -> None:
    pool = random_pool()
    shift = np.random.default_rng(9).normal(size=(len(pool), 1))
    moved = made(pool.labels, pool.hidden, scores=pool.scores + shift)
    for name in UNCERTAIN:
        assert select(name, pool, 9).indices == select(name, moved, 9).indices
    raw = {"variant": "reference_library", "balance": "equal"}
    first, second = (select("least_confidence", p, 9, **raw).indices for p in (pool, moved))
    assert first != second
    assert pool.scores[first[0]].max() == min(
        pool.scores[i].max() for i in range(len(pool)) if pool.labels[i] == 0
    )


@pytest.mark.parametrize("name", UNCERTAIN)
def test_the_reference_library_turns_round_without_balance(name: str) -> None:
    pool = random_pool(classes=2)
    least = select(name, pool, 40, variant="reference_library").values
    assert least == sorted(least, reverse=True)
    certain = pool.probabilities.max(axis=1)
    if name != "least_confidence":
        assert select(name, pool, 1, variant="reference_library").indices == [certain.argmax()]


@pytest.mark.parametrize("name", UNCERTAIN)
def test_of_equals_the_first_are_taken(name: str) -> None:
    pool = made([0] * 300, probabilities=[(0.6, 0.3, 0.1), (0.5, 0.4, 0.1)] * 150)
    assert select(name, pool, 5).indices == [1, 3, 5, 7, 9]


def test_gold_labels_do_not_enter_uncertainty() -> None:
    pool = random_pool()
    other = made(np.roll(pool.labels, 1), pool.hidden, scores=pool.scores)
    for name in UNCERTAIN:
        assert select(name, pool, 9).indices == select(name, other, 9).indices


# CAL


def test_cal_by_hand() -> None:
    pool = made([0, 0], [[0.0], [1.0]], probabilities=[(0.9, 0.1), (0.5, 0.5)])
    chosen = select("cal", pool, 2)
    # KL((.5, .5) || (.9, .1)) of the first, KL((.9, .1) || (.5, .5)) of the second
    assert chosen.indices == [0, 1]
    assert chosen.values == pytest.approx([0.5108, 0.3681], abs=1e-4)
    library = select("cal", pool, 2, variant="reference_library")
    assert library.values == pytest.approx([-0.4394, -0.4394], abs=1e-4)


def test_cal_finds_a_planted_pair() -> None:
    """In a pool whose predictions change smoothly, two neighbours who contradict each other."""
    line = np.linspace(0, 10, 60)
    p = 0.5 + 0.1 * np.sin(line / 3)
    p[30], line[31] = 0.99, line[30] + 1e-3
    p[31] = 0.01
    pool = made([0] * 60, line[:, None], probabilities=np.stack([p, 1 - p], axis=1))
    assert set(select("cal", pool, 2, neighbours=3).indices) == {30, 31}


def test_cal_has_nothing_to_say_where_all_predictions_agree() -> None:
    pool = made([0] * 20, np.arange(20)[:, None], probabilities=[(0.7, 0.3)] * 20)
    assert select("cal", pool, 20).values == pytest.approx([0.0] * 20)


def test_neighbours_leave_out_the_example_itself_even_among_duplicates() -> None:
    vectors = np.array([[0.0]] * 5 + [[1.0], [1.1]], dtype=np.float32)
    near = cal.nearest(vectors, 2)
    assert all(i not in row for i, row in enumerate(near))
    assert (near[:5] < 5).all()
    assert sorted(near[6]) != [6]
    assert 5 in near[6]


def test_neighbours_match_brute_force() -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    distances = np.linalg.norm(vectors[:, None] - vectors[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    expected = np.sort(distances.argsort(axis=1)[:, :4], axis=1)
    assert (np.sort(cal.nearest(vectors, 4), axis=1) == expected).all()


def test_scope_of_a_class_looks_at_it_alone() -> None:
    """One example between two of another class: within its own class it agrees with all."""
    pool = made(
        [0, 0, 1, 0],
        [[0.0], [10.0], [0.1], [20.0]],
        probabilities=[(0.8, 0.2)] * 2 + [(0.1, 0.9), (0.8, 0.2)],
    )
    whole = dict(zip(*_scores(pool, "pool"), strict=True))
    within = dict(zip(*_scores(pool, "class"), strict=True))
    assert whole[0] > 0.5
    assert within[0] == pytest.approx(0, abs=1e-9)
    assert within[2] == 0  # nobody else in its class


def _scores(pool: Pool, scope: str) -> tuple[list[int], list[float]]:
    chosen = select("cal", pool, 4, neighbours=1, scope=scope)
    return chosen.indices, chosen.values


# gradients


def test_factored_gradients_are_those_of_autograd() -> None:
    import torch

    pool = random_pool(n=12)
    h = torch.tensor(pool.hidden, dtype=torch.float64)
    z = torch.tensor(pool.scores, dtype=torch.float64)
    ones = torch.cat([torch.ones(12, 1, dtype=torch.float64), h], dim=1)
    for i in range(12):
        # a linear layer over [1; h] whose output is z: its weights enter through z alone
        weight = torch.zeros(3, 7, dtype=torch.float64, requires_grad=True)
        logits = z[i] + weight @ ones[i]
        loss = torch.nn.functional.cross_entropy(logits[None], torch.tensor([pool.labels[i]]))
        (expected,) = torch.autograd.grad(loss, weight)
        assert gradients(pool)[i] == pytest.approx(expected.flatten().numpy(), abs=1e-9)


def test_factored_products_are_those_of_the_vectors() -> None:
    pool = random_pool()
    factored, written = pool.gradients("none").wide(), gradients(pool)
    every = np.arange(len(pool))
    assert factored.inner(every) == pytest.approx(written @ written.T, rel=1e-8)
    assert factored.squares() == pytest.approx((written**2).sum(axis=1), rel=1e-8)
    assert factored.total().ravel() == pytest.approx(written.sum(axis=0), rel=1e-8)
    matrix = np.random.default_rng(3).normal(size=(3, 7))
    assert factored.against(matrix) == pytest.approx(written @ matrix.ravel(), rel=1e-8)
    cosines = written @ written.T / np.outer(*[np.linalg.norm(written, axis=1)] * 2)
    assert pool.gradients("none").unit().inner(every) == pytest.approx(cosines, abs=1e-5)


def test_with_two_labels_gradients_of_a_class_point_where_their_states_do() -> None:
    pool = random_pool(classes=2)
    members = np.flatnonzero(pool.labels == 0)
    units = pool.gradients("none").unit().take(members)
    states = np.concatenate([np.ones((len(members), 1)), pool.hidden[members]], axis=1)
    states /= np.linalg.norm(states, axis=1, keepdims=True)
    assert units.inner(np.arange(len(members))) == pytest.approx(states @ states.T, abs=1e-5)


def test_centred_features() -> None:
    pool = random_pool()
    assert pool.features("mean").mean(axis=0) == pytest.approx(np.zeros(6), abs=1e-6)
    assert pool.features("zscore").std(axis=0) == pytest.approx(np.ones(6), abs=1e-5)
    assert pool.features("none") is pool.hidden


# CRAIG


class Points(Pool):
    """A pool whose gradients are given, [n, d]."""

    def __init__(self, points: np.ndarray, labels: list[int] | None = None) -> None:
        self._points = np.asarray(points, dtype=float)
        examples = made([0] * len(points) if labels is None else labels).examples
        super().__init__(examples, reader=stub(examples))

    def gradients(self, center: str) -> Outer:
        return Outer.of(self._points)


class Line(Points):
    """A pool whose gradients are points of a line."""

    def __init__(self, *points: float, labels: list[int] | None = None) -> None:
        super().__init__(np.array(points)[:, None], labels)


def test_craig_by_hand() -> None:
    chosen = select("craig", Line(0, 1, 2, 10, 11), 3)
    # the medoid, 2; then 10, which brings 10 and 11 nearer by 16; then 0 (ties with 1)
    assert chosen.indices == [2, 3, 0]
    assert chosen.values[1:] == [16, 2]
    assert chosen.log["weights"] == [2, 2, 1]


@pytest.mark.parametrize("seed", range(10))
def test_craig_is_greedy_k_medoids_on_gradient_distances(seed: int) -> None:
    pool = random_pool(n=11, d=3, seed=seed)
    written = gradients(pool)
    distances = np.linalg.norm(written[:, None] - written[None], axis=2)

    def loss(chosen: Sequence[int]) -> float64:
        return distances[:, list(chosen)].min(axis=1).sum()

    chosen = greedy(11, 3, lambda rest: -loss(rest))
    found = select("craig", pool, 3)
    assert found.indices == chosen
    assert -np.diff([loss(chosen[:n]) for n in (1, 2, 3)]) == pytest.approx(found.values[1:])
    worth = 11 * distances.max()
    best = min(loss(rest) for rest in combinations(range(11), 3))
    assert worth - loss(chosen) >= GREEDY * (worth - best)


@pytest.mark.parametrize("name", ["craig", "facility_location"])
def test_lazy_choices_in_a_larger_pool_are_the_greedy_ones(name: str) -> None:
    """More examples than are evaluated together, so that bounds decide who is left out."""
    pool = random_pool(n=700, d=2, classes=6)
    written = gradients(pool)
    if name == "craig":
        distances = np.linalg.norm(written[:, None] - written[None], axis=2)
        chosen = greedy(700, 12, lambda rest: -distances[:, rest].min(axis=1).sum())
    else:
        s = similarities(pool, "gradient")
        chosen = greedy(700, 12, lambda rest: s[:, rest].max(axis=1).sum())
    assert select(name, pool, 12).indices == chosen


def test_craig_may_keep_to_the_label_scores() -> None:
    pool = random_pool()
    only = made(pool.labels, np.zeros((40, 1)), scores=pool.scores)
    logit = select("craig", pool, 4, gradient="logit").indices
    assert logit == select("craig", only, 4).indices  # (p - y) ⊗ [1; 0]
    assert logit != select("craig", pool, 4).indices


def test_craig_of_the_reference_library_covers_only_its_own_class() -> None:
    pool = Line(0, 1, 2, 0.5, 3.5, labels=[0, 0, 0, 1, 1])
    chosen = select("craig", pool, 2, variant="reference_library")
    assert sorted(pool.labels[chosen.indices]) == [0, 1]
    assert chosen.values == [3 * 2 - 2, 2 * 3 - 3]  # from each class's largest distance
    assert select("craig", pool, 2).indices[0] == 1


def test_craig_of_the_reference_library_takes_a_pool_that_lacks_a_class() -> None:
    pool = Line(0, 1, 2, 0.5, 3.5, labels=[0, 0, 0, 2, 2])
    chosen = select("craig", pool, 2, variant="reference_library")
    assert chosen.values == [3 * 2 - 2, 2 * 3 - 3]


# GradMatch


def test_grad_match_by_hand() -> None:
    # mean of four orthonormal atoms, scaled: b = (.1, .5, .3, .2)
    amounts = np.array([0.1, 0.5, 0.3, 0.2])
    atoms = Outer.of(np.diag(4 * amounts))
    chosen, norms, weights = grad_match.pursue(atoms, 3, 0.0, exact_first=False)
    assert chosen == [1, 2, 3]
    assert norms == pytest.approx([0.3742, 0.2236, 0.1], abs=1e-4)
    assert weights == pytest.approx([0.25] * 3)


@pytest.mark.parametrize("ridge", [0.0, 0.5])
@pytest.mark.parametrize("seed", range(5))
def test_grad_match_is_orthogonal_matching_pursuit(seed: int, ridge: float) -> None:
    pool = random_pool(seed=seed)
    atoms = gradients(pool)
    target = atoms.mean(axis=0)
    residual, chosen, norms = target, [], []
    for _ in range(6):
        products = atoms @ residual
        products[chosen] = -np.inf
        chosen.append(int(products.argmax()))
        a = atoms[chosen]
        weights = np.linalg.solve(a @ a.T + ridge * np.eye(len(chosen)), a @ target)
        residual = target - a.T @ weights
        norms.append(np.linalg.norm(residual))
        if ridge == 0:
            assert abs(a @ residual).max() < 1e-7
    found = select("grad_match", pool, 6, ridge=ridge)
    assert found.indices == chosen
    assert found.values == pytest.approx(norms, abs=1e-7)
    if ridge == 0:
        assert norms == sorted(norms, reverse=True)


def test_grad_match_reaches_the_mean_with_all_of_it() -> None:
    pool = random_pool(n=8)
    assert select("grad_match", pool, 8, ridge=0.0).values[-1] < 1e-6


def test_grad_match_fills_up_what_gets_no_weight() -> None:
    pool = random_pool(d=2, classes=2)
    found = select("grad_match", pool, 12, ridge=0.0, fill="random")
    drawn = [i for i, value in zip(found.indices, found.values, strict=True) if value is None]
    assert len(set(found.indices)) == 12
    assert drawn
    assert all(w > 0 for w, v in zip(found.log["weights"], found.values, strict=True) if v)
    support = select("grad_match", pool, 12, ridge=0.0, fill="support")
    assert set(found.indices) - set(drawn) < set(support.indices)
    assert support.log["weights"].count(0.0) == len(drawn)


def test_grad_match_of_the_reference_library_begins_without_ridge() -> None:
    pool = random_pool()
    atoms, target = gradients(pool), gradients(pool).mean(axis=0)
    library = select("grad_match", pool, 1, ridge=1.0, variant="reference_library")
    first = atoms[library.indices[0]]
    exact = np.linalg.norm(target - first * (first @ target) / (first @ first))
    assert library.values == pytest.approx([exact])
    assert select("grad_match", pool, 1, ridge=1.0).values[0] > exact


def test_normalised_atoms_do_not_favour_large_gradients() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(size=(30, 4))
    stretched = points * rng.uniform(0.1, 10, size=(30, 1))
    for normalize in (True, False):
        plain, large = (
            select("grad_match", Points(p), 6, normalize=normalize).indices
            for p in (points, stretched)
        )
        assert (plain == large) == normalize


# facility location and graph cut


def circle(*degrees: float) -> Outer:
    angles = np.deg2rad(degrees)
    return Outer.of(np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32))


def test_facility_location_by_hand() -> None:
    assert facility_location.locate(circle(0, 10, 20, 100, 110), 2)[0] == [2, 3]


def similarities(pool: Pool, features: str) -> np.ndarray:
    vectors = gradients(pool) if features == "gradient" else pool.hidden.astype(float)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return 0.5 + 0.5 * unit @ unit.T


@pytest.mark.parametrize("features", ["gradient", "embedding"])
@pytest.mark.parametrize("seed", range(8))
def test_facility_location_against_brute_force(seed: int, features: str) -> None:
    pool = random_pool(n=11, d=3, seed=seed)
    s = similarities(pool, features)

    def worth(chosen: Sequence[int]) -> float64:
        return s[:, list(chosen)].max(axis=1).sum() if len(chosen) else 0.0

    chosen = greedy(11, 3, worth)
    found = select("facility_location", pool, 3, features=features)
    assert found.indices == chosen
    assert sum(found.values) == pytest.approx(worth(chosen), rel=1e-5)
    assert found.values == sorted(found.values, reverse=True)
    assert worth(chosen) >= GREEDY * max(worth(rest) for rest in combinations(range(11), 3))


def test_facility_location_takes_no_copy_before_all_is_covered() -> None:
    points = np.random.default_rng(2).normal(size=(8, 4)).astype(np.float32)
    units = Outer.of(np.concatenate([points, points])).unit()
    chosen = np.array(facility_location.locate(units, 8)[0])
    assert sorted(chosen % 8) == list(range(8))


def test_graph_cut_by_hand() -> None:
    s = np.full((4, 4), 0.1)
    np.fill_diagonal(s, 1)
    s[0, 1] = s[1, 0] = 0.9
    s[2, 3] = s[3, 2] = 0.8
    units = Outer.of(np.linalg.cholesky(2 * s - 1 + 1e-9 * np.eye(4)))
    assert graph_cut.cut(units, 2, 1.0)[0] == [0, 2]
    assert graph_cut.cut(units, 2, 100.0)[0] == [0, 1]


@pytest.mark.parametrize("features", ["gradient", "embedding"])
@pytest.mark.parametrize(
    ("lam", "form"), [(1.0, "sum"), (0.1, "sum"), (4.0, "mean"), (0.03, "sum")]
)
def test_graph_cut_against_its_definition(features: str, lam: float, form: str) -> None:
    pool = random_pool()
    s = similarities(pool, features)
    scale = lam / len(pool) if form == "mean" else lam

    def worth(chosen: Sequence[int]) -> float64:
        return scale * s[:, chosen].sum() - s[np.ix_(chosen, chosen)].sum()

    chosen = greedy(40, 5, worth)
    found = select("graph_cut", pool, 5, lam=lam, features=features, representativeness=form)
    assert found.indices == chosen
    assert sum(found.values) == pytest.approx(worth(chosen), abs=1e-4)


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("seed", range(6))
def test_graph_cut_against_brute_force(seed: int, count: int) -> None:
    """Where it is monotone (λ ≥ 2), its greedy set is worth as much as theory says."""
    pool = random_pool(n=10, seed=seed)
    s = similarities(pool, "embedding")

    def worth(chosen: Sequence[int]) -> float64:
        chosen = list(chosen)
        return 2 * s[:, chosen].sum() - s[np.ix_(chosen, chosen)].sum()

    chosen = select("graph_cut", pool, count, lam=2.0, features="embedding").indices
    best = max(worth(rest) for rest in combinations(range(10), count))
    assert worth(chosen) >= GREEDY * best


def test_sums_over_the_pool_need_no_pairs() -> None:
    pool = random_pool(n=200)
    units = pool.gradients("none").unit()
    from deepthink.selection.rules._similarity import column_sums

    assert column_sums(units) == pytest.approx(similarities(pool, "gradient").sum(axis=0), rel=1e-6)


def test_a_gradient_of_nothing_is_like_nothing() -> None:
    """A residual that underflows to zero has no direction: cosine 0, similarity ½."""
    pool = random_pool()
    scores = pool.scores.copy()
    scores[3] = np.where(np.arange(3) == pool.labels[3], 0, -1e4)
    sure = made(pool.labels, pool.hidden, scores=scores)
    assert np.isfinite(sure.gradients("none").unit().left).all()
    assert len(select("facility_location", sure, 40).indices) == 40


# lazy greedy


@pytest.mark.parametrize("n", [5, 40, 700])
@pytest.mark.parametrize("seed", range(3))
def test_lazy_greedy_is_greedy_ties_included(n: int, seed: int) -> None:
    """Weighted coverage with small whole weights, where ties are the rule."""
    rng = np.random.default_rng(seed)
    covers = rng.random((n, 30)) < 0.2
    weights = rng.integers(1, 3, 30).astype(float)
    evaluated = []

    def run(lazy: bool) -> list[int]:
        left = weights.copy()

        def gains(asked: np.ndarray) -> np.ndarray:
            evaluated.append(len(asked))
            return covers[asked] @ left

        def add(index: int) -> None:
            left[covers[index]] = 0

        if lazy:
            return lazy_greedy(min(n, 8), covers @ weights, gains, add)[0]
        chosen: list[int] = []
        for _ in range(min(n, 8)):
            values = gains(np.arange(n))
            values[chosen] = -1
            chosen.append(int(values.argmax()))
            add(chosen[-1])
        return chosen

    assert run(lazy=True) == run(lazy=False)


def test_lazy_greedy_evaluates_few() -> None:
    rng = np.random.default_rng(0)
    units = Outer.of(rng.normal(size=(3000, 8)).astype(np.float32)).unit()
    counted = []
    original = facility_location.similarity

    def counting(units: Outer, columns: np.ndarray) -> np.ndarray:
        counted.append(len(columns))
        return original(units, columns)

    facility_location.similarity = counting
    try:
        facility_location.locate(units, 8)
    finally:
        facility_location.similarity = original
    assert sum(counted) < 3000 * 8 * 2 / 3


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """No matrix of all pairs is made: the parts it is made in do not show."""
    from deepthink.selection import outer

    pool = random_pool(n=100)
    whole = {name: select(name, pool, 9).indices for name in ("craig", "facility_location")}
    monkeypatch.setattr(outer, "CELLS", 1)
    monkeypatch.setattr(outer, "ROWS", 7)
    for name, chosen in whole.items():
        assert select(name, pool, 9).indices == chosen
    assert ceil(100 / 16) == len(list(outer.column_blocks(np.arange(100), 100)))


def test_probabilities_are_those_of_the_label_words() -> None:
    pool = random_pool()
    assert pool.probabilities == pytest.approx(softmax(pool.scores.astype(float), axis=1))
