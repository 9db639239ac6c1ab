"""The gate on a rise: when it fires, that noise seldom fires it, and that the published one is a timer."""

import numpy as np
import pytest
from scipy import stats

from coherence.core.cascade import RiseGate
from coherence.core.compat_cascade import gate_fires_at

STEPS = 100


def fires_at(values: np.ndarray, **changes: float) -> int | None:
    gate = RiseGate(**{"baseline": 10, "window": 5, "alpha": 0.05, "steps": STEPS} | changes)
    for step, value in enumerate(values, start=1):
        gate.update(step, float(value))
    return gate.fired_step


def noise(seed: int) -> np.ndarray:
    return 0.3 + 0.05 * np.random.default_rng(seed).standard_normal(STEPS)


def test_noise_fires_it_in_no_more_runs_than_promised_and_the_published_gate_in_all() -> None:
    fired = sum(fires_at(noise(seed)) is not None for seed in range(1000))
    assert fired <= stats.binom.ppf(0.999, 1000, 0.05), f"{fired} of 1000 runs of noise"
    assert fired >= 1, "a gate that noise can never fire would not have been tested"
    assert all(gate_fires_at(noise(seed)) is not None for seed in range(100))


def test_a_rise_fires_it_once_and_soon_after_it_came() -> None:
    for seed in range(20):
        risen = noise(seed) + 0.2 * (np.arange(STEPS) >= 40)
        step = fires_at(risen)
        assert step is not None and 41 <= step <= 46


def test_a_constant_a_fall_and_what_is_no_number_never_fire_it() -> None:
    assert fires_at(np.full(STEPS, 0.5)) is None
    assert fires_at(np.linspace(1, 0, STEPS)) is None
    assert fires_at(np.full(STEPS, np.nan)) is None


def test_the_threshold_does_not_see_the_values_that_it_judges() -> None:
    rise = np.concatenate([noise(0)[:10], np.full(5, 0.6), np.full(STEPS - 15, 5.0)])
    assert fires_at(rise) == fires_at(np.concatenate([rise[:15], np.full(STEPS - 15, 0.6)]))


def test_gates_that_can_never_fire_are_refused() -> None:
    for changes in ({"baseline": 96}, {"window": 1}, {"alpha": 0.0}):
        with pytest.raises(ValueError, match=r"never fire|between 0 and 1"):
            fires_at(noise(0), **changes)
