"""Phases tile the curve and follow the stated rule. Legend: S logged steps."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coherence.core.phases import Phase, find_phases

LOG_VOCAB = math.log(699)

# 0-1 before the melt, peak at index 4, accuracy 0.1 until index 6, half of its climb (0.5) passed at index 9
ENTROPY = [1.0, 1.0, 2.0, 4.0, 5.0, 4.5, 4.0, 3.5, 3.0, 2.0, 1.0, 0.5, 0.4, 0.3, 0.2, 0.2]
ACCURACY = [0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.3, 0.6, 0.8, 0.9, 0.9, 0.9, 0.9, 0.9]
STEPS = list(range(10, 26))


def _spans(phases: list[Phase]) -> list[tuple[str, int, int]]:
    return [(phase.name, phase.first_step, phase.last_step) for phase in phases]


def test_a_melt_is_cut_by_the_rule() -> None:
    loss = [float(v) for v in range(16)]
    phases = find_phases(STEPS, ACCURACY, ENTROPY, LOG_VOCAB, gate_step=23, loss=loss)
    assert _spans(phases) == [
        ("baseline", 10, 11),
        ("melting", 12, 14),
        ("transition", 15, 19),
        ("crystallization", 20, 22),
        ("converged", 23, 25),
    ]
    assert phases[1] == Phase("melting", 12, 14, 0.1, 0.1, 2.0, 5.0, 2.0, 4.0)
    assert phases[3] == Phase("crystallization", 20, 22, 0.8, 0.9, 1.0, 0.4, 10.0, 12.0)


def test_without_a_gate_nothing_is_called_converged() -> None:
    phases = find_phases(STEPS, ACCURACY, ENTROPY, LOG_VOCAB)
    assert _spans(phases)[-1] == ("crystallization", 20, 25)
    assert phases[0].loss_first is None and phases[0].loss_last is None


@pytest.mark.parametrize(("rise", "melts"), [(0.0499, False), (0.0501, True)])
def test_a_melt_needs_a_rise_of_five_percent_of_ln_v(rise: float, melts: bool) -> None:
    entropy = [1.0, 1.0, 1.0 + rise * LOG_VOCAB, *[1.0] * 13]
    names = [phase.name for phase in find_phases(STEPS, ACCURACY, entropy, LOG_VOCAB)]
    assert ("melting" in names) == melts


def test_a_rise_of_exactly_five_percent_is_a_melt() -> None:
    names = [phase.name for phase in find_phases([1, 2, 3], [0.1, 0.2, 0.3], [1.0, 2.0, 1.0], log_vocab=20.0)]
    assert names == ["baseline", "melting", "transition"]


def test_the_onset_is_ten_percent_of_the_rise() -> None:
    entropy = [1.0, 1.19, 1.199, 1.202, 3.0, *[1.5] * 11]
    assert _spans(find_phases(STEPS, ACCURACY, entropy, LOG_VOCAB))[:2] == [
        ("baseline", 10, 12),
        ("melting", 13, 14),
    ]


def test_without_a_melt_the_climb_of_accuracy_decides() -> None:
    falling = np.linspace(6.5, 0.5, 16)
    phases = find_phases(STEPS, ACCURACY, falling, LOG_VOCAB, gate_step=23)
    assert _spans(phases) == [
        ("baseline", 10, 16),
        ("transition", 17, 19),
        ("crystallization", 20, 22),
        ("converged", 23, 25),
    ]


def test_one_lucky_step_is_no_transition() -> None:
    accuracy = list(ACCURACY)
    accuracy[5] = 1.0
    assert _spans(find_phases(STEPS, accuracy, ENTROPY, LOG_VOCAB))[2] == ("transition", 15, 19)


def test_two_lucky_steps_are_no_transition_and_three_are() -> None:
    """The centred median of five needs a majority; the true climb here starts at index 11."""
    for lucky, last in ((2, 21), (3, 15)):
        accuracy = [*[0.1] * 5, *[0.9] * lucky, *[0.1] * (6 - lucky), *[0.9] * 5]
        phases = find_phases(STEPS, accuracy, ENTROPY, LOG_VOCAB)
        assert _spans(phases)[2] == ("transition", 15, last)


def test_exactly_half_of_the_climb_completes_the_transition() -> None:
    accuracy = [0.0] * 7 + [0.5] * 5 + [1.0] * 4
    assert _spans(find_phases(STEPS, accuracy, ENTROPY, LOG_VOCAB))[2] == ("transition", 15, 17)


def test_a_climb_that_never_comes_leaves_its_phase_open() -> None:
    flat = [0.1] * 16
    assert _spans(find_phases(STEPS, flat, ENTROPY, LOG_VOCAB))[-1] == ("transition", 15, 25)
    assert _spans(find_phases(STEPS, flat, [1.0] * 16, LOG_VOCAB)) == [("baseline", 10, 25)]


def test_the_gate_ends_whichever_phase_is_running() -> None:
    assert _spans(find_phases(STEPS, ACCURACY, ENTROPY, LOG_VOCAB, gate_step=13)) == [
        ("baseline", 10, 11),
        ("melting", 12, 12),
        ("converged", 13, 25),
    ]
    assert _spans(find_phases(STEPS, ACCURACY, ENTROPY, LOG_VOCAB, gate_step=10)) == [("converged", 10, 25)]


def test_a_gate_between_logged_steps_starts_at_the_next() -> None:
    sparse = [10 * step for step in STEPS]
    assert _spans(find_phases(sparse, ACCURACY, ENTROPY, LOG_VOCAB, gate_step=221))[-1][1] == 230


def test_a_single_step_is_a_baseline() -> None:
    assert _spans(find_phases([3], [0.5], [0.6], math.log(2))) == [("baseline", 3, 3)]


@st.composite
def curves(draw: st.DrawFn) -> dict[str, Any]:
    steps = sorted(draw(st.sets(st.integers(0, 200), min_size=1, max_size=30)))
    numbers = st.floats(0, 1) | st.sampled_from([0.0, 0.5, 1.0])
    column = st.lists(numbers, min_size=len(steps), max_size=len(steps))
    return {
        "step": steps,
        "accuracy": draw(column),
        "entropy": [6 * value for value in draw(column)],
        "gate_step": draw(st.none() | st.integers(steps[0], steps[-1])),
    }


@given(curves())
def test_phases_tile_the_steps(curve: dict[str, Any]) -> None:
    phases = find_phases(**curve, log_vocab=LOG_VOCAB)
    covered = [s for phase in phases for s in curve["step"] if phase.first_step <= s <= phase.last_step]
    assert covered == curve["step"]
    order = ["baseline", "melting", "transition", "crystallization", "converged"]
    names = [phase.name for phase in phases]
    assert names == [name for name in order if name in names]
    assert ("converged" in names) == (curve["gate_step"] is not None)
    for phase in phases:
        assert phase.entropy_last == curve["entropy"][curve["step"].index(phase.last_step)]


@given(curves())
def test_melting_ends_at_the_peak_unless_the_gate_cuts_it(curve: dict[str, Any]) -> None:
    curve["gate_step"] = None
    melting = [p for p in find_phases(**curve, log_vocab=LOG_VOCAB) if p.name == "melting"]
    rise = max(curve["entropy"]) - curve["entropy"][0]
    assert bool(melting) == (rise >= 0.05 * LOG_VOCAB)
    assert all(phase.entropy_last == max(curve["entropy"]) for phase in melting)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"step": [], "accuracy": [], "entropy": []}, "non-empty"),
        ({"step": [1, 1, 2]}, "strictly increasing"),
        ({"step": [2, 1, 3]}, "strictly increasing"),
        ({"accuracy": [0.1, 0.2]}, "accuracy has shape"),
        ({"entropy": [1.0, math.nan, 1.0]}, "entropy is not finite at step 2"),
        ({"loss": [1.0, 1.0, math.inf]}, "loss is not finite at step 3"),
        ({"gate_step": 4}, r"gate_step 4 lies outside the curve, steps 1\.\.3"),
        ({"gate_step": 0}, "gate_step 0 lies outside"),
        ({"log_vocab": 0.0}, "log_vocab must be positive"),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], message: str) -> None:
    good = {
        "step": [1, 2, 3],
        "accuracy": [0.1, 0.2, 0.3],
        "entropy": [1.0, 2.0, 1.0],
        "log_vocab": LOG_VOCAB,
    }
    assert find_phases(**good)
    with pytest.raises(ValueError, match=message):
        find_phases(**{**good, **changes})
