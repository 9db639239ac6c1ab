"""Stage `base`: the language model that everything starts from."""

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from coherence.config.compute import in_one_process
from coherence.config.strict import HUB_NAME, Strict


class Pretraining(Strict):
    """Causal-LM training of the embedded model on generated prose questions and answers."""

    rows: int = Field(ge=1)
    steps: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    learning_rate: float = Field(gt=0)
    """Peak of a cosine schedule."""
    warmup_steps: int = Field(ge=0)
    weight_decay: float = Field(ge=0)
    adam_beta2: float = Field(gt=0, lt=1)


class EmbeddedModel(Strict):
    """A small Llama made inside the DAG: no download, and a prior that is known because we wrote it."""

    kind: Literal["embedded"]
    hidden_size: int = Field(ge=8)
    """Width d; triadic widths are 3*2^k."""
    layers: int = Field(ge=1)
    heads: int = Field(ge=1)
    intermediate_size: int = Field(ge=8)
    context: int = Field(ge=32)
    """Positions (tokens)."""
    vocab_size: int = Field(ge=300)
    """Asked size of the byte-level BPE; the corpus may run out of merges before."""
    prior: Literal["prose", "format", "none"]
    """What pre-training has taught: prose; half prose, half the answer format with random coordinates; nothing."""
    pretraining: Pretraining
    seed: int = Field(ge=0)

    @model_validator(mode="after")
    def _heads_divide_width(self) -> "EmbeddedModel":
        if self.hidden_size % self.heads or (self.hidden_size // self.heads) % 2:
            raise ValueError(f"hidden_size {self.hidden_size} / heads {self.heads} must be an even whole number")
        return self


class LocalModel(Strict):
    """A Hugging Face folder (config.json, *.safetensors, tokenizer files), relative to data_root."""

    kind: Literal["local"]
    path: str

    @field_validator("path")
    @classmethod
    def _relative(cls, path: str) -> str:
        if PurePosixPath(path).is_absolute():
            raise ValueError("give the path relative to data_root, so that the study reads the same on every machine")
        return path


class HubModel(Strict):
    """A model hub id at one commit; a branch or tag may move, a commit cannot."""

    kind: Literal["hub"]
    id: str = Field(pattern=HUB_NAME)
    revision: str = Field(pattern=r"^[0-9a-f]{40}$", description="full commit hash")


class RunModel(Strict):
    """A checkpoint of another study of this clone, by its bytes; that study must be built before."""

    kind: Literal["run"]
    study: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    checkpoint: str = Field(pattern=r"^(base|sft/seed\d+|grpo/[A-Za-z0-9_+-]+/seed\d+)$", description="e.g. sft/seed0")


ModelConfig = Annotated[EmbeddedModel | LocalModel | HubModel | RunModel, Field(discriminator="kind")]


def settings(study: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a resolved study that decides what the base model is."""
    images = {"images": True} if "image" in (study["data"].get("columns") or {}) else {}
    return {"model": study["model"], "compute": in_one_process(study), **images}
