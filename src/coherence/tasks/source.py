"""Records of a JSONL file or a hub data set, and what is asked of their columns; errors name file and row."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from coherence.config.data import HubDataset, Source


def records(source: Source, files: Mapping[str, Path]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """(number, place, record) of each row; the place is for messages. `files` says where the config's files lie."""
    if isinstance(source, HubDataset):
        from datasets import load_dataset

        rows = load_dataset(source.hub, source.subset, revision=source.revision, split=source.split)
        for number, row in enumerate(rows, start=1):
            yield number, f"{source.hub}, row {number}", dict(row)
        return
    with files[source.file].open("rb") as lines:
        first, last = source.lines or (1, sys.maxsize)
        for number, line in enumerate(lines, start=1):
            if line.strip() and first <= number <= last:
                place = f"{source.file}, line {number}"
                yield number, place, json_object(line, place)


def json_object(text: str | bytes, place: str) -> dict[str, Any]:
    """The object that a JSON text holds; ValueError for anything else."""
    try:
        record = json.loads(text if isinstance(text, str) else text.decode("utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"{place}: not valid JSON ({error.msg})") from None
    except UnicodeDecodeError:
        raise ValueError(f"{place}: not text in UTF-8") from None
    if not isinstance(record, dict):
        raise ValueError(f"{place}: a JSON object is expected")
    return record


def text_of(record: Mapping[str, Any], column: str, place: str) -> str:
    """A column's text; ValueError where it is missing or not text."""
    value = record.get(column)
    if not isinstance(value, str):
        raise ValueError(f"{place}: column '{column}' is missing or not text (has: {', '.join(record)})")
    return value


def normalised(text: str) -> str:
    """Lower case, single spaces: requests that differ in nothing else are the same request."""
    return " ".join(text.lower().split())
