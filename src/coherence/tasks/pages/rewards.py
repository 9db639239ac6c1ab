"""Verifiable rewards of clicks on pages. Partial credit lives in `distance`; `click` is strict and asks no label."""

from typing import Any

from coherence.tasks.pages.page import read_click
from coherence.tasks.points import distance, inside, nearness

SCALE = 10.0
"""Pixels at which the distance reward has fallen to 1/e: about half a button's height."""


def format_reward(completion: str, answer: dict[str, Any]) -> float:
    """1 if the whole completion is one click `click label x,y`, else 0."""
    return float(read_click(completion) is not None)


def click_reward(completion: str, answer: dict[str, Any]) -> float:
    """1 if the point lies inside the target's box (inclusive), whatever label stands before it, else 0."""
    return inside(read_click(completion), answer)


def pixel_distance(completion: str, answer: dict[str, Any]) -> float:
    """Euclidean distance (pixels) to the target's centre; NaN where there is no point."""
    return distance(read_click(completion), answer)


def distance_reward(completion: str, answer: dict[str, Any]) -> float:
    """exp(-distance / 10 px); 0 where there is no point."""
    return nearness(read_click(completion), answer, SCALE)
