"""AUROC: known answers, ties, and its definition by pairs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coherence.core.separation import auroc


def test_known_answers() -> None:
    assert auroc([1, 2, 3, 4], [0, 0, 1, 1]) == 1
    assert auroc([1, 2, 3, 4], [1, 1, 0, 0]) == 0
    assert auroc([5, 5, 5], [1, 0, 0]) == 0.5
    assert auroc([1, 2, 2, 3], [0, 1, 0, 1]) == 0.875
    assert np.isnan(auroc([1, 2], [1, 1])) and np.isnan(auroc([], []))


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=30))
def test_it_is_the_share_of_pairs_in_the_right_order(pairs: list[tuple[int, bool]]) -> None:
    right, wrong = ([s for s, hit in pairs if hit == wanted] for wanted in (True, False))
    found = auroc([s for s, _ in pairs], [hit for _, hit in pairs])
    if right and wrong:
        assert found == pytest.approx(np.mean([(r > w) + (r == w) / 2 for r in right for w in wrong]))
    else:
        assert np.isnan(found)


def test_what_is_not_a_score_refuses() -> None:
    with pytest.raises(ValueError, match="NaN"):
        auroc([np.nan, 1.0], [0, 1])
    with pytest.raises(ValueError, match="expected scores"):
        auroc([1.0], [0, 1])
