"""The published "resonance" learning rate: how far a schedule's own rate is raised or lowered at a step.

multiplier = clamp(envelope x gate x signal, 0.2, 1.5): a cosine over T*(d) tokens, a gate that is wider the less the
Phi of a sequence agree, and a signal from the spread of rewards. It multiplies the rate that the schedule gives at that
step. The reference had three forms: the first took the rate of the first step for the base, which a warm-up makes 0 for
the whole run; the second could not be called; the third multiplied whatever rate stood there, and so compounds.
The three layers are the third one's.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from coherence.core.compat_traces import kuramoto
from coherence.core.constants import t_star

LOWEST, HIGHEST = 0.2, 1.5
GATE, SIGNAL = 0.5, 0.3
UNKNOWN = 0.5
"""R before anything was seen."""


def envelope_steps(width: int, tokens_per_step: float) -> int:
    """Steps in which T*(d) = 64 d / 3 tokens are seen, whole ones, at least 1."""
    return max(1, int(t_star(width) / tokens_per_step))


def multiplier(step: int, length: int, synchrony: float = UNKNOWN, reward_std: float | None = None) -> float:
    """Factor of the schedule's rate at `step` (from 0) of an envelope of `length` steps, given R and rewards' spread.

    The signal is 1 where there are no rewards, as in SFT. ValueError for an envelope without a step.
    """
    if length < 1:
        raise ValueError(f"an envelope has at least 1 step, got {length}")
    envelope = 0.5 * (1 + math.cos(math.pi * min(step, length) / length))
    signal = 1.0 if reward_std is None else 1 + SIGNAL * min(reward_std, 1.0)
    return min(max(envelope * (1 + GATE * (1 - synchrony)) * signal, LOWEST), HIGHEST)


def mean_synchrony(phi: Sequence[npt.NDArray[np.float64]]) -> float:
    """R of each sequence's Phi (`kuramoto`), averaged over the sequences of a batch; `UNKNOWN` of none."""
    return sum(map(kuramoto, phi)) / len(phi) if phi else UNKNOWN
