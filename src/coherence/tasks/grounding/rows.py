"""Rows of the embedded grounding task.

SFT sees three short templates on the training cells. GRPO sees those and the same with a sentence of prose in front,
a shift of position that SFT has not met. The held-out split asks both kinds about cells that were never shown.
"""

from collections.abc import Callable, Iterator

import numpy as np

from coherence.config.data import GroundingData
from coherence.tasks.grounding.layout import TEMPLATES, Layout, call, fact, make_layout
from coherence.tasks.rows import Row

SHIFTED_REPEATS = 3
"""Different sentences put in front of each trained prompt."""


def make_rows(config: GroundingData, render: Callable[[str], str], rng: np.random.Generator) -> Iterator[Row]:
    """All rows of all splits; `render` puts the chat template around an instruction."""
    layout = make_layout(config.panels, config.widgets, config.heldout_per_line, rng)
    for panel in layout.x:
        for widget in layout.y:
            splits = ("heldout",) if (panel, widget) in layout.heldout else ("sft", "grpo")
            for split in splits:
                yield from _cell_rows(config, layout, panel, widget, split, render, rng)


def _cell_rows(
    config: GroundingData,
    layout: Layout,
    panel: str,
    widget: str,
    split: str,
    render: Callable[[str], str],
    rng: np.random.Generator,
) -> Iterator[Row]:
    x, y = layout.x[panel], layout.y[widget]
    completion, content = call(x, y)
    r = config.box_radius
    answer = {"box": [x - r, y - r, x + r, y + r], "point": [x, y]}
    for number, template in enumerate(TEMPLATES):
        instruction = template.format(widget=widget, panel=panel)
        for family, name, text in _prompts(instruction, split, rng):
            yield Row(
                id=f"{panel}-{widget}-{number}-{name}",
                split=split,
                family=family,
                unit=f"{panel}-{widget}",
                prompt=render(text),
                completion=completion,
                content=content,
                answer=answer,
            )


def _prompts(instruction: str, split: str, rng: np.random.Generator) -> Iterator[tuple[str, str, str]]:
    """(family, name, text) of each prompt that a split asks about one instruction; GRPO's halves weigh the same."""
    if split == "sft":
        yield "clean", "clean", instruction
        return
    repeats = SHIFTED_REPEATS if split == "grpo" else 1
    for repeat in range(repeats):
        yield "clean", f"clean{repeat}", instruction
        yield "shifted", f"shifted{repeat}", f"{fact(rng)[0]} {instruction}"
