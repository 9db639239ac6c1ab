"""Answer or abstain by a score: risk among what is answered, areas, and thresholds that promise a risk.

Legend: I items, in the order of their scores, best first; R resamples, in each of which an item has a weight (how often
it was drawn). Items that tie are taken as one: nothing tells them apart, so each has the mean of its tie.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from coherence.core.statistics import Array, ratio


class Ranked(NamedTuple):
    """One checkpoint's items, best score first: their places before ranking, score, whether right, number of its tie,
    and for each tie the place of its last item."""

    order_I: npt.NDArray[np.intp]
    score_I: Array
    hit_I: npt.NDArray[np.bool_]
    tie_I: npt.NDArray[np.intp]
    last_T: npt.NDArray[np.intp]


def rank(scores_I: npt.ArrayLike, hits_I: npt.ArrayLike) -> Ranked:
    """Scores and hits (true or false), best first. ValueError for shapes that differ, none, or a score that is NaN."""
    scores, hits = np.asarray(scores_I, dtype=np.float64), np.asarray(hits_I, dtype=bool)
    if scores.shape != hits.shape or scores.ndim != 1 or not scores.size or np.isnan(scores).any():
        raise ValueError(f"expected finite scores [I] and hits [I], got {scores.shape} and {hits.shape}")
    order = np.argsort(-scores, kind="stable")
    changes = np.diff(scores[order]) != 0
    tie = np.concatenate([[0], np.cumsum(changes)])
    return Ranked(order, scores[order], hits[order], tie, np.append(np.flatnonzero(changes), len(scores) - 1))


def area_under_roc(ranked: Ranked, weights_RI: npt.ArrayLike) -> Array:
    """P(a hit scores above a miss) + P(they tie)/2 in each resample [R]; NaN without a hit or without a miss."""
    weights = _ordered(ranked, weights_RI)
    hits_RT, misses_RT = (_at_ties(ranked, weights * kind_I) for kind_I in (ranked.hit_I, ~ranked.hit_I))
    hit_RT, miss_RT = (np.diff(part, axis=1, prepend=0.0) for part in (hits_RT, misses_RT))
    beaten = (hit_RT * (misses_RT[:, -1:] - misses_RT + miss_RT / 2)).sum(axis=1)
    return ratio(beaten, hits_RT[:, -1] * misses_RT[:, -1])


def risk_coverage(ranked: Ranked, weights_RI: npt.ArrayLike) -> tuple[Array, Array]:
    """(coverage, risk) [R, I] when the best 1 .. I items are answered: a tie's errors are spread evenly over it. NaN
    where no drawn item is answered yet."""
    weights = _ordered(ranked, weights_RI)
    answered_RT, errors_RT = _at_ties(ranked, weights), _at_ties(ranked, weights * ~ranked.hit_I)
    each_RT = ratio(np.diff(errors_RT, axis=1, prepend=0.0), np.diff(answered_RT, axis=1, prepend=0.0))
    answered = weights.cumsum(axis=1)
    errors = np.where(weights > 0, weights * each_RT[:, ranked.tie_I], 0.0).cumsum(axis=1)
    return answered / answered[:, -1:], ratio(errors, answered)


def area_under_risk(ranked: Ranked, weights_RI: npt.ArrayLike) -> Array:
    """Mean risk over all coverages [R] (AURC): 1 - accuracy for an order that tells nothing."""
    _, risk = risk_coverage(ranked, weights_RI)
    weights = _ordered(ranked, weights_RI)
    return ratio(np.where(weights > 0, weights * risk, 0.0).sum(axis=1), weights.sum(axis=1))


def promised(
    ranked: Ranked, calibration_RI: npt.ArrayLike, test_RI: npt.ArrayLike, target: float
) -> tuple[Array, Array, Array]:
    """(coverage, risk) of the test weights [R] at the lowest threshold whose risk on the calibration weights is at most
    `target`, and the threshold. Nothing is answered (coverage 0, risk NaN, threshold inf) where there is none."""
    known = _ordered(ranked, calibration_RI)
    answered_RT, errors_RT = _at_ties(ranked, known), _at_ties(ranked, known * ~ranked.hit_I)
    was_seen_RT = np.diff(answered_RT, axis=1, prepend=0.0) > 0  # a threshold is a score of the calibration's own
    kept_RT = (errors_RT <= target * answered_RT) & was_seen_RT
    tie_R = kept_RT.shape[1] - 1 - kept_RT[:, ::-1].argmax(axis=1)
    threshold_R = np.where(kept_RT.any(axis=1), ranked.score_I[ranked.last_T[tie_R]], np.inf)
    return *at_threshold(ranked, test_RI, threshold_R), threshold_R


def at_threshold(ranked: Ranked, weights_RI: npt.ArrayLike, threshold_R: npt.ArrayLike) -> tuple[Array, Array]:
    """(coverage, risk) [R] when what scores at least the threshold is answered; risk is NaN where nothing is."""
    weights = _ordered(ranked, weights_RI)
    answered = weights * (ranked.score_I >= np.reshape(threshold_R, (-1, 1)))
    whole, part, errors = (table.sum(axis=1) for table in (weights, answered, answered * ~ranked.hit_I))
    return ratio(part, whole), ratio(errors, part)


def _ordered(ranked: Ranked, weights_RI: npt.ArrayLike) -> Array:
    return np.asarray(weights_RI, dtype=np.float64)[:, ranked.order_I]


def _at_ties(ranked: Ranked, values_RI: Array) -> Array:
    """Running sums [R, T] at the end of each tie."""
    return np.asarray(values_RI.cumsum(axis=1)[:, ranked.last_T])
