"""Rows of people's data, from a JSONL file or a hub data set: read, with errors that name the line, and split."""

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from coherence.config.data import HubDataset, JsonlFile, Source, SourcedData
from coherence.tasks.rows import Report, Row


def name_of(source: Source) -> str:
    """What messages call it."""
    return source.file if isinstance(source, JsonlFile) else source.hub


def records(source: Source, sources: dict[str, Path]) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number from 1, record) of each row; ValueError names the line that is none."""
    if isinstance(source, HubDataset):
        from datasets import load_dataset

        rows = load_dataset(source.hub, source.subset, revision=source.revision, split=source.split)
        yield from enumerate(rows, start=1)
        return
    with sources[source.file].open("rb") as lines:
        first, last = source.lines or (1, sys.maxsize)
        for number, line in enumerate(lines, start=1):
            if line.strip() and first <= number <= last:
                yield number, json_object(line, f"{source.file}, line {number}")


def json_object(line: str | bytes, place: str) -> dict[str, Any]:
    """The JSON object that a line holds."""
    try:
        record = json.loads(line if isinstance(line, str) else line.decode("utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{place}: not valid JSON ({error.msg})") from None
    except UnicodeDecodeError:
        raise ValueError(f"{place}: not text in UTF-8") from None
    if not isinstance(record, dict):
        raise ValueError(f"{place}: a JSON object is expected")
    return record


def text(record: dict[str, Any], column: str, place: str) -> str:
    """The text in a column; ValueError where there is none."""
    value = record.get(column)
    if not isinstance(value, str):
        raise ValueError(f"{place}: column '{column}' is missing or not text (has: {', '.join(record)})")
    return value


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


def unit_of(request: str) -> str:
    """The request without its case and spacing: what must not be both trained on and held out."""
    return " ".join(request.lower().split())


def _take(rows: Sequence[Row], limit: int | None, rng: np.random.Generator) -> list[Row]:
    if limit is None or limit >= len(rows):
        return list(rows)
    return [rows[i] for i in np.sort(rng.permutation(len(rows))[:limit])]


def _without(rows: Sequence[Row], units: set[str], split: str, report: Report) -> list[Row]:
    kept = [row for row in rows if row.unit not in units]
    report.dropped[f"{split}: query asked in another split"] += len(rows) - len(kept)
    return kept
