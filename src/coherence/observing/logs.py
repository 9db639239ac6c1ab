"""Training logs of any origin as rows, one per step: JSONL, trainer_state.json, CSV, a trackio database.

Held-out and summary entries are left out: nothing that was not logged in training enters a row.
"""

import codecs
import csv
import io
import math
import re
import sqlite3
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from coherence.provenance.files import parse_json, read_jsonl

Row = dict[str, float]
STEP_KEYS = ("global_step", "step", "_step", "trainer/global_step")
CLOCKS = ("epoch", *STEP_KEYS)
NOT_TRAINING = ("eval", "test", "val", "validation", "profiling")
MOST_STEPS = 2.0**53
SUMMARY = "train_runtime"
"""Of transformers' closing entry, whose other values are means over the whole run."""
FILE_NAMES = ("metrics.jsonl", "trainer_state.json", "metrics.csv")


@dataclass(frozen=True)
class Log:
    """One run's training log: rows in the order of their steps; a value that was logged but is no number is NaN.

    `restarts` are the steps to which the log goes back, `config` is what the tracker stored with the run, `finished`
    tells that transformers' closing entry is there, `broken` why one of several logs could not be read.
    """

    path: Path
    name: str
    rows: dict[int, Row]
    restarts: Sequence[int] = ()
    config: Any = None
    finished: bool = False
    broken: str = ""


def read_all(path: Path) -> list[Log]:
    """Every run in a file, or under a folder; among several a broken one does not hide the others.

    OSError for a path that does not exist, ValueError where there is no log, or one that is broken (file and line).
    """
    files = find_files(path)
    if len(files) == 1:
        return read_logs(files[0])
    logs = []
    for file in files:
        name = str(file.parent.relative_to(path))
        try:
            logs += [replace(log, name=name if file.name in FILE_NAMES else log.name) for log in read_logs(file)]
        except ValueError as error:
            logs.append(Log(file, name, {}, broken=str(error)))
    return logs


def find_files(path: Path) -> list[Path]:
    """The file itself, the log of a run's folder (or of its unfinished twin), or every log under a folder."""
    if path.is_file():
        return [path]
    final = path.resolve()  # `.` has no name
    own = _log_of(path) or _log_of(final.parent / f".{final.name}.partial")
    if own:
        return [own]
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist: name a log file, or a folder with runs")
    folders = {found.parent for name in FILE_NAMES for found in path.rglob(name)}
    runs = {folder.parent if folder.name.startswith("checkpoint-") else folder for folder in folders}
    found = [*filter(None, map(_log_of, sorted(runs))), *sorted(path.rglob("*.db"))]
    if not found:
        raise ValueError(f"{path} holds no log ({', '.join(FILE_NAMES)}, a trackio *.db); name the file itself")
    return found


def stamps(path: Path) -> dict[Path, tuple[float, int]]:
    """When each log was last written (s) and its size; a database is written to the journal beside it first."""
    files = [Path(f"{file}{end}") for file in find_files(path) for end in ("", "-wal")]
    return {file: (file.stat().st_mtime, file.stat().st_size) for file in files if file.exists()}


def _log_of(folder: Path) -> Path | None:
    """The log that lies in a run's folder; of checkpoints the latest one's, which tells the whole run."""
    checkpoints = [p for p in folder.glob("checkpoint-*/trainer_state.json") if p.parent.name[11:].isdigit()]
    checkpoints.sort(key=lambda p: int(p.parent.name[11:]), reverse=True)
    own = [folder / name for name in FILE_NAMES if (folder / name).is_file()]
    return next(iter([*own, *checkpoints]), None)


def read_logs(path: Path) -> list[Log]:
    """The runs in one file: several in a trackio database, else one. ValueError names the file and the line."""
    data = path.read_bytes()
    if data.startswith(b"SQLite format 3\0"):
        return _trackio(path)
    try:
        text = codecs.utf_8_decode(data, "strict", False)[0].removeprefix("\ufeff")  # a character may be half-written
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise ValueError(f"{path} is a binary file, not a log: give JSONL, trainer_state.json, CSV or a trackio *.db")
    if path.name == "trainer_state.json" or '"log_history"' in text:
        entries: Iterable[Mapping[str, Any]] = _trainer_state(path, text)
    elif path.suffix in (".json", ".jsonl") or text.lstrip().startswith("{"):
        entries = _jsonl(path, text)
    else:
        entries = list(_csv(path, text))
    folder = path.resolve().parent
    return [_log(path, f"{folder.parent.name}/{folder.name}" if path.name in FILE_NAMES else path.stem, entries)]


