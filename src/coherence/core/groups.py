"""What the rewards of a group leave to learn from. Legend: P prompts, G completions of one prompt's group."""

import numpy as np
import numpy.typing as npt

NO_SIGNAL = 1e-6
"""Rewards that lie so close differ by rounding alone."""


def zero_variance_share(rewards_PG: npt.ArrayLike, tolerance: float = 0.0) -> float:
    """Share of groups whose rewards [P, G] lie within the tolerance: no advantage. NaN marks a failed reward.

    TRL's own frac_reward_zero_std asks for a float32 deviation below 1e-8, which eight equal rewards of 0.2 exceed.
    Failed rewards are left out; a group with one left, or none, counts as equal. Raises ValueError if empty.
    """
    rewards = np.asarray(rewards_PG, dtype=np.float64)
    if rewards.ndim != 2 or not rewards.size:
        raise ValueError(f"expected rewards [P, G] of at least one group, got {rewards.shape}")
    scored = np.isfinite(rewards)
    highest = np.where(scored, rewards, -np.inf).max(axis=1)
    lowest = np.where(scored, rewards, np.inf).min(axis=1)
    return float((highest <= lowest + tolerance).mean())


def all_wrong_share(strict_PG: npt.ArrayLike) -> float:
    """Share of groups [P, G] of which no completion is strictly right (1). Failed ones (NaN) are not right."""
    return float((~(np.asarray(strict_PG, dtype=np.float64) >= 1).any(axis=1)).mean())
