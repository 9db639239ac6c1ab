"""Rows of the tool-call task from a JSONL file or a hub data set, with its columns named by the config."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from coherence.config.data import Source, ToolsData
from coherence.tasks.rows import Report, Row
from coherence.tasks.source import json_object, normalised, records, text_of
from coherence.tasks.tools.calls import normalise, read_call, write_call


def make_rows(
    config: ToolsData,
    sources: dict[str, Path],
    render: Callable[[str], str],
    rng: np.random.Generator,
    report: Report,
) -> list[Row]:
    """All rows of all splits. A training query that another split also asks is dropped and counted."""
    heldout = _take(list(_read(config, config.test, sources, render, "heldout", report)), config.test_rows, rng)
    train = list(_read(config, config.train, sources, render, "sft", report))
    train = [train[i] for i in rng.permutation(len(train))]
    validation = [_moved(row, "validation") for row in train[: config.validation_rows]]
    kept_out = {row.unit for row in heldout}
    validation = _without(validation, kept_out, "validation", report)
    sft = _without(train[config.validation_rows :], kept_out | {row.unit for row in validation}, "sft", report)
    sft = sft[: config.train_rows]
    grpo = [_moved(row, "grpo") for row in sft if len(row.completion) <= config.grpo_max_completion_chars]
    report.dropped[f"grpo: gold call over {config.grpo_max_completion_chars} characters"] += len(sft) - len(grpo)
    return [*sft, *grpo, *validation, *heldout]


def _moved(row: Row, split: str) -> Row:
    return replace(row, split=split)


def _take(rows: list[Row], limit: int | None, rng: np.random.Generator) -> list[Row]:
    if limit is None or limit >= len(rows):
        return rows
    return [rows[i] for i in np.sort(rng.permutation(len(rows))[:limit])]


def _without(rows: list[Row], units: set[str], split: str, report: Report) -> list[Row]:
    kept = [row for row in rows if row.unit not in units]
    report.dropped[f"{split}: query asked in another split"] += len(rows) - len(kept)
    return kept


def _read(
    config: ToolsData,
    source: Source,
    sources: dict[str, Path],
    render: Callable[[str], str],
    split: str,
    report: Report,
) -> Iterator[Row]:
    for number, place, record in records(source, sources):
        query, name = (text_of(record, column, place) for column in (config.columns.query, config.columns.name))
        arguments = normalise(_arguments(record, config.columns.arguments, place))
        completion, content = write_call(name, arguments)
        if read_call(completion) != (name, arguments):
            report.dropped[f"{split}: call does not survive its text form"] += 1
            continue
        yield Row(
            id=str(number),
            split=split,
            family=name,
            unit=normalised(query),
            prompt=render(config.prompt.replace("{query}", query)),
            completion=completion,
            content=content,
            answer={"name": name, "arguments": arguments},
        )


def _arguments(record: dict[str, Any], column: str, place: str) -> dict[str, Any]:
    value = record.get(column)
    if isinstance(value, str):
        value = json_object(value, f"{place}, column '{column}'")
    if not isinstance(value, dict):
        raise ValueError(f"{place}: column '{column}' must be an object of arguments")
    return {key: item for key, item in value.items() if item is not None}