def _trainer_state(path: Path, text: str) -> list[dict[str, Any]]:
    state = parse_json(text, path)
    history = state.get("log_history") if isinstance(state, dict) else None
    if not isinstance(history, list) or not all(isinstance(entry, dict) for entry in history):
        raise ValueError(f"{path} has no list log_history: it is no trainer_state.json of transformers")
    return history


def _jsonl(path: Path, text: str) -> list[dict[str, Any]]:
    *lines, last = text.split("\n")
    try:
        parse_json(last, path)
    except ValueError:
        last = "" if last.startswith("{") else last  # it has no end yet: the run is writing it
    return [entry for _, entry in read_jsonl(path, [*lines, last])]


def _csv(path: Path, text: str) -> Iterator[dict[str, Any]]:
    header = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text), restval="", delimiter=max(",;\t", key=header.count))
    columns = reader.fieldnames = [name.lower() for name in reader.fieldnames or []]
    if text.strip() and not {_name(column) for column in columns} & set(STEP_KEYS):
        raise ValueError(f"{path} has no step column: name it `step` or `global_step`; its columns: {columns[:8]}")
    try:
        for row in reader:
            if None in row:
                raise ValueError(f"{path}, line {reader.line_num}: more fields than the {len(columns)} columns")
            yield {name: value for name, value in row.items() if value.strip()}
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: not CSV ({error})") from None


def _trackio(path: Path) -> list[Log]:
    """One log per run of the database. Trackio counts calls, so that the trainer's own step goes first."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            columns = {row[1] for row in database.execute("PRAGMA table_info(metrics)")}
            if not {"id", "run_name", "step", "metrics"} <= columns:
                raise ValueError(f"{path} is a database, but none of trackio's: it has no table `metrics` of runs")
            run = "run_id" if "run_id" in columns else "run_name"
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
            configs = database.execute(f"SELECT {run}, config FROM configs").fetchall() if "configs" in tables else []
            rows = database.execute(f"SELECT {run}, run_name, step, metrics FROM metrics ORDER BY id").fetchall()
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{path} cannot be read as a trackio database: {error}") from None
    runs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for key, name, step, metrics in rows:
        entry = parse_json(metrics, path)
        if not isinstance(entry, dict):
            raise ValueError(f"{path}: run {name}, step {step}: a JSON object is expected")
        runs.setdefault((key, name), []).append({"step": step} | entry)
    told = dict(configs)
    return [_log(path, name, runs[key, name], parse_json(told.get(key, "{}"), path)) for key, name in runs]


def _log(path: Path, name: str, entries: Iterable[Mapping[str, Any]], config: Any = None) -> Log:
    """Rows by step. An entry that goes back to a logged step, or over more than one, restarts the run there and drops
    the rows from there on; one that goes back over a single step is out of order."""
    rows: dict[int, Row] = {}
    steps: list[int] = []  # of the rows, sorted
    restarts, last, stepless, finished = [], -math.inf, False, False
    for entry in entries:
        finished = finished or any(_name(key) == SUMMARY for key in entry)
        values = _training_values(entry)
        step = next((int(values[key]) for key in STEP_KEYS if abs(values.get(key, math.nan)) < MOST_STEPS), None)
        metrics = {key: value for key, value in values.items() if key not in CLOCKS}
        if not metrics or step is None:
            stepless = stepless or bool(metrics)
            continue
        at = bisect_left(steps, step)
        if step < last and steps[at] < last:
            restarts.append(step)
            for old in steps[at:]:
                del rows[old]
            del steps[at:]
        if step not in rows:
            steps.insert(at, step)
        last = step
        rows.setdefault(step, {}).update(metrics)
    if stepless and not rows:
        raise ValueError(f"{path}: no entry has a step: log it as `step` or `global_step`")
    return Log(path, name, {step: rows[step] for step in steps}, restarts, config, finished)


def _training_values(entry: Mapping[str, Any]) -> Row:
    """The numbers of an entry under their bare names; none of an evaluation or of a closing summary."""
    bare = {name: value for key, value in entry.items() if (name := _name(key))}
    if SUMMARY in bare or any(isinstance(value, str) and value in NOT_TRAINING for value in bare.values()):
        return {}
    return {name: number for name, value in bare.items() if (number := _number(value)) is not None}


@cache
def _name(key: str) -> str:
    """A key without trackio's `train/`; empty for one of an evaluation or of profiling."""
    bare = key.strip().removeprefix("train/")
    return "" if re.split("[/_.]", bare)[0] in NOT_TRAINING else bare


def _number(value: Any) -> float | None:
    """A float, NaN for null; None for what is no number at all. Strings are read: trackio writes "NaN"."""
    if value is None:
        return math.nan
    if not isinstance(value, int | float | str):
        return None
    try:
        return float(str(value))  # float alone overflows for an integer of 400 digits
    except ValueError:
        return None
