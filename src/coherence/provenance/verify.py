"""Are the artifacts of a study what they say, and what the current tree would make? Needs no .snakemake."""

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Literal, get_args

from coherence.provenance.artifact import ROOT, card_of, manifest_of
from coherence.provenance.code import code_parts
from coherence.provenance.files import canonical, damage, differences, sha256_file
from coherence.provenance.packages import locked_packages
from coherence.provenance.place import Place, find, find_all

Status = Literal["ok", "damaged", "stale", "orphan", "unfinished"]
STATUSES: tuple[Status, ...] = get_args(Status)
CurrentSettings = Callable[[str, Mapping[str, Any]], Mapping[str, Any] | None]
"""(stage, cell) -> settings of the current config; None if the study has no such cell any more."""


@dataclass(frozen=True)
class Finding:
    """What was found of one artifact: `why` it is not ok; `note`, what a reader should know beside."""

    place: Place
    stage: str
    status: Status
    why: str = ""
    note: str = ""

    def __str__(self) -> str:
        return f"{self.place.out.as_posix()}  {self.status}: {self.why or self.note}"


def verify(study: str, current_settings: CurrentSettings, base: Path = Path(), root: Path = ROOT) -> list[Finding]:
    """Compare results/<study> and figs/<study> under `base` with their records and with the tree at `root`.

    In an order in which inputs come before what is built on them. ValueError where the current tree itself
    cannot be read (a syntax error, an import that is not locked).
    """
    return _Tree(study, current_settings, base, root).findings()


@dataclass
class _Tree:
    """One pass over the artifacts of a study."""

    study: str
    current_settings: CurrentSettings
    base: Path
    root: Path
    now: "Current" = field(default_factory=dict)

    @cached_property
    def places(self) -> list[Place]:
        return [place for top in ("results", "figs") for place in find_all(self.base / top / self.study)]

    @cached_property
    def cards(self) -> dict[Place, dict[str, Any]]:
        """The cards that can be read."""
        read = {place: _card_or_fault(place) for place in self.places}
        return {place: card for place, card in read.items() if isinstance(card, dict)}

    @cached_property
    def owners(self) -> dict[Path, Place]:
        """The artifact that a path belongs to: as its folder or stem, its manifest, or one of its files."""
        files = ((place, entry["name"]) for place, card in self.cards.items() for entry in card["files"])
        own = {place.folder / name: place for place, name in files}
        return own | {path: place for place in self.places for path in (place.manifest, place.out)}

    def findings(self) -> list[Finding]:
        graph = {place: {up for _, _, up in self._inputs(place) if up} for place in self.places}
        found: dict[Place, Finding] = {}
        for place in TopologicalSorter(graph).static_order():
            found[place] = self._examine(place, found)
        return list(found.values())

    def _inputs(self, place: Place) -> Iterator[tuple[str, Path, Place | None]]:
        """(name, path, the artifact of this study that it belongs to) of each input on the card."""
        paths = self.cards[place]["inputs"] if place in self.cards else {}
        for name, path in paths.items():
            yield name, self.base / path, self.owners.get(self.base / path)

    def _examine(self, place: Place, found: Mapping[Place, Finding]) -> Finding:
        card = _card_or_fault(place)
        if isinstance(card, str):
            return Finding(place, "?", "damaged", card)
        fault = _fault(place, card)
        if fault is not None:
            return Finding(place, card["stage"], *fault)
        settings = self.current_settings(card["stage"], card["cell"])
        if settings is None:
            return Finding(place, card["stage"], "orphan", "the study has no such cell any more")
        why = [*changes(card, settings, self.root, self.now)]
        why += self._input_changes(place, found)
        notes = [f"input {name} is not here, so not compared: {path}" for name, path in self._absent(place)]
        notes += _continued(card)
        return Finding(place, card["stage"], "stale" if why else "ok", _few(why), _few(notes))

    def _input_changes(self, place: Place, found: Mapping[Place, Finding]) -> Iterator[str]:
        recorded, absent = self.cards[place]["identity"]["parts"]["inputs"], dict(self._absent(place))
        for name, path, up in self._inputs(place):
            if up is not None and found[up].status != "ok":
                yield f"built on {up.out.as_posix()}"
            elif name not in absent:
                yield from (f"input {name} {fault}" for fault in _input_faults(path, recorded.get(name), up))

    def _absent(self, place: Place) -> Iterator[tuple[str, Path]]:
        """Raw files from outside the tree that are not here: copied results are verifiable without them."""
        for name, path, up in self._inputs(place):
            if up is None and Path(self.cards[place]["inputs"][name]).is_absolute() and not path.exists():
                yield name, path


