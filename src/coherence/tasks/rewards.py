"""The verifiable rewards of each task, by the names that a config uses. reward(completion, answer) -> float."""

from collections.abc import Callable
from typing import Any

from coherence.tasks.grounding import rewards as grounding
from coherence.tasks.tools import rewards as tools

Reward = Callable[[str, dict[str, Any]], float]

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
}

STRICT = {"grounding": "click", "tools": "exact"}
"""The reward of each task that means success: all or nothing."""

FIELDS: dict[str, Callable[[str, dict[str, Any]], dict[str, float]]] = {"tools": tools.field_scores}
"""For tasks whose answers have fields: the share of each field's gold values that a completion has."""
