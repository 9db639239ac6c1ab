"""A gate on a logged metric: fires once, when enough of the last values have reached a level."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class WindowedGate:
    """Fires once, at the first step where at least `count` of the last `window` values are >= `threshold`.

    It may fire before the window is full. Raises ValueError for a threshold outside (0, 1], or for a gate
    that could never fire (count > window) or needs no evidence (count < 1).
    """

    threshold: float = 0.99
    window: int = 5
    count: int = 3
    recent: list[float] = field(default_factory=list)
    fired_step: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold must lie in (0, 1], got {self.threshold}")
        if not 1 <= self.count <= self.window:
            raise ValueError(f"count must lie in 1..window ({self.window}), got {self.count}")
        if len(self.recent) > self.window or not all(math.isfinite(value) for value in self.recent):
            raise ValueError(f"recent must hold at most {self.window} finite values, got {self.recent}")

    @property
    def fired(self) -> bool:
        """Whether the gate has fired."""
        return self.fired_step is not None

    def update(self, step: int, value: float | None) -> bool:
        """Takes the value logged at a step; True at the one step that fires the gate.

        A missing value (None, NaN, infinite) is skipped: it neither enters the window nor pushes another out.
        """
        if value is None or not math.isfinite(value):
            return False
        self.recent = [*self.recent, float(value)][-self.window :]
        if self.fired or sum(v >= self.threshold for v in self.recent) < self.count:
            return False
        self.fired_step = int(step)
        return True

    def state(self) -> dict[str, Any]:
        """Settings and memory as plain JSON values; `from_state` continues exactly from there."""
        return asdict(self)

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "WindowedGate":
        """The gate that `state` described. Raises ValueError for missing, unknown or impossible entries."""
        names = set(cls.__dataclass_fields__)
        if set(state) != names:
            raise ValueError(f"gate state must have exactly the entries {sorted(names)}, got {sorted(state)}")
        return cls(**{**state, "recent": list(state["recent"])})
