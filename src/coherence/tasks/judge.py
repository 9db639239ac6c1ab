"""Rewards of many completions; apart from the table of rewards, so that who uses one depends on that one alone."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

Reward = Callable[[str, dict[str, Any]], float]

AT_ONCE = 8
"""Completions judged at a time, where there are as many processors."""


def judge(reward: Reward, completions: Sequence[str], answers: Sequence[dict[str, Any]]) -> list[float]:
    """The reward of each completion, several at a time: some wait for a process of their own."""
    with ThreadPoolExecutor(max_workers=min(AT_ONCE, os.cpu_count() or 1)) as pool:
        return list(pool.map(reward, completions, answers))
