"""Intervals for means over seeds and items, and for paired differences.

Legend: S seeds, I items (column i is one item), K clusters of items, R resamples, P prompts, G group.
Every random stream is a numpy Generator that the caller seeds. Seeds are drawn with replacement, then clusters of
items, one draw of clusters for all seeds. Few seeds drawn with replacement spread too little, so the percentile ends
are stretched about the estimate by Student's t (`interval`).
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Bounds = tuple[float, float]
SHARE: Bounds = (0.0, 1.0)
SHARES_APART: Bounds = (-1.0, 1.0)
"""Between which a share lies, and the difference of two shares."""


@dataclass(frozen=True)
class Interval:
    """An estimate with the ends of its two-sided interval."""

    estimate: float
    low: float
    high: float
    level: float


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


def draws(seeds: int, clusters: int, resamples: int, rng: np.random.Generator) -> tuple[Counts, Counts]:
    """How often each seed [R, S] and each cluster [R, K] is drawn in each resample."""
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")
    times_RS, times_RK = (rng.multinomial(n, np.full(n, 1 / n), size=resamples) for n in (seeds, clusters))
    return times_RS, times_RK


def interval(
    estimate: float, resampled_R: npt.ArrayLike, seeds: int, level: float, bounds: Bounds | None = None
) -> Interval:
    """Percentiles of the resampled values, stretched about the estimate by t/z * sqrt(S/(S-1)), within `bounds`.

    t has S - 1 degrees of freedom; one seed is not stretched. Values that are not finite are left out; NaN if all are.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1), got {level}")
    resampled = np.asarray(resampled_R, dtype=np.float64)
    resampled = resampled[np.isfinite(resampled)]
    if not resampled.size:
        return Interval(estimate, math.nan, math.nan, level)
    ends = np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    if seeds > 1:
        normal = NormalDist().inv_cdf((1 + level) / 2)
        ends = estimate + (ends - estimate) * student(seeds - 1, level) / normal * math.sqrt(seeds / (seeds - 1))
    low, high = np.clip(ends, *(bounds or (-np.inf, np.inf)))
    return Interval(estimate, float(low), float(high), level)


def student(freedom: int, level: float) -> float:
    """t with P(|T| <= t) = level under Student's distribution with `freedom` degrees, by bisection of its angle."""
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < level else (low, middle)
    return math.sqrt(freedom) * math.tan(high)


def _within(angle: float, freedom: int) -> float:
    """P(|T| <= sqrt(freedom) tan(angle)): the finite series of Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    odd, total = freedom % 2, 0.0
    term = math.cos(angle) ** odd
    for power in range(odd, freedom - 1, 2):
        total += term
        term *= (power + 1) / (power + 2) * math.cos(angle) ** 2
    total *= math.sin(angle)
    return (angle + total) * 2 / math.pi if odd else total


def zero_variance_share(rewards_PG: npt.ArrayLike) -> float:
    """Share of groups whose rewards [P, G] are all equal: no advantage. NaN marks a failed reward.

    Failed rewards are left out; a group with one left, or none, counts as equal. Raises ValueError if empty.
    """
    rewards = np.asarray(rewards_PG, dtype=np.float64)
    if rewards.ndim != 2 or not rewards.size:
        raise ValueError(f"expected rewards [P, G] of at least one group, got {rewards.shape}")
    scored = np.isfinite(rewards)
    highest = np.where(scored, rewards, -np.inf).max(axis=1)
    lowest = np.where(scored, rewards, np.inf).min(axis=1)
    return float((highest <= lowest).mean())


def all_wrong_share(strict_PG: npt.ArrayLike) -> float:
    """Share of groups [P, G] of which no completion is strictly right (1). Failed ones (NaN) are not right."""
    return float((~(np.asarray(strict_PG, dtype=np.float64) >= 1).any(axis=1)).mean())


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
