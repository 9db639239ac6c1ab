"""Trainer arguments that pre-training, SFT and GRPO share."""

import os
from pathlib import Path
from typing import Any

from coherence.config.compute import Compute
from coherence.models.load import check_device


def common_arguments(
    learning_rate: float, adam_beta2: float, compute: Compute, folder: Path, seed: int
) -> dict[str, Any]:
    """Log every step, save nothing by itself, report to nobody. ValueError where other than compute.processes run."""
    check_device(compute.device)
    running = int(os.environ.get("WORLD_SIZE", "1"))
    if running != compute.processes:
        launch = f"torchrun --standalone --nproc-per-node {compute.processes} scripts/..."
        raise ValueError(f"compute.processes is {compute.processes}, but {running} run: start it with `{launch}`")
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
        "fsdp": compute.processes > 1,  # over GPUs; accelerate has none over processors, and copies the weights there
    }


def parts_of(rows: int, compute: Compute) -> dict[str, int]:
    """A step's rows as so many on each process at a time."""
    return {
        "per_device_train_batch_size": rows // (compute.processes * compute.accumulate),
        "gradient_accumulation_steps": compute.accumulate,
    }
