"""A page as text, and a click on it as text.

A page is 160 x 210 pixels (MiniWoB); its top 50 rows hold the instruction and no elements.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from coherence.tasks.points import Point

WIDTH, TOP, BOTTOM = 160, 50, 210
LABEL = 12
"""Characters of a label that are shown."""
CLICK = re.compile(r"click \S.* (\d{1,3}),(\d{1,3})")


@dataclass(frozen=True)
class Element:
    """Something on a page: its words, and its box (left, top, right, bottom) in whole pixels, rounded outward."""

    words: str
    box: tuple[int, int, int, int]

    @property
    def label(self) -> str:
        """What is shown of its words."""
        return self.words[:LABEL].rstrip()

    @property
    def centre(self) -> Point:
        left, top, right, bottom = self.box
        return (left + right) // 2, (top + bottom) // 2

    @property
    def visible(self) -> bool:
        """Whether its centre lies on the page, below the instruction."""
        x, y = self.centre
        return 0 <= x < WIDTH and TOP <= y < BOTTOM

    def moved(self, x: int, y: int) -> "Element":
        """The same element so many pixels to the right and down."""
        left, top, right, bottom = self.box
        return replace(self, box=(left + x, top + y, right + x, bottom + y))

    def repeats(self, other: "Element") -> bool:
        """Whether it shows the same label as another, and one's centre lies in the other's box: a part or a frame."""
        return self.label == other.label and (_within(self.centre, other.box) or _within(other.centre, self.box))


@dataclass(frozen=True)
class Page:
    """An instruction, what is seen of the page, and the number of the element to click."""

    instruction: str
    elements: tuple[Element, ...]
    target: int


def outward(left: float, top: float, width: float, height: float) -> tuple[int, int, int, int]:
    """A box (left, top, right, bottom) of whole pixels around a rectangle."""
    return math.floor(left), math.floor(top), math.ceil(left + width), math.ceil(top + height)


def _within(point: Point, box: tuple[int, int, int, int]) -> bool:
    return box[0] <= point[0] <= box[2] and box[1] <= point[1] <= box[3]


def seen(instruction: str, elements: Sequence[Element], target: int) -> Page | None:
    """The page with visible elements only, and of repeated ones the first; None where the target is not visible.

    A target that repeats an earlier element is that element.
    """
    shown: list[Element] = []
    found = None
    for number, element in enumerate(elements):
        if not element.visible:
            continue
        place = next((i for i, other in enumerate(shown) if element.repeats(other)), len(shown))
        if place == len(shown):
            shown.append(element)
        if number == target:
            found = place
    return None if found is None else Page(" ".join(instruction.split()), tuple(shown), found)


def write_prompt(page: Page) -> str:
    """One line per element, then the instruction: `- label x,y`, x and y being its centre."""
    lines = [f"- {element.label} {element.centre[0]},{element.centre[1]}" for element in page.elements]
    return "\n".join([*lines, page.instruction, "A:"])


def write_click(label: str, point: Point) -> tuple[str, tuple[tuple[int, int], ...]]:
    """The click's text, and the character spans of its content: label, x, y. The label comes first: what follows it
    on the page is then there to copy."""
    parts = [label, str(point[0]), str(point[1])]
    text, spans = "click", []
    for before, part in zip("  ,", parts, strict=True):
        start = len(text) + len(before)
        text += before + part
        spans.append((start, len(text)))
    return text, tuple(spans)


def read_click(text: str) -> Point | None:
    """The point of a completion that is exactly one click, else None: no searching in longer text."""
    match = CLICK.fullmatch(text)
    return (int(match[1]), int(match[2])) if match else None
