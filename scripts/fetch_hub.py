"""Fetch a model or a data set from the hub, where there is internet, for jobs that have none."""

import os
from pathlib import Path

from coherence.config.hub import FILES, repositories, settings
from coherence.config.resolved import WEIGHTS, read_resolved
from coherence.console import label, progress, run_cli
from coherence.provenance.artifact import read_card
from coherence.provenance.files import copy_file, damage
from coherence.provenance.store import SharedArtifact


def main(config: Path, repo: str, out: Path) -> None:
    """Copy a repository's data (no code) at the study's commit into a folder, by way of the hub's own cache.

    Every file is checked against the hub's checksum. Goes to the hub even where HF_HUB_OFFLINE is set.

    Args:
        config: results/X/study.json.
        repo: as in the hub's cache, models--org--name or datasets--org--name.
        out: folder of the artifact.
    """
    label(f"fetch {repo}")
    study = read_resolved(config)
    if repo not in repositories(study):
        raise ValueError(
            f"this study takes no {repo} from the hub (has: {', '.join(repositories(study)) or 'nothing'})"
        )
    artifact = SharedArtifact(
        out=out, stage="fetch", cell={"repo": repo}, script=Path(__file__), settings=settings(study, repo), inputs={}
    )
    if artifact.reuse():
        return
    origin = repositories(study)[repo]
    progress(f"{origin['id']} at commit {origin['revision']}")
    with artifact.write() as folder:
        fetch(origin, folder / FILES if origin["type"] == "dataset" else folder)
        check_as_before(artifact, folder)
        sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
        progress(f"{len(sizes)} files, {sum(sizes) / 1e6:.1f} MB, as the hub's checksums say")


def fetch(origin: dict[str, str], folder: Path) -> None:
    """All files of a repository at its commit into `folder`; ValueError says what to do where the hub gives none."""
    os.environ["HF_HUB_OFFLINE"] = "0"  # before the hub's library is imported
    import httpx2
    from huggingface_hub.errors import XetDownloadError

    from coherence.models.hub import check_download, download

    try:
        snapshot, files = download(origin["type"], origin["id"], origin["revision"])
    except (httpx2.HTTPError, OSError, XetDownloadError) as error:
        raise ValueError(f"{origin['type']} {origin['id']}: {advice(error)}") from error
    for path in files:
        check_download(path)
        copy_file(path, folder / path.relative_to(snapshot))
    if origin["type"] == "model" and not any(folder.glob(f"*{WEIGHTS}")):
        raise ValueError(f"model {origin['id']}: it has no {WEIGHTS} file (other weight formats are not read)")


def advice(error: Exception) -> str:
    """What went wrong, and what to do about it."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(error, GatedRepoError):
        return "it is gated: accept its terms on its page, then `hf auth login` (or set HF_TOKEN) and run again"
    if isinstance(error, RepositoryNotFoundError):
        return "the hub has none of this name, or it is private: correct the name, or `hf auth login`"
    if isinstance(error, RevisionNotFoundError):
        return "it has no such commit: take the full hash from its page (Files, History)"
    return f"not fetched; run again where the hub can be reached, what is whole is kept ({str(error).splitlines()[0]})"


def check_as_before(artifact: SharedArtifact, folder: Path) -> None:
    """ValueError where the hub gives other bytes than an earlier fetch of the same commit has had."""
    try:
        card = read_card(artifact.out)
    except ValueError:  # there was none, or nothing is known of it
        return
    fault = damage(folder, card["files"]) if card["identity"]["digest"] == artifact.identity else None
    if fault:
        raise ValueError(
            f"the hub's files at this commit are not those of before ({fault}): remove {artifact.out} to take them"
        )


if __name__ == "__main__":
    run_cli(main)
