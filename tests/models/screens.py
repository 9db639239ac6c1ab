"""Small random-weight vision-language models, each with a processor made from nothing, and images drawn for them."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image, ImageDraw
from transformers import AutoModelForImageTextToText, PretrainedConfig, PreTrainedTokenizerBase, ProcessorMixin

from coherence.models.load import save_model
from coherence.models.vision import without_videos

SIZES = [(64, 48), (64, 32), (96, 96)]
COLOURS = ("red", "green", "blue", "black")
TURN = "{{ '<|im_start|>' + m['role'] + '\n' }}"
TEMPLATE = (
    "{% for m in messages %}" + TURN + "{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for part in m['content'] %}{% if part['type'] == 'image' %}IMAGE{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 160,
    "attention_dropout": 0.1,
}


def draw(folder: Path, count: int, extra: Sequence[Any] = ()) -> Path:
    """So many images of a coloured box, and click.jsonl that asks for each box; `extra` lines follow."""
    rng, lines = np.random.default_rng(0), list[Any]()
    (folder / "shots").mkdir(parents=True)
    for number in range(count):
        wide, high = SIZES[number % len(SIZES)]
        left, top = int(rng.integers(wide - 16)), int(rng.integers(high - 16))
        box, colour = [left, top, left + 15, top + 15], COLOURS[number % len(COLOURS)]
        image = Image.new("RGB", (wide, high), "white")
        ImageDraw.Draw(image).rectangle(box, fill=colour)
        image.save(folder / f"shots/{number}.png")
        lines.append({"shot": f"shots/{number}.png", "say": f"Click the {colour} box", "box": box})
    text = [line if isinstance(line, str) else json.dumps(line) for line in [*lines, *extra]]
    (folder / "click.jsonl").write_text("\n".join(text) + "\n")
    return folder / "click.jsonl"


DATA = {
    "task": "screens",
    "source": {"file": "click.jsonl"},
    "columns": {"image": "shot", "instruction": "say", "bbox": "box"},
    "boxes": "pixels",
    "test_share": 0.25,
    "validation_share": 0.1,
    "max_tokens": 120,
    "seed": 0,
}


def tokenizer(marks: Sequence[str]) -> PreTrainedTokenizerBase:
    texts = [
        "Click the red box, the green, the blue, the black",
        *(f"click({n}, {1000 - n})" for n in range(0, 1000, 9)),
    ]
    special = ["<|im_start|>", "<|im_end|>", *marks]
    made = transformers.Qwen2Tokenizer().train_new_from_iterator(texts, 330, new_special_tokens=special)
    made.eos_token = "<|im_end|>"
    return made


def qwen3_vl() -> tuple[PretrainedConfig, ProcessorMixin]:
    """Pieces of an image by height and width in the rotary positions; features of the tower enter several layers."""
    names = ("vision_start", "vision_end", "image_pad", "video_pad")
    made = tokenizer([f"<|{name}|>" for name in names])
    ids = [made.convert_tokens_to_ids(f"<|{name}|>") for name in names]
    keys = ("vision_start_token_id", "vision_end_token_id", "image_token_id", "video_token_id")
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 2, 2], "mrope_interleaved": True}
    tower = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "patch_size": 8, "out_hidden_size": 32,
        "num_position_embeddings": 64, "deepstack_visual_indexes": [0],
    }  # fmt: skip
    config = transformers.Qwen3VLConfig(
        text_config=TEXT | {"vocab_size": len(made) + 9, "rope_parameters": rope},
        vision_config=tower,
        tie_word_embeddings=False,
        **dict(zip(keys, ids, strict=True)),
    )
    images = transformers.Qwen2VLImageProcessorPil(
        patch_size=8, merge_size=2, size={"shortest_edge": 16 * 16, "longest_edge": 64 * 64}
    )
    template = TEMPLATE.replace("IMAGE", "{{ '<|vision_start|><|image_pad|><|vision_end|>' }}")
    return config, without_videos(transformers.Qwen3VLProcessor)(images, made, chat_template=template)


def idefics3() -> tuple[PretrainedConfig, ProcessorMixin]:
    """As SmolVLM: an image is cut into tiles, of which an image has more or fewer, and positions are plain."""
    tiles = [f"<row_{i}_col_{j}>" for i in (1, 2, 3) for j in (1, 2, 3)]
    made = tokenizer(["<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>", *tiles])
    text = transformers.LlamaConfig(**TEXT, vocab_size=len(made) + 9, pad_token_id=made.pad_token_id)
    tower = {
        "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
        "image_size": 32, "patch_size": 8,
    }  # fmt: skip
    config = transformers.Idefics3Config(
        text_config=text, vision_config=tower, scale_factor=2, image_token_id=made.convert_tokens_to_ids("<image>"),
        pad_token_id=made.pad_token_id, tie_word_embeddings=False,
    )  # fmt: skip
    images = transformers.Idefics3ImageProcessorPil(size={"longest_edge": 64}, max_image_size={"longest_edge": 32})
    template = TEMPLATE.replace("IMAGE", "{{ '<image>' }}")
    return config, transformers.Idefics3Processor(images, made, image_seq_len=4, chat_template=template)


CASES: dict[str, Callable[[], tuple[PretrainedConfig, ProcessorMixin]]] = {"qwen3_vl": qwen3_vl, "idefics3": idefics3}


@dataclass(frozen=True)
class Published:
    """A model as someone may publish it: rows of the head that no token has, dropout, other sampling habits."""

    folder: Path
    tokens: int
    head_rows: int


def save_vlm(name: str, folder: Path) -> Published:
    config, processor = CASES[name]()
    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_config(config)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(8)  # sharp enough for Phi to vary
    model.generation_config.update(do_sample=True, top_k=5, temperature=0.6)
    folder.mkdir(parents=True)
    save_model(model, processor, folder)
    return Published(folder, len(processor.tokenizer), config.get_text_config().vocab_size)
