"""A pretrained causal LM by its folder or hub id."""

import re
from pathlib import Path

from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase

from coherence.config.resolved import MODEL_FILES, WEIGHTS
from coherence.models.load import check_head, fetch, load_model, load_tokenizer
from coherence.provenance.place import Place

HUB_ID = re.compile(r"\w[\w.-]*(/[\w.-]+)?")
NEEDED = f"config.json, *{WEIGHTS} and the tokenizer's files"


def model_folder(name: str) -> Path:
    """The folder `name` itself, or the cached files of the hub id `name` (branch main); ValueError for neither."""
    folder = Path(name)
    if not folder.is_dir():
        if not HUB_ID.fullmatch(name):
            raise ValueError(f"--model {name}: there is no such folder, and it is no hub id")
        try:
            folder = fetch(name, "main")
        except (OSError, ValueError) as error:
            why = f"the hub does not give it ({str(error).splitlines()[0]})"
            raise ValueError(f"--model {name}: no such folder, and {why}: give a folder with {NEEDED}") from None
    if not (folder / "config.json").is_file() or not any(folder.glob(f"*{WEIGHTS}")):
        raise ValueError(f"--model {name}: {folder} is not a model folder ({NEEDED} are needed)")
    return folder


def model_inputs(folder: Path) -> dict[str, Path]:
    """What an artifact that starts from this model is made from: the artifact in the folder, or its single files."""
    if Place(folder).manifest.is_file():
        return {"model": folder}
    return {f"model/{file.name}": file for file in sorted(folder.iterdir()) if file.suffix in MODEL_FILES}


def load_pretrained(folder: Path, device: str) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Model (float32) and tokenizer, with one head row per token and no sampling habits of the model's own."""
    tokenizer, model = load_tokenizer(folder), load_model(folder, device)
    if model.get_output_embeddings().weight.shape[0] > len(tokenizer):  # a padded head
        model.resize_token_embeddings(len(tokenizer))
    check_head(model, tokenizer)
    ends = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    model.generation_config = GenerationConfig(**ends)
    return model, tokenizer


def context_of(model: PreTrainedModel) -> float:
    """Positions (tokens) that the model has; infinite where it sets no bound."""
    positions: int | None = model.config.get_text_config().to_dict().get("max_position_embeddings")
    return positions or float("inf")
