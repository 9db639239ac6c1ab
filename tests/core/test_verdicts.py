"""From intervals to verdicts: against SciPy's own t-test, and how often a family of true nulls goes wrong."""

import gc
import math

import numpy as np
import pytest
from scipy import stats

from coherence.core.statistics import Interval
from coherence.core.transition_family import mean_interval
from coherence.core.verdicts import ALPHA, detectable, holm, margin, p_value, verdict, with_seeds

RNG = np.random.default_rng(5)


def evidence(values: np.ndarray) -> Interval:
    return mean_interval(values, 0.95)


@pytest.mark.parametrize("threshold", [-0.3, 0.0, 0.4, 2.0])
def test_p_is_that_of_the_t_test(threshold: float) -> None:
    values = RNG.normal(0.3, 0.5, 6)
    assert p_value(evidence(values), threshold) == pytest.approx(stats.ttest_1samp(values, threshold).pvalue)


def test_an_interval_that_ends_at_the_threshold_has_p_alpha_and_margin_one() -> None:
    one = Interval(0.5, 0.2, 0.8, 0.95, 4)
    assert margin(one, 0.2) == pytest.approx(1) and p_value(one, 0.2) == pytest.approx(ALPHA)
    assert margin(one, 0.8) == pytest.approx(-1) and margin(one, 0.5) == 0
    lopsided = Interval(0.9, 0.5, 1.0, 0.95, 4)  # clipped at 1: the half that faces the threshold decides
    assert margin(lopsided, 0.5) == pytest.approx(1)
    assert margin(Interval(1, 1, 1, 0.95, 4), 0.5) == math.inf


def test_verdicts_follow_the_side_and_the_adjusted_p() -> None:
    one = Interval(0.5, 0.2, 0.8, 0.95, 4)
    assert [verdict(one, 0.0, side, 0.01) for side in "><"] == ["supported", "refuted"]
    assert [verdict(one, 0.9, side, 0.01) for side in "><"] == ["refuted", "supported"]
    assert verdict(one, 0.0, ">", 0.06) == "inconclusive"


def test_a_family_of_true_nulls_is_seldom_wrong_about_any(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gc, "collect", lambda: 0)  # statsmodels does so at each call
    wrong = 0
    for _ in range(400):
        family = [evidence(RNG.normal(0, 1, 5)) for _ in range(8)]
        adjusted = holm([p_value(one, 0.0) for one in family])
        wrong += any(verdict(one, 0.0, ">", p) != "inconclusive" for one, p in zip(family, adjusted, strict=True))
    assert 1 <= wrong <= stats.binom.ppf(0.999, 400, ALPHA)


def test_what_is_called_detectable_is_detected_as_often_as_promised() -> None:
    spread = 0.5
    values = [RNG.normal(0, spread, 5) for _ in range(2000)]
    apart = float(np.mean([detectable(evidence(v)) for v in values[:200]])) / stats.t.ppf(0.975, 4) * 2.7764
    found = np.mean([p_value(evidence(v + apart), 0.0) < ALPHA for v in values])
    assert 0.72 < found < 0.88


def test_p_goes_by_the_freedom_of_its_interval() -> None:
    few, many = (p_value(Interval(1.0, 0.0, 2.0, 0.95, freedom), -0.5) for freedom in (2, math.inf))
    assert few == pytest.approx(2 * stats.t.sf(1.5 * stats.t.ppf(0.975, 2), 2))
    assert many == pytest.approx(2 * stats.norm.sf(1.5 * stats.norm.ppf(0.975))) and many < few
    assert detectable(Interval(0, -1, 1, 0.95, math.inf)) == pytest.approx((1.96 + 0.8416) / 1.96, rel=1e-3)


def test_planned_seeds_detect_what_they_would() -> None:
    few, many = RNG.normal(0, 1, 5), RNG.normal(0, 1, 20)
    few, many = (values / values.std(ddof=1) for values in (few, many))
    planned = with_seeds(evidence(few), 5, 20)
    assert detectable(planned) == pytest.approx(detectable(evidence(many)))
    assert with_seeds(planned, 20, 5) == pytest.approx(evidence(few))
    assert detectable(planned, alpha=ALPHA / 10) > detectable(planned) > detectable(planned, power=0.5)
    with pytest.raises(ValueError, match="at least two"):
        with_seeds(planned, 20, 1)
