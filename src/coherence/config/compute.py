"""Where and in which precision a study computes. It changes numbers, so it is part of what every model artifact is."""

from typing import Literal

from pydantic import model_validator

from coherence.config.strict import Strict


class Compute(Strict):
    """Weights and optimizer state are float32 throughout; bf16 means autocast over them while training."""

    device: Literal["cpu", "cuda"]
    bf16: bool

    @model_validator(mode="after")
    def _bf16_needs_cuda(self) -> "Compute":
        if self.bf16 and self.device == "cpu":
            raise ValueError("bf16 is for device: cuda")
        return self
