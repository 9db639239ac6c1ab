"""Take copied results into Snakemake's records: the right ones as they are; the others are moved aside."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from coherence.provenance.artifact import ROOT, card_of, restore_manifest
from coherence.provenance.files import damage, prune
from coherence.provenance.place import Place
from coherence.provenance.verify import CurrentSettings, Finding, verify

ADOPTING = "COHERENCE_ADOPTING"
"""Set in the environment of the Snakemake runs made here: the Snakefile takes unrecorded outputs."""


def adopt(
    configfile: Path, study: str, current_settings: CurrentSettings, base: Path = Path(), root: Path = ROOT
) -> tuple[list[Finding], dict[Place, Path]]:
    """Verify, move what is not right aside, have Snakemake record the rest: (findings, where each moved).

    Unfinished artifacts stay: without a manifest nothing builds on them, and the next run replaces them.
    """
    findings = verify(study, current_settings, base, root)
    if complete(findings):
        findings = verify(study, current_settings, base, root)
    good = [finding.place for finding in findings if finding.status == "ok"]
    bad = [finding.place for finding in findings if finding.status in ("damaged", "stale", "orphan")]
    aside = base / "results" / study / ".aside" / datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    moved = {place: move_aside(place, findings, aside, base) for place in bad}
    if good:
        _snakemake(touch_arguments(good, configfile, base), base)
    return findings, moved


def complete(findings: Sequence[Finding]) -> list[Place]:
    """Write the manifests of unfinished artifacts that lack nothing else (a rule was stopped at its end)."""
    unfinished = [finding.place for finding in findings if finding.status == "unfinished"]
    whole = [place for place in unfinished if damage(place.folder, card_of(place)["files"]) is None]
    for place in whole:
        restore_manifest(place, card_of(place))
    return whole


def move_aside(place: Place, findings: Sequence[Finding], aside: Path, base: Path) -> Path:
    """Move all files of an artifact into `aside`, under the path they had; returns where it now lies."""
    inner = [finding.place.out for finding in findings if finding.place.out != place.out]
    inner = [] if place.stem else [out for out in inner if out.is_relative_to(place.out)]
    for path in list(_own_files(place)):
        if not any(path.is_relative_to(out) for out in inner):
            target = aside / path.relative_to(base)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(path, target)
            prune(path.parent, base)
    return aside / place.out.relative_to(base)


def _own_files(place: Place) -> Iterator[Path]:
    if place.stem:
        yield from (path for path in place.folder.iterdir() if path.name.startswith(place.prefix))
    else:
        yield from (path for path in place.folder.rglob("*") if not path.is_dir())


def touch_arguments(places: Sequence[Place], configfile: Path, base: Path) -> list[str]:
    """Arguments by which Snakemake records these artifacts as built, all of them and nothing else.

    --forceall, since --touch alone records only jobs that would rerun, and without a record Snakemake
    compares no parameters: a change of config would go unnoticed. It reaches all ancestors of the targets;
    they are right too, since an artifact that is built on one that is not ok is not ok.
    """
    targets = [place.manifest.relative_to(base).as_posix() for place in places]
    return [*targets, "--configfile", str(configfile), "--touch", "--forceall", "--cores", "1"]


def _snakemake(arguments: Sequence[str], base: Path) -> None:
    command = [sys.executable, "-m", "snakemake", *arguments]
    environment = {**os.environ, ADOPTING: "1"}
    done = subprocess.run(command, cwd=base, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stderr)
        raise ValueError("snakemake could not record the artifacts; its messages are above")
