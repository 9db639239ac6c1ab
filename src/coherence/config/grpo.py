"""Stage `grpo`: group-relative policy optimization from the SFT checkpoint, one run per arm and seed."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from coherence.config.compute import in_one_process
from coherence.config.strict import Strict


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


class Arm(Strict):
    """One arm: reward name -> weight. The total is the weighted sum."""

    rewards: dict[str, float] = Field(min_length=1)


class GrpoConfig(Strict):
    """TRL GRPOTrainer; the fields bear TRL's names where TRL has one."""

    learning_rate: float = Field(gt=0)
    steps: int = Field(ge=1)
    prompts_per_step: int = Field(ge=1)
    num_generations: int = Field(ge=2)
    """Completions per prompt: the group."""
    temperature: float = Field(ge=1, le=1)
    """Of sampling. TRL scores at it, and Phi is defined at 1, so it is 1."""
    max_completion_length: int = Field(ge=1)
    generation: Literal["transformers", "vllm"] = "transformers"
    """What samples the completions. vllm (which a person installs) shares the GPUs with training, needs `device: cuda`,
    and the difference between the two is corrected by importance sampling, as TRL does."""
    beta: float = Field(ge=0)
    loss_type: Literal["grpo", "dapo", "dr_grpo", "bnpo"]
    scale_rewards: Literal["group", "batch", "none"]
    adam_beta2: float = Field(gt=0, lt=1)
    max_grad_norm: float = Field(gt=0)
    carl_weights: CarlWeights
    require_crystallized: bool
    """Refuse to start from an SFT run whose gate never fired."""
    max_unscored_share: float = Field(ge=0, le=1)
    """Share of all completions of the run that may lack a finite reward; beyond it the run ends `over_nan_budget`."""
    store_every: int = Field(ge=1)
    """Steps between stored samples of completions with their token traces."""
    start: Start
    arms: dict[str, Arm] = Field(min_length=1)

    @field_validator("arms")
    @classmethod
    def _arm_names(cls, arms: dict[str, Arm]) -> dict[str, Arm]:
        for name in arms:
            if name == "sft" or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_+-]*", name):
                raise ValueError(f"arm name '{name}': letters, digits, + - _ only, and 'sft' is taken")
        return arms


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
        verifiable = {name: weight for name, weight in sorted(entry["rewards"].items()) if name != "carl"}
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
