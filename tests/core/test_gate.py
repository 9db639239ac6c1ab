"""The windowed gate: fires once, on evidence, and survives being written down."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coherence.core import compat
from coherence.core.gate import WindowedGate

values = st.lists(st.sampled_from([0.0, 0.5, 0.98, 0.99, 1.0, None, math.nan, math.inf]), max_size=30)


def _run(gate: WindowedGate, series: list[float | None], first: int = 0) -> list[int]:
    return [step for step, value in enumerate(series, first) if gate.update(step, value)]


def test_it_fires_at_the_third_of_five_and_only_once() -> None:
    gate = WindowedGate()
    assert _run(gate, [0.99, 0.5, 0.99, 0.5, 0.99, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0]) == [4]
    assert gate.fired and gate.fired_step == 4


def test_it_may_fire_before_the_window_is_full_but_not_on_old_evidence() -> None:
    assert _run(WindowedGate(), [1.0, 1.0, 1.0]) == [2]
    assert _run(WindowedGate(), [1.0, 1.0, 0.0, 0.0, 0.0, 1.0]) == []
    assert _run(WindowedGate(threshold=0.5, window=1, count=1), [0.4, 0.5]) == [1]


def test_missing_values_neither_count_nor_push() -> None:
    gate = WindowedGate()
    assert _run(gate, [1.0, None, math.nan, None, None, 1.0, math.nan, math.inf, 1.0]) == [8]
    assert gate.recent == [1.0, 1.0, 1.0]


@given(values)
def test_it_fires_where_counting_says(series: list[float | None]) -> None:
    seen = [(s, v) for s, v in enumerate(series) if v is not None and math.isfinite(v)]
    reached = [step for i, (step, _) in enumerate(seen) if sum(v >= 0.99 for _, v in seen[max(0, i - 4) : i + 1]) >= 3]
    assert _run(WindowedGate(), series) == reached[:1]


@given(st.lists(st.sampled_from([0.0, 0.98, 0.99, 1.0]), max_size=30))
def test_on_finite_series_it_agrees_with_the_reference_gate(series: list[float]) -> None:
    gate, reference = WindowedGate(), compat.PhaseTransitionGate()
    for step, value in enumerate(series):
        assert gate.update(step, value) == reference.check(value, step=step)


@given(values, st.integers(0, 30))
def test_a_gate_written_down_continues_as_if_nothing_had_happened(series: list[float | None], cut: int) -> None:
    whole, first = (
        WindowedGate(threshold=0.5, window=4, count=2),
        WindowedGate(threshold=0.5, window=4, count=2),
    )
    fired = _run(first, series[:cut])
    second = WindowedGate.from_state(json.loads(json.dumps(first.state(), allow_nan=False)))
    assert fired + _run(second, series[cut:], first=len(series[:cut])) == _run(whole, series)
    assert second.state() == whole.state()


def test_a_state_is_a_copy() -> None:
    gate = WindowedGate()
    state = gate.state()
    gate.update(0, 1.0)
    assert state["recent"] == [] and gate.recent == [1.0]
    continued = WindowedGate.from_state(state)
    continued.update(0, 1.0)
    assert state["recent"] == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": 6}, "count must lie in 1..window"),
        ({"count": 0}, "count must lie in 1..window"),
        ({"window": 0, "count": 0}, "count must lie in 1..window"),
        ({"threshold": 0.0}, "threshold must lie in"),
        ({"threshold": 1.01}, "threshold must lie in"),
        ({"threshold": math.nan}, "threshold must lie in"),
        ({"recent": [1.0] * 6}, "recent must hold at most 5 finite values"),
        ({"recent": [math.nan]}, "recent must hold at most 5 finite values"),
    ],
)
def test_gates_that_make_no_sense_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WindowedGate(**settings)  # type: ignore[arg-type]


def test_a_state_with_other_entries_is_refused() -> None:
    state = WindowedGate().state()
    with pytest.raises(ValueError, match="exactly the entries"):
        WindowedGate.from_state({**state, "min_above": 3})
    del state["recent"]
    with pytest.raises(ValueError, match="exactly the entries"):
        WindowedGate.from_state(state)
