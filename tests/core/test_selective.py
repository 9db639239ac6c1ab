"""Abstention by a score: areas against scipy and by hand, ties, weights, and thresholds that promise a risk."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from coherence.core.selective import area_under_risk, area_under_roc, at_threshold, promised, rank, risk_coverage

ONCE = np.ones((1, 4))
ITEMS = st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 3)), min_size=2, max_size=30)


def auroc(scores: list[float], hits: list[int]) -> float:
    return float(area_under_roc(rank(scores, hits), np.ones((1, len(scores))))[0])


def test_auroc_by_hand() -> None:
    assert auroc([1, 2, 3, 4], [0, 0, 1, 1]) == 1
    assert auroc([1, 2, 3, 4], [1, 1, 0, 0]) == 0
    assert auroc([5, 5, 5], [1, 0, 0]) == 0.5
    assert auroc([1, 2, 2, 3], [0, 1, 0, 1]) == 0.875
    assert np.isnan(auroc([1, 2], [1, 1]))


@given(ITEMS)
def test_auroc_is_mann_whitneys_u_of_items_repeated(items: list[tuple[int, bool, int]]) -> None:
    scores, hits, weights = map(np.array, zip(*items, strict=True))
    found = area_under_roc(rank(scores, hits), weights[None, :])[0]
    many, right = np.repeat(scores, weights), np.repeat(hits, weights).astype(bool)
    if right.any() and not right.all():
        pairs = right.sum() * (~right).sum()
        assert found == pytest.approx(mannwhitneyu(many[right], many[~right]).statistic / pairs)
    else:
        assert np.isnan(found)


def test_risk_coverage_by_hand() -> None:
    ranked = rank([0.1, 0.9, 0.8, 0.4], [0, 1, 0, 1])
    coverage, risk = risk_coverage(ranked, ONCE)
    assert coverage[0].tolist() == [0.25, 0.5, 0.75, 1.0]
    assert risk[0] == pytest.approx([0, 1 / 2, 1 / 3, 2 / 4])
    assert area_under_risk(ranked, ONCE)[0] == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert risk_coverage(ranked, np.array([[1.0, 0, 0, 1]]))[1][0] == pytest.approx(
        [np.nan, np.nan, 0, 0.5], nan_ok=True
    )


def test_ties_are_as_good_as_a_draw() -> None:
    ranked = rank([0.5, 0.5, 0.5, 0.5], [1, 0, 0, 1])
    assert risk_coverage(ranked, ONCE)[1][0].tolist() == [0.5] * 4
    assert area_under_risk(ranked, ONCE)[0] == 0.5
    assert promised(ranked, ONCE, ONCE, 0.4)[0][0] == 0, "a tie is answered whole, or not at all"


@given(ITEMS, st.floats(0, 1))
def test_a_promise_is_kept_where_it_was_made_and_no_lower_threshold_would_keep_it(items: list, target: float) -> None:
    scores, hits, _ = map(np.array, zip(*items, strict=True))
    ranked, weights = rank(scores, hits), np.ones((1, len(items)))
    coverage, risk, threshold = promised(ranked, weights, weights, target)
    lower = [s for s in set(scores.tolist()) if s < threshold[0]]
    answered = {s: at_threshold(ranked, weights, s)[1][0] for s in lower}
    assert coverage[0] == 0 or risk[0] <= target + 1e-9
    assert all(value > target - 1e-9 for value in answered.values())


def test_a_threshold_from_one_half_is_measured_on_the_other() -> None:
    ranked = rank([4, 3, 2, 1], [1, 0, 1, 0])
    first, second = np.array([[1.0, 0, 1, 0]]), np.array([[0.0, 1, 0, 1]])
    coverage, risk, threshold = promised(ranked, first, second, 0.1)
    assert (coverage[0], risk[0], threshold[0]) == (0.5, 1.0, 2.0), "kept on its own half, broken on the other"
    coverage, risk, threshold = promised(ranked, second, first, 0.1)
    assert (coverage[0], threshold[0]) == (0, np.inf) and np.isnan(risk[0])


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(ValueError, match="finite scores"):
        rank([np.nan, 1], [1, 0])
    with pytest.raises(ValueError, match="finite scores"):
        rank([1.0], [0, 1])
