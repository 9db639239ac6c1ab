"""Scores of stored generations: one line per completion. No model is needed, so a new metric costs seconds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from coherence.core.composite import CompositeWeights, carl_composite
from coherence.core.groups import zero_variance_share
from coherence.tasks.judge import judge
from coherence.tasks.rewards import PIXEL_DISTANCE, STRICT, TASK_REWARDS


def score(
    task: str, rows: Sequence[Mapping[str, Any]], generations: pd.DataFrame, weights: CompositeWeights
) -> pd.DataFrame:
    """Task rewards, `strict` (0 or 1, partial credit never counts), distance where the task has one, and the order
    parameter of each completion. ValueError for a generation whose row the data set does not have."""
    by_id = {row["id"]: row for row in rows}
    unknown = set(generations["id"]) - set(by_id)
    if unknown:
        raise ValueError(f"generations of rows that the data set does not have, e.g. '{min(unknown)}'")
    found = [by_id[name] for name in generations["id"]]
    told = [name for name in ("arm", "seed", "id", "mode", "sample", "completion", "ended") if name in generations]
    table = generations[told].copy()
    table["family"] = [row["family"] for row in found]
    table["unit"] = [row["unit"] for row in found]
    completions, answers = list(generations["completion"]), [row["answer"] for row in found]
    for name, reward in TASK_REWARDS[task].items():
        table[name] = judge(reward, completions, answers)
    table["strict"] = table[STRICT[task]]
    if task in PIXEL_DISTANCE:
        table["distance_px"] = list(map(PIXEL_DISTANCE[task], completions, answers))
    return pd.concat([table, token_summary(generations, weights)], axis=1)


def token_summary(generations: pd.DataFrame, weights: CompositeWeights) -> pd.DataFrame:
    """Length (tokens) and, per completion, CARL with its components and the means of Phi, entropy and logp."""
    lengths = generations["ids"].map(len).to_numpy()
    logp, phi, entropy = (ragged(generations[name], max(1, int(lengths.max()))) for name in ("logp", "phi", "entropy"))
    composite = carl_composite(logp, phi, lengths, weights)
    tokens = np.where(lengths > 0, lengths, np.nan)
    return pd.DataFrame(
        {
            "tokens": lengths,
            "phi": composite.phi_mean,
            "entropy": entropy.sum(axis=1) / tokens,
            "logp": logp.sum(axis=1) / tokens,
            "carl": composite.reward,
            "multiscale": composite.multiscale,
            "cloud_quality": composite.cloud_quality,
            "discontinuity": composite.discontinuity,
        },
        index=generations.index,
    )


def ragged(column: "pd.Series[Any]", length: int) -> np.ndarray:
    """A column of lists as [B, length] float64 filled with zeros."""
    table = np.zeros((len(column), length))
    for i, values in enumerate(column):
        table[i, : len(values)] = values
    return table


def zero_variance(scores: pd.DataFrame, weights: Mapping[str, float]) -> float:
    """Share of prompts whose sampled completions all earn the same weighted task reward: groups that teach nothing."""
    sampled = scores[scores["mode"] == "sampled"]
    total = (sampled[list(weights)] * pd.Series(weights)).sum(axis=1)
    return zero_variance_share(np.array(total.groupby(sampled["id"]).apply(list).tolist()))
