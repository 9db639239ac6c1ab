"""What Snakemake would run, why, and what such jobs have taken before."""

import csv
import json
import math
import statistics
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from coherence.config.study import Study
from coherence.provenance.artifact import ROOT, card_of
from coherence.provenance.files import differences
from coherence.provenance.place import MANIFEST, Place, find, find_all
from coherence.provenance.verify import Current, changes

FIGURES = "figures"
"""One line for all that is drawn: rules that write below figs/."""
FREE = {
    "seed", "checkpoint", "learning_rate", "weight_decay", "adam_beta2", "max_grad_norm", "warmup_steps", "loss_type",
    "scale_rewards", "threshold", "count", "window", "multiscale", "cloud_quality", "discontinuity", "store_every",
    "require_crystallized", "max_unscored_share", "min_accuracy", "max_accuracy", "max_zero_variance", "gate_accuracy",
}  # fmt: skip
"""Settings that leave the time of a job what it is; with any other that differs a past job says nothing."""
STEPS = ("sft.max_steps", "grpo.steps", "model.pretraining.steps")
"""With these the time grows in proportion."""


@dataclass(frozen=True)
class Job:
    """One job of the study: its rule, the artifact that it makes, and Snakemake's word on it."""

    rule: str
    place: Place
    runs: bool
    status: str

    @property
    def row(self) -> str:
        """The line of the table that it belongs to."""
        return FIGURES if self.place.stem else self.rule


@dataclass(frozen=True)
class Past:
    """Seconds that comparable jobs took, from their cards and benchmark files."""

    seconds: tuple[float, ...]

    @property
    def p50(self) -> float | None:
        return statistics.median(self.seconds) if self.seconds else None

    @property
    def p90(self) -> float | None:
        """Nine of ten took no longer."""
        return sorted(self.seconds)[math.ceil(0.9 * len(self.seconds)) - 1] if self.seconds else None


def ask_snakemake(configfile: Path) -> "subprocess.Popen[str]":
    """Start the one who decides: what is there, and what would run. It changes nothing."""
    command = [sys.executable, "-m", "snakemake", "all", "--summary", "--configfile", str(configfile)]
    command += ["--snakefile", str(ROOT / "Snakefile")]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def answer(asked: "subprocess.Popen[str]") -> list[Job]:
    """Its answer, a job each; ValueError with its own line where it refuses."""
    out, err = asked.communicate()
    if asked.returncode:
        lines = [line for line in err.splitlines() if line.strip()] or ["snakemake failed and said nothing"]
        told = next((line for line in lines if line.startswith("error: ")), lines[-1])
        raise ValueError(told.removeprefix("error: "))
    table = out[out.index("output_file\t") :].splitlines()
    jobs = []
    for line in csv.DictReader(table, delimiter="\t"):
        path = Path(line["output_file"])
        if path.name.endswith(MANIFEST):
            place = Place(path.parent) if path.name == MANIFEST else Place(_stem(path), stem=True)
            jobs.append(Job(line["rule"], place, line["plan"] != "no update", line["status"]))
    return jobs


def _stem(manifest: Path) -> Path:
    return manifest.with_name(manifest.name.removesuffix(f".{MANIFEST}"))


