"""The coherence trap, told from a run's metrics while it runs: certainty rises, and nothing is learned.

Compared are means over the first and over the last `window` steps. The trap is the conjunction of five signs, since
each alone also happens to a healthy run: one that masters its task gets certain, repeats itself and has groups without
variance, too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

METRICS = ("reward", "strict", "all_wrong_groups", "distinct_share", "phi")


@dataclass(frozen=True)
class Limits:
    """How far each sign must have gone. `window`: steps in both means; all others are shares in [0, 1]."""

    window: int
    all_wrong_groups: float
    """Groups of which no completion is right, at least: nothing that the task could teach is left in them."""
    distinct: float
    """Share of distinct completions, at most this part of what it was at first."""
    uncertainty: float
    """1 - Phi, at most this part of what it was at first."""


@dataclass(frozen=True)
class Sign:
    """A metric's mean at first and at last, and the value that it had to reach."""

    first: float
    last: float
    limit: float


@dataclass
class TrapAlarm:
    """Sounds once: at the first step where the reward has not fallen, strict accuracy has not risen, almost all groups
    are wrong as a whole, completions repeat, and 1 - Phi has shrunk. The two windows never overlap.

    ValueError in `update` for a missing metric; one that is not finite makes its windows silent.
    """

    limits: Limits
    seen: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in METRICS})
    step: int | None = None

    def update(self, step: int, metrics: Mapping[str, float]) -> dict[str, Sign] | None:
        """Takes one step's METRICS; the evidence at the one step that sounds the alarm, else None."""
        missing = set(METRICS) - set(metrics)
        if missing:
            raise ValueError(f"the alarm needs {', '.join(sorted(missing))}")
        for name in METRICS:
            self.seen[name].append(float(metrics[name]))
        if self.step is not None or len(self.seen["reward"]) < 2 * self.limits.window:
            return None
        signs = self._signs()
        if not all(reached(name, sign) for name, sign in signs.items()):
            return None
        self.step = int(step)
        return signs

    def _signs(self) -> dict[str, Sign]:
        width, limits = self.limits.window, self.limits
        first = {name: float(np.mean(values[:width])) for name, values in self.seen.items()}
        last = {name: float(np.mean(values[-width:])) for name, values in self.seen.items()}
        wanted = {
            "reward": first["reward"],
            "strict": first["strict"],
            "all_wrong_groups": limits.all_wrong_groups,
            "distinct_share": limits.distinct * first["distinct_share"],
            "phi": 1 - limits.uncertainty * (1 - first["phi"]),
        }
        return {name: Sign(first[name], last[name], wanted[name]) for name in METRICS}


def reached(name: str, sign: Sign) -> bool:
    """Whether a sign has gone as far as its limit: accuracy and distinct completions down, the others up."""
    return sign.last <= sign.limit if name in ("strict", "distinct_share") else sign.last >= sign.limit
