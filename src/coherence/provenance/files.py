"""Bytes on disk: hashes, JSON with one spelling, and writes that are complete or absent."""

import fcntl
import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, TypedDict

FICLONE = 0x40049409
"""Linux's request to let two files share their bytes until one of them is written to."""
NOTHING = object()


class FileEntry(TypedDict):
    """One file of an artifact, named relative to the artifact's folder."""

    name: str
    size: int
    sha256: str


def sha256_bytes(data: bytes) -> str:
    """Hex digest of bytes in memory."""
    return hashlib.sha256(data).hexdigest()


def sha256_file(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def canonical(value: object) -> str:
    """The one JSON spelling, which identities are hashed over; ValueError for NaN and for what JSON lacks."""
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    except TypeError as error:
        raise ValueError(f"only JSON values can enter an identity: {error}") from None


def pretty(value: object) -> bytes:
    """The one spelling of a JSON file that a person reads."""
    return (json.dumps(value, sort_keys=True, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()


def nan_to_null(value: Any) -> Any:
    """The value with null for each non-finite float, which JSON lacks: a lost score must not lose the run."""
    if isinstance(value, dict):
        return {key: nan_to_null(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [nan_to_null(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def read_json(path: Path, keys: Iterable[str]) -> dict[str, Any]:
    """A JSON object that has these keys; ValueError, one line with the file's name, for anything else."""
    try:
        value = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{path} is missing") from None
    except ValueError as error:  # broken JSON, or bytes that are no text
        raise ValueError(f"{path} is not JSON: {error}") from None
    missing = [key for key in keys if not isinstance(value, dict) or key not in value]
    if missing:
        raise ValueError(f"{path} has no key '{missing[0]}'")
    return dict(value)


def read_jsonl(path: Path, lines: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """File and line, and the object there, of each line that is not blank; ValueError names those that hold none."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            entry = parse_json(line, path, number)
            if not isinstance(entry, dict):
                raise ValueError(f"{path}, line {number}: a JSON object is expected")
            yield f"{path}, line {number}", entry


def parse_json(text: str | bytes, path: Path, line: int | None = None) -> Any:
    """A JSON value; ValueError names the file, and the line where there is one to name, for anything else."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # broken, bytes that are no text, nested too deeply to be read
        line = line or getattr(error, "lineno", None)
        place = f"{path}, line {line}" if line else path
        raise ValueError(f"{place}: not valid JSON ({getattr(error, 'msg', error)})") from None


def write_atomic(path: Path, data: bytes) -> None:
    """Write a file so that a reader, or a crash, sees the old bytes or the new ones and nothing between."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.partial")
    temporary.write_bytes(data)
    sync(temporary)
    temporary.replace(path)
    sync(path.parent)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file's bytes, at no cost where the file system can share them; never a link, which an edit would pass."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as reader, target.open("wb") as writer:
        try:
            fcntl.ioctl(writer, FICLONE, reader.fileno())
        except OSError:
            shutil.copyfile(source, target)


def sync(path: Path) -> None:
    """Wait until a file's bytes, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def damage(folder: Path, files: Iterable[FileEntry], *, sizes_only: bool = False) -> str | None:
    """The first file that is not as listed, in words; None where all are right."""
    for entry in files:
        path = folder / entry["name"]
        if not path.is_file():
            return f"{path} is missing"
        size = path.stat().st_size
        if size != entry["size"]:
            return f"{path} has {size} bytes, its manifest says {entry['size']}"
        if not sizes_only and sha256_file(path) != entry["sha256"]:
            return f"{path} has other bytes than its manifest says"
    return None


def check_entries(path: Path, entries: Any) -> None:
    """ValueError unless the list of files that `path` holds is one, and names nothing outside its folder."""
    for entry in entries if isinstance(entries, list) else [None]:
        if not isinstance(entry, dict) or entry.keys() != FileEntry.__annotations__.keys():
            raise ValueError(f"{path}: its list of files is broken")
        name = PurePosixPath(str(entry["name"]))
        if name.is_absolute() or ".." in name.parts:
            raise ValueError(f"{path} lists {name}, which is outside its folder")


def prune(folder: Path, top: Path) -> None:
    """Remove `folder` and its parents up to, not including, `top`, as long as they are empty."""
    while folder != top and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def differences(old: Any, new: Any, path: str = "") -> Iterator[str]:
    """`a.b 1 -> 2` for each leaf of two JSON values that differs; 1, 1.0 and true are different."""
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            inner = f"{path}.{key}" if path else key
            yield from differences(old.get(key, NOTHING), new.get(key, NOTHING), inner)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, pair in enumerate(zip(old, new, strict=True)):
            yield from differences(*pair, f"{path}.{index}" if path else str(index))
    elif old is NOTHING or new is NOTHING or canonical(old) != canonical(new):
        yield f"{path} {_short(old)} -> {_short(new)}"


def _short(value: Any) -> str:
    text = "nothing" if value is NOTHING else value if isinstance(value, str) else canonical(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
