"""Reward functions in TRL's form, made from the pure ones: verifiable task rewards, and CARL from token statistics."""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from transformers import PreTrainedTokenizerBase

from coherence.core.composite import Composite, CompositeWeights, carl_composite
from coherence.core.diversity import DISTANCES, mean_distance_to_others
from coherence.core.order_parameter import phi_from_entropy
from coherence.models.load import judged_text
from coherence.tasks.judge import Reward, judge

TrlReward = Callable[..., list[float]]


def task_reward(name: str, reward: Reward, tokenizer: PreTrainedTokenizerBase) -> TrlReward:
    """TRL's form of reward(completion, answer), judged on the sampled ids; TRL logs it under `name`."""

    def score(completion_ids: list[list[int]], answer: list[str], **columns: Any) -> list[float]:
        texts = [judged_text(tokenizer, ids) for ids in completion_ids]
        return judge(reward, texts, [json.loads(gold) for gold in answer])

    score.__name__ = name
    return score


def carl_components(
    token_logps: Sequence[Sequence[float]],
    token_entropies: Sequence[Sequence[float]],
    vocab_size: int,
    weights: CompositeWeights,
) -> Composite:
    """CARL and its components per completion, from ragged per-token logp and entropy (nats) of the sampled ids."""
    logp_BT, lengths = pad(token_logps)
    phi_BT = np.asarray(phi_from_entropy(pad(token_entropies)[0], vocab_size))
    return carl_composite(logp_BT, phi_BT, lengths, weights)


def carl_reward(vocab_size: int, weights: CompositeWeights | Callable[[], CompositeWeights] | None = None) -> TrlReward:
    """CARL in TRL's form, from the statistics that TokenStatisticsMixin provides; published weights unless given, or
    asked for before each batch.

    An invalid completion (no token, or a non-finite one) scores NaN, never 0.
    """

    def carl(
        token_logps: Sequence[Sequence[float]], token_entropies: Sequence[Sequence[float]], **columns: Any
    ) -> list[float]:
        now = weights() if callable(weights) else weights or CompositeWeights()
        components = carl_components(token_logps, token_entropies, vocab_size, now)
        return [float(value) for value in components.reward]

    return carl


def diversity_reward(name: str, num_generations: int) -> TrlReward:
    """How unlike the others of its group each completion is, by the distance called `name`, in TRL's form.

    TRL gives the groups one after the other; ValueError for a batch that cuts one.
    """
    distances = DISTANCES[name]

    def score(completion_ids: list[list[int]], **columns: Any) -> list[float]:
        if len(completion_ids) % num_generations:
            raise ValueError(f"{len(completion_ids)} completions are no whole groups of {num_generations}")
        groups = [completion_ids[i : i + num_generations] for i in range(0, len(completion_ids), num_generations)]
        return [float(d) for group in groups for d in mean_distance_to_others(distances(group))]

    score.__name__ = name
    return score


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
