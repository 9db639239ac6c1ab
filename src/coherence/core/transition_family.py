"""What curves of several seeds say together: intervals, is the climb sharp, is there a jump, and the verdict.

Legend: N seeds. The unit is the seed: whatever its curve is measured with (batches, noise with a memory)
is in the spread of the seeds' own estimates, so Student's interval of their logarithms needs no model of the noise.
Estimated are geometric means over seeds. A family's two tests are one-sided at (1 - level)/2 each, so that together
they call a smooth climb a transition in at most 1 - level of all studies.

Verdict, in this order
  none          no curve has a transition, for the reasons that `why_none` gives
  undetermined  some have one and some have none, or fewer than LEAST_SEEDS have one
  transition    sharp (the interval of rho lies under `sharp`), or a jump: J is at least `least_jump`, and the interval
                of J minus the largest drop of the same curve lies above 0
  smooth        the interval of rho lies above `sharp`, and no jump
  undetermined  the interval of rho holds `sharp`, and no jump
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq
from scipy.stats import nct, t

from coherence.core.statistics import Interval

LEAST_SEEDS = 3
TRANSITION, SMOOTH, NONE, UNDETERMINED = "transition", "smooth", "none", "undetermined"


@dataclass(frozen=True)
class Rule:
    """Thresholds that are fixed before a curve is seen: of rho, of the jump (share of the climb), of the intervals."""

    sharp: float
    least_jump: float
    level: float


@dataclass(frozen=True)
class Verdict:
    """What a family is, and why, in a few words."""

    verdict: str
    why: str


def student(freedom: int, level: float) -> float:
    """The t that a Student variable lies within, on both sides of 0, with probability `level`."""
    return float(t.ppf((1 + level) / 2, freedom))


def mean_interval(values_N: npt.ArrayLike, level: float) -> Interval:
    """Student's interval of a mean over seeds; no ends with one seed, nothing at all without any."""
    values = np.asarray(values_N, dtype=float)
    if len(values) < 2:
        return Interval(float(values.mean()) if len(values) else math.nan, math.nan, math.nan, level)
    freedom = len(values) - 1
    middle, half = values.mean(), student(freedom, level) * values.std(ddof=1) / math.sqrt(len(values))
    return Interval(float(middle), float(middle - half), float(middle + half), level, freedom)


def geometric_interval(values_N: npt.ArrayLike, level: float, open_below: bool = False) -> Interval:
    """`mean_interval` of the logarithms. open_below: where no smaller value can be seen the low end is 0."""
    found = mean_interval(np.log(np.asarray(values_N, dtype=float)), level)
    low = 0.0 if open_below else math.exp(found.low)
    return Interval(math.exp(found.estimate), low, math.exp(found.high), level, found.freedom)


def judge(reasons: Sequence[str], rho: Interval, jump: Interval, apart: Interval, rule: Rule) -> Verdict:
    """The verdict of the rule above: `reasons` of all seeds, and the intervals over those that have a transition of
    rho, of J, and of J minus the largest drop."""
    missing = [why for why in reasons if why]
    if missing and len(missing) == len(reasons):
        return Verdict(NONE, ", ".join(f"{missing.count(why)} {why}" for why in sorted(set(missing))))
    if missing or len(reasons) < LEAST_SEEDS:
        return Verdict(UNDETERMINED, f"{len(reasons) - len(missing)} of {len(reasons)} seeds climb")
    has_jump = apart.low > 0 and jump.estimate >= rule.least_jump
    if rho.high < rule.sharp or has_jump:
        return Verdict(TRANSITION, " and ".join(["sharp"] * (rho.high < rule.sharp) + ["a jump"] * has_jump))
    if rho.low > rule.sharp:
        return Verdict(SMOOTH, "wide, no jump")
    return Verdict(UNDETERMINED, "width open, no jump")


def power(log_spread: float, effect: float, seeds: int, level: float) -> float:
    """How often the interval of rho lies under the threshold: ln rho spreads so over seeds, and lies `effect` under."""
    away = -effect * math.sqrt(seeds) / max(log_spread, 1e-9)
    return float(nct.cdf(-student(seeds - 1, level), seeds - 1, away))


def found_rho(log_spread: float, seeds: int, sharp: float, level: float, often: float = 0.8) -> float:
    """The rho that so many seeds find under `sharp` that often; NaN where no spread can be told (one seed)."""
    if seeds < 2 or not math.isfinite(log_spread):
        return math.nan
    effect = brentq(lambda away: power(log_spread, away, seeds, level) - often, 0, 20 * log_spread + 1e-6)
    return sharp * math.exp(-effect)
