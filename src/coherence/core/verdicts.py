"""From an estimate with its interval to a verdict on a claim, corrected for how many claims a family has."""

import math
from collections.abc import Sequence

from scipy import stats
from scipy.optimize import brentq
from statsmodels.stats.multitest import multipletests

from coherence.core.statistics import Interval

ALPHA = 0.05
NORMAL = 1e4
"""Degrees of freedom from which Student's distribution is taken for the normal one, as the noncentral one needs it."""
SUPPORTED, REFUTED, INCONCLUSIVE, NOT_TESTABLE = "supported", "refuted", "inconclusive", "not testable here"


def margin(found: Interval, threshold: float) -> float:
    """(estimate - threshold) in units of the half of the interval that faces it: beyond 1 the interval is off it."""
    end = found.low if found.estimate > threshold else found.high
    apart, half = found.estimate - threshold, abs(found.estimate - end)
    return apart / half if half > 0 else math.copysign(math.inf, apart) if apart else 0.0


def p_value(found: Interval, threshold: float) -> float:
    """Two-sided P of an estimate as far from the threshold, by the Student distribution that its interval came from."""
    t = margin(found, threshold) * stats.t.ppf((1 + found.level) / 2, found.freedom)
    return float(2 * stats.t.sf(abs(t), found.freedom))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted P of one family."""
    return [float(p) for p in multipletests(p_values, ALPHA, method="holm")[1]] if p_values else []


def verdict(found: Interval, threshold: float, comparator: str, adjusted: float) -> str:
    """Supported or refuted where the adjusted P is below ALPHA, by the side on which the estimate lies."""
    if adjusted >= ALPHA:
        return INCONCLUSIVE
    above = found.estimate > threshold
    return SUPPORTED if above == (comparator == ">") else REFUTED


def detectable(found: Interval, power: float = 0.8, alpha: float = ALPHA) -> float:
    """The distance from a threshold that runs as many and as far apart as these would show with this power at a
    two-sided level alpha."""
    freedom = min(found.freedom, NORMAL)
    critical = stats.t.ppf(1 - alpha / 2, freedom)
    away = brentq(lambda apart: stats.nct.sf(critical, freedom, apart) - power, 0, 1000)
    return float(away * _error(found))


def _error(found: Interval) -> float:
    """Standard error of the estimate, from the mean half of its interval."""
    return float((found.high - found.low) / 2 / stats.t.ppf((1 + found.level) / 2, found.freedom))


def with_seeds(found: Interval, seeds: int, planned: int) -> Interval:
    """The interval that `planned` runs would give if they spread as the `seeds` runs do that gave this one, prompts
    growing with them. ValueError for fewer than two runs: their spread is not known."""
    if min(seeds, planned) < 2:
        raise ValueError("the spread over runs takes at least two of them")
    freedom = found.freedom * (planned - 1) / (seeds - 1)
    half = float(stats.t.ppf((1 + found.level) / 2, freedom)) * _error(found) * math.sqrt(seeds / planned)
    return Interval(found.estimate, found.estimate - half, found.estimate + half, found.level, freedom)
