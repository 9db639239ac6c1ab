"""The cascade of carl-studio 0.3.0 (task rewards first, CARL from a step on), to reproduce its numbers.

`gate.WindowedGate` is the one to use.
"""

from collections.abc import Sequence

WINDOW, MIN_ABOVE, PERCENTILE = 5, 3, 0.6


def stage_weight(step: int, carl_start: int, warmup: int, stages: str) -> float:
    """Weight of a reward that is active in `stages`, of A and B. Every reward of stage B ramps, so after division by
    the group's spread nothing does; and a task reward (AB) falls to 1/warmup when B begins."""
    stage = "B" if step >= carl_start else "A"
    if stage not in stages:
        return 0.0
    return min(1.0, (step - carl_start + 1) / warmup) if stage == "B" and warmup else 1.0


def gate_fires_at(values: Sequence[float]) -> int | None:
    """Number of observations when the self-calibrating gate fires: 3 of the last 5 are positive and reach the 60th
    percentile of all so far, among them the 5 themselves. A timer: a constant fires it, and so does noise."""
    for seen in range(WINDOW, len(values) + 1):
        threshold = sorted(values[:seen])[min(int(PERCENTILE * seen), seen - 1)]
        recent = values[seen - WINDOW : seen]
        if threshold > 0 and sum(value >= threshold for value in recent) >= MIN_ABOVE:
            return seen
    return None
