"""Stage `sft`: supervised fine-tuning that stops when it crystallizes."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from coherence.config.strict import Strict


class Gate(Strict):
    """Fires when `count` of the last `window` looks show a token accuracy >= threshold."""

    split: Literal["sft", "validation"]
    """Look at every training batch (sft), or at the validation split every `sft.validate_every` steps."""
    token_class: Literal["content", "format", "all"]
    """Which completion tokens count; format tokens alone can fake a jump."""
    threshold: float = Field(gt=0, le=1)
    window: int = Field(ge=1)
    count: int = Field(ge=1)

    @model_validator(mode="after")
    def _can_fire(self) -> "Gate":
        if self.count > self.window:
            raise ValueError(f"a gate that needs {self.count} of {self.window} steps can never fire")
        return self


class SftConfig(Strict):
    """TRL SFTTrainer, completion-only loss, every step logged."""

    learning_rate: float = Field(gt=0)
    batch_size: int = Field(ge=1)
    bucket: int = Field(ge=1)
    """Batches among which rows are sorted by length before the batches are shuffled; 1 sorts nothing."""
    validate_every: int | None = Field(default=None, ge=1)
    """Steps between looks at the validation split; none without it."""
    max_steps: int = Field(ge=1)
    warmup_steps: int = Field(ge=0)
    cooldown_steps: int = Field(ge=0)
    """Steps over which the learning rate falls to zero once the gate has fired (or max_steps comes near)."""
    weight_decay: float = Field(ge=0)
    adam_beta2: float = Field(gt=0, lt=1)
    max_grad_norm: float = Field(gt=0)
    gate: Gate
    resonance: bool = False
    """Multiply the learning rate by the published resonance factor of the last step's Phi."""
    resonance_steps: int | None = Field(default=None, ge=1)
    """Length of its envelope; without it as published, the steps in which T*(d) tokens are seen."""

    @model_validator(mode="after")
    def _resonance_is_on(self) -> "SftConfig":
        if self.resonance_steps is not None and not self.resonance:
            raise ValueError("resonance_steps is for resonance: true")
        return self

    @model_validator(mode="after")
    def _gate_can_fire(self) -> "SftConfig":
        if self.gate.split == "validation" and self.validate_every is None:
            raise ValueError("the gate looks at the validation split, so validate_every must say how often")
        every = 1 if self.gate.split == "sft" else self.validate_every or 1
        looks = -(-self.max_steps // every)  # the last step is looked at too
        if self.gate.count > looks:
            raise ValueError(f"a gate that needs {self.gate.count} looks can never fire: max_steps gives {looks}")
        return self

    @model_validator(mode="after")
    def _cooldown_fits(self) -> "SftConfig":
        if self.cooldown_steps > self.max_steps:
            raise ValueError(f"cooldown_steps {self.cooldown_steps} is more than max_steps {self.max_steps}")
        return self


def settings(study: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The part of a resolved study that decides what one SFT run is."""
    return {"sft": study["sft"], "lora": study["lora"], "compute": study["compute"], "seed": seed}
