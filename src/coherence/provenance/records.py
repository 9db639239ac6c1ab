"""Which outputs Snakemake knows of: a reader of .snakemake/metadata, one file per output (Snakemake 9.27)."""

import os
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from pathlib import Path

METADATA = Path(".snakemake", "metadata")


def unrecorded(paths: Iterable[Path], root: Path) -> list[Path]:
    """Those of `paths` (relative to root, or below it) that exist without a record of Snakemake, run in root.

    On such files Snakemake compares neither parameters nor code, so whether they are right is unknown to it.
    """
    here = [path for path in paths if (root / path).exists()]
    return [path for path in here if not record_path(path, root).is_file()]


def record_path(path: Path, root: Path) -> Path:
    """The file of Snakemake's record of one output: its relative path in base64, cut to name-sized parts."""
    folder = root / METADATA
    relative = path.relative_to(root) if path.is_absolute() else path
    text = urlsafe_b64encode(relative.as_posix().encode()).decode()
    size = ((os.pathconf(folder, "PC_NAME_MAX") if folder.is_dir() else 0) or 255) - 1
    parts = [text[start : start + size] for start in range(0, len(text), size)]
    return folder.joinpath(*(f"@{part}" for part in parts[:-1]), parts[-1])
