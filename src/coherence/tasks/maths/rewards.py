"""Verifiable rewards of the maths task."""

from typing import Any

from coherence.tasks.maths.answers import final_answer, plain
from coherence.tasks.maths.verify import equal


def format_reward(completion: str, answer: dict[str, Any]) -> float:
    """1 if the last line, and no other place, gives one final answer after the mark, else 0."""
    return float(final_answer(completion) is not None)


def correct_reward(completion: str, answer: dict[str, Any]) -> float:
    """1 if the final answer equals the gold one, 0 if not or there is none; NaN where that was not found out."""
    found = final_answer(completion)
    return 0.0 if found is None else equal(plain(answer["final"]), found)
