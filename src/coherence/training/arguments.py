"""Trainer arguments that pre-training, SFT and GRPO share."""

from pathlib import Path
from typing import Any

import torch


def common_arguments(learning_rate: float, adam_beta2: float, folder: Path, seed: int) -> dict[str, Any]:
    """Log every step, save nothing by itself, report to nobody, bfloat16 only where there is CUDA."""
    cuda = torch.cuda.is_available()
    return {
        "output_dir": str(folder / ".trainer"),
        "learning_rate": learning_rate,
        "adam_beta2": adam_beta2,
        "seed": seed,
        "data_seed": seed,
        "use_cpu": not cuda,
        "bf16": cuda,
        "gradient_checkpointing": False,
        "dataloader_pin_memory": False,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": True,
    }
