"""When a cascade may go on from task rewards alone to task rewards and CARL: a rise that noise does not explain.

The published self-calibrating gate compares the last values with a percentile of all values so far, the last ones
included: a timer, which a constant sets off (`compat_cascade.gate_fires_at` reproduces it). Here the level is that of
the first `baseline` values alone, and the number of looks is paid for.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from scipy import stats


@dataclass
class RiseGate:
    """Fires once, when the mean of the last `window` values lies above that of the first `baseline` ones: pooled t,
    one-sided, at alpha / looks, so that independent normal noise fires it in at most a share alpha of runs of `steps`.

    Values that drift or are correlated in time fire it more often. ValueError for a gate that can never fire.
    """

    baseline: int
    window: int
    alpha: float
    steps: int
    values: list[float] = field(default_factory=list)
    fired_step: int | None = None

    def __post_init__(self) -> None:
        if min(self.baseline, self.window) < 2 or not 0 < self.alpha < 1:
            raise ValueError("a gate on a rise needs baseline >= 2, window >= 2 and alpha between 0 and 1")
        if self.looks < 1:
            raise ValueError(
                f"baseline {self.baseline} and window {self.window} do not fit into {self.steps} steps: the gate can"
                " never fire"
            )
        self.needed = float(stats.t.isf(self.alpha / self.looks, self.freedom))

    @property
    def freedom(self) -> int:
        """Of the pooled variance."""
        return self.baseline + self.window - 2

    @property
    def looks(self) -> int:
        """How often a run of `steps` values is looked at."""
        return self.steps - self.baseline - self.window + 1

    def update(self, step: int, value: float | None) -> bool:
        """Takes the value logged at a step; True at the one step that fires the gate. What is no number is skipped."""
        if value is None or not math.isfinite(value) or self.fired_step is not None:
            return False
        self.values.append(float(value))
        if len(self.values) < self.baseline + self.window or not self._has_risen():
            return False
        self.fired_step = int(step)
        return True

    def _has_risen(self) -> bool:
        first, last = np.array(self.values[: self.baseline]), np.array(self.values[-self.window :])
        squares = first.var() * self.baseline + last.var() * self.window
        error = math.sqrt(squares / self.freedom * (1 / self.baseline + 1 / self.window))
        return bool(last.mean() - first.mean() > self.needed * error)
