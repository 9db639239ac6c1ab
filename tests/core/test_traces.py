"""Jumps and synchrony of padded Phi against one completion at a time, and the published phases."""

import numpy as np
import pytest

from coherence.core.compat_traces import kuramoto
from coherence.core.phase_weights import PHASES, phase_of
from coherence.core.traces import crystallizations, synchrony

RNG = np.random.default_rng(3)
LENGTHS = np.array([0, 1, 2, 5, 9])
PHI = RNG.random((5, 9))


def test_synchrony_is_the_published_one_of_each_completion_and_ignores_the_padding() -> None:
    expected = [kuramoto(row[:n]) for row, n in zip(PHI, LENGTHS, strict=True)]
    assert synchrony(PHI, LENGTHS) == pytest.approx(expected)
    padded = np.where(np.arange(9) < LENGTHS[:, None], PHI, np.nan)
    assert synchrony(padded, LENGTHS) == pytest.approx(expected)


def test_crystallizations_are_rises_over_the_threshold() -> None:
    phi = np.array([[0.1, 0.2, 0.21, 0.9, 0.1], [0.1, 0.2, 0.9, 0.95, 0.99]])
    assert crystallizations(phi, [5, 3]).tolist() == [2, 2]
    assert crystallizations(PHI, LENGTHS)[:2].tolist() == [0, 0]


def test_phases_are_cut_where_published() -> None:
    assert [phase_of(r) for r in (0.0, 0.2999, 0.3, 0.6999, 0.7, 1.0)] == [
        "gaseous", "gaseous", "liquid", "liquid", "crystalline", "crystalline",
    ]  # fmt: skip
    for weights in PHASES.values():
        assert sum(vars(weights).values()) == pytest.approx(1)
    with pytest.raises(ValueError, match="R lies"):
        phase_of(float("nan"))
