"""Intervals: coverage on simulated truth, known answers, refusals. Legend: S seeds, I items, K clusters."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from coherence.core.groups import NO_SIGNAL, all_wrong_share, zero_variance_share
from coherence.core.statistics import (
    bootstrap_mean,
    bootstrap_ratio,
    interval,
    paired,
    sign_flip_p,
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


def _coverage(spread: tuple[float, float, float], seeds: int, runs: int = 400) -> float:
    """Share of intervals that hold the true mean, at the shape of a small study: 36 units of 6 items."""
    rng, hits, unit = _rng(7), 0, np.arange(216) // 6
    for _ in range(runs):
        x = _simulated(rng, spread, (seeds, 36))[:, unit] + 0.3 * rng.standard_normal((seeds, 216))
        got = bootstrap_mean(x, rng, cluster_I=unit, resamples=400)
        hits += got.low <= 0 <= got.high
    return hits / runs


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("spread", [(0.5, 0.1, 0.5), (0.1, 1.0, 0.5), (0.3, 0.5, 0.5)])
def test_few_seeds_cover_the_truth_at_their_level(spread: tuple[float, float, float], seeds: int) -> None:
    assert 0.91 <= _coverage(spread, seeds) <= 0.985


def test_many_seeds_are_hardly_stretched() -> None:
    assert 0.90 <= _coverage((0.3, 0.5, 0.5), 15) <= 0.99


def halves(both: npt.ArrayLike, of_seeds: npt.ArrayLike) -> Array:
    return np.concatenate([np.asarray(both, dtype=float), np.asarray(of_seeds, dtype=float)])


def test_ends_are_stretched_about_the_estimate_and_kept_within_bounds() -> None:
    """Percentiles of 0..100 at level 0.5 are 25 and 75."""
    values = np.arange(101.0)
    times = stats.t.ppf(0.75, 2) / stats.norm.ppf(0.75) * math.sqrt(1.5)
    one, three = (interval(40, halves(values, values), seeds, 0.5) for seeds in (1, 3))
    assert (one.low, one.high) == (25, 75)
    assert (three.low, three.high) == (pytest.approx(40 - 15 * times), pytest.approx(40 + 35 * times))
    bound = interval(40, halves(values, values), 3, 0.5, bounds=(30, 80))
    assert (bound.low, bound.high) == (30, 80)
    some = interval(40, halves([math.nan, *values], [math.nan, *values]), 1, 0.5)
    assert (some.low, some.high) == (25, 75)
    none = interval(math.nan, [math.nan, math.nan], 3, 0.5)
    assert math.isnan(none.low) and math.isnan(none.high)


def test_only_the_variance_of_seeds_is_stretched() -> None:
    """A third of the variance is that of 4 seeds: 1 + 1/9 of it in all, and Satterthwaite's 3 x (10/4)^2 degrees."""
    values = np.arange(101.0)
    seeds_only = 50 + (values - 50) / math.sqrt(3)
    times = stats.t.ppf(0.75, 3 * 2.5**2) / stats.norm.ppf(0.75) * math.sqrt(10 / 9)
    assert interval(50, halves(values, seeds_only), 4, 0.5).high == pytest.approx(50 + 25 * times)
    still = interval(50, halves(values, np.full(101, 50.0)), 4, 0.5)
    assert (still.low, still.high) == (25, 75), "seeds that do not differ stretch nothing"


def test_bounds_reach_the_means_and_differences() -> None:
    x = np.array([[1.0, 1, 1, 1], [0, 0, 0, 0]])
    free, bound = (bootstrap_mean(x, _rng(), bounds=bounds) for bounds in (None, (0.0, 1.0)))
    assert free.low < 0 < 1 < free.high and (bound.low, bound.high) == (0, 1)
    apart = bootstrap_mean(paired(x, 1 - x), _rng(), bounds=(-1.0, 1.0))
    assert (apart.low, apart.high) == (-1, 1)


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


@given(scores, st.integers(0, 99))
def test_the_interval_lies_about_the_mean_and_repeats_with_its_seed(x: Array, seed: int) -> None:
    got = bootstrap_mean(x, _rng(seed), resamples=64, bounds=(x.min(), x.max()))
    assert got.estimate == pytest.approx(x.mean(), abs=1e-12)
    assert x.min() <= got.low <= got.high <= x.max()
    assert got == bootstrap_mean(x, _rng(seed), resamples=64, bounds=(x.min(), x.max()))


def test_the_spread_of_the_draws_is_what_theory_says() -> None:
    """One item: only seeds vary, so with the stretch the half width is t times the standard error (ddof 1)."""
    x = _rng(3).standard_normal((12, 1))
    got = bootstrap_mean(x, _rng(4), resamples=20_000, level=0.6827)
    assert (got.high - got.low) / 2 == pytest.approx(stats.t.ppf(0.84135, 11) * x.std(ddof=1) / math.sqrt(12), rel=0.04)


