"""Load a language model and its tokenizer from a folder, and put text into the ids that every stage uses.

Only safetensors, never remote code. One encoding for all stages: training, rollouts and evaluation must see the
same prompt ids, or logged coherence and rewarded coherence are not the same quantity.
"""

import math
import textwrap
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch.distributed.tensor import DTensor
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoTokenizer,
    GenerationConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    ProcessorMixin,
)
from transformers.utils import logging as transformers_logging


def quiet() -> None:
    """No progress bars and no advice from the libraries in the log; one thread, parallelism is Snakemake's."""
    import datasets

    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    datasets.disable_progress_bars()


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The folder's tokenizer, padding on the left; ValueError where there is none, or it has no end token."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, padding_side="left")
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"{folder}: no tokenizer loads from it ({_first_words(error)}); tokenizer.json and tokenizer_config.json"
            " of the model must lie there, whole"
        ) from error
    if tokenizer.eos_token_id is None:
        raise ValueError(f"{folder}: the tokenizer has no end-of-sequence token, so no completion could end")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(folder: Path, device: str, images: bool = False) -> PreTrainedModel:
    """The folder's causal LM in float32, without dropout; with `images` the vision-language model that it must be.

    ValueError where weights are not safetensors, not whole, or not of its config, where a vision tower would be left
    out or idle, or the device is not there.
    """
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        raise ValueError(f"{folder} is not a model folder (config.json and *.safetensors are needed)")
    check_device(device)
    config = load_config(folder, images)
    try:
        model, report = (AutoModelForImageTextToText if images else AutoModelForCausalLM).from_pretrained(
            str(folder),
            config=config,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ValueError(_broken(folder, error)) from error
    if report["missing_keys"]:
        raise ValueError(
            f"{folder}: the weights lack {min(report['missing_keys'])}: a file is missing, or is another's"
        )
    if left_out := [key for key in sorted(report["unexpected_keys"]) if "vis" in key or "image" in key]:
        raise ValueError(
            f"{folder}: {type(model).__name__} would drop the vision tower ({left_out[0]}): mend config.json"
        )
    return model.to(device)


def load_config(folder: Path, images: bool) -> PretrainedConfig:
    """The folder's config, without dropout. ValueError where the task shows images and the model sees none, or the
    other way round."""
    try:
        config = _without_dropout(AutoConfig.from_pretrained(str(folder), local_files_only=True))
    except (OSError, ValueError) as error:
        raise ValueError(_broken(folder, error)) from error
    sees = getattr(config, "vision_config", None) is not None
    if images and not sees:
        raise ValueError(f"{folder}: the task shows images, but a {config.model_type} model has no vision tower")
    if sees and not images and not _has_text_class(config):
        raise ValueError(
            f"{folder}: a {config.model_type} model has a vision tower, which a task without images would drop or leave"
            " idle: take task screens, or a text model"
        )
    if getattr(config.get_text_config(), "output_router_logits", False):
        config.get_text_config().output_router_logits = False  # trainers ask for them; generate fails on them
    return config


def _has_text_class(config: PretrainedConfig) -> bool:
    """Whether the library has a class for this model's language part alone, and reads it from the whole checkpoint."""
    model = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
    return model is not None and model.config_class is type(config.get_text_config())


def load_pretrained(
    folder: Path, device: str, images: bool = False
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase, int]:
    """Model, tokenizer, and the rows that its head had: cut to one per token, since rows that no token has would share
    the probability and enter ln V. Its own sampling habits (repetition penalty, top-k) are left behind."""
    tokenizer, model = load_tokenizer(folder), load_model(folder, device, images)
    rows = int(model.get_output_embeddings().weight.shape[0])
    if rows > len(tokenizer):
        model.resize_token_embeddings(len(tokenizer))
    check_head(model, tokenizer)
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    model.generation_config = GenerationConfig(**ends)
    return model, tokenizer, rows


def _without_dropout(config: PretrainedConfig) -> PretrainedConfig:
    """Every rate of dropout, and of a router's noise, at 0: Phi is of the whole network, in training as in evaluation,
    and can be recomputed."""
    for name, value in config.to_dict().items():
        if ("drop" in name or "jitter" in name) and isinstance(value, float):
            setattr(config, name, 0.0)
    for name in config.sub_configs:
        if isinstance(part := getattr(config, name, None), PretrainedConfig):
            _without_dropout(part)
    return config


def _broken(folder: Path, error: Exception) -> str:
    why = _first_words(error)
    return f"{folder}: the model does not load ({why}); config.json and *.safetensors must be whole, and of one model"


def _first_words(error: Exception) -> str:
    if "ignore_mismatched_sizes" in str(error):
        return "the weights have other shapes than config.json says"
    return textwrap.shorten(str(error), 120, placeholder=" ...")


def check_device(device: str) -> None:
    """ValueError where the study asks for a GPU and there is none."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ValueError("compute.device is cuda, but there is none: run on a GPU, or set it to cpu")


def context_of(config: PretrainedConfig) -> float:
    """Positions (tokens) that a model has; infinite where it sets no bound."""
    positions: int | None = config.get_text_config().to_dict().get("max_position_embeddings")
    return positions or math.inf


def check_context(config: PretrainedConfig, tokens: int) -> None:
    """ValueError where so many tokens are more than the model has positions."""
    if tokens > context_of(config):
        raise ValueError(
            f"{tokens} tokens do not fit the model's context of {context_of(config)}: lower data.max_tokens,"
            " grpo.max_completion_length or evaluate.max_new_tokens"
        )


def is_finite(model: torch.nn.Module) -> bool:
    """Whether every parameter is a finite number; a run that diverged has one that is not. Of a part, that part."""
    parts = (part.to_local() if isinstance(part, DTensor) else part for part in model.parameters())
    return all(bool(part.isfinite().all()) for part in parts)


def causal_lm(model: PreTrainedModel) -> PreTrainedModel:
    """The language model itself, where adapters are put around it."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def check_head(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> int:
    """|V| of the order parameter. ValueError for a padded head: its dead rows would count as vocabulary."""
    rows = int(model.get_output_embeddings().weight.shape[0])
    if rows != len(tokenizer):
        raise ValueError(
            f"the head has {rows} rows but the tokenizer {len(tokenizer)} tokens: are they of one model? (padding of a"
            " head is cut off where a study's base comes in)"
        )
    return rows


def render_prompt(tokenizer: PreTrainedTokenizerBase, instruction: str) -> str:
    """The instruction inside the chat template, ready for an answer; as it is where there is no template."""
    if tokenizer.chat_template is None:
        return instruction
    messages = [{"role": "user", "content": instruction}]
    text = str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
    adds_bos = tokenizer("")["input_ids"][:1] == [tokenizer.bos_token_id] and tokenizer.bos_token is not None
    return text.removeprefix(tokenizer.bos_token) if adds_bos else text


def prompt_ids(tokenizer: PreTrainedTokenizerBase, prompt: str) -> list[int]:
    """Ids of a rendered prompt, with the start token where the tokenizer puts one: as TRL's GRPOTrainer does."""
    return list(tokenizer(prompt)["input_ids"])


def prompt_length(tokenizer: PreTrainedTokenizerBase, row: Mapping[str, Any]) -> int:
    """Tokens of a row's prompt; with an image they were counted when the data set was made."""
    return int(row["prompt_tokens"]) if "prompt_tokens" in row else len(prompt_ids(tokenizer, row["prompt"]))


def completion_ids(tokenizer: PreTrainedTokenizerBase, completion: str) -> tuple[list[int], list[tuple[int, int]]]:
    """Ids of a gold completion with its end token, and each token's character span (the end token's is empty)."""
    encoded: Any = tokenizer(completion, add_special_tokens=False, return_offsets_mapping=True)
    spans = [(int(a), int(b)) for a, b in encoded["offset_mapping"]]
    return [*encoded["input_ids"], tokenizer.eos_token_id], [*spans, (len(completion), len(completion))]


def judged_text(tokenizer: PreTrainedTokenizerBase, ids: list[int]) -> str:
    """What a completion says, to strict judges: other special tokens show, one that never ended ends in an ellipsis.

    Decoding without special tokens would let `click(<|im_start|>13, 23)` pass for a right answer.
    """
    ended = ids[-1:] == [tokenizer.eos_token_id]
    text = str(tokenizer.decode(ids[:-1] if ended else ids, skip_special_tokens=False))
    return text if ended else text + "\N{HORIZONTAL ELLIPSIS}"


def save_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase | ProcessorMixin,
    folder: Path,
    state: dict[str, Any] | None = None,
) -> None:
    """Weights (safetensors; `state`, where the model holds only parts of them), config and tokenizer, or the processor
    with it, into `folder`."""
    model.save_pretrained(folder, safe_serialization=True, state_dict=state)
    tokenizer.save_pretrained(folder)
