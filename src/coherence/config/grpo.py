"""Stage `grpo`: group-relative policy optimization from the SFT checkpoint, one run per arm and seed."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from coherence.config.compute import in_one_process
from coherence.config.strict import Strict

TASKLESS = ("carl", "diversity_cosine", "diversity_edit")
"""Rewards of every task: CARL, and how unlike the others of its group a completion is."""


class CarlWeights(Strict):
    """Weights of the composite R = w_m * multiscale + w_c * cloud quality + w_d * discontinuity."""

    multiscale: float = Field(ge=0)
    cloud_quality: float = Field(ge=0)
    discontinuity: float = Field(ge=0)


class Start(Strict):
    """There must be something to learn: limits on the SFT checkpoint's completions of GRPO prompts, per seed."""

    prompts: int = Field(ge=1)
    min_accuracy: float = Field(ge=0, le=1)
    """Strict, greedy."""
    max_accuracy: float = Field(ge=0, le=1)
    max_zero_variance: float = Field(ge=0, le=1)
    """Share of groups whose sampled completions all earn the same from an arm's verifiable rewards."""

    @model_validator(mode="after")
    def _not_empty(self) -> "Start":
        if self.min_accuracy > self.max_accuracy:
            raise ValueError("min_accuracy is above max_accuracy: no checkpoint could pass")
        return self


class RiseGate(Strict):
    """Fires when the last `window` values of a metric lie above its first `baseline` ones, beyond noise."""

    metric: str
    """As metrics.jsonl has it, e.g. task/click or coherence/crystallizations."""
    baseline: int = Field(ge=2)
    window: int = Field(ge=2)
    alpha: float = Field(gt=0, lt=1)
    """Share of runs of independent noise that it fires in, at most."""


class Cascade(Strict):
    """CARL weighs nothing until a step or a gate; from there its weight, and no other, rises linearly."""

    start: int | None = Field(default=None, ge=1)
    """The first step at which CARL is paid."""
    gate: RiseGate | None = None
    ramp: int = Field(ge=1)
    """Steps until the whole weight is paid; 1 pays it at once."""

    @model_validator(mode="after")
    def _one_start(self) -> "Cascade":
        if (self.start is None) == (self.gate is None):
            raise ValueError("a cascade has either `start` (a step) or `gate`")
        return self


class Entropy(Strict):
    """TRL's adaptive entropy coefficient: it grows by `delta` each step while the entropy lies below `target`."""

    target: float = Field(gt=0)
    """Nats per token, at the temperature of sampling."""
    delta: float = Field(gt=0)
    max_coefficient: float = Field(gt=0)


class Alarm(Strict):
    """When a run is in the coherence trap: core/alarm.py tells what is compared. It needs two windows of steps."""

    window: int = Field(ge=2)
    all_wrong_groups: float = Field(gt=0, le=1)
    distinct: float = Field(gt=0, lt=1)
    uncertainty: float = Field(gt=0, lt=1)


class Arm(Strict):
    """One arm: reward name -> weight, and what it does otherwise than the section. The total is the weighted sum."""

    rewards: dict[str, float] = Field(min_length=1)
    cascade: Cascade | None = None
    decay: dict[str, int] = Field(default_factory=dict)
    """Reward -> steps over which its weight falls linearly to 0."""
    phase_adaptive: bool = False
    """The weights within CARL follow Kuramoto's R of the batch before, as published."""
    entropy: Entropy | None = None
    temperature: float | None = Field(default=None, gt=0)
    top_k: int | None = Field(default=None, ge=1)
    """Sample from the k most probable tokens only. Phi stays that of the whole distribution."""
    run_on: bool = False
    """The alarm is noted and the run goes on, for runs in which the trap itself is what is looked at."""

    @model_validator(mode="after")
    def _options_agree(self) -> "Arm":
        if (self.cascade or self.phase_adaptive) and "carl" not in self.rewards:
            raise ValueError("cascade and phase_adaptive are about the reward `carl`, which this arm does not pay")
        for name, steps in self.decay.items():
            if name not in self.rewards or steps < 1:
                raise ValueError(f"decay: '{name}' must be a reward of this arm, and its steps at least 1")
        if self.cascade and "carl" in self.decay:
            raise ValueError("carl cannot both rise (cascade) and fall (decay)")
        return self