def test_one_seed_leaves_the_items_to_vary() -> None:
    x = _rng(5).standard_normal((1, 40))
    got = bootstrap_mean(x, _rng(6), resamples=20_000, level=0.6827)
    assert (got.high - got.low) / 2 == pytest.approx(x.std() / math.sqrt(40), rel=0.04)


def test_no_resample_is_refused() -> None:
    with pytest.raises(ValueError, match="resamples"):
        bootstrap_mean(np.eye(3), _rng(), resamples=0)


def test_a_constant_difference_has_no_width_however_the_arms_vary() -> None:
    control = _rng().standard_normal((3, 50))
    got = bootstrap_mean(paired(control + 0.25, control), _rng())
    assert (got.low, got.high) == (pytest.approx(0.25), pytest.approx(0.25))
    assert got.estimate == pytest.approx(0.25)
    flipped = bootstrap_mean(paired(control, control + 0.25), _rng())
    assert flipped.estimate == pytest.approx(-0.25)


def test_pairing_is_narrower_than_two_separate_arms() -> None:
    rng = _rng(2)
    control = _simulated(rng, (0.5, 1.0, 0.1), (6, 30))
    treatment = control + 0.3 + 0.1 * rng.standard_normal((6, 30))
    together = bootstrap_mean(paired(treatment, control), _rng(), cluster_I=np.arange(30) // 3)
    assert together.low > 0.2 and together.high < 0.4
    alone = bootstrap_mean(treatment, _rng(), cluster_I=np.arange(30) // 3)
    assert alone.high - alone.low > 5 * (together.high - together.low)


def test_zero_variance_share() -> None:
    nan = math.nan
    assert zero_variance_share([[1, 1, 1], [0, 1, 0], [0, 0, 0], [0.5, 0.5, 0.6]]) == 0.5
    assert zero_variance_share([[1, nan, 1], [nan, nan, nan], [0, nan, 1], [nan, nan, 3]]) == 0.75
    assert zero_variance_share([[2.0]]) == 1.0
    rounded = [[0.2, 0.2 + 1e-9], [0.2, 0.201]]
    assert zero_variance_share(rounded) == 0.0 and zero_variance_share(rounded, NO_SIGNAL) == 0.5
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
    ],
)
def test_mistakes_are_named(x: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bootstrap_mean(x, _rng(), **options)


def test_unpaired_arms_are_refused() -> None:
    with pytest.raises(ValueError, match="same seeds and items"):
        paired(np.zeros((2, 3)), np.zeros((1, 3)))


def test_a_group_is_all_wrong_unless_one_of_it_is_right() -> None:
    assert all_wrong_share([[0, 1], [0, 0], [0.5, math.nan], [math.nan, 1]]) == 0.5


def test_a_ratio_is_a_mean_over_seeds_and_clusters_of_any_size() -> None:
    part, whole = np.array([[1.0, 2.0, 0.0], [0.0, 3.0, 3.0]]), np.array([[2.0, 2.0, 0.0], [1.0, 3.0, 4.0]])
    found = bootstrap_ratio(part, whole, np.random.default_rng(0), resamples=500)
    assert found.estimate == pytest.approx((3 / 4 + 6 / 8) / 2)
    assert found.low < found.estimate < found.high


def test_a_ratio_of_equal_clusters_is_the_mean_that_is_resampled_the_same_way() -> None:
    scores = np.random.default_rng(1).random((3, 8))
    cluster = np.arange(8) // 2
    parts = scores.reshape(3, 4, 2).sum(axis=2)
    one = bootstrap_mean(scores, np.random.default_rng(2), cluster_I=cluster)
    other = bootstrap_ratio(parts, np.full((3, 4), 2.0), np.random.default_rng(2))
    assert [other.estimate, other.low, other.high] == pytest.approx([one.estimate, one.low, one.high])


def test_a_seed_without_items_is_left_out() -> None:
    part, whole = np.array([[1.0, 1.0], [0.0, 0.0]]), np.array([[2.0, 2.0], [0.0, 0.0]])
    found = bootstrap_ratio(part, whole, np.random.default_rng(0), resamples=200)
    assert (found.estimate, found.low, found.high) == (0.5, 0.5, 0.5)
    none = bootstrap_ratio(part * 0, whole * 0, np.random.default_rng(0), resamples=200)
    assert np.isnan([none.estimate, none.low]).all()


def test_sign_flips_are_the_exact_test_of_few_clusters() -> None:
    """Five clusters, all positive: two of the 32 ways are as far out. Wilcoxon's exact test says the same."""
    rng = np.random.default_rng(3)
    items = np.array([[1.0, 2, 3, 4, 5]])
    assert sign_flip_p(items, rng) == pytest.approx(2 / 32) == pytest.approx(stats.wilcoxon(items[0]).pvalue)
    twice = np.repeat(items, 2, axis=1)
    assert sign_flip_p(twice, rng, np.repeat(np.arange(5), 2)) == pytest.approx(2 / 32), "clusters flip as a whole"
    calm = [sign_flip_p(rng.normal(0, 1, (3, 40)), rng, flips=199) for _ in range(200)]
    assert stats.kstest(calm, "uniform").pvalue > 0.001
