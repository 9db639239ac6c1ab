"""Stage `evaluate`: generations of the held-out split, stored once, scored from the file."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from coherence.config.compute import in_one_process
from coherence.config.strict import Strict


class EvaluateConfig(Strict):
    """Greedy and sampled generations of every held-out prompt."""

    samples: int = Field(ge=1)
    """Sampled completions per prompt, beside the greedy one."""
    temperature: float = Field(gt=0)
    max_new_tokens: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    gate_accuracy: float = Field(ge=0, le=1)
    """Strict greedy accuracy that a checkpoint needs to pass `--gate`."""


def settings(study: Mapping[str, Any], arm: str, seed: int) -> dict[str, Any]:
    """What decides the stored generations of one checkpoint (`arm` is `sft` for the start)."""
    generation = {key: value for key, value in study["evaluate"].items() if key != "gate_accuracy"}
    return {"evaluate": generation, "compute": in_one_process(study), "checkpoint": arm, "seed": seed}


def score_settings(study: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the table of scores: which task, and which checkpoints are pooled."""
    return {
        "task": study["data"]["task"],
        "carl_weights": study["grpo"]["carl_weights"],
        "gate_accuracy": study["evaluate"]["gate_accuracy"],
        "arms": sorted(study["grpo"]["arms"]),
        "seeds": study["seeds"],
    }


def shown_arms(study: Mapping[str, Any]) -> list[str]:
    """Arms that figures show one by one, by name."""
    return sorted(study["figures"]["shown"] or study["grpo"]["arms"])


def compat_settings(study: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the scores by the reference file's conventions: the device, and which checkpoints are pooled."""
    return {"compute": in_one_process(study), "arms": shown_arms(study), "seeds": study["seeds"]}


def baseline_settings(study: Mapping[str, Any]) -> dict[str, Any]:
    """What decides the scores of the baselines: the task alone."""
    return {"task": study["data"]["task"]}