class GrpoConfig(Strict):
    """TRL GRPOTrainer; the fields bear TRL's names where TRL has one."""

    learning_rate: float = Field(gt=0)
    steps: int = Field(ge=1)
    prompts_per_step: int = Field(ge=1)
    num_generations: int = Field(ge=2)
    """Completions per prompt: the group."""
    temperature: float = Field(gt=0)
    """Of sampling. Phi is that of temperature 1, whatever is sampled at."""
    max_completion_length: int = Field(ge=1)
    generation: Literal["transformers", "vllm"] = "transformers"
    """What samples the completions. vllm (which a person installs) shares the GPUs with training, needs `device: cuda`,
    and the difference between the two is corrected by importance sampling, as TRL does."""
    beta: float = Field(ge=0)
    loss_type: Literal["grpo", "dapo", "dr_grpo", "bnpo"]
    scale_rewards: Literal["group", "batch", "none"]
    multi_objective_aggregation: Literal["sum_then_normalize", "normalize_then_sum"] = "sum_then_normalize"
    adam_beta2: float = Field(gt=0, lt=1)
    max_grad_norm: float = Field(gt=0)
    carl_weights: CarlWeights
    require_crystallized: bool
    """Refuse to start from an SFT run whose gate never fired."""
    max_unscored_share: float = Field(ge=0, le=1)
    """Share of all completions of the run that may lack a finite reward; beyond it the run ends `over_nan_budget`."""
    store_every: int = Field(ge=1)
    """Steps between stored samples of completions with their token traces."""
    alarm: Alarm | None = None
    """Without it no run is stopped for being in the trap."""
    start: Start
    arms: dict[str, Arm] = Field(min_length=1)

    @field_validator("arms")
    @classmethod
    def _arm_names(cls, arms: dict[str, Arm]) -> dict[str, Arm]:
        for name in arms:
            if name == "sft" or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_+-]*", name):
                raise ValueError(f"arm name '{name}': letters, digits, + - _ only, and 'sft' is taken")
        return arms

    @model_validator(mode="after")
    def _schedules_can_act(self) -> "GrpoConfig":
        summed = self.scale_rewards == "group" and self.multi_objective_aggregation == "sum_then_normalize"
        for name, arm in self.arms.items():
            if summed and (arm.cascade or arm.decay):
                raise ValueError(
                    f"arms.{name}: scale_rewards `group` divides a changing weight away where all other rewards of a"
                    " group agree: set scale_rewards to none or batch, or multi_objective_aggregation to"
                    " normalize_then_sum"
                )
            gate = arm.cascade and arm.cascade.gate
            if gate and gate.baseline + gate.window > self.steps:
                raise ValueError(f"arms.{name}: baseline and window of its gate are more than {self.steps} steps")
            if arm.cascade and (arm.cascade.start or 1) > self.steps:
                raise ValueError(f"arms.{name}: its cascade starts after the last step, {self.steps}")
        return self


def settings(study: Mapping[str, Any], arm: str, seed: int) -> dict[str, Any]:
    """The part of a resolved study that decides what one GRPO run is: its own arm alone, not its neighbours."""
    arms = study["grpo"]["arms"]
    if arm not in arms:
        raise ValueError(f"no arm '{arm}' in this study (has: {', '.join(sorted(arms))})")
    shared = {key: value for key, value in study["grpo"].items() if key not in ("arms", "start")}
    return {
        "grpo": shared,
        "arm": arms[arm],
        "lora": study["lora"],
        "task": study["data"]["task"],
        "compute": study["compute"],
        "seed": seed,
    }


def start_settings(study: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """What decides the check of the start: GRPO's sampling, the limits, and the arms' mixes of verifiable rewards."""
    grpo = study["grpo"]
    keys = ("temperature", "max_completion_length", "num_generations", "start")
    mixes: list[dict[str, float]] = []
    for entry in grpo["arms"].values():
        verifiable = {name: weight for name, weight in sorted(entry["rewards"].items()) if name not in TASKLESS}
        if verifiable and verifiable not in mixes:
            mixes.append(verifiable)
    return {
        "grpo": {key: grpo[key] for key in keys},
        "rewards": sorted(mixes, key=str),
        "batch_size": study["evaluate"]["batch_size"],
        "task": study["data"]["task"],
        "compute": in_one_process(study),
        "seed": seed,
    }
