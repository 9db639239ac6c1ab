"""Where an artifact lies, and how artifacts are found in a tree."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MANIFEST = "manifest.json"
CARD = "card.json"


@dataclass(frozen=True)
class Place:
    """A folder of its own (`results/default/base`); or, as a stem, the files `arms.*` of a folder that other
    stems share (`figs/default/arms`)."""

    out: Path
    stem: bool = False

    @property
    def folder(self) -> Path:
        """The folder that file names are relative to."""
        return self.out.parent if self.stem else self.out

    @property
    def prefix(self) -> str:
        """What the names of all its files begin with; the dot keeps `arms` apart from `arms_table`."""
        return f"{self.out.name}." if self.stem else ""

    @property
    def manifest(self) -> Path:
        return self.folder / f"{self.prefix}{MANIFEST}"

    @property
    def card(self) -> Path:
        return self.folder / f"{self.prefix}{CARD}"

    @property
    def partial(self) -> Path:
        """The hidden folder beside it that is written into before anything is installed."""
        return self.out.parent / f".{self.out.name}.partial"


def find(path: Path) -> Place | None:
    """The artifact that a folder, a stem, or the path of a manifest names; None if there is none."""
    named = _of_sidecar(path)
    if named is not None:
        return named
    both = (Place(path), Place(path, stem=True))
    return next((place for place in both if place.manifest.is_file() or place.card.is_file()), None)


def find_all(top: Path) -> list[Place]:
    """All artifacts under `top`, complete or not, sorted by path; hidden folders are not entered."""
    return sorted(set(_places(top)), key=lambda place: (place.out.as_posix(), place.stem))


def _places(top: Path) -> Iterator[Place]:
    for folder, folders, names in os.walk(top):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            place = None if name.startswith(".") else _of_sidecar(Path(folder, name))
            if place is not None:
                yield place


def _of_sidecar(path: Path) -> Place | None:
    for name in (MANIFEST, CARD):
        if path.name == name:
            return Place(path.parent)
        if path.name.endswith(f".{name}"):
            return Place(path.with_name(path.name.removesuffix(f".{name}")), stem=True)
    return None
