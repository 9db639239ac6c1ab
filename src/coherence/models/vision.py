"""Prompts with images, for models with a vision tower: the processor, and what a forward takes beside the ids.

Suffix: _BT prompt x position.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoImageProcessor, PreTrainedTokenizerBase, ProcessorMixin
from transformers.models.auto.processing_auto import PROCESSOR_MAPPING

from coherence.models.load import load_config, load_tokenizer


def load_reader(folder: Path, images: bool) -> tuple[PreTrainedTokenizerBase, ProcessorMixin | None]:
    """The folder's tokenizer and, for a task with images, the processor around it."""
    processor = load_processor(folder) if images else None
    return (load_tokenizer(folder) if processor is None else processor.tokenizer), processor


def load_processor(folder: Path) -> ProcessorMixin:
    """The folder's processor of text and images; ValueError where there is none, or it has no chat template.

    Images go through Pillow, whatever else is installed: pixels are then the same everywhere. What would read videos
    is left out: it needs torchvision.
    """
    config, tokenizer = load_config(folder, images=True), load_tokenizer(folder)
    try:
        parts = {
            "image_processor": AutoImageProcessor.from_pretrained(str(folder), backend="pil", local_files_only=True),
            "tokenizer": tokenizer,
        }
        kind = without_videos(PROCESSOR_MAPPING[type(config)])
        settings, _ = kind.get_processor_dict(str(folder), local_files_only=True)
        processor = kind.from_args_and_dict([parts[name] for name in kind.get_attributes()], settings)
    except (OSError, KeyError, TypeError) as error:
        raise ValueError(
            f"{folder}: no processor of images loads from it ({' '.join(str(error).split())[:120]});"
            " preprocessor_config.json or processor_config.json of the model must lie there"
        ) from error
    processor.chat_template = processor.chat_template or tokenizer.chat_template
    if processor.chat_template is None:
        raise ValueError(f"{folder}: the processor has no chat template, which says where an image goes")
    return processor


def without_videos(kind: type[ProcessorMixin]) -> type[ProcessorMixin]:
    """The class of processors under its own name, less its part for videos."""
    names = [name for name in kind.get_attributes() if name != "video_processor"]
    return type(kind.__name__, (kind,), {"get_attributes": classmethod(lambda cls: names)})


def render_image_prompt(processor: ProcessorMixin, instruction: str) -> str:
    """An image's placeholder and the instruction inside the chat template, ready for an answer."""
    said = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": instruction}]}]
    return str(processor.apply_chat_template(said, tokenize=False, add_generation_prompt=True))


@dataclass(frozen=True)
class Shown:
    """A batch of prompts with an image each, as a model takes them."""

    ids: list[list[int]]
    """Of each prompt, with as many placeholders as its image has tokens."""
    marks: dict[str, list[list[int]]]
    """What else a forward asks of each token of a prompt: whether it stands for a piece of an image."""
    pixels: dict[str, torch.Tensor]

    def inputs(self, starts: Sequence[int], length: int, device: torch.device) -> dict[str, torch.Tensor]:
        """All but ids, for rows of so many positions in which each prompt begins at its start; other marks are 0."""
        marks = {
            name: torch.tensor(
                [[0] * a + row + [0] * (length - a - len(row)) for a, row in zip(starts, rows, strict=True)]
            )
            for name, rows in self.marks.items()
        }
        return {name: value.to(device) for name, value in (marks | self.pixels).items()}


def show(processor: ProcessorMixin, prompts: Sequence[str], images: Sequence[Image.Image]) -> Shown:
    """Rendered prompts with their images, through the processor: it resizes what is too large."""
    adds_bos = prompts[0].startswith(processor.tokenizer.bos_token or "\0")  # the template has put it there
    batch = dict(
        processor(
            text=list(prompts),
            images=[[image] for image in images],
            padding=True,
            return_tensors="pt",
            add_special_tokens=not adds_bos,
        )
    )
    ids_BT, mask_BT = batch.pop("input_ids"), batch.pop("attention_mask").bool()

    def unpadded(values_BT: torch.Tensor) -> list[list[int]]:
        return [row[mask].tolist() for row, mask in zip(values_BT, mask_BT, strict=True)]

    marks = {name: unpadded(value) for name, value in batch.items() if value.shape == ids_BT.shape}
    return Shown(unpadded(ids_BT), marks, {name: value for name, value in batch.items() if name not in marks})
