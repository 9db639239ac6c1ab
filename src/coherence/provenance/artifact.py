"""An artifact: files with an identity. `manifest.json` lists the bytes, `card.json` how they came to be."""

import json
import re
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from coherence.console import first_process, progress
from coherence.provenance.circumstances import Clock, command, machine, shown, this_process, versions
from coherence.provenance.code import code_parts
from coherence.provenance.files import (
    FileEntry,
    canonical,
    check_entries,
    damage,
    nan_to_null,
    pretty,
    prune,
    read_json,
    sha256_bytes,
    sha256_file,
    sync,
    write_atomic,
)
from coherence.provenance.packages import check_installed, locked_packages
from coherence.provenance.place import MANIFEST, Place, find
from coherence.provenance.scratch import Scratch, hold

ROOT = Path(__file__).resolve().parents[3]
CARD_KEYS = ("stage", "cell", "script", "identity", "inputs", "outcome", "manifest", "files", "seal")
WRITER = ".writer"
"""A file in the partial folder that names the process writing there."""


@dataclass(kw_only=True)
class Artifact:
    """What one program makes: the folder `out`, or with `stem=True` the files `out.*` in a shared folder.

    Settings, the script's code, inputs (artifacts or plain files) and packages are its identity.
    ValueError for an input that is not built, or a script that is not of this repository.
    """

    out: Path
    stage: str
    cell: Mapping[str, Any]
    script: Path
    settings: Mapping[str, Any]
    inputs: Mapping[str, Path]
    root: Path = ROOT
    stem: bool = False
    outcome: dict[str, Any] = field(default_factory=lambda: {"status": "ok"})
    history: dict[str, Any] = field(default_factory=dict, init=False)
    parts: dict[str, Any] = field(init=False, repr=False)
    identity: str = field(init=False)

    def __post_init__(self) -> None:
        if self.stem and "." in self.out.name:
            raise ValueError(f"{self.out}: a stem has no dot in its name")
        if self.out.resolve() in [path.resolve() for path in self.inputs.values()]:
            raise ValueError(f"--out {self.out} is an input, which it would replace: name another folder")
        self.place = Place(self.out, self.stem)
        self.root = self.root.resolve()
        self.script = own_script(self.script, self.root)
        self.parts = identity_parts(self.script, self.settings, self.inputs, self.root)
        self.identity = digest(self.parts)

    def reuse(self) -> bool:
        """True if this very identity is on disk with all bytes right; then `outcome` is the card's.

        A missing manifest is written again (Snakemake removes a rule's outputs before it runs the rule).
        """
        self._check_inputs()
        try:
            card = card_of(self.place)
        except ValueError:
            return False
        if card["identity"]["digest"] != self.identity or damage(self.place.folder, card["files"]):
            return False
        restore_manifest(self.place, card)
        self.outcome = card["outcome"]
        progress(f"{self.out}: already there with this identity, nothing to do")
        return True

    @contextmanager
    def write(self) -> Iterator[Path]:
        """A hidden empty folder to write the files into; on a clean exit they are installed, manifest last.

        After an exception nothing is installed, what was there before is untouched, and the hidden folder
        stays for inspection until the next attempt empties it. ValueError for wrong inputs or packages.
        Of several processes of one job the first writes; what the others write is thrown away.
        """
        if not first_process():
            with TemporaryDirectory() as thrown_away:
                yield Path(thrown_away)
            return
        self._check_inputs(every_byte=True)
        check_installed(self.parts["packages"])
        clock, writer, partial = Clock.start(), this_process(), self.place.partial
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        (partial / WRITER).write_text(writer)
        yield partial
        if not (partial / WRITER).is_file() or (partial / WRITER).read_text() != writer:
            raise ValueError(f"{self.out}: another process is writing it too: let one finish, then run again")
        (partial / WRITER).unlink()
        self._install(partial, clock)

    @contextmanager
    def write_resumable(self, resume_from: str | None = None) -> Iterator[tuple[Path, Scratch]]:
        """As write(), with the run's scratch folder, which is removed once the artifact is installed.

        `resume_from` begins the identity of another run of this cell, to go on from where this one has no state.
        """
        out = shown(self.out, self.root)
        run = {"stage": self.stage, "cell": dict(self.cell), "out": out, "identity": self.identity, "parts": self.parts}
        with hold(self.root, run, resume_from) as scratch:
            with self.write() as folder:
                yield folder, scratch
                self.history = scratch.history
            scratch.done = True

    def _check_inputs(self, every_byte: bool = False) -> None:
        for name, path in self.inputs.items():
            if input_identity(name, path) != self.parts["inputs"][name]:
                raise ValueError(f"input {name}: {path} has changed since this program began: run it again")
            place = find(path)
            fault = place and damage(place.folder, manifest_of(place)["files"], sizes_only=not every_byte)
            if fault:
                raise ValueError(f"input {name}: {fault}: run `python scripts/verify.py`")

    def _install(self, partial: Path, clock: Clock) -> None:
        """Take out the old files, then card, files and manifest in this order.

        A crash anywhere leaves no manifest, and a card that lists every file of ours that may lie there.
        """
        self._check_inputs()
        files = self._listing(partial)
        manifest = manifest_bytes(files)
        card = json.loads(pretty(self.make_card(files, sha256_bytes(manifest), clock)))
        self._remove_old()
        write_atomic(self.place.card, pretty({**card, "seal": _seal(card)}))
        for entry in files:
            target = self.place.folder / entry["name"]
            target.parent.mkdir(parents=True, exist_ok=True)
            (partial / entry["name"]).replace(target)
            sync(target.parent)
        shutil.rmtree(partial)
        write_atomic(self.place.manifest, manifest)

    def _listing(self, partial: Path) -> list[FileEntry]:
        files: list[FileEntry] = []
        for path in sorted(path for path in partial.rglob("*") if path.is_symlink() or not path.is_dir()):
            name = path.relative_to(partial).as_posix()
            self._check_name(name, path)
            sync(path)
            files.append({"name": name, "size": path.stat().st_size, "sha256": sha256_file(path)})
        if not files:
            raise ValueError(f"{self.out}: the program has written no file")
        return files

    def _check_name(self, name: str, path: Path) -> None:
        if path.is_symlink() or not path.is_file():
            raise ValueError(f"{self.out}: {name} is no plain file; an artifact holds its own bytes")
        if self.place.folder / name in (self.place.card, self.place.manifest):
            raise ValueError(f"{self.out}: {name} is written by Artifact, the program must not")
        if self.stem and ("/" in name or not name.startswith(self.place.prefix)):
            raise ValueError(f"{self.out}: {name} must be a plain file named {self.place.prefix}*")

    def _remove_old(self) -> None:
        names = set[str]()
        for read in (manifest_of, card_of):
            try:
                names |= {entry["name"] for entry in read(self.place)["files"]}
            except ValueError:  # missing or broken: the other of the two, or neither, lists the old files
                continue
        self.place.manifest.unlink(missing_ok=True)
        for name in sorted(names):
            path = self.place.folder / name
            path.unlink(missing_ok=True)
            prune(path.parent, self.place.folder)

    def make_card(self, files: list[FileEntry], manifest: str, clock: Clock) -> dict[str, Any]:
        return {
            "stage": self.stage,
            "cell": dict(self.cell),
            "script": self.script.relative_to(self.root).as_posix(),
            "identity": {"digest": self.identity, "parts": self.parts},
            "inputs": {name: shown(path, self.root) for name, path in self.inputs.items()},
            "outcome": nan_to_null(self.outcome),
            "manifest": manifest,
            "files": files,
            "command": command(self.script, self.root),
            "versions": versions(self.parts["packages"]),
            "machine": machine(),
            **clock.read(),
            **self.history,
        }


