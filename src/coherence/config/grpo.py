"""Stage `grpo`: group-relative policy optimization from the SFT checkpoint, one run per arm and seed."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator

from coherence.config.strict import Strict


class CarlWeights(Strict):
    """Weights of the composite R = w_m * multiscale + w_c * cloud quality + w_d * discontinuity."""

    multiscale: float
    cloud_quality: float
    discontinuity: float


class Start(Strict):
    """There must be something to learn: limits on the SFT checkpoint's completions of GRPO prompts, per seed."""

    prompts: int = Field(ge=1)
    min_accuracy: float = Field(ge=0, le=1)
    """Strict, greedy."""
    max_accuracy: float = Field(ge=0, le=1)
    max_zero_variance: float = Field(ge=0, le=1)
    """Share of groups whose sampled completions all earn the same task reward (the arms' verifiable rewards)."""


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
    temperature: float = Field(gt=0)
    max_completion_length: int = Field(ge=1)
    beta: float = Field(ge=0)
    loss_type: Literal["grpo", "dapo", "dr_grpo", "bnpo"]
    scale_rewards: Literal["group", "batch", "none"]
    adam_beta2: float = Field(gt=0, lt=1)
    max_grad_norm: float = Field(gt=0)
    carl_weights: CarlWeights
    require_crystallized: bool
    """Refuse to start from an SFT run whose gate never fired."""
    max_unscored_share: float = Field(ge=0, le=1)
    """Share of completions without a finite reward above which the run ends `over_nan_budget`."""
    store_every: int = Field(ge=1)
    """Steps between stored samples of completions with their token traces."""
    start: Start
    arms: dict[str, Arm] = Field(min_length=1)

    @field_validator("arms")
    @classmethod
    def _arm_names(cls, arms: dict[str, Arm]) -> dict[str, Arm]:
        for name in arms:
            if name == "sft" or not name.replace("+", "").replace("-", "").replace("_", "").isalnum():
                raise ValueError(f"arm name '{name}': letters, digits, + - _ only, and 'sft' is taken")
        return arms


def settings(study: Mapping[str, Any], arm: str, seed: int) -> dict[str, Any]:
    """The part of a resolved study that decides what one GRPO run is: its own arm alone, not its neighbours."""
    shared = {key: value for key, value in study["grpo"].items() if key not in ("arms", "start")}
    return {"grpo": shared, "arm": study["grpo"]["arms"][arm], "task": study["data"]["task"], "seed": seed}


def start_settings(study: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the check of the start."""
    grpo = study["grpo"]
    keys = ("temperature", "max_completion_length", "num_generations", "start")
    rewards = {name: w for arm in grpo["arms"].values() for name, w in arm["rewards"].items() if name != "carl"}
    shared = {key: grpo[key] for key in keys}
    return {"grpo": shared, "rewards": rewards, "task": study["data"]["task"], "seeds": study["seeds"]}
