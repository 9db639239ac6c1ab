"""Where a run keeps its state until it is done, outside every output, with one writer at a time.

scratch/<stage>/<beginning of the identity>: `run.json` says whose it is and which attempts there were; `step-N` is
whole once its manifest is there.
"""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from coherence.console import first_process, progress
from coherence.provenance.files import (
    check_entries,
    damage,
    differences,
    pretty,
    prune,
    read_json,
    sha256_file,
    sync,
    write_atomic,
)
from coherence.provenance.lease import LEASE, Lease, held, look, named, over
from coherence.provenance.place import MANIFEST

RUN = "run.json"


def scratch_root(root: Path) -> Path:
    """CARL_SCRATCH where it is set, else scratch/ in the clone."""
    return Path(os.environ.get("CARL_SCRATCH") or root / "scratch")


class Scratch:
    """One run's folder; who holds its lease may write it. `other` is another identity's folder to go on from, where
    this one has no state."""

    def __init__(
        self, folder: Path, run: Mapping[str, Any], other: "Scratch | None" = None, lease: Lease | None = None
    ) -> None:
        self.folder, self.run, self.other, self.lease = folder, dict(run), other, lease
        self.done = False
        """Set once the artifact is installed: nothing of the folder is kept then."""

    @property
    def history(self) -> dict[str, Any]:
        """For the card: when attempts began and at which step, and the other run that it was continued from."""
        return {key: self.run[key] for key in ("attempts", "resumed_from") if self.run[key]}

    def shown(self, path: Path) -> str:
        """A path in here, for a person: from the working folder where it lies below that."""
        return os.path.relpath(path) if path.resolve().is_relative_to(Path.cwd()) else str(path)

    def start(self) -> Path | None:
        """The state that this attempt goes on from, None for the beginning; recorded, and said."""
        found = self.last()
        if found is None:
            self.run["resumed_from"] = None
            if self.other is not None:
                found = self._continued(self.other)
        if self.lease is None:
            return found
        step = step_of(found) if found else 0
        now = datetime.now(UTC).isoformat(timespec="seconds")
        self.run["attempts"].append({"started": now, "from_step": step})
        write_atomic(self.folder / RUN, pretty(self.run))
        if found:
            progress(f"attempt {len(self.run['attempts'])} goes on after step {step} ({self.shown(found)})")
        return found

    def _continued(self, other: "Scratch") -> Path:
        found = other.last()
        if found is None:
            raise ValueError(f"resume_from: {other.folder} holds no whole state")
        told = {"identity": other.run["identity"], "step": step_of(found), "before": other.run.get("resumed_from")}
        old, new = other.run["parts"], self.run["parts"]
        if old["inputs"] != new["inputs"]:
            changed = ", ".join(change.split()[0] for change in differences(old["inputs"], new["inputs"]))
            raise ValueError(f"resume_from: {other.folder} began with other inputs ({changed}), so it is another run")
        changes = [f"settings: {change}" for change in differences(old["settings"], new["settings"])]
        for part in ("code", "packages"):
            names = sorted(old[part].keys() | new[part].keys())
            changes += [f"{part}: {name}" for name in names if old[part].get(name) != new[part].get(name)]
        self.run["resumed_from"] = {**told, "changed_since": changes}
        return found

    def last(self) -> Path | None:
        """The newest whole state; one that is torn is said and passed over."""
        for path in reversed(self._steps()):
            fault = torn(path)
            if fault is None:
                return path
            progress(f"not used: {fault}")
        return None

    @contextmanager
    def step(self, number: int) -> Iterator[Path]:
        """A folder for the state of one step: whole after the block, and then the only one; or nothing is left."""
        self.check()
        path = self.folder / f"step-{number}"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
        try:
            yield path
            files = [
                {"name": file.name, "size": file.stat().st_size, "sha256": sha256_file(file)}
                for file in sorted(path.iterdir())
            ]
            for file in path.iterdir():
                sync(file)
            write_atomic(path / MANIFEST, pretty({"files": files}))
        finally:
            if not (path / MANIFEST).is_file():
                shutil.rmtree(path, ignore_errors=True)
        self.check()
        for older in self._steps():
            if older != path:
                shutil.rmtree(older)

    def _steps(self) -> list[Path]:
        return sorted(self.folder.glob("step-*"), key=step_of)

    def check(self) -> None:
        """ValueError where another process has taken the folder over."""
        if self.lease is not None:
            self.lease.check()