@dataclass
class History:
    """Cards that lie here: why this study's jobs run, and what jobs like them took."""

    study: Study
    jobs: Sequence[Job]
    base: Path = Path()
    now: Current = field(default_factory=dict)

    @cached_property
    def cards(self) -> dict[Place, dict[str, Any]]:
        """All readable cards of all studies."""
        places = [place for top in ("results", "figs") for place in find_all(self.base / top)]
        read = {place: _card(place) for place in places}
        return {place: card for place, card in read.items() if card}

    @cached_property
    def _running(self) -> dict[Path, Job]:
        return {self.base / job.place.manifest: job for job in self.jobs if job.runs}

    def why(self, job: Job) -> list[str]:
        """What makes a job run: settings and code that differ from its card's, or the inputs that are made anew."""
        card = self.cards.get(Place(self.base / job.place.out, job.place.stem))
        if card is None:
            return ["not built"]
        if not job.place.manifest.is_file():
            return ["was stopped before its end"]
        reasons = [text.removeprefix("settings: ") for text in self._changes(card)]
        inputs = (self._running.get(self._manifest(path)) for path in card["inputs"].values())
        reasons += [f"input: {row}" for row in dict.fromkeys(up.row for up in inputs if up)]
        return reasons or [job.status if job.status != "ok" else "input: built anew before it"]

    def _changes(self, card: Mapping[str, Any]) -> Iterator[str]:
        try:
            settings = self.study.settings(card["stage"], **card["cell"])
        except KeyError:
            return
        yield from changes(card, settings, ROOT, self.now)

    def _manifest(self, path: str) -> Path:
        place = find(self.base / path)
        return place.manifest if place else self.base / path

    def past(self, row: str) -> Past:
        """What jobs of a line took whose model, data, device and sizes were those that are asked for now."""
        found = []
        for place, card in self.cards.items():
            scale = self._scale(place, card) if self._row(place, card) == row else None
            if scale is not None:
                own = (card.get("from_store") or card)["wall_s"]
                found.append(scale * max(own, self._benchmark(place)))
        return Past(tuple(found))

    def _row(self, place: Place, card: Mapping[str, Any]) -> str:
        return FIGURES if place.stem else RULE_OF.get(card["stage"], card["stage"])

    def _scale(self, place: Place, card: Mapping[str, Any]) -> float | None:
        """Planned over past steps of a comparable job; None if it cannot be compared."""
        try:
            cell = {**card["cell"], **({"seed": self.study.seeds[0]} if "seed" in card["cell"] else {})}
            cell |= {"arm": self.study.arms[0]} if cell.get("arm", "sft") != "sft" else {}
            own = self.study.settings(card["stage"], **cell)
        except (KeyError, TypeError):  # a cell that this study, or this version, does not have
            return None
        study = self.study.resolved
        then = {"own": card["identity"]["parts"]["settings"], **self._origin(place)}
        now = {"own": json.loads(json.dumps(own)), "model": _shape(study["model"]), "data": study["data"]}
        scale = 1.0
        for change in differences(then, now):
            path, _, values = change.partition(" ")
            if path.removeprefix("own.") in STEPS:
                if card["outcome"].get("steps") == 0:
                    return None  # it diverged at its start, and says nothing of a step's time
                scale *= _ratio(card, values)
            elif path.rsplit(".", 1)[-1] not in FREE and not path.startswith(TIMELESS):
                return None
        return scale

    def _origin(self, place: Place) -> dict[str, Any]:
        """Model and data of the study that an artifact belongs to, as its cards have them."""
        name = place.folder.relative_to(self.base).parts[1]
        settings: dict[str, Any] = {}
        for stage in ("base", "data"):
            card = self.cards.get(Place(self.base / "results" / name / stage))
            settings |= card["identity"]["parts"]["settings"] if card else {}
        return {"model": _shape(settings.get("model", {})), "data": settings.get("data")}

    def _benchmark(self, place: Place) -> float:
        """Seconds of the whole job, its start included, where Snakemake measured it; 0 where not.

        A job that found its artifact already there has a short one, so the card's own time is the least.
        """
        top, name, *rest = place.folder.relative_to(self.base).parts
        inner = [*rest, place.out.name] if place.stem else rest
        path = self.base / "logs" / name / Path(*([FIGURES] if top == "figs" else []), *inner).with_suffix(".tsv")
        if not path.is_file():
            return 0.0
        with path.open(encoding="utf-8") as file:
            return max((float(line["s"]) for line in csv.DictReader(file, delimiter="\t")), default=0.0)


def _shape(model: Mapping[str, Any]) -> dict[str, Any]:
    """A model but for how it was taught, which only its own stage takes time for."""
    return {key: value for key, value in model.items() if key not in ("pretraining", "prior", "seed")}


TIMELESS = ("own.arm.", "own.grpo.alarm")
"""What an arm pays and when, and what stops it early: a step takes no longer for it."""
RULE_OF = {"scores": "evaluate"}
"""Stages whose rule bears another name."""


def _card(place: Place) -> dict[str, Any] | None:
    try:
        return card_of(place)
    except ValueError:
        return None


def _ratio(card: Mapping[str, Any], values: str) -> float:
    """`old -> new` steps as a factor; a run that its gate stopped is not longer for being allowed more."""
    old, new = (float(value) for value in values.split(" -> "))
    stopped = card["outcome"].get("steps", old) < old
    return min(1.0, new / card["outcome"]["steps"]) if stopped else new / old
