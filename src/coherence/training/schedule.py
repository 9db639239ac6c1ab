"""What each reward of an arm weighs at each step: cascades, decays, and the weights inside CARL."""

import math
from typing import Any, Protocol

import torch
from transformers import TrainerCallback

from coherence.config.grpo import Arm
from coherence.core.cascade import RiseGate
from coherence.core.composite import CompositeWeights
from coherence.core.phase_weights import PHASES, phase_of


class Weighted(Protocol):
    """What a GRPOTrainer pays by, one weight per reward function."""

    reward_weights: torch.Tensor


class RewardSchedule(TrainerCallback):  # type: ignore[misc]
    """Sets the trainer's reward weights before each step, from what has been logged up to the step before.

    Weights are TRL's own, outside the rewards: a cascade scales CARL and nothing else, and rewards stay comparable
    between arms. Nothing here depends on the order of the completions in a batch.
    """

    trainer: Weighted

    def __init__(self, arm: Arm, carl_weights: CompositeWeights, steps: int) -> None:
        self.arm, self.carl_weights = arm, carl_weights
        cascade = arm.cascade
        wanted = cascade.gate if cascade else None
        self.gate = wanted and RiseGate(wanted.baseline, wanted.window, wanted.alpha, steps)
        self.metric = wanted and wanted.metric
        self.start: int | None = cascade.start if cascade else 1
        """The first step at which CARL is paid; None while its gate has not fired."""

    def weights(self, step: int) -> dict[str, float]:
        """What each reward weighs at a step, counted from 1."""
        return {name: weight * self._factor(name, step) for name, weight in self.arm.rewards.items()}

    def _factor(self, name: str, step: int) -> float:
        if name == "carl" and self.arm.cascade:
            return 0.0 if self.start is None else min(1.0, max(0.0, (step - self.start + 1) / self.arm.cascade.ramp))
        return max(0.0, 1 - (step - 1) / self.arm.decay[name]) if name in self.arm.decay else 1.0

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer.reward_weights = torch.tensor(list(self.weights(state.global_step + 1).values()))

    def observe(self, step: int, metrics: dict[str, float]) -> None:
        """Takes the metrics of a step's batch; they decide about the steps after it."""
        if self.gate and self.metric and self.gate.update(step, metrics[self.metric]):
            self.start = step + 1
        if self.arm.phase_adaptive and math.isfinite(metrics["coherence/synchrony"]):
            self.carl_weights = PHASES[phase_of(metrics["coherence/synchrony"])]

    def state_dict(self) -> dict[str, Any]:
        seen = (self.gate.values, self.gate.fired_step) if self.gate else None
        return {"gate": seen, "start": self.start, "inside": vars(self.carl_weights)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if self.gate:
            self.gate.values, self.gate.fired_step = state["gate"]
        self.start, self.carl_weights = state["start"], CompositeWeights(**state["inside"])
