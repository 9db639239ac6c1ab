"""Timing that survives a busy machine: contenders take turns in random order, and only ratios within a round count.

Legend: R rounds. Seconds are CPU time of the process, so that what else runs matters as little as possible.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

Seconds = npt.NDArray[np.float64]
RESAMPLES = 2000


@dataclass(frozen=True)
class Ratio:
    """Median of the per-round ratios, and the ends of its 95 % bootstrap interval over rounds."""

    value: float
    low: float
    high: float


def interleave(
    contenders: Mapping[str, Callable[[], Any]], rounds: int, rng: np.random.Generator
) -> dict[str, Seconds]:
    """CPU seconds [R] of each contender; every round runs each of them once, in an order drawn anew.

    Each runs twice unmeasured before: compilation, caches and page faults of a first call are not its cost.
    """
    for work in contenders.values():
        work()
        work()
    return take_turns({name: partial(_cpu_seconds, work) for name, work in contenders.items()}, rounds, rng)


def take_turns(
    contenders: Mapping[str, Callable[[], float]], rounds: int, rng: np.random.Generator
) -> dict[str, Seconds]:
    """As `interleave`, for contenders that say themselves how many seconds a turn took."""
    names = list(contenders)
    seconds = {name: np.empty(rounds) for name in names}
    for r in range(rounds):
        for i in rng.permutation(len(names)):
            seconds[names[i]][r] = contenders[names[i]]()
    return seconds


def ratio(numerator: Seconds, denominator: Seconds, rng: np.random.Generator) -> Ratio:
    """Median over rounds of numerator/denominator with its percentile bootstrap interval."""
    ratios = numerator / denominator
    medians = np.median(rng.choice(ratios, size=(RESAMPLES, len(ratios))), axis=1)
    low, high = np.quantile(medians, [0.025, 0.975])
    return Ratio(float(np.median(ratios)), float(low), float(high))


def _cpu_seconds(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start
