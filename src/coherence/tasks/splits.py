"""Rows of two sources, train and test, as the splits that training and evaluation use."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from coherence.config.data import SourcedData
from coherence.tasks.rows import Report, Row


def split_rows(
    config: SourcedData, train: Sequence[Row], test: Sequence[Row], rng: np.random.Generator, report: Report
) -> list[Row]:
    """Rows of all splits. A training row whose unit another split also has is dropped and counted."""
    heldout = _take(test, config.test_rows, rng)
    train = [train[i] for i in rng.permutation(len(train))]
    kept_out = {row.unit for row in heldout}
    validation = [replace(row, split="validation") for row in train[: config.validation_rows]]
    validation = _without(validation, kept_out, "validation", report)
    sft = _without(train[config.validation_rows :], kept_out | {row.unit for row in validation}, "sft", report)
    sft = sft[: config.train_rows]
    limit = config.grpo_max_completion_chars
    grpo = [replace(row, split="grpo") for row in sft if len(row.completion) <= limit]
    report.dropped[f"grpo: gold completion over {limit} characters"] += len(sft) - len(grpo)
    return [*sft, *grpo, *validation, *heldout]


def _take(rows: Sequence[Row], limit: int | None, rng: np.random.Generator) -> list[Row]:
    if limit is None or limit >= len(rows):
        return list(rows)
    return [rows[i] for i in np.sort(rng.permutation(len(rows))[:limit])]


def _without(rows: Sequence[Row], units: set[str], split: str, report: Report) -> list[Row]:
    kept = [row for row in rows if row.unit not in units]
    report.dropped[f"{split}: query asked in another split"] += len(rows) - len(kept)
    return kept
