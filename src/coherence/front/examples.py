"""Columns of text from a JSONL, CSV or parquet file, or from the train split of a hub data set."""

import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from coherence.provenance.files import read_jsonl

Records = Iterator[tuple[str, dict[Any, Any]]]
"""(place to name in an error, record)."""
KINDS = "a .jsonl, .csv or .parquet file"


def read_columns(source: str, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """One tuple of texts per row, in the order of `columns`; numbers as they are written.

    ValueError names the row for broken JSON and for a value that is missing, empty or not text; the file or data set
    for one without rows or that cannot be read.
    """
    try:
        rows = [tuple(_text(record, column, place) for column in columns) for place, record in _records(source)]
    except UnicodeDecodeError as error:
        raise ValueError(f"--dataset {source} is not UTF-8 text: {error.reason}, byte {error.start}") from None
    if not rows:
        raise ValueError(f"--dataset {source} has no rows")
    return rows


def _text(record: dict[Any, Any], column: str, place: str) -> str:
    if column not in record:
        has = ", ".join(map(str, record)) or "none"
        raise ValueError(f"{place}: no column '{column}' (has: {has}): name yours with the --...-column options")
    value = record[column]
    number = isinstance(value, int) and not isinstance(value, bool)
    number = number or (isinstance(value, float) and math.isfinite(value))
    if not (number or (isinstance(value, str) and value)):
        raise ValueError(f"{place}: column '{column}' must be text that is not empty, or a number")
    return str(value)


def _records(source: str) -> Records:
    path = Path(source)
    if path.suffix == ".jsonl":
        return _jsonl(path)
    if path.suffix in (".csv", ".parquet"):
        return _table(path)
    if path.is_file():
        raise ValueError(f"--dataset {source}: {KINDS} is expected")
    return _hub(source)


def _jsonl(path: Path) -> Records:
    with path.open(encoding="utf-8") as lines:
        yield from read_jsonl(path, lines)


def _table(path: Path) -> Records:
    try:
        is_csv = path.suffix == ".csv"
        table = pd.read_csv(path, dtype=str, keep_default_na=False) if is_csv else pd.read_parquet(path)
    except ValueError as error:  # of pandas and pyarrow, for a file that is not what its name says
        raise ValueError(f"--dataset {path} cannot be read: {error}") from None
    yield from ((f"{path}, row {number}", record) for number, record in enumerate(table.to_dict("records"), start=1))


def _hub(name: str) -> Records:
    from datasets import load_dataset

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # five retries, a line each
    try:
        rows = load_dataset(name, split="train")
    except (OSError, ValueError) as error:
        why = f"the hub does not give it ({str(error).splitlines()[0]})"
        raise ValueError(f"--dataset {name}: no such file, and {why}: give {KINDS}") from None
    yield from ((f"{name}, row {number}", record) for number, record in enumerate(rows, start=1))