def step_of(path: Path) -> int:
    """The step whose state a folder holds."""
    return int(path.name.removeprefix("step-"))


def torn(path: Path) -> str | None:
    """Why the state of a step is not whole; None where it is."""
    try:
        files = read_json(path / MANIFEST, ("files",))["files"]
        check_entries(path / MANIFEST, files)
    except ValueError as error:
        return str(error)
    return damage(path, files)


@contextmanager
def hold(root: Path, run: Mapping[str, Any], resume_from: str | None = None) -> Iterator[Scratch]:
    """A run's scratch folder, held for the block; nothing of it is left where it is done, or holds no state.

    `run` holds stage, cell, out, identity and its parts. ValueError where another process is at work in it, or where
    `resume_from` (the beginning of an identity) names no other run of this cell. Of several processes of one job the
    first holds and writes it; the others read.
    """
    top = scratch_root(root)
    folder = top / run["stage"] / run["identity"][:16]
    told: dict[str, Any] = {"attempts": [], "resumed_from": None}
    other = None
    if resume_from is not None and not run["identity"].startswith(resume_from):
        other = _named_run(folder.parent, resume_from, run["cell"])
    if not first_process():
        yield Scratch(folder, {**told, **run}, other)
        return
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder) as lease:
        if (folder / RUN).is_file():
            told = read_json(folder / RUN, (*told, "identity"))
            if told["identity"] != run["identity"]:
                raise ValueError(f"{folder} is another run's: remove it, or set CARL_SCRATCH to another folder")
        scratch = Scratch(folder, {**told, **run}, other, lease)
        write_atomic(folder / RUN, pretty(scratch.run))
        try:
            yield scratch
        finally:
            if not lease.lost and (scratch.done or not any(folder.glob("step-*"))):
                remove(folder, top)


def _named_run(stage: Path, beginning: str, cell: Mapping[str, Any]) -> Scratch:
    runs = [path.parent for path in stage.glob(f"*/{RUN}")]
    found = [folder for folder in runs if read_run(folder)["identity"].startswith(beginning)]
    if len(found) != 1:
        raise ValueError(
            f"resume_from: {len(found)} runs in {stage} begin with '{beginning}': see `make clean-scratch`"
        )
    run = read_run(found[0])
    if run["cell"] != dict(cell):
        raise ValueError(f"resume_from: {found[0]} is the state of {json.dumps(run['cell'])}, another cell")
    who = in_use(found[0])
    if who:
        raise ValueError(f"resume_from: {found[0]} is in use by {who}: stop it first")
    return Scratch(found[0], run)


def read_run(folder: Path) -> dict[str, Any]:
    """Whose state a folder holds; ValueError where its run.json is missing or broken."""
    return read_json(folder / RUN, ("stage", "cell", "out", "identity", "parts", "attempts"))


def in_use(folder: Path) -> str | None:
    """The process at work in a scratch folder, None where there is none."""
    seen = look(folder / LEASE)
    return named(seen[0]) if seen is not None and not over(*seen) else None


@dataclass(frozen=True)
class Kept:
    """What an unfinished run has left: bytes, last step, when it was last written, and who is at work there."""

    folder: Path
    identity: str
    out: str
    size: int
    step: int | None
    touched: float
    user: str | None


def kept(top: Path) -> list[Kept]:
    """All runs in a scratch root, the oldest first; ValueError where a run.json is broken."""
    return sorted((_kept(path.parent) for path in top.glob(f"*/*/{RUN}")), key=lambda run: run.touched)


def _kept(folder: Path) -> Kept:
    run = read_run(folder)
    stats = [path.stat() for path in folder.rglob("*") if path.is_file()]
    steps = [step_of(path.parent) for path in folder.glob(f"step-*/{MANIFEST}")]
    size, touched = sum(stat.st_size for stat in stats), max(stat.st_mtime for stat in stats)
    return Kept(folder, run["identity"], run["out"], size, max(steps, default=None), touched, in_use(folder))


def remove(folder: Path, top: Path) -> None:
    """Take a run's folder away, and its stage's where that was the last."""
    shutil.rmtree(folder)
    prune(folder.parent, top)
