"""Intervals: coverage on simulated truth, known answers, refusals. Legend: S seeds, I items, K clusters."""

import math
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coherence.core.statistics import (
    bootstrap_mean,
    paired_difference,
    wilson_interval,
    zero_variance_share,
)

Array = npt.NDArray[np.float64]

scores = hnp.arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(1, 12)), elements=st.floats(-1, 1))


def _rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def _simulated(rng: np.random.Generator, spread: tuple[float, float, float], shape: tuple[int, int]) -> Array:
    """Scores of true mean 0: seed effect + item effect (the same under every seed) + noise."""
    seed, item, noise = spread
    seeds, items = shape
    effects = seed * rng.standard_normal((seeds, 1)) + item * rng.standard_normal((1, items))
    return effects + noise * rng.standard_normal(shape)


def _coverage(spread: tuple[float, float, float], items: Any, runs: int = 250) -> float:
    rng = _rng(7)
    hits = 0
    for _ in range(runs):
        interval = bootstrap_mean(_simulated(rng, spread, (15, 25)), rng, items=items, resamples=256)
        hits += interval.low <= 0 <= interval.high
    return hits / runs


@pytest.mark.parametrize("spread", [(0.5, 0.1, 0.5), (0.1, 1.0, 0.5), (0.5, 0.5, 0.5)])
def test_the_interval_covers_the_truth_at_about_its_level(spread: tuple[float, float, float]) -> None:
    assert 0.89 <= _coverage(spread, "shared") <= 0.99


def test_items_shared_by_the_seeds_must_not_be_drawn_seed_by_seed() -> None:
    assert _coverage((0.1, 1.0, 0.5), "own") < 0.7


def test_items_of_their_own_are_covered_when_drawn_seed_by_seed() -> None:
    assert 0.89 <= _coverage((0.5, 0.0, 1.0), "own") <= 0.99


def test_clustered_items_need_their_clusters() -> None:
    rng, hits, naive_hits = _rng(11), 0, 0
    cluster = np.repeat(np.arange(20), 5)
    for _ in range(150):
        block = np.repeat(rng.standard_normal((1, 20)), 5, axis=1) + 0.3 * rng.standard_normal((8, 100))
        clustered = bootstrap_mean(block, rng, cluster_I=cluster, resamples=256)
        naive = bootstrap_mean(block, rng, resamples=256)
        hits += clustered.low <= 0 <= clustered.high
        naive_hits += naive.low <= 0 <= naive.high
    assert hits / 150 >= 0.87 and naive_hits / 150 < 0.75


@given(scores, st.sampled_from(["shared", "own"]), st.integers(0, 99))
def test_the_interval_lies_within_the_scores_and_repeats_with_its_seed(x: Array, items: Any, seed: int) -> None:
    got = bootstrap_mean(x, _rng(seed), items=items, resamples=64)
    assert got.estimate == pytest.approx(x.mean(), abs=1e-12)
    assert x.min() - 1e-12 <= got.low <= got.high <= x.max() + 1e-12
    assert got == bootstrap_mean(x, _rng(seed), items=items, resamples=64)


@pytest.mark.parametrize("items", ["shared", "own"])
def test_the_spread_of_the_draws_is_what_theory_says(items: Any) -> None:
    """One item: only seeds vary, so the variance of the mean is that of the seeds (ddof 0) over S."""
    x = _rng(3).standard_normal((12, 1))
    got = bootstrap_mean(x, _rng(4), items=items, resamples=20_000, level=0.6827)
    assert (got.high - got.low) / 2 == pytest.approx(x.std() / math.sqrt(12), rel=0.04)


@pytest.mark.parametrize("items", ["shared", "own"])
def test_one_seed_leaves_the_items_to_vary(items: Any) -> None:
    x = _rng(5).standard_normal((1, 40))
    got = bootstrap_mean(x, _rng(6), items=items, resamples=20_000, level=0.6827)
    assert (got.high - got.low) / 2 == pytest.approx(x.std() / math.sqrt(40), rel=0.04)


class _Counting(np.random.Generator):
    """A generator that notes how many multinomial draws it was asked for."""

    asked = 0

    def multinomial(self, n: Any, pvals: Any, size: Any = None) -> Any:
        self.asked += size[0]
        return super().multinomial(n, pvals, size=size)


