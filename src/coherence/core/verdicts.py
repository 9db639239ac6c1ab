"""From an estimate with its interval to a verdict on a claim, corrected for how many claims a family has."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats
from statsmodels.stats.multitest import multipletests

ALPHA = 0.05
SUPPORTED, REFUTED, INCONCLUSIVE, NOT_TESTABLE = "supported", "refuted", "inconclusive", "not testable here"


@dataclass(frozen=True)
class Evidence:
    """An estimate over `seeds` runs with the ends of its two-sided Student interval at `level`."""

    estimate: float
    low: float
    high: float
    seeds: int
    level: float = 0.95


def margin(evidence: Evidence, threshold: float) -> float:
    """(estimate - threshold) in units of the half of the interval that faces it: beyond 1 the interval is off it."""
    end = evidence.low if evidence.estimate > threshold else evidence.high
    apart, half = evidence.estimate - threshold, abs(evidence.estimate - end)
    return apart / half if half > 0 else math.copysign(math.inf, apart) if apart else 0.0


def p_value(evidence: Evidence, threshold: float) -> float:
    """Two-sided P of an estimate as far from the threshold, by the Student distribution that its interval came from.

    ValueError for one seed, which has no interval.
    """
    if evidence.seeds < 2:
        raise ValueError("one seed has no interval over seeds")
    freedom = evidence.seeds - 1
    t = margin(evidence, threshold) * stats.t.ppf((1 + evidence.level) / 2, freedom)
    return float(2 * stats.t.sf(abs(t), freedom))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted P of one family."""
    return [float(p) for p in multipletests(p_values, ALPHA, method="holm")[1]] if p_values else []


def verdict(evidence: Evidence, threshold: float, comparator: str, adjusted: float) -> str:
    """Supported or refuted where the adjusted P is below ALPHA, by the side on which the estimate lies."""
    if adjusted >= ALPHA:
        return INCONCLUSIVE
    above = evidence.estimate > threshold
    return SUPPORTED if above == (comparator == ">") else REFUTED


def detectable(evidence: Evidence, power: float = 0.8) -> float:
    """The distance from a threshold that as many runs, as far apart as these, would show with this power (before any
    correction for several claims)."""
    freedom = evidence.seeds - 1
    critical = stats.t.ppf(1 - ALPHA / 2, freedom)
    error = (evidence.high - evidence.low) / 2 / stats.t.ppf((1 + evidence.level) / 2, freedom)
    low, high = 0.0, 100.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if stats.nct.sf(critical, freedom, middle) < power else (low, middle)
    return float(high * error)
