"""The resonance factor on a schedule: worked out from a step's Phi before the next step's learning rate is set."""

from collections.abc import Callable
from typing import Any

import torch
from transformers import TrainerCallback

from coherence.core.resonance import UNKNOWN, mean_synchrony, multiplier


class Resonance(TrainerCallback):  # type: ignore[misc]
    """A learning-rate factor: the schedule's own, times the published multiplier for the Phi of the last step."""

    def __init__(self, schedule: Callable[[int], float], length: int) -> None:
        self.schedule, self.length, self.synchrony = schedule, length, UNKNOWN
        self.applied = 1.0
        self.phi: list[Any] = []
        self.gather: Callable[[list[float]], list[float]] = list

    def factor(self, step: int) -> float:
        """From the schedule each time, so that nothing compounds and a warm-up from 0 is left behind."""
        return self.schedule(step) * self.multiplier(step)

    def multiplier(self, step: int) -> float:
        return multiplier(step, self.length, self.synchrony)

    def see(self, phi_BT: torch.Tensor, mask_BT: torch.Tensor) -> None:
        """The Phi of a batch's completion tokens."""
        self.phi += [row[mask].double().cpu().numpy() for row, mask in zip(phi_BT, mask_BT, strict=True)]

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """After the weights, before the schedule; one answer for all processes."""
        self.applied = self.multiplier(state.global_step)
        seen = self.gather([mean_synchrony(self.phi)])
        self.synchrony, self.phi = sum(seen) / len(seen), []

    def state_dict(self) -> dict[str, Any]:
        return {"synchrony": self.synchrony}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.synchrony = state["synchrony"]
