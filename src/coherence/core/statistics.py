"""Intervals for means over seeds and items, and for paired differences.

Legend: S seeds, I items (column i is one item), K clusters of items, R resamples.
Every random stream is a numpy Generator that the caller seeds. Seeds are drawn with replacement, then clusters of
items, one draw of clusters for all seeds; `interval` corrects for how few seeds there are.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Bounds = tuple[float, float]
SHARE: Bounds = (0.0, 1.0)
SHARES_APART: Bounds = (-1.0, 1.0)
"""Between which a share lies, and the difference of two shares."""


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its two-sided Student interval."""

    estimate: float
    low: float
    high: float
    level: float
    freedom: float = math.inf
    """Degrees of freedom of its Student distribution; infinite where it is the normal one."""

    @property
    def ends(self) -> dict[str, float]:
        """What a table keeps of an interval: columns low, high, freedom."""
        return {"low": self.low, "high": self.high, "freedom": self.freedom}


def bootstrap_mean(
    scores_SI: npt.ArrayLike,
    rng: np.random.Generator,
    *,
    cluster_I: npt.ArrayLike | None = None,
    resamples: int = 2000,
    level: float = 0.95,
    bounds: Bounds | None = None,
) -> Interval:
    """`interval` of the mean of scores [S, I] over drawn seeds and item clusters.

    cluster_I: each item's cluster (itself by default). bounds: between which the mean can lie.
    With one seed it speaks of items only. Raises ValueError for scores that are missing or not finite.
    """
    scores = _checked_scores(scores_SI)
    totals_SK, sizes_K = _cluster_totals(scores, cluster_I)
    times_RS, times_RK = draws(len(scores), len(sizes_K), resamples, rng)
    means_R = (times_RS * (times_RK @ totals_SK.T)).sum(axis=1) / (len(scores) * (times_RK @ sizes_K))
    return interval(float(scores.mean()), means_R, len(scores), level, bounds)


def bootstrap_ratio(
    part_SK: npt.ArrayLike,
    whole_SK: npt.ArrayLike,
    rng: np.random.Generator,
    *,
    resamples: int = 2000,
    level: float = 0.95,
    bounds: Bounds | None = None,
) -> Interval:
    """`interval` of the mean over seeds of sum(part)/sum(whole), both [S, K]: seeds may have other items in a cluster,
    or none. Seeds without any are left out; NaN if that is all of them."""
    part, whole = (np.asarray(table, dtype=np.float64) for table in (part_SK, whole_SK))
    times_RS, times_RK = draws(part.shape[0], part.shape[1], resamples, rng)
    once_S, values_RS = (ratio(times @ part.T, times @ whole.T) for times in (np.ones(part.shape[1]), times_RK))
    known = np.isfinite(once_S)
    estimate = float(once_S[known].mean()) if known.any() else math.nan
    return interval(estimate, drawn_mean(values_RS, times_RS), int(known.sum()), level, bounds)


def drawn_mean(values_RS: Array, times_RS: npt.ArrayLike) -> Array:
    """Mean [R] over the drawn seeds of their values, those that are not finite left out; NaN where none is left."""
    counted_RS: Array = np.asarray(times_RS, dtype=np.float64) * np.isfinite(values_RS)
    return ratio((counted_RS * np.nan_to_num(values_RS)).sum(axis=1), counted_RS.sum(axis=1))


def ratio(part: Array, whole: Array) -> Array:
    """part / whole, NaN where there is no whole."""
    out = np.full(np.shape(whole), np.nan)
    np.divide(part, whole, out=out, where=whole > 0)
    return out


def paired(treatment_SI: npt.ArrayLike, control_SI: npt.ArrayLike) -> Array:
    """Treatment - control [S, I] of two arms scored on the same seeds and items, for `bootstrap_mean`.

    Raises ValueError if the arms differ in shape: they are then not paired.
    """
    treatment, control = _checked_scores(treatment_SI), _checked_scores(control_SI)
    if treatment.shape != control.shape:
        raise ValueError(f"paired arms need the same seeds and items, got {treatment.shape} and {control.shape}")
    return treatment - control


