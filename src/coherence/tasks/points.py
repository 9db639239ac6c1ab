"""Scores of a point that should lie in a target's box, for every task whose answers are points (pixels)."""

import math
from collections.abc import Mapping
from typing import Any

Point = tuple[int, int]


def inside(point: Point | None, answer: Mapping[str, Any]) -> float:
    """1 if there is a point and it lies in the answer's box (left, top, right, bottom; inclusive), else 0."""
    if point is None:
        return 0.0
    left, top, right, bottom = answer["box"]
    return float(left <= point[0] <= right and top <= point[1] <= bottom)


def distance(point: Point | None, answer: Mapping[str, Any]) -> float:
    """Euclidean distance (pixels) to the target's centre; NaN where there is no point."""
    return math.dist(point, answer["point"]) if point else math.nan


def nearness(point: Point | None, answer: Mapping[str, Any], scale: float) -> float:
    """exp(-distance / scale); 0 where there is no point."""
    return math.exp(-distance(point, answer) / scale) if point else 0.0
