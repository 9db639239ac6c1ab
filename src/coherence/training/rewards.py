"""Reward functions in TRL's form, made from the pure ones: verifiable task rewards, and CARL from token statistics."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from coherence.config.grpo import CarlWeights
from coherence.core.composite import Composite, CompositeWeights, carl_composite
from coherence.core.order_parameter import phi_from_entropy
from coherence.tasks.rewards import Reward

TrlReward = Callable[..., list[float]]


def task_reward(name: str, reward: Reward) -> TrlReward:
    """TRL's form of reward(completion, answer); TRL logs it under `name`."""

    def score(completions: list[str], answer: list[str], **columns: Any) -> list[float]:
        return [reward(text, json.loads(gold)) for text, gold in zip(completions, answer, strict=True)]

    score.__name__ = name
    return score


@dataclass
class CarlReward:
    """CARL's composite from the statistics that the trainer's own scoring pass gives.

    An invalid completion (none or non-finite tokens) scores NaN and is counted, never 0. `last` keeps the components
    of the batch for the log.
    """

    weights: CarlWeights
    vocab_size: int
    __name__: str = "carl"
    last: Composite | None = None

    def __call__(
        self, token_logps: Sequence[Sequence[float]], token_entropies: Sequence[Sequence[float]], **columns: Any
    ) -> list[float]:
        logp_BT, lengths = pad(token_logps)
        phi_BT = np.asarray(phi_from_entropy(pad(token_entropies)[0], self.vocab_size))
        weights = CompositeWeights(**self.weights.model_dump())
        self.last = carl_composite(logp_BT, phi_BT, lengths, weights)
        return [float(value) for value in self.last.reward]


def pad(rows: Sequence[Sequence[float]]) -> tuple[np.ndarray, np.ndarray]:
    """Ragged rows as [B, T] float64 filled with zeros, and their lengths [B]."""
    lengths = np.array([len(row) for row in rows], dtype=np.int64)
    table = np.zeros((len(rows), max(1, int(lengths.max(initial=0)))))
    for i, row in enumerate(rows):
        table[i, : len(row)] = row
    return table, lengths


def nanmean(values: Sequence[float]) -> float:
    """Mean of the finite values; NaN if there is none."""
    finite = [v for v in values if math.isfinite(v)]
    return sum(finite) / len(finite) if finite else math.nan
