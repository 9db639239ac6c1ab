"""The verifiable rewards of each task, by the names that a config uses. reward(completion, answer) -> float."""

from collections.abc import Callable
from typing import Any

from coherence.tasks.code import rewards as code
from coherence.tasks.grounding import rewards as grounding
from coherence.tasks.judge import Reward
from coherence.tasks.maths import rewards as maths
from coherence.tasks.pages import rewards as pages
from coherence.tasks.screens import rewards as screens
from coherence.tasks.tools import rewards as tools


def answer_reward(completion: str, answer: dict[str, Any]) -> float:
    """1 if the completion is the answer, white space around both aside, else 0: no searching in longer text."""
    return float(completion.strip() == str(answer["text"]).strip())


TASK_REWARDS: dict[str, dict[str, Reward]] = {
    "grounding": {
        "format": grounding.format_reward,
        "click": grounding.click_reward,
        "distance": grounding.distance_reward,
    },
    "tools": {
        "format": tools.format_reward,
        "name": tools.name_reward,
        "arguments": tools.argument_reward,
        "exact": tools.exact_reward,
    },
    "maths": {
        "format": maths.format_reward,
        "correct": maths.correct_reward,
    },
    "code": {
        "format": code.format_reward,
        "passed": code.passed_reward,
        "share": code.share_reward,
    },
    "pages": {
        "format": pages.format_reward,
        "click": pages.click_reward,
        "distance": pages.distance_reward,
    },
    "screens": {
        "format": grounding.format_reward,
        "click": grounding.click_reward,
        "distance": screens.distance_reward,
    },
    "answer": {"exact": answer_reward},
}

STRICT = {
    "grounding": "click",
    "tools": "exact",
    "pages": "click",
    "screens": "click",
    "maths": "correct",
    "code": "passed",
    "answer": "exact",
}
"""The reward of each task that means success: all or nothing."""

FIELDS: dict[str, Callable[[str, dict[str, Any]], dict[str, float]]] = {"tools": tools.field_scores}
"""For tasks whose answers have fields: the share of each field's gold values that a completion has."""

PIXEL_DISTANCE: dict[str, Reward] = {
    "grounding": grounding.pixel_distance,
    "pages": pages.pixel_distance,
    "screens": screens.pixel_distance,
}
"""Of tasks that answer with a point: its distance to the target's centre, NaN where there is none."""