def _card_or_fault(place: Place) -> dict[str, Any] | str:
    try:
        return card_of(place)
    except ValueError as error:
        return str(error)


def _fault(place: Place, card: Mapping[str, Any]) -> tuple[Status, str] | None:
    """What is wrong with an artifact in itself."""
    fault = damage(place.folder, card["files"])
    if not place.manifest.is_file():
        return "unfinished", f"{place.manifest} is missing, {fault or 'all else is right'}"
    if sha256_file(place.manifest) != card["manifest"]:
        return "damaged", f"{place.manifest} is not the one that its card names"
    return ("damaged", fault) if fault else None


def _continued(card: Mapping[str, Any]) -> Iterator[str]:
    """A run that a person had go on from another identity's state is what its card says, not what one code made."""
    told = card.get("resumed_from")
    if told:
        changes = _few(told["changed_since"]) or "nothing"
        yield f"continued from step {told['step']} of {told['identity'][:12]}; changed since: {changes}"


Current = dict[str, tuple[dict[str, str], dict[str, str]]]
"""Code and packages of the scripts that were looked at, so that each is read once."""


def changes(card: Mapping[str, Any], settings: Mapping[str, Any], root: Path, now: Current) -> Iterator[str]:
    """How the settings, code and packages of today differ from those of a card. No file of the artifact is read."""
    parts, script = card["identity"]["parts"], card["script"]
    today = json.loads(canonical(dict(settings)))
    yield from (f"settings: {change}" for change in differences(parts["settings"], today))
    if not (root / script).is_file():
        yield f"code: {script} is gone"
        return
    if script not in now:
        now[script] = code_parts(root / script, root), locked_packages(root / script, root)
    code, packages = now[script]
    yield from (f"code: {change}" for change in _file_changes(parts["code"], code))
    yield from (f"packages: {change}" for change in differences(parts["packages"], packages))


def _file_changes(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for path in sorted(old.keys() | new.keys()):
        if path not in new:
            yield f"{path} is no longer used"
        elif path not in old:
            yield f"{path} is newly used"
        elif old[path] != new[path]:
            yield f"{path} changed"


def _input_faults(path: Path, recorded: str | None, owner: Place | None) -> Iterator[str]:
    """An artifact of another study is checked for its bytes; whether it is stale is for that study to say."""
    place = find(path)
    source = place.manifest if place else path
    if not source.is_file():
        yield f"is missing: {source}"
    elif sha256_file(source) != recorded:
        yield f"changed: {path}"
    elif place and owner is None and (fault := damage(place.folder, manifest_of(place)["files"])):
        yield f"is damaged: {fault}"


def _few(reasons: Sequence[str], most: int = 3) -> str:
    rest = [f"and {len(reasons) - most} more"] if len(reasons) > most else []
    return "; ".join([*reasons[:most], *rest])


def report(findings: Sequence[Finding], most: int = 20) -> str:
    """One screen: counts per stage, then the artifacts that are not ok, causes before consequences."""
    if not findings:
        return "nothing is built yet"
    notes = [f"{finding.place.out.as_posix()}  {finding.note}" for finding in findings if finding.note]
    bad = [finding for finding in findings if finding.status != "ok"]
    bad.sort(key=lambda finding: finding.why.startswith("built on"))
    rest = [f"... and {len(bad) - most} more"] if len(bad) > most else []
    return "\n".join([*_table(findings), *map(str, bad[:most]), *rest, *notes[:3]])


def _table(findings: Sequence[Finding]) -> Iterator[str]:
    counts = Counter((finding.stage, finding.status) for finding in findings)
    stages = list(dict.fromkeys(finding.stage for finding in findings))
    width = max(map(len, [*stages, "stage"]))
    yield f"{'stage':<{width}}" + "".join(f"{status:>12}" for status in STATUSES)
    for stage in stages:
        yield f"{stage:<{width}}" + "".join(f"{counts[stage, status] or '.':>12}" for status in STATUSES)
