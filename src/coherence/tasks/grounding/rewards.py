"""Verifiable rewards of the grounding task. Partial credit lives in `distance`; `click` is strict."""

import re
from typing import Any

from coherence.tasks.points import Point, distance, inside, nearness

CALL = re.compile(r"click\((\d{1,4}), (\d{1,4})\)")
SCALE = 20.0
"""Pixels at which the distance reward has fallen to 1/e."""


def parse_click(completion: str) -> Point | None:
    """The point of a completion that is exactly one call, else None: no searching in longer text."""
    match = CALL.fullmatch(completion)
    return (int(match[1]), int(match[2])) if match else None


def format_reward(completion: str, answer: dict[str, Any]) -> float:
    """1 if the whole completion is one call `click(x, y)`, else 0."""
    return float(parse_click(completion) is not None)


def click_reward(completion: str, answer: dict[str, Any]) -> float:
    """1 if the point lies inside the target's box (inclusive), else 0."""
    return inside(parse_click(completion), answer)


def pixel_distance(completion: str, answer: dict[str, Any]) -> float:
    """Euclidean distance (pixels) to the target's centre; NaN where there is no point."""
    return distance(parse_click(completion), answer)


def distance_reward(completion: str, answer: dict[str, Any]) -> float:
    """exp(-distance / 20 px); 0 where there is no point."""
    return nearness(parse_click(completion), answer, SCALE)