@pytest.mark.parametrize("resamples", [1, 256, 257, 600])
def test_the_number_of_resamples_is_kept_across_blocks(resamples: int) -> None:
    rng = _Counting(np.random.PCG64(0))
    bootstrap_mean(np.eye(3), rng, resamples=resamples)
    assert rng.asked == 2 * resamples  # seeds and clusters
    with pytest.raises(ValueError, match="resamples"):
        bootstrap_mean(np.eye(3), _rng(), resamples=0)


def test_a_constant_difference_has_no_width_however_the_arms_vary() -> None:
    control = _rng().standard_normal((3, 50))
    got = paired_difference(control + 0.25, control, _rng())
    assert (got.low, got.high) == (pytest.approx(0.25), pytest.approx(0.25))
    assert got.estimate == pytest.approx(0.25)
    flipped = paired_difference(control, control + 0.25, _rng())
    assert flipped.estimate == pytest.approx(-0.25)


def test_pairing_is_narrower_than_two_separate_arms() -> None:
    rng = _rng(2)
    control = _simulated(rng, (0.5, 1.0, 0.1), (6, 30))
    treatment = control + 0.3 + 0.1 * rng.standard_normal((6, 30))
    paired = paired_difference(treatment, control, _rng(), cluster_I=np.arange(30) // 3)
    assert paired.low > 0.2 and paired.high < 0.4
    alone = bootstrap_mean(treatment, _rng(), cluster_I=np.arange(30) // 3)
    assert alone.high - alone.low > 5 * (paired.high - paired.low)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (81, 263, 0.2553, 0.3662),
    ],
)
def test_wilson_known_answers(successes: int, trials: int, low: float, high: float) -> None:
    got = wilson_interval(successes, trials)
    assert (got.low, got.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))


@given(st.integers(1, 10**6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_wilson_inverts_the_score_test(counts: tuple[int, int], level: float) -> None:
    """Each end p0 is where |p - p0| equals z standard errors *at p0*."""
    successes, trials = counts
    got, z = wilson_interval(successes, trials, level), NormalDist().inv_cdf((1 + level) / 2)
    assert 0 <= got.low <= got.estimate <= got.high <= 1
    assert (got.low < got.estimate) == (successes > 0) and (got.high > got.estimate) == (successes < trials)
    for end in (got.low, got.high):
        if 0 < end < 1 and end != got.estimate:
            assert (got.estimate - end) ** 2 == pytest.approx(z * z * end * (1 - end) / trials, rel=1e-6, abs=1e-12)


def test_zero_variance_share() -> None:
    nan = math.nan
    assert zero_variance_share([[1, 1, 1], [0, 1, 0], [0, 0, 0], [0.5, 0.5, 0.6]]) == 0.5
    assert zero_variance_share([[1, nan, 1], [nan, nan, nan], [0, nan, 1], [nan, nan, 3]]) == 0.75
    assert zero_variance_share([[2.0]]) == 1.0
    for empty in ([], [[]], [1.0, 2.0]):
        with pytest.raises(ValueError, match="rewards"):
            zero_variance_share(empty)


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        ([[0.0, math.nan], [math.inf, 1.0]], {}, "2 of 4 scores are not finite"),
        ([[]], {}, "at least one seed and item"),
        ([1.0, 2.0], {}, "expected scores"),
        ([[1.0, 2.0]], {"cluster_I": [0]}, "a cluster for each of 2 items"),
        ([[1.0, 2.0]], {"level": 1.0}, "level must lie"),
        ([[1.0, 2.0]], {"level": 0.0}, "level must lie"),
        ([[1.0, 2.0]], {"items": "nested"}, "'shared' or 'own'"),
    ],
)
def test_mistakes_are_named(x: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bootstrap_mean(x, _rng(), **options)


def test_unpaired_arms_and_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="same seeds and items"):
        paired_difference(np.zeros((2, 3)), np.zeros((1, 3)), _rng())
    for successes, trials in ((1, 0), (-1, 5), (6, 5)):
        with pytest.raises(ValueError, match="successes"):
            wilson_interval(successes, trials)
