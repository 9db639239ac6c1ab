"""Pre-training of the embedded base model: completion-only loss on generated questions and answers."""

import math
from pathlib import Path

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from coherence.config.base import EmbeddedModel, Pretraining
from coherence.config.compute import Compute
from coherence.models.embedded import pretraining_pairs
from coherence.models.load import render_prompt
from coherence.provenance.scratch import Scratch
from coherence.training.arguments import common_arguments
from coherence.training.supervised import make_trainer


def pretrain(
    config: EmbeddedModel,
    compute: Compute,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    folder: Path,
    rng: np.random.Generator,
    seed: int,
    scratch: Scratch | None = None,
) -> None:
    """Train `model` in place on config.prior's text; metrics.jsonl goes into `folder`."""
    rows = [
        {"prompt": render_prompt(tokenizer, question), "completion": answer, "content": ()}
        for question, answer in pretraining_pairs(config, rng)
    ]
    settings = config.pretraining
    arguments = {
        **common_arguments(settings.learning_rate, settings.adam_beta2, compute, folder, seed),
        "weight_decay": settings.weight_decay,
        "per_device_train_batch_size": settings.batch_size,
        "max_steps": settings.steps,
    }
    trainer = make_trainer(model, tokenizer, rows, arguments, lambda step: cosine(settings, step), folder, [])
    trainer.train_in(scratch)


def cosine(settings: Pretraining, step: int) -> float:
    """Learning-rate factor: linear warm-up, then half a cosine down to zero at the last step."""
    if step < settings.warmup_steps:
        return (step + 1) / settings.warmup_steps
    progress = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    return 0.5 * (1.0 + math.cos(math.pi * progress))
