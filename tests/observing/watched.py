"""Logs made for the tests: curves as JSONL, and a database with trackio's tables."""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from coherence.observing.logs import Log, read_logs
from coherence.observing.run import Run, observe

FIXTURES = Path(__file__).parent
GATE = {"split": "sft", "token_class": "content", "threshold": 0.9, "window": 4, "count": 2}


def write_log(path: Path, **curves: Sequence[float]) -> Path:
    """One line per step from 1 on; `a__b` stands for the key `a/b`."""
    keys = [key.replace("__", "/") for key in curves]
    rows = zip(*(map(float, curve) for curve in curves.values()), strict=True)
    lines = [json.dumps({"step": i, **dict(zip(keys, row, strict=True))}) for i, row in enumerate(rows, start=1)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def read_one(path: Path) -> Log:
    """The one log in a file."""
    (log,) = read_logs(path)
    return log


def watch(path: Path, vocab_size: int | None = None, **curves: Sequence[float]) -> Run:
    """The run that these curves make."""
    return observe(read_one(write_log(path / "metrics.jsonl", **curves)), vocab_size)


def noisy(start: float, end: float, steps: int = 60, noise: float = 0.02) -> list[float]:
    """From start to end with noise relative to the larger of them."""
    wobble = np.random.default_rng(0).normal(0, noise * max(abs(start), abs(end)), steps)
    return list(np.maximum(np.linspace(start, end, steps) + wobble, 0.0))


def write_trackio(path: Path, runs: Mapping[str, Sequence[Mapping[str, Any]]], config: object) -> Path:
    """A database with the tables of trackio 0.43 that hold runs; each row is logged at trackio's next own step."""
    with sqlite3.connect(path) as database:
        database.execute(
            "CREATE TABLE metrics (id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, timestamp TEXT NOT NULL,"
            " run_name TEXT NOT NULL, step INTEGER NOT NULL, metrics TEXT NOT NULL, log_id TEXT, space_id TEXT)"
        )
        database.execute(
            "CREATE TABLE configs (id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT NOT NULL, run_name TEXT NOT NULL,"
            " config TEXT NOT NULL, created_at TEXT NOT NULL, UNIQUE(run_id))"
        )
        for name, rows in runs.items():
            told = (f"id-{name}", name, json.dumps(config), "")
            database.execute("INSERT INTO configs (run_id, run_name, config, created_at) VALUES (?, ?, ?, ?)", told)
            values = [(f"id-{name}", "", name, i, json.dumps(row)) for i, row in enumerate(rows)]
            insert = "INSERT INTO metrics (run_id, timestamp, run_name, step, metrics) VALUES (?, ?, ?, ?, ?)"
            database.executemany(insert, values)
    database.close()
    return path
