"""What any Hugging Face config.json says of its model, from the model itself, built without memory.

No table of architectures: the library's own class is made of tensors that have shapes and no storage, and asked.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    LlamaConfig,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING
from transformers.pytorch_utils import Conv1D

from coherence.config.resolved import local_path, model_files


@dataclass(frozen=True)
class Facts:
    """Counts of one model. `targets`: linear modules that LoRA can go to, which is all but the head."""

    architecture: str
    parameters: int
    vocab_size: int
    tied: bool
    modality: str
    context: int | None
    quantization: str | None
    targets: int


def config_of(study: Mapping[str, Any], results: Path) -> PretrainedConfig:
    """The config.json of the model that a resolved study with its results folder starts from; ValueError where it is
    not here."""
    model = study["model"]
    if model["kind"] == "embedded":
        return embedded_config(model)
    if model["kind"] == "hub":
        (manifest,) = model_files(study, results).values()
        fetched = manifest.with_name("config.json")
        return read_config(fetched if fetched.is_file() else _cached(model["id"], model["revision"], manifest))
    if model["kind"] == "run":
        return read_config(model_files(study, results)["checkpoint"].with_name("config.json"))
    return read_config(local_path(study, model["path"]) / "config.json")


def read_config(path: Path) -> PretrainedConfig:
    """A config.json as its library class; ValueError where it is missing, or of no architecture that is known here."""
    if not path.is_file():
        raise ValueError(f"{path} is missing: a model folder holds config.json, *.safetensors and a tokenizer")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return AutoConfig.for_model(**values)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: {' '.join(str(error).split())[:160]}") from None


def _cached(name: str, revision: str, manifest: Path) -> Path:
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(name, "config.json", revision=revision)
    if not isinstance(path, str):
        some = f"`hf download {name} config.json --revision {revision}`"
        raise ValueError(
            f"model: {name} is not here: {some} fetches what a plan needs, `snakemake {manifest}` all of it"
        )
    return Path(path)


def embedded_config(model: Mapping[str, Any]) -> LlamaConfig:
    """The embedded model with all the vocabulary that it asks for (its corpus may give less)."""
    return LlamaConfig(
        vocab_size=model["vocab_size"],
        hidden_size=model["hidden_size"],
        intermediate_size=model["intermediate_size"],
        num_hidden_layers=model["layers"],
        num_attention_heads=model["heads"],
        max_position_embeddings=model["context"],
        tie_word_embeddings=True,
    )


def make_fake(config: PretrainedConfig) -> tuple[PreTrainedModel, FakeTensorMode]:
    """The model in float32 as our programs load it, of tensors without storage, and the mode in which to use it."""
    text = type(config) in MODEL_FOR_CAUSAL_LM_MAPPING
    mode = FakeTensorMode()
    with mode:
        model = (AutoModelForCausalLM if text else AutoModelForImageTextToText).from_config(config, dtype=torch.float32)
    return model.train(), mode


def facts_of(model: PreTrainedModel) -> Facts:
    """Count what can be counted."""
    head, text = model.get_output_embeddings(), model.config.get_text_config()
    quantization = getattr(model.config, "quantization_config", None)
    return Facts(
        architecture=type(model).__name__,
        parameters=model.num_parameters(),
        vocab_size=head.weight.shape[0],
        tied=head.weight is model.get_input_embeddings().weight,
        modality="text" if text is model.config else "images and text",
        context=text.to_dict().get("max_position_embeddings"),
        quantization=quantization and dict(quantization).get("quant_method", "unnamed"),
        targets=len(_targets(model)),
    )


def add_adapters(model: PreTrainedModel, mode: FakeTensorMode, lora: Mapping[str, int]) -> None:
    """What LoRA adds to each of the targets and trains in place of all else: A [r, in] and B [out, r], in float32."""
    model.requires_grad_(False)
    with mode:
        for target in _targets(model):
            inner, outer = target.weight.shape if isinstance(target, Conv1D) else reversed(target.weight.shape)
            target.lora_A = torch.nn.Parameter(torch.empty(lora["r"], inner))
            target.lora_B = torch.nn.Parameter(torch.empty(outer, lora["r"]))
            target.register_forward_hook(_with_adapter)


def _with_adapter(target: Any, args: tuple[torch.Tensor, ...], out: torch.Tensor) -> torch.Tensor:
    low = torch.nn.functional.linear(args[0].to(target.lora_A.dtype), target.lora_A)
    return out + torch.nn.functional.linear(low, target.lora_B) * 1.0


def _targets(model: PreTrainedModel) -> list[Any]:
    head = model.get_output_embeddings()
    return [part for part in model.modules() if isinstance(part, torch.nn.Linear | Conv1D) and part is not head]
