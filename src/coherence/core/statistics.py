"""Intervals for means over seeds and items, for paired differences, and for proportions.

Legend: S seeds, I items (column i is one item), K clusters of items, R resamples, P prompts, G group.
Every random stream is a numpy Generator that the caller seeds.
"""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
Items = Literal["shared", "own"]

BLOCK = 256  # resamples at a time, to bound memory


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
    items: Items = "shared",
    resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """Percentile interval of the mean of scores [S, I]: seeds are drawn with replacement, then item clusters.

    cluster_I: each item's cluster (itself by default). items "shared": column i is one item under all seeds,
    so one draw of clusters serves all seeds; "own": seeds have items of their own, each draws anew.
    With one seed it speaks of items only. Raises ValueError for scores that are missing or not finite.
    """
    scores = _checked_scores(scores_SI)
    totals_SK, sizes_K = _cluster_totals(scores, cluster_I)
    _check_level(level)
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, got {resamples}")
    if items not in ("shared", "own"):
        raise ValueError(f"items must be 'shared' or 'own', got {items!r}")
    draw = _shared_means if items == "shared" else _own_means
    blocks = [min(BLOCK, resamples - first) for first in range(0, resamples, BLOCK)]
    means_R = np.concatenate([draw(totals_SK, sizes_K, count, rng) for count in blocks])
    low, high = np.quantile(means_R, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(scores.mean()), float(low), float(high), level)


def paired_difference(
    treatment_SI: npt.ArrayLike,
    control_SI: npt.ArrayLike,
    rng: np.random.Generator,
    *,
    cluster_I: npt.ArrayLike | None = None,
    items: Items = "shared",
    resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """`bootstrap_mean` of treatment - control, two arms scored on the same seeds and items [S, I].

    Raises ValueError if the arms differ in shape: they are then not paired.
    """
    treatment, control = _checked_scores(treatment_SI), _checked_scores(control_SI)
    if treatment.shape != control.shape:
        raise ValueError(f"paired arms need the same seeds and items, got {treatment.shape} and {control.shape}")
    difference = treatment - control
    return bootstrap_mean(difference, rng, cluster_I=cluster_I, items=items, resamples=resamples, level=level)


def wilson_interval(successes: int, trials: int, level: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion of independent trials; `bootstrap_mean` is for clustered items.

    Centre (p + z^2/2n) / (1 + z^2/n). Raises ValueError unless trials >= 1 and 0 <= successes <= trials.
    """
    _check_level(level)
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"need 0 <= successes <= trials and trials >= 1, got {successes} of {trials}")
    z, p = NormalDist().inv_cdf((1 + level) / 2), successes / trials
    shrink = 1 + z * z / trials
    centre = (p + z * z / (2 * trials)) / shrink
    half = z / shrink * np.sqrt(p * (1 - p) / trials + z * z / (4 * trials * trials))
    return Interval(p, float(min(p, max(0.0, centre - half))), float(max(p, min(1.0, centre + half))), level)


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


def _check_level(level: float) -> None:
    if not 0 < level < 1:
        raise ValueError(f"level must lie in (0, 1), got {level}")


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


def _draws(count: int | Counts, among: int, rng: np.random.Generator, size: tuple[int, ...]) -> Counts:
    """How often each of `among` units appears when `count` are drawn with replacement."""
    return rng.multinomial(count, np.full(among, 1 / among), size=size)


def _shared_means(totals_SK: Array, sizes_K: Counts, resamples: int, rng: np.random.Generator) -> Array:
    seeds, clusters = totals_SK.shape
    times_RS = _draws(seeds, seeds, rng, (resamples,))
    times_RK = _draws(clusters, clusters, rng, (resamples,))
    means: Array = ((times_RS @ totals_SK) * times_RK).sum(axis=1) / (seeds * (times_RK @ sizes_K))
    return means


def _own_means(totals_SK: Array, sizes_K: Counts, resamples: int, rng: np.random.Generator) -> Array:
    seeds, clusters = totals_SK.shape
    times_RS = _draws(seeds, seeds, rng, (resamples,))
    times_RSK = _draws(times_RS * clusters, clusters, rng, (resamples, seeds))  # a seed drawn twice draws twice
    means: Array = (times_RSK * totals_SK).sum(axis=(1, 2)) / (times_RSK @ sizes_K).sum(axis=1)
    return means
