"""Rows of clicks on images, with columns named by the config. An image is kept as its path and its file's sha256."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image

from coherence.config.data import ScreensData
from coherence.provenance.files import sha256_file
from coherence.tasks.grounding.layout import call
from coherence.tasks.images import open_image
from coherence.tasks.points import inside
from coherence.tasks.rows import Report, Row
from coherence.tasks.source import records, text_of


@dataclass(frozen=True)
class ScreenRow(Row):
    """A row whose prompt has an image. Its unit is the image's content, under whatever name."""

    instruction: str
    """What the prompt says beside the image."""
    image_path: str
    """Relative to data_root."""
    image_sha256: str
    prompt_tokens: int
    """Of the prompt with its image."""


def make_rows(
    config: ScreensData,
    sources: Mapping[str, Path],
    render: Callable[[str], str],
    count_tokens: Callable[[str, Image], int],
    rng: np.random.Generator,
    report: Report,
) -> list[ScreenRow]:
    """Rows of all splits. What shows the same image shares a split; images that are missing or broken are counted."""
    found = list(_read(config, sources, render, count_tokens, report))
    units = sorted({row.unit for row in found})
    order = [units[i] for i in rng.permutation(len(units))]
    test, validation = (round(share * len(units)) for share in (config.test_share, config.validation_share))
    split_of = dict.fromkeys(order[:test], "heldout") | dict.fromkeys(order[test : test + validation], "validation")
    rows = [replace(row, split=split_of.get(row.unit, "sft")) for row in found]
    return [*rows, *(replace(row, split="grpo") for row in rows if row.split == "sft")]


def _read(
    config: ScreensData,
    sources: Mapping[str, Path],
    render: Callable[[str], str],
    count_tokens: Callable[[str, Image], int],
    report: Report,
) -> Iterator[ScreenRow]:
    columns = config.columns
    for number, place, record in records(config.source, sources):
        instruction, name = (text_of(record, column, place) for column in (columns.instruction, columns.image))
        box = _box(record.get(columns.bbox), f"{place}, column '{columns.bbox}'")
        if name not in sources:
            report.dropped["no such image under data_root"] += 1
            continue
        try:
            image = open_image(sources[name])
        except ValueError:
            report.dropped["image cannot be read"] += 1
            continue
        answer = target(box, image.size, config.boxes)
        if answer is None:
            report.dropped["box is empty, not inside its image, or too small to be hit"] += 1
            continue
        completion, content = call(*answer["point"])
        prompt, sha256 = render(instruction), sha256_file(sources[name])
        tokens = count_tokens(prompt, image)
        yield ScreenRow(
            str(number), "sft", "screen", sha256, prompt, completion, content, answer,
            instruction, name, sha256, tokens,
        )  # fmt: skip


def target(box: Sequence[float], size: tuple[int, int], unit: str) -> dict[str, Any] | None:
    """The box in thousandths of the image's width and height, the whole point nearest its centre, and the image's size
    in pixels; None unless the box lies in the image and the point in the box."""
    wide, high = size if unit == "pixels" else (1, 1)
    left, top, right, bottom = (1000 * part / whole for part, whole in zip(box, (wide, high) * 2, strict=True))
    point = round((left + right) / 2), round((top + bottom) / 2)
    answer = {"box": [left, top, right, bottom], "point": list(point), "size": list(size)}
    fits = 0 <= left <= right <= 1000 and 0 <= top <= bottom <= 1000
    return answer if fits and inside(point, answer) else None


def _box(value: Any, place: str) -> list[float]:
    numbers = value if isinstance(value, list) else []
    if len(numbers) != 4 or not all(isinstance(part, int | float) and math.isfinite(part) for part in numbers):
        raise ValueError(f"{place}: 4 numbers are expected, left, top, right, bottom (got {value!r})")
    return numbers
