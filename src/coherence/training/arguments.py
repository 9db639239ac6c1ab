"""Trainer arguments that pre-training, SFT and GRPO share."""

from pathlib import Path
from typing import Any

from coherence.config.compute import Compute


def common_arguments(
    learning_rate: float, adam_beta2: float, compute: Compute, folder: Path, seed: int
) -> dict[str, Any]:
    """Log every step, save nothing by itself, report to nobody."""
    return {
        "output_dir": str(folder / ".trainer"),
        "learning_rate": learning_rate,
        "adam_beta2": adam_beta2,
        "seed": seed,
        "data_seed": seed,
        "use_cpu": compute.device == "cpu",
        "bf16": compute.bf16,
        "gradient_checkpointing": False,
        "dataloader_pin_memory": False,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }
