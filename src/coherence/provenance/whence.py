"""Where a figure came from, told by the file itself, and whether this clone would draw the same bytes again."""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from PIL import Image

from coherence.provenance.artifact import ROOT, card_of, own_script
from coherence.provenance.files import damage, differences
from coherence.provenance.place import Place
from coherence.provenance.verify import verify

KEYS = {"study": str, "figure": str, "identity": str, "settings": dict, "seeds": list, "command": str}
DUBLIN_CORE = "{http://purl.org/dc/elements/1.1/}description"
SUBJECT = re.compile(rb"/Subject \(((?:[^()\\]|\\.)*)\)", re.DOTALL)
"""Of a PDF's uncompressed information dictionary, as matplotlib writes it: brackets in it stand behind backslashes."""
PLAIN_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


# ------------------------------------------------------------------------------- the file alone


def origin(path: Path) -> dict[str, Any]:
    """What a png, svg or pdf says of its origin: study, figure, identity, settings, seeds, command.

    ValueError for a file that tells no origin, or is no such file; OSError for one that cannot be read.
    """
    readers = {".png": _png, ".svg": _svg, ".pdf": _pdf}
    if path.suffix.lower() not in readers:
        raise ValueError(f"{path}: origins are told by .png, .svg and .pdf files")
    text = readers[path.suffix.lower()](path)
    try:
        told = json.loads(text or "")
    except ValueError:
        told = None
    if not isinstance(told, dict) or not all(isinstance(told.get(key), kind) for key, kind in KEYS.items()):
        raise ValueError(f"{path} does not tell where it came from: it was not drawn here, or another program saved it")
    return told


def _png(path: Path) -> str | None:
    with Image.open(path, formats=["PNG"]) as image:
        text: str | None = image.info.get("Description")
    return text


def _svg(path: Path) -> str | None:
    try:
        return ElementTree.parse(path).findtext(f".//{DUBLIN_CORE}")
    except ElementTree.ParseError as error:
        raise ValueError(f"{path} is not SVG: {error}") from None


def _pdf(path: Path) -> str | None:
    found = SUBJECT.search(path.read_bytes())
    return found and re.sub(rb"\\(.)", rb"\1", found[1], flags=re.DOTALL).decode("latin-1")


def told_lines(told: Mapping[str, Any]) -> Iterator[str]:
    """The origin to read, one fact a line."""
    seeds = ", ".join(map(str, told["seeds"])) or "none"
    yield from (f"study     {told['study']}", f"figure    {told['figure']}", f"seeds     {seeds}")
    yield from (f"identity  {told['identity']}", f"command   {told['command']}", "settings")
    yield from (f"  {name} = {value}" for name, value in _leaves(told["settings"]))


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else key)
    else:
        yield path, json.dumps(value)


# ------------------------------------------------------------------------------- against the clone


@dataclass
class Check:
    """What a figure was compared with, and every difference found; `same` if there is none."""

    compared: list[str] = field(default_factory=list)
    differs: list[str] = field(default_factory=list)

    @property
    def same(self) -> bool:
        return not self.differs


def check(path: Path, told: Mapping[str, Any], base: Path = Path(), root: Path = ROOT) -> Check:
    """Compare a figure with the artifact of its name under `base`, draw that again aside, and compare with the result.

    What runs is the script and the arguments on the artifact's card, never the command in the figure. ValueError where
    there is no such artifact to compare with.
    """
    place = _place(path, told)
    if not (base / place.card).is_file():
        config = f"config/{told['study']}.yaml"
        command = f"snakemake --cores 2 {place.out}{path.suffix} --configfile {config}"
        raise ValueError(f"{place.out} is not built here: `{command}` builds it, where {config} is its study's file")
    card = card_of(Place(base / place.out, stem=True))
    found = Check()
    _compare_with_artifact(found, path, told, card, base / place.out)
    with tempfile.TemporaryDirectory() as folder:
        again = _draw_again(found, card, place, base.resolve(), Path(folder), root)
        if again is not None:
            _compare_with_drawing(found, path, told, card, again)
    return found


def stale(path: Path, told: Mapping[str, Any], settings: Callable[..., Any], root: Path = ROOT) -> list[str]:
    """What verify says against the artifact of the figure's name, or against any result that it was built on.

    Looks below the working folder. `settings(stage, **cell)` are the study's; KeyError where it has no such cell.
    """

    def current(stage: str, cell: Mapping[str, Any]) -> Any:
        try:
            return settings(stage, **cell)
        except KeyError:
            return None

    place, findings = _place(path, told), verify(str(told["study"]), current, root=root)
    return [f"results: {found}" for found in findings if found.place == place and found.status != "ok"]


def _place(path: Path, told: Mapping[str, Any]) -> Place:
    names = [str(told["study"]), str(told["figure"])]
    if not all(map(PLAIN_NAME.fullmatch, names)):
        raise ValueError(f"{path} names a study or a figure that cannot be: {'/'.join(names)}")
    return Place(Path("figs", *names), stem=True)


def _compare_with_artifact(
    found: Check, path: Path, told: Mapping[str, Any], card: Mapping[str, Any], out: Path
) -> None:
    found.compared.append(f"{out}{path.suffix}, with its card")
    if card["identity"]["digest"] != told["identity"]:
        found.differs.append(f"identity: the artifact here is {card['identity']['digest']}")
        found.differs += [f"settings: {change}" for change in differences(told["settings"], _settings(card))]
    fault = damage(out.parent, card["files"])
    if fault:
        found.differs.append(f"bytes: {fault}")
    elif path.read_bytes() != Path(f"{out}{path.suffix}").read_bytes():
        found.differs.append(f"bytes: {out}{path.suffix} has others")


def _draw_again(
    found: Check, card: Mapping[str, Any], place: Place, base: Path, folder: Path, root: Path
) -> Path | None:
    """Run the card's command in a folder that has links to all but figs/, where it is the very same command line."""
    arguments = shlex.split(card["command"])[2:]
    if place.out.as_posix() not in arguments:
        found.differs.append(f"it cannot be drawn again: it was not drawn by a command with --out {place.out}")
        return None
    for entry in base.iterdir():
        if entry.name != place.out.parts[0]:
            (folder / entry.name).symlink_to(entry)
    program = [sys.executable, str(own_script(root / card["script"], root)), *arguments]
    paths = {**os.environ, "PYTHONPATH": str(root / "src")}
    done = subprocess.run(program, cwd=folder, env=paths, capture_output=True, text=True, check=False)
    out = folder / place.out
    if done.returncode or not Place(out, stem=True).card.is_file():
        lines = done.stderr.strip().splitlines() or ["it left no artifact"]
        found.differs.append(f"it cannot be drawn again: {lines[-1]}")
        return None
    return out


def _compare_with_drawing(
    found: Check, path: Path, told: Mapping[str, Any], card: Mapping[str, Any], again: Path
) -> None:
    found.compared.append("the same, drawn again now")
    new = card_of(Place(again, stem=True))
    if new["identity"]["digest"] != told["identity"]:
        found.differs.append(f"identity: what would be drawn now is {new['identity']['digest']}")
        found.differs += _part_changes(card["identity"]["parts"], new["identity"]["parts"])
    if path.read_bytes() != Path(f"{again}{path.suffix}").read_bytes():
        found.differs.append("bytes: the drawing made now has others")


def _part_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What of an identity's parts is another than on the card: files and inputs by name, the rest with its values."""
    by_name = (
        f"{part}: {name} is another"
        for part in ("code", "inputs")
        for name in sorted(old[part].keys() | new[part].keys())
        if old[part].get(name) != new[part].get(name)
    )
    by_value = (
        f"{part}: {change}" for part in ("settings", "packages") for change in differences(old[part], new[part])
    )
    return [*by_name, *by_value]


def _settings(card: Mapping[str, Any]) -> Any:
    return card["identity"]["parts"]["settings"]
