"""Bring a model or a data set of the hub to this machine: data, never code, checked against its checksums."""

import hashlib
import logging
from pathlib import Path

from coherence.config.resolved import MODEL_FILES
from coherence.provenance.files import sha256_file

DATA_FILES = (".parquet", ".arrow", ".json", ".jsonl", ".csv", ".tsv", ".gz", ".zst", "README.md")
"""README.md says which file is of which subset and split."""


def download(kind: str, name: str, revision: str) -> tuple[Path, list[Path]]:
    """The folder, in the hub's cache, of a repository at one revision, and of its files those that are taken: a model's
    (its top folder alone) or a data set's; whatever else was put into the cache before is not looked at.

    Files that are there already are not loaded again. httpx2.HTTPError or OSError where the hub does not give them.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.utils.tqdm import disable_progress_bars

    disable_progress_bars()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # or five retries say two lines each
    endings, search, below = (MODEL_FILES, "*", ["*/*"]) if kind == "model" else (DATA_FILES, "**/*", None)
    allowed = [f"*{ending}" for ending in endings]
    folder = Path(
        snapshot_download(name, repo_type=kind, revision=revision, allow_patterns=allowed, ignore_patterns=below)
    )
    return folder, sorted(path for path in folder.glob(search) if path.is_file() and path.name.endswith(endings))


def check_download(link: Path) -> None:
    """ValueError unless a file in the hub's cache has the checksum that the hub gives it: its blob's name there."""
    if not link.is_symlink():
        raise ValueError(f"{link} is no link, so its checksum is not known: set HF_HOME to a disk that can hold links")
    expected, blob = link.readlink().name, link.resolve()
    if expected not in (sha256_file(blob), _git_sha1(blob)):
        raise ValueError(f"{link.name} has other bytes than the hub's checksum says: remove {blob} and run again")


def _git_sha1(path: Path) -> str:
    """What git calls a file by; the hub gives the sha256 of large files alone."""
    digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: digest).hexdigest()
