"""Rows of the tool-call task from a JSONL file or a hub data set, with its columns named by the config."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from coherence.config.data import Source, ToolsData
from coherence.tasks.rows import Report, Row
from coherence.tasks.source import json_object, normalised, records, text_of
from coherence.tasks.splits import split_rows
from coherence.tasks.tools.calls import normalise, read_call, write_call


def make_rows(
    config: ToolsData,
    sources: dict[str, Path],
    render: Callable[[str], str],
    rng: np.random.Generator,
    report: Report,
) -> list[Row]:
    """All rows of all splits. A training query that another split also asks is dropped and counted."""
    test = list(_read(config, config.test, sources, render, "heldout", report))
    train = list(_read(config, config.train, sources, render, "sft", report))
    return split_rows(config, train, test, rng, report)


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
