"""Distances within a group, and each completion's share of the group's diversity."""

import numpy as np
import pytest

from coherence.core.diversity import DISTANCES, cosine_distances, edit_distances, mean_distance_to_others

COPIES = [[1, 2, 3]] * 4
MIXED = [[1, 2, 3], [1, 2, 4], [7, 8], [1, 2, 3]]


@pytest.mark.parametrize("distances", DISTANCES.values())
def test_copies_have_none_strangers_have_all_and_order_does_not_matter(distances) -> None:
    assert mean_distance_to_others(distances(COPIES)) == pytest.approx(np.zeros(4), abs=1e-12)
    assert mean_distance_to_others(distances([[1, 2], [3, 4]])) == pytest.approx([1, 1])
    assert mean_distance_to_others(distances([[], []])) == pytest.approx([0, 0])
    scores = mean_distance_to_others(distances(MIXED))
    order = [2, 0, 3, 1]
    assert mean_distance_to_others(distances([MIXED[i] for i in order])) == pytest.approx(scores[order])
    assert scores[0] == scores[3] < scores[1] < scores[2], "the stranger earns most, the twins least"


def test_known_distances() -> None:
    # bigrams of [1, 2, 3] and [1, 2, 4]: (START, 1) and (1, 2) of three each
    assert cosine_distances(MIXED)[0, 1] == pytest.approx(1 - 2 / 3)
    assert edit_distances(MIXED)[0, 1] == pytest.approx(1 / 3)
    assert edit_distances(MIXED)[0, 2] == pytest.approx(1)


def test_the_mean_over_the_group_is_the_published_term() -> None:
    distances = cosine_distances(MIXED)
    pairs = distances[np.triu_indices(4, 1)]
    assert mean_distance_to_others(distances).mean() == pytest.approx(pairs.mean())


def test_one_completion_has_no_diversity() -> None:
    with pytest.raises(ValueError, match="group"):
        mean_distance_to_others(np.zeros((1, 1)))
