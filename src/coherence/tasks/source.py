"""Records of a JSONL file or a hub data set, and what is asked of their columns; errors name file and row."""

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from coherence.config.data import HubDataset, Source
from coherence.config.hub import FILES, repository


def records(source: Source, files: Mapping[str, Path]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """(number, place, record) of each row; the place is for messages. `files` says where the config's files and the
    manifests of fetched data sets lie. ValueError where a data set has no such subset or split, or cannot be read."""
    if isinstance(source, HubDataset):
        yield from _hub_records(source, files[repository("dataset", source.hub)].parent / FILES)
        return
    with files[source.file].open("rb") as lines:
        first, last = source.lines or (1, sys.maxsize)
        for number, line in enumerate(lines, start=1):
            if line.strip() and first <= number <= last:
                place = f"{source.file}, line {number}"
                yield number, place, json_object(line, place)


def _hub_records(source: HubDataset, folder: Path) -> Iterator[tuple[int, str, dict[str, Any]]]:
    from datasets import load_dataset
    from datasets.exceptions import DatasetGenerationError

    with tempfile.TemporaryDirectory() as cache:  # a kept one would be known by path and time, not by content
        try:
            rows = load_dataset(str(folder), source.subset, split=source.split, cache_dir=cache)
        except (ValueError, OSError, DatasetGenerationError) as error:
            raise ValueError(f"data set {source.hub}: {error}") from error
        for number, row in enumerate(rows, start=1):
            yield number, f"{source.hub}, row {number}", dict(row)


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
