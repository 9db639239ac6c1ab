"""The alarm on made trajectories: the trap, and each of the healthy ways to look like it."""

import numpy as np
import pytest

from coherence.core.alarm import METRICS, Limits, TrapAlarm, reached

LIMITS = Limits(window=10, all_wrong_groups=0.7, distinct=0.75, uncertainty=0.8)
STEPS = 100


def line(first: float, last: float) -> np.ndarray:
    return np.linspace(first, last, STEPS)


TRAP = {
    "reward": line(0.37, 0.44),
    "strict": line(0.24, 0.01),
    "all_wrong_groups": line(0.25, 1.0),
    "distinct_share": line(0.65, 0.1),
    "phi": line(0.92, 0.99),
}


def sounds_at(curves: dict[str, np.ndarray], noise: float = 0.0) -> int | None:
    rng, alarm = np.random.default_rng(0), TrapAlarm(LIMITS)
    for step in range(STEPS):
        alarm.update(step + 1, {name: curves[name][step] + noise * rng.standard_normal() for name in METRICS})
    return alarm.step


def test_the_trap_is_told_once_with_its_evidence() -> None:
    alarm, found = TrapAlarm(LIMITS), []
    for step in range(STEPS):
        signs = alarm.update(step + 1, {name: TRAP[name][step] for name in METRICS})
        found += [signs] if signs else []
    assert len(found) == 1 and alarm.step is not None and 20 <= alarm.step < 80
    assert set(found[0]) == set(METRICS) and all(reached(name, sign) for name, sign in found[0].items())


@pytest.mark.parametrize(
    ("why", "changed"),
    [
        ("it learns its task", {"strict": line(0.2, 0.9), "all_wrong_groups": line(0.3, 0.0)}),
        ("it stays as good as it was", {"all_wrong_groups": line(0.0, 0.0)}),
        ("its reward falls", {"reward": line(0.4, 0.3)}),
        ("its completions stay apart", {"distinct_share": line(0.65, 0.6)}),
        ("it gets no surer", {"phi": line(0.92, 0.92)}),
        ("the task is hard from the start and it learns a little", {"strict": line(0.01, 0.03)}),
    ],
)
def test_one_sign_missing_and_it_is_silent(why: str, changed: dict[str, np.ndarray]) -> None:
    assert sounds_at(TRAP | changed) is None, why


def test_the_windows_never_overlap_and_nan_is_no_evidence() -> None:
    trapped_at_once = {name: np.full(STEPS, curve[-1]) for name, curve in TRAP.items()}
    assert sounds_at(trapped_at_once) is None, "nothing has changed"
    assert sounds_at(TRAP | {"phi": np.full(STEPS, np.nan)}) is None
    with pytest.raises(ValueError, match="distinct_share"):
        TrapAlarm(LIMITS).update(1, {name: 0.0 for name in METRICS if name != "distinct_share"})
