"""Transitions: known answers without noise, coverage with it, and every corner of the verdict."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from coherence.core.gate import WindowedGate
from coherence.core.statistics import Interval
from coherence.core.transition import (
    FLAT,
    LN81,
    OUTSIDE,
    UNFINISHED,
    aic_gain,
    fit,
    gaps,
    largest_jumps,
    why_none,
)
from coherence.core.transition_checks import SHAPES, SIZES, World, checked, drawn, early, fires
from coherence.core.transition_family import (
    NONE,
    SMOOTH,
    TRANSITION,
    UNDETERMINED,
    Rule,
    found_rho,
    geometric_interval,
    judge,
    mean_interval,
    power,
)
from coherence.streams import generator

STEP = np.arange(1, 201.0)
RULE = Rule(sharp=0.5, least_jump=0.1, level=0.95)


def logistic(start: float, end: float, tau: float, width: float) -> NDArray[np.float64]:
    """One curve [1, S]."""
    return (start + (end - start) / (1 + np.exp(-(STEP - tau) * LN81 / width)))[None]


def interval(low: float, high: float) -> Interval:
    return Interval((low + high) / 2, low, high, 0.95)


@given(
    start=st.floats(0.0, 0.3),
    end=st.floats(0.6, 1.0),
    tau=st.floats(40, 160),
    width=st.floats(3, 80),
)
def test_a_logistic_is_found_again(start: float, end: float, tau: float, width: float) -> None:
    found = fit(STEP, logistic(start, end, tau, width))
    assert found.tau[0] == pytest.approx(tau, rel=1e-3) and found.width[0] == pytest.approx(width, rel=1e-2)
    assert found.start[0] == pytest.approx(start, abs=1e-2) and found.end[0] == pytest.approx(end, abs=1e-2)


def test_a_fit_is_the_same_alone_and_among_others() -> None:
    step, curves = drawn(World(), 12, generator(0, "test"))
    together, alone = fit(step, curves), fit(step, curves[7:8])
    assert alone.tau[0] == pytest.approx(together.tau[7], rel=1e-6)


def test_no_logistic_is_closer() -> None:
    step, curves = drawn(World(), 3, generator(1, "test"))
    found = fit(step, curves)
    for tau, width in ((1.01, 1), (0.99, 1), (1, 1.03), (1, 0.97)):
        share = 1 / (1 + np.exp(-(step - found.tau[:, None] * tau) * LN81 / (found.width[:, None] * width)))
        for c in range(3):
            basis = np.stack([1 - share[c], share[c]], axis=1)
            plateaus_, *_ = np.linalg.lstsq(basis, curves[c], rcond=None)
            assert ((curves[c] - basis @ plateaus_.clip(0, 1)) ** 2).sum() > found.error[c]


def test_a_step_has_the_least_width_that_can_be_seen() -> None:
    found = fit(STEP, (STEP >= 100)[None].astype(float))
    assert found.width[0] == pytest.approx(1)
    assert found.tau[0] == pytest.approx(99.5)


def test_exponential_saturation_has_no_tau_at_minus_infinity() -> None:
    found = fit(STEP, 1 - np.exp(-STEP / 30)[None])
    assert 10 < found.tau[0] < 30 and 2.5 < found.rho[0] < 3.5


@pytest.mark.parametrize(
    ("curve", "why"),
    [
        (logistic(0.1, 0.9, 100, 40), ""),
        (logistic(0.1, 0.25, 100, 40), FLAT),
        (logistic(0.9, 0.1, 100, 40), FLAT),
        (logistic(0.0, 1.0, 230, 100), OUTSIDE),
        (logistic(0.0, 1.0, 190, 60), UNFINISHED),
        (np.full((1, 200), 0.5), FLAT),
    ],
)
def test_why_there_is_no_transition(curve: NDArray[np.float64], why: str) -> None:
    assert why_none(fit(STEP, curve), STEP, 0.2) == [why]


@pytest.mark.parametrize(
    ("step", "curve", "message"),
    [
        (STEP[:5], np.zeros((1, 5)), "at least 20 rising steps, got 5"),
        (STEP[::-1], np.zeros((1, 200)), "rising steps"),
        (STEP, np.where(STEP == 7, np.nan, 0.5)[None], "accuracy is missing at step 7"),
        (STEP, np.zeros(200), r"expected curves \[C, S\]"),
    ],
)
def test_a_curve_that_cannot_be_fitted(step: NDArray[np.float64], curve: NDArray[np.float64], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(step, curve)


def test_a_line_has_no_gap_and_a_jump_has_its_height() -> None:
    line = (0.001 * STEP)[None]
    assert np.abs(gaps(line, 5)).max() < 1e-12
    found = gaps(line + 0.25 * (STEP >= 80), 5)[0]
    assert found.max() == pytest.approx(0.25) and STEP[found.argmax() + 5] == 80
    with pytest.raises(ValueError, match="needs 10 steps"):
        gaps(np.zeros((1, 9)), 5)


def test_the_largest_jump_is_a_share_of_the_climb() -> None:
    curve = logistic(0, 0.6, 100, 60) + 0.2 * (STEP >= 100)
    found = fit(STEP, curve)
    jump = largest_jumps(found, STEP, curve, 4)
    assert STEP[jump.index[0]] == 100 and jump.up[0] == pytest.approx(0.25, abs=0.05)
    assert aic_gain(found, STEP, curve, jump)[0] > 100
    smooth = logistic(0, 0.8, 100, 60)
    none = largest_jumps(fit(STEP, smooth), STEP, smooth, 4)
    assert none.up[0] < 1e-3 and none.down[0] < 1e-3
    step = (STEP >= 100)[None].astype(float)
    assert largest_jumps(fit(STEP, step), STEP, step, 4).up[0] == pytest.approx(1), "nothing smooth is taken off"


@pytest.mark.parametrize(
    ("reasons", "rho", "jump", "apart", "verdict"),
    [
        ([FLAT] * 3, (0.1, 0.2), (0.5, 0.6), (0.4, 0.5), NONE),
        ([FLAT, "", ""], (0.1, 0.2), (0.5, 0.6), (0.4, 0.5), UNDETERMINED),
        (["", ""], (0.1, 0.2), (0.5, 0.6), (0.4, 0.5), UNDETERMINED),
        ([""] * 3, (0.1, 0.49), (0.0, 0.1), (-0.1, 0.1), TRANSITION),
        ([""] * 3, (0.1, 0.51), (0.0, 0.1), (-0.1, 0.1), UNDETERMINED),
        ([""] * 3, (0.51, 0.9), (0.0, 0.1), (-0.1, 0.1), SMOOTH),
        ([""] * 3, (0.51, 0.9), (0.2, 0.3), (0.01, 0.1), TRANSITION),
        ([""] * 3, (0.51, 0.9), (0.2, 0.3), (-0.01, 0.1), SMOOTH),
        ([""] * 3, (0.51, 0.9), (0.05, 0.09), (0.01, 0.1), SMOOTH),
        ([""] * 3, (0.4, 0.9), (0.2, 0.3), (0.01, 0.1), TRANSITION),
    ],
)
def test_the_verdict(
    reasons: list[str],
    rho: tuple[float, float],
    jump: tuple[float, float],
    apart: tuple[float, float],
    verdict: str,
) -> None:
    assert judge(reasons, interval(*rho), interval(*jump), interval(*apart), RULE).verdict == verdict


def test_a_verdict_tells_why() -> None:
    none = judge([FLAT, FLAT, OUTSIDE], interval(1, 2), interval(0, 0), interval(0, 0), RULE)
    assert none.why == "2 climb too small, 1 half climb outside the run"
    both = judge([""] * 3, interval(0.1, 0.2), interval(0.2, 0.3), interval(0.1, 0.2), RULE)
    assert both.why == "sharp and a jump"


def test_intervals_over_seeds() -> None:
    plain = mean_interval([1.0, 2.0, 3.0], 0.95)
    assert (plain.estimate, plain.high) == pytest.approx((2, 2 + 4.302653 / math.sqrt(3)))
    factor = geometric_interval(np.exp([1.0, 2.0, 3.0]), 0.95)
    assert math.log(factor.low) == pytest.approx(plain.low) and geometric_interval([1, 2], 0.95, True).low == 0
    assert math.isnan(mean_interval([1.0], 0.95).low) and math.isnan(geometric_interval([], 0.95).estimate)


def test_power_agrees_with_simulation_and_grows_with_seeds() -> None:
    logs = generator(0, "power").normal(-0.4, 0.25, (4000, 5))
    half = 2.776445 * logs.std(axis=1, ddof=1) / math.sqrt(5)
    assert power(0.25, 0.4, 5, 0.95) == pytest.approx((logs.mean(axis=1) + half < 0).mean(), abs=0.03)
    assert power(0.25, 0.0, 5, 0.95) == pytest.approx(0.025)
    three, ten = (found_rho(0.25, seeds, 0.5, 0.95) for seeds in (3, 10))
    assert three < ten < 0.5 and power(0.25, math.log(0.5 / ten), 10, 0.95) == pytest.approx(0.8)
    assert math.isnan(found_rho(0.25, 1, 0.5, 0.95))


def shares(world: World, studies: int) -> dict[tuple[str, int], float]:
    return {(name, n): share for name, n, share in checked(world, 0.5, 4, studies, 0.95, generator(0, repr(world)))}


def test_intervals_cover() -> None:
    found = shares(World(), 300)
    assert all(0.9 <= found[name, seeds] <= 0.99 for name in ("tau", "width", "rho") for seeds in SIZES), found


@pytest.mark.parametrize("shape", SHAPES)
def test_smooth_curves_have_no_jumps(shape: str) -> None:
    found = shares(World(shape=shape), 100)
    assert max(found["jump", seeds] for seeds in SIZES) <= 0.07


def test_a_jump_and_a_sharp_climb_are_found_with_ten_seeds() -> None:
    jump, sharp = shares(World(jump=0.4), 50), shares(World(rho=0.25), 50)
    assert jump["jump", 10] > 0.9 and jump["J", 10] > 0.8
    assert sharp["sharp", 10] > 0.9 and sharp["jump", 10] < 0.1


@given(st.lists(st.sampled_from([0.5, 0.989, 0.99, 1.0]), min_size=1, max_size=30))
def test_many_gates_at_once_are_the_gate(values: list[float]) -> None:
    gate = WindowedGate(0.99, 5, 3)
    fired = [gate.update(step, value) or gate.fired for step, value in enumerate(values)]
    assert fires([values], 0.99, 5, 3)[0].tolist() == fired


def test_a_gate_hardly_fires_on_a_low_plateau_or_before_the_climb_is_done() -> None:
    curves = (generator(0, "plateau").binomial(96, accuracy, (500, 500)) / 96 for accuracy in (0.9, 0.985))
    low, high = (fires(own, 0.99, 5, 3)[:, -1].mean() for own in curves)
    assert low < 0.01 and high > 0.9
    assert early(World(), 0.99, 5, 3, 200, generator(0, "early")) < 0.05
