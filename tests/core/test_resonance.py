"""The resonance multiplier against values worked out by hand."""

import numpy as np
import pytest

from coherence.core.resonance import envelope_steps, mean_synchrony, multiplier


@pytest.mark.parametrize(
    ("step", "synchrony", "reward_std", "expected"),
    [
        (0, 1.0, None, 1.0),
        (0, 0.5, None, 1.25),
        (0, 0.0, None, 1.5),
        (0, 0.0, 1.0, 1.5),  # 1.95 before the clamp
        (5, 1.0, None, 0.5),
        (5, 0.0, None, 0.75),
        (5, 1.0, 0.5, 0.575),
        (5, 1.0, 9.0, 0.65),
        (10, 0.0, None, 0.2),
        (99, 0.0, None, 0.2),  # the cosine does not come back
    ],
)
def test_multiplier(step: int, synchrony: float, reward_std: float | None, expected: float) -> None:
    assert multiplier(step, 10, synchrony, reward_std) == pytest.approx(expected)


def test_envelope_is_the_steps_of_t_star_tokens() -> None:
    assert envelope_steps(4096, 2400) == 36, "the reference's own example"
    assert envelope_steps(96, 1000) == 2
    assert envelope_steps(96, 1e6) == 1
    with pytest.raises(ValueError, match="at least 1 step"):
        multiplier(0, 0)


def test_synchrony_is_the_mean_over_sequences() -> None:
    apart = np.array([0.0, 1.0])
    assert mean_synchrony([apart, np.array([0.3, 0.3])]) == pytest.approx(0.5)
    assert mean_synchrony([]) == 0.5
