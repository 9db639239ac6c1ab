"""What a trainer's weights become: adapters (LoRA), or parts held by several processes (FSDP), and whole again to save.

Several processes must come to every gathering together, so all that they decide by is first made equal on all of them.
"""

from pathlib import Path

import torch
from peft import LoraConfig
from torch.distributed.fsdp import MixedPrecisionPolicy
from transformers import PreTrainedTokenizerBase, ProcessorMixin, Trainer

from coherence.config.lora import Lora
from coherence.models.load import is_finite, save_model


def adapters(lora: Lora | None) -> LoraConfig | None:
    """PEFT's settings: all linear layers but the head, which TRL's scoring reads directly; no dropout, as elsewhere."""
    if lora is None:
        return None
    return LoraConfig(r=lora.r, lora_alpha=lora.alpha, target_modules="all-linear", task_type="CAUSAL_LM")


def shard_layer_by_layer(trainer: Trainer) -> None:
    """How FSDP cuts the model up, where it is used: by the layers that it has (Qwen3.5's text model names others too).

    It computes with bf16 weights, but sums gradients and gives log-probabilities and entropies in float32: accelerate's
    own policy would round those to bf16 too, and ratios of probabilities would go in steps of a percent.
    """
    plugin = getattr(trainer.accelerator.state, "fsdp_plugin", None)
    if plugin is None:
        return
    layers = {type(module).__name__ for module in trainer.model.modules()}
    plugin.transformer_cls_names_to_wrap = sorted(layers & set(trainer.model._no_split_modules))
    if trainer.args.bf16:
        plugin.mixed_precision_policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)


def diverged(trainer: Trainer) -> bool:
    """Whether a weight on any process is no longer a finite number."""
    found = torch.tensor(float(not is_finite(trainer.model)), device=trainer.accelerator.device)
    return bool(trainer.accelerator.reduce(found, reduction="sum") > 0)


def save_trained(trainer: Trainer, tokenizer: PreTrainedTokenizerBase | ProcessorMixin, folder: Path) -> None:
    """The model as every stage reads one, adapters merged (rounded once, in float32) and parts gathered.

    Ends the training: the adapters are gone afterwards.
    """
    model = trainer.model
    if hasattr(model, "merge_and_unload"):
        model = model.merge_and_unload()
    if not trainer.is_fsdp_enabled:
        save_model(model, tokenizer, folder)
        return
    state = trainer.accelerator.get_state_dict(model)
    if state:  # gathered on the first process alone; gathered weights no longer know that they are tied
        twice = model.all_tied_weights_keys
        save_model(model, tokenizer, folder, {name: part for name, part in state.items() if name not in twice})
