"""How every program of a figure or table begins; nothing heavy is imported here."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from coherence.config.figures import settings
from coherence.config.resolved import read_resolved
from coherence.console import label
from coherence.provenance.artifact import Artifact


def begin(name: str, script: str, config: Path, out: Path, inputs: Mapping[str, Path]) -> Artifact:
    """The artifact `out.*` of the figure `name` of the study that `config` (study.json) resolves."""
    label(name)
    chosen = settings(read_resolved(config), name)
    cell = {"name": name}
    return Artifact(out=out, stage="figures", cell=cell, script=Path(script), settings=chosen, inputs=inputs, stem=True)


def by_cell(folders: Sequence[Path], stage: str = "") -> dict[str, Path]:
    """The folders by the names that they have as inputs, `{stage}{arm}/seed{seed}`."""
    return {f"{stage}{folder.parent.name}/{folder.name}": folder for folder in folders}
