"""Where and in which precision a study computes. It changes numbers, so it is part of what every model artifact is."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from coherence.config.strict import Strict


class Compute(Strict):
    """Weights and optimizer state are float32 throughout; bf16 means autocast over them while training."""

    device: Literal["cpu", "cuda"]
    bf16: bool
    processes: int = Field(default=1, ge=1)
    """GPUs of a training job (SFT, GRPO), each with a part of every weight and of every batch; all other jobs take one.
    Where the device is cpu: processes, each with all of the weights."""
    accumulate: int = Field(default=1, ge=1)
    """Parts that a step's rows are cut into on each process, one after the other, so that they fit into its memory."""

    @model_validator(mode="after")
    def _bf16_needs_cuda(self) -> "Compute":
        if self.bf16 and self.device == "cpu":
            raise ValueError("bf16 is for device: cuda")
        return self

    @property
    def loading_device(self) -> str:
        """Where weights are read to: several processes hand them to their own GPUs later."""
        return self.device if self.processes == 1 else "cpu"


def in_one_process(study: Mapping[str, Any]) -> dict[str, Any]:
    """The section `compute` of stages that never take several GPUs: how many training takes is nothing to them."""
    return {**study["compute"], "processes": 1, "accumulate": 1}
