"""Rows of a data set, the same for every task: what goes in, what must come out, and who may see it.

Splits: `sft` and `grpo` are trained on, `validation` is looked at while training, `heldout` only at the end.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import pandas as pd

TRAINED = ("sft", "grpo")
SPLITS = (*TRAINED, "validation", "heldout")


@dataclass(frozen=True)
class Row:
    """One instruction and its gold completion."""

    id: str
    split: str
    family: str
    """Kind of prompt, e.g. `clean` or `shifted`; scores are reported per family."""
    unit: str
    """What must not be shared by trained and untrained splits (a screen cell, a normalised query)."""
    prompt: str
    """Text exactly as tokenized: the chat template has been applied."""
    completion: str
    """Gold text without its end token."""
    content: tuple[tuple[int, int], ...]
    """Character spans of the completion that carry content; all other characters are format."""
    answer: dict[str, Any]
    """What the verifiable rewards compare with."""


@dataclass
class Report:
    """What became of the source rows: kept per split, dropped per reason."""

    kept: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    longest_tokens: int = 0
    near_duplicates: dict[str, int] = field(default_factory=dict)
    """Units of each untrained split that resemble a trained one; they are kept."""

    def to_json(self) -> dict[str, Any]:
        """Plain counts, sorted by name."""
        return {
            "kept": dict(sorted(self.kept.items())),
            "dropped": dict(sorted(self.dropped.items())),
            "longest_tokens": self.longest_tokens,
            "near_duplicates": self.near_duplicates,
        }


def drop_long(rows: Iterable[Row], count_tokens: Callable[[Row], int], max_tokens: int, report: Report) -> list[Row]:
    """Rows whose prompt + completion + end token fit; the others are counted by split, never cut."""
    kept = []
    for row in rows:
        tokens = count_tokens(row)
        if tokens > max_tokens:
            report.dropped[f"{row.split}: over {max_tokens} tokens"] += 1
        else:
            report.longest_tokens = max(report.longest_tokens, tokens)
            kept.append(row)
    return kept


def check_splits(rows: Sequence[Row], required: Sequence[str], report: Report | None = None) -> None:
    """ValueError for an empty required split, a repeated id, or a unit in both a trained and an untrained split."""
    sizes = Counter(row.split for row in rows)
    lost = [f"{n} {reason}" for reason, n in (report.dropped if report else Counter[str]()).items() if n]
    for split in required:
        if not sizes[split]:
            dropped = f" (dropped: {', '.join(lost)})" if lost else ""
            raise ValueError(
                f"split '{split}' is empty{dropped}: check the source files, max_tokens and the split settings"
            )
    repeated = [name for name, n in Counter((row.split, row.id) for row in rows).items() if n > 1]
    if repeated:
        raise ValueError(f"row id {repeated[0][1]} occurs twice in split {repeated[0][0]}")
    trained = {row.unit for row in rows if row.split in TRAINED}
    shared = trained & {row.unit for row in rows if row.split not in TRAINED}
    if shared:
        raise ValueError(f"{len(shared)} units are both trained on and held out, e.g. '{min(shared)}'")


def to_table(rows: Sequence[Row]) -> pd.DataFrame:
    """One line per row; `content` and `answer` as JSON text, so that any parquet reader shows them."""
    table = pd.DataFrame([asdict(row) for row in rows])
    for column in ("content", "answer"):
        table[column] = [json.dumps(value, sort_keys=True, ensure_ascii=False) for value in table[column]]
    return table
