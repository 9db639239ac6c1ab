"""Verifiable rewards of the grounding task. Partial credit lives in `distance`; `click` is strict."""

import math
import re
from typing import Any

CALL = re.compile(r"click\((\d{1,4}), (\d{1,4})\)")
SCALE = 20.0
"""Pixels at which the distance reward has fallen to 1/e."""


def parse_click(completion: str) -> tuple[int, int] | None:
    """The point of a completion that is exactly one call, else None: no searching in longer text."""
    match = CALL.fullmatch(completion)
    return (int(match[1]), int(match[2])) if match else None


def format_reward(completion: str, answer: dict[str, Any]) -> float:
    """1 if the whole completion is one call `click(x, y)`, else 0."""
    return float(parse_click(completion) is not None)


def click_reward(completion: str, answer: dict[str, Any]) -> float:
    """1 if the point lies inside the target's box (inclusive), else 0."""
    point = parse_click(completion)
    if point is None:
        return 0.0
    left, top, right, bottom = answer["box"]
    return float(left <= point[0] <= right and top <= point[1] <= bottom)


def pixel_distance(completion: str, answer: dict[str, Any]) -> float:
    """Euclidean distance (pixels) to the target's centre; NaN where there is no point."""
    point = parse_click(completion)
    return math.dist(point, answer["point"]) if point else math.nan


def distance_reward(completion: str, answer: dict[str, Any]) -> float:
    """exp(-distance / 20 px); 0 where there is no point."""
    distance = pixel_distance(completion, answer)
    return 0.0 if math.isnan(distance) else math.exp(-distance / SCALE)