def sign_flip_p(
    difference_SI: npt.ArrayLike, rng: np.random.Generator, cluster_I: npt.ArrayLike | None = None, flips: int = 9999
) -> float:
    """Two-sided P of paired differences [S, I] by a permutation test: the sign of each cluster of items is flipped for
    all seeds at once, in every way where those are at most `flips`, else at random. It asks whether these very runs
    differ beyond their prompts; of other seeds it says nothing."""
    totals_SK, _ = _cluster_totals(_checked_scores(difference_SI), cluster_I)
    test = stats.permutation_test(
        (totals_SK.sum(axis=0),), np.sum, permutation_type="samples", vectorized=True, n_resamples=flips, rng=rng
    )
    return float(test.pvalue)


def draws(seeds: int, clusters: int, resamples: int, rng: np.random.Generator) -> tuple[Counts, Counts]:
    """How often each seed [2R, S] and each cluster [2R, K] is drawn: R resamples of both, then R of the same seeds with
    each cluster once, by which `interval` tells the two sources of variance apart."""
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")
    times_RS, times_RK = (rng.multinomial(n, np.full(n, 1 / n), size=resamples) for n in (seeds, clusters))
    return np.concatenate([times_RS, times_RS]), np.concatenate([times_RK, np.ones_like(times_RK)])


def interval(
    estimate: float, resampled_R: npt.ArrayLike, seeds: int, level: float, bounds: Bounds | None = None
) -> Interval:
    """Percentiles of the first half of the values that `draws` gave, stretched about the estimate, within `bounds`.

    Few seeds drawn with replacement spread too little: the part of the variance that is theirs (the second half's)
    counts S/(S-1) times, and Student's t takes Satterthwaite's degrees of freedom: S - 1 where all of it is theirs,
    more where prompts are what varies. Values that are not finite are left out; NaN if all are.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1), got {level}")
    both, own = np.split(np.asarray(resampled_R, dtype=np.float64), 2)
    both, own = both[np.isfinite(both)], own[np.isfinite(own)]
    if not both.size:
        return Interval(estimate, math.nan, math.nan, level)
    ends = np.quantile(both, [(1 - level) / 2, (1 + level) / 2])
    wider, freedom = _stretch(float(both.var()), float(own.var()), seeds, level)
    low, high = np.clip(estimate + (ends - estimate) * wider, *(bounds or (-np.inf, np.inf)))
    return Interval(estimate, float(low), float(high), level, freedom)


def _stretch(variance: float, of_seeds: float, seeds: int, level: float) -> tuple[float, float]:
    """Factor for the ends of an interval whose resamples have this variance, `of_seeds` of it from drawing seeds, and
    Satterthwaite's degrees of freedom."""
    of_seeds = min(of_seeds, variance)
    if seeds < 2 or of_seeds <= 0:
        return 1.0, math.inf
    whole = variance + of_seeds / (seeds - 1)
    freedom = (seeds - 1) * (whole / (of_seeds * seeds / (seeds - 1))) ** 2
    wider = stats.t.ppf((1 + level) / 2, freedom) / stats.norm.ppf((1 + level) / 2) * math.sqrt(whole / variance)
    return float(wider), float(freedom)


def _checked_scores(scores_SI: npt.ArrayLike) -> Array:
    scores = np.asarray(scores_SI, dtype=np.float64)
    if scores.ndim != 2 or not scores.size:
        raise ValueError(f"expected scores [S, I] of at least one seed and item, got {scores.shape}")
    failed = int((~np.isfinite(scores)).sum())
    if failed:
        raise ValueError(f"{failed} of {scores.size} scores are not finite; count them and leave their items out")
    return scores


def _cluster_totals(scores_SI: Array, cluster_I: npt.ArrayLike | None) -> tuple[Array, Counts]:
    """Sum of scores of each seed and cluster [S, K], and number of items of each cluster [K]."""
    items = scores_SI.shape[1]
    labels = np.arange(items) if cluster_I is None else np.asarray(cluster_I)
    if labels.shape != (items,):
        raise ValueError(f"cluster_I must name a cluster for each of {items} items, got shape {labels.shape}")
    _, cluster, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    return np.stack([np.bincount(cluster, weights=row) for row in scores_SI]), sizes