def identity_parts(
    script: Path, settings: Mapping[str, Any], inputs: Mapping[str, Path], root: Path = ROOT
) -> dict[str, Any]:
    """What an artifact is: settings, code of the script's closure, content of the inputs, locked packages."""
    return {
        "settings": json.loads(canonical(dict(settings))),
        "code": code_parts(script, root),
        "inputs": {name: input_identity(name, path) for name, path in inputs.items()},
        "packages": locked_packages(script, root),
    }


def digest(parts: Mapping[str, Any]) -> str:
    """sha256 of the canonical JSON of the parts."""
    return sha256_bytes(canonical(dict(parts)).encode())


def input_identity(name: str, path: Path) -> str:
    """sha256 of an artifact's manifest, or of a plain file; ValueError says what to build if missing."""
    place = find(path)
    source = place.manifest if place else path
    if source.is_file():
        return sha256_file(source)
    is_plain = place is not None or (path.suffix and not path.is_dir())
    target = source if is_plain else source / MANIFEST
    raise ValueError(f"input {name}: {target} is missing: build it first, `snakemake {target}`")


def read_card(out: Path) -> dict[str, Any]:
    """The card of the artifact at a folder or stem; ValueError naming the file if missing or broken."""
    return card_of(find(out) or Place(out))


def read_manifest(out: Path) -> dict[str, list[FileEntry]]:
    """The manifest of the artifact at a folder or stem; ValueError naming the file if missing or broken."""
    return manifest_of(find(out) or Place(out))


def card_of(place: Place) -> dict[str, Any]:
    """read_card where it is known whether it is a folder or a stem."""
    card = read_json(place.card, CARD_KEYS)
    if card.pop("seal") != _seal(card):
        raise ValueError(f"{place.card} is not as it was written")
    if not re.fullmatch(r"scripts/\w+\.py", str(card["script"])):
        raise ValueError(f"{place.card} names {card['script']}, which is no program in scripts/")
    return card


def _seal(card: Mapping[str, Any]) -> str:
    return sha256_bytes(json.dumps(card, sort_keys=True).encode())


def manifest_of(place: Place) -> dict[str, list[FileEntry]]:
    """read_manifest where it is known whether it is a folder or a stem."""
    manifest = read_json(place.manifest, ("files",))
    check_entries(place.manifest, manifest["files"])
    return manifest


def manifest_bytes(files: Sequence[FileEntry]) -> bytes:
    """The one spelling of a manifest, sorted by name: equal files have equal manifests."""
    return pretty({"files": sorted(files, key=lambda entry: entry["name"])})


def restore_manifest(place: Place, card: Mapping[str, Any]) -> None:
    """Write the manifest that a card vouches for, unless it is there; the caller has checked the files."""
    manifest = manifest_bytes(card["files"])
    if not place.manifest.is_file() or place.manifest.read_bytes() != manifest:
        write_atomic(place.manifest, manifest)


def own_script(script: Path, root: Path) -> Path:
    """The script's real path; ValueError where it is not in scripts/, or runs with another clone's library."""
    found = next((path.resolve() for path in (script, root / script) if path.is_file()), None)
    if found is None:
        raise ValueError(f"script {script} does not exist")
    main = Path(getattr(sys.modules["__main__"], "__file__", None) or found).resolve()
    for path in (found, main) if main.name == found.name else (found,):
        if not path.is_relative_to(root.resolve()):
            raise ValueError(f"{path} runs with the library of {root}: `pip install -e .` in its own clone")
    if found.parent != root.resolve() / "scripts":
        raise ValueError(f"{found} is no program in {root / 'scripts'}")
    return found
