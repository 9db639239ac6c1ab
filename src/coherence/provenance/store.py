"""Expensive artifacts that several clones share: the folder that CARL_STORE names holds one artifact per identity.

An entry appears by one rename, the first writer wins, and a copy is used only after every byte of it was checked.
Training may round otherwise on another processor, so one identity can have several bytes. The store's win for whoever
takes them; what is built on them is identified by them, since an input is known by its manifest.
"""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coherence.console import first_process, one_line, progress
from coherence.provenance.artifact import Artifact, card_of, manifest_of
from coherence.provenance.files import copy_file, damage, sha256_file, sync
from coherence.provenance.place import Place

STORE = "CARL_STORE"


class Broken(ValueError):
    """An entry of the store that is not as it was written."""


@dataclass(kw_only=True)
class SharedArtifact(Artifact):
    """An artifact that is looked up in the store before the work, and copied into it after; without a store, a plain
    one. The card of one that was taken says so: `from_store` holds the card of those who built it."""

    origin: dict[str, Any] | None = field(default=None, init=False, repr=False)

    def reuse(self) -> bool:
        """True if this identity is on disk, or was taken from the store; `outcome` is then that of the run."""
        return super().reuse() or self._take()

    @contextmanager
    def write(self) -> Iterator[Path]:
        """As of any artifact; what was installed is then copied into the store."""
        with super().write() as folder:
            yield folder
        if first_process() and "resumed_from" not in self.history:  # what a person joined, this identity does not make
            _put(self.place, self.identity)

    def _take(self) -> bool:
        place = _entry(self.identity)
        if place is None or not place.folder.is_dir():
            return False
        try:
            with super().write() as folder:
                origin = _copy_out(place, self.identity, folder)
                self.origin, self.outcome = origin, origin["outcome"]
        except Broken as fault:
            progress(f"{STORE}: {fault}: not taken, built anew")
            return False
        built = f"`{origin['command']}` on {origin['machine']['cpu']} at {origin['finished']}"
        progress(f"{self.out}: taken from the store, built by {built}")
        return True

    def make_card(self, *arguments: Any) -> dict[str, Any]:
        card = super().make_card(*arguments)
        return card | {"from_store": self.origin} if self.origin else card


def store_folder() -> Path | None:
    """The folder that CARL_STORE names, None where it is not set; ValueError where there is no such folder."""
    value = os.environ.get(STORE)
    if value and not Path(value).is_dir():
        raise ValueError(f"{STORE} is {value}, which is no folder: make it, or unset {STORE}")
    return Path(value) if value else None


def _entry(identity: str) -> Place | None:
    folder = store_folder()
    return Place(folder / identity) if folder else None


def _checked_card(place: Place, identity: str) -> dict[str, Any]:
    """The card of an entry whose records agree; Broken where they do not."""
    try:
        card, listed, manifest = card_of(place), manifest_of(place)["files"], sha256_file(place.manifest)
    except (ValueError, OSError) as error:
        raise Broken(one_line(error)) from None
    if card["identity"]["digest"] != identity or manifest != card["manifest"]:
        raise Broken(f"card and manifest in {place.folder} are not of this identity")
    return card | {"files": listed}


def _fault(place: Place, identity: str) -> str | None:
    try:
        return damage(place.folder, _checked_card(place, identity)["files"])
    except Broken as fault:
        return str(fault)


def _copy_out(place: Place, identity: str, folder: Path) -> dict[str, Any]:
    """Copy an entry's files into `folder` and check the copies: what is used is what was checked."""
    card = _checked_card(place, identity)
    try:
        for entry in card["files"]:
            copy_file(place.folder / entry["name"], folder / entry["name"])
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise Broken(one_line(error)) from None
    if fault := damage(folder, card["files"]):
        raise Broken(fault.replace(str(folder), str(place.folder)))
    return card


def _put(place: Place, identity: str) -> None:
    """Copy an artifact into the store, unless that has it whole. Where it cannot be written, one line says so."""
    token = secrets.token_hex(8)
    try:
        target = _entry(identity)
        if target is None or _fault(target, identity) is None:
            return
        partial = target.folder.with_name(f".{identity}.{token}")
        try:
            _copy_in(place, partial)
            _install(partial, target.folder, identity, partial.with_name(f"{partial.name}.broken"))
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        progress(f"{place.out}: copied into the store")
    except (OSError, ValueError) as error:
        progress(f"{STORE}: {place.out} is not copied into it: {one_line(error)}")


def _copy_in(place: Place, partial: Path) -> None:
    partial.mkdir()
    for name in (*(entry["name"] for entry in manifest_of(place)["files"]), place.card.name, place.manifest.name):
        copy_file(place.folder / name, partial / name)
        sync(partial / name)
    sync(partial)


def _install(partial: Path, folder: Path, identity: str, aside: Path) -> None:
    """One rename. Where an entry has come meanwhile, a whole one stays, a broken one makes room."""
    try:
        partial.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
        if _fault(Place(folder), identity) is None:
            return
        folder.rename(aside)
        try:
            partial.rename(folder)
        finally:  # another may have come first again
            shutil.rmtree(aside, ignore_errors=True)
    sync(folder.parent)
