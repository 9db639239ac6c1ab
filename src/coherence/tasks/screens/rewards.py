"""Verifiable rewards of clicks on images, in thousandths of width and height; `format` and `click` are grounding's."""

import math
from typing import Any

from coherence.tasks.grounding.rewards import parse_click
from coherence.tasks.points import nearness

SCALE = 100.0
"""Thousandths at which the distance reward has fallen to 1/e."""


def distance_reward(completion: str, answer: dict[str, Any]) -> float:
    """exp(-distance / 100 thousandths); 0 where there is no point."""
    return nearness(parse_click(completion), answer, SCALE)


def pixel_distance(completion: str, answer: dict[str, Any]) -> float:
    """Euclidean distance to the target's centre, in pixels of the image file; NaN where there is no point."""
    point = parse_click(completion)
    if point is None:
        return math.nan
    pairs = zip(point, answer["point"], answer["size"], strict=True)
    return math.hypot(*((a - b) * pixels / 1000 for a, b, pixels in pairs))
