"""One YAML file is one study: read it, check it, and cut it into the settings of each stage."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, field_validator, model_validator

from coherence.config import adapt, base, curves, data, evaluate, figures, grpo, hub, report, sft
from coherence.config.adapt import AdaptConfig
from coherence.config.base import EmbeddedModel, ModelConfig
from coherence.config.claims import Claim, check_claims
from coherence.config.compute import Compute
from coherence.config.curves import Curves
from coherence.config.data import REWARDS, DataConfig, ScreensData
from coherence.config.evaluate import EvaluateConfig
from coherence.config.figures import Figures
from coherence.config.grpo import TASKLESS, GrpoConfig
from coherence.config.lora import Lora
from coherence.config.sft import SftConfig
from coherence.config.strict import Strict
from coherence.provenance.files import write_atomic


class StudyConfig(Strict):
    """The whole file."""

    data_root: str | None = None
    """Where local models and data lie; the environment variable CARL_DATA_ROOT overrides it."""
    resume_from: dict[str, str] = Field(default_factory=dict)
    """Cell (sft/seed0, ARM/seed0) -> beginning of the identity whose scratch state it goes on from, after a change of
    code or settings; it is no part of any identity, and the card says so. `make clean-scratch` lists states."""
    seeds: list[int] = Field(min_length=1)
    compute: Compute
    model: ModelConfig
    data: DataConfig
    lora: Lora | None = None
    """Adapters instead of the weights themselves, in SFT and in GRPO; without it all weights are trained."""
    sft: SftConfig
    grpo: GrpoConfig
    evaluate: EvaluateConfig
    curves: Curves | None = None
    claims: dict[str, Claim] = Field(default_factory=dict)
    """In the file the name of another file, beside it, that holds them."""
    adapt: AdaptConfig | None = None
    """Answers of checkpoints that adapt to held-out prompts; the figure `adaptation` shows them."""
    figures: Figures

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: list[int]) -> list[int]:
        if len(set(seeds)) < len(seeds) or min(seeds) < 0:
            raise ValueError("seeds must be distinct and not negative")
        return seeds

    @model_validator(mode="after")
    def _sections_agree(self) -> "StudyConfig":
        known, logged = (*REWARDS[self.data.task], *TASKLESS), watched(self.data.task)
        for arm, entry in self.grpo.arms.items():
            for reward in entry.rewards:
                if reward not in known:
                    raise ValueError(
                        f"grpo.arms.{arm}: no reward '{reward}' in task '{self.data.task}' (has: {', '.join(known)})"
                    )
            gate = entry.cascade and entry.cascade.gate
            if gate and gate.metric not in logged:
                raise ValueError(
                    f"grpo.arms.{arm}.cascade.gate.metric: no metric '{gate.metric}' (has: {', '.join(logged)})"
                )
        if isinstance(self.data, ScreensData) and isinstance(self.model, EmbeddedModel):
            raise ValueError(
                f"task '{self.data.task}' shows images: model.kind must be local, hub or run, not embedded"
            )
        self._check_bases()
        cells = {f"{arm}/seed{seed}" for arm in ("sft", *self.grpo.arms) for seed in self.seeds}
        for cell in self.resume_from.keys() - cells:
            raise ValueError(f"resume_from: no cell '{cell}' in this study (has: {', '.join(sorted(cells))})")
        lengths = {
            "data.max_tokens": self.data.max_tokens,
            "grpo.max_completion_length": self.grpo.max_completion_length,
            "evaluate.max_new_tokens": self.evaluate.max_new_tokens,
        }
        for key, tokens in lengths.items():
            if isinstance(self.model, EmbeddedModel) and tokens > self.model.context:
                raise ValueError(f"{key} {tokens} is more than model.context {self.model.context}")
        parts = self.compute.processes * self.compute.accumulate
        rows = {
            "sft.batch_size": self.sft.batch_size,
            "grpo.prompts_per_step x num_generations": self.grpo.prompts_per_step * self.grpo.num_generations,
        }
        for key, number in rows.items():
            if number % parts:
                raise ValueError(f"{key} is {number}, no multiple of compute.processes x accumulate ({parts})")
        if self.grpo.generation == "vllm" and self.compute.device == "cpu":
            raise ValueError("grpo.generation: vllm is for device: cuda")
        for arm in self.figures.shown or ():
            if arm not in self.grpo.arms:
                raise ValueError(f"figures.shown: '{arm}' is not an arm of this study")
        cells_of = {*self.grpo.arms, "sft", *(self.curves.runs if self.curves else ())}
        for pair in (self.figures.contrasts.against if self.figures.contrasts else {}).items():
            for name in set(pair) - cells_of:
                raise ValueError(f"figures.contrasts.against: '{name}' is neither an arm nor a curve of this study")
        if self.figures.gates and self.grpo.alarm is None:
            raise ValueError("figures.gates replays grpo.alarm, which this study does not have")
        if self.figures.transitions and not self.curves:
            raise ValueError("figures.transitions: they are those of `curves`, and this study has none")
        for pair in (self.figures.contrasts.against if self.figures.contrasts else {}).items():
            if len({name in (self.curves.runs if self.curves else ()) for name in pair}) > 1:
                raise ValueError(f"figures.contrasts.against: '{pair[0]}' and '{pair[1]}' are an arm and a curve")
        self._check_widths()
        if self.figures.transition_checks and not self.figures.transitions:
            raise ValueError("figures.transition_checks: they need the thresholds of figures.transitions")
        if bool(self.claims) != (self.figures.claims is not None):
            raise ValueError("`claims` and `figures.claims` go together")
        told = self.model_dump()
        check_claims(self.claims, told, figures.names(told))
        self._check_levels()
        if (self.adapt is None) != (self.figures.adaptation is None):
            raise ValueError("adapt and figures.adaptation come together: the study has one without the other")
        if self.adapt is not None and isinstance(self.data, ScreensData):
            raise ValueError(f"adapt: task '{self.data.task}' shows images, which this stage does not read")
        reference = self.figures.arms.reference
        if reference not in self.grpo.arms:
            raise ValueError(f"figures.arms.reference: '{reference}' is not an arm of this study")
        if reference not in (self.figures.shown or self.grpo.arms):
            raise ValueError(f"figures.arms.reference: '{reference}' is not among figures.shown")
        return self

    def _check_widths(self) -> None:
        """The curves of figures.transitions.widths exist and differ in d."""
        told, runs = self.model_dump(), self.curves.runs if self.curves else {}
        sizes = []
        for name in (self.figures.transitions and self.figures.transitions.widths) or ():
            if name not in runs:
                raise ValueError(f"figures.transitions.widths: '{name}' is not a curve of this study")
            base = runs[name].base
            sizes.append((curves.model_of(told, base) if base else told["model"])["hidden_size"])
        if len(set(sizes)) < len(sizes):
            raise ValueError(f"figures.transitions.widths: their hidden sizes must differ, got {sizes}")

    def _check_levels(self) -> None:
        """P is worked out from intervals, so those that claims read must be of one level."""
        for name in {claim.figure for claim in self.claims.values()} - {None, "constants"}:
            level = getattr(getattr(self.figures, str(name)), "level", None)
            if self.figures.claims and level is not None and level != self.figures.claims.level:
                raise ValueError(
                    f"figures.{name}.level is {level}, but figures.claims.level {self.figures.claims.level}"
                )

    def _check_bases(self) -> None:
        """The curves' bases must be models, as `model` itself is."""
        if self.curves is None:
            return
        if not isinstance(self.model, EmbeddedModel):
            raise ValueError("curves: their bases are embedded models, so model.kind must be embedded")
        told = {"model": self.model.model_dump(), "curves": self.curves.model_dump()}
        for name in self.curves.bases:
            EmbeddedModel.parse(curves.model_of(told, name), f"curves.bases.{name}")


def watched(task: str) -> tuple[str, ...]:
    """Metrics of a GRPO step that a gate may look at."""
    coherence = ("phi", "carl", "multiscale", "cloud_quality", "discontinuity", "crystallizations", "synchrony")
    return (*(f"task/{name}" for name in REWARDS[task]), *(f"coherence/{name}" for name in coherence))


class Study:
    """A checked study: its name, its resolved values, and the settings of each of its cells."""

    def __init__(self, name: str, values: dict[str, Any]) -> None:
        self.name = name
        self.config = StudyConfig.parse(values, f"config '{name}'")
        self.resolved: dict[str, Any] = self.config.model_dump(mode="json")

    def write(self, path: Path) -> None:
        """The resolved values as JSON, for the scripts; an equal file is left alone."""
        text = json.dumps(self.resolved, indent=1, sort_keys=True) + "\n"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomic(path, text.encode())

    @property
    def seeds(self) -> list[int]:
        return self.config.seeds

    @property
    def arms(self) -> tuple[str, ...]:
        return tuple(self.config.grpo.arms)

    def settings(self, stage: str, **cell: Any) -> dict[str, Any]:
        """Exactly the values that enter the identity of this cell; KeyError where the study has no such cell."""
        if cell.get("seed", self.seeds[0]) not in self.seeds:
            raise KeyError(f"seed {cell['seed']}")
        if cell.get("arm", "sft") not in ("sft", *self.arms):
            raise KeyError(f"arm {cell['arm']}")
        if stage == "figures" and cell["name"] not in figures.names(self.resolved):
            raise KeyError(f"figure {cell['name']}")
        return SETTINGS[stage](self.resolved, **cell)


SETTINGS: dict[str, Callable[..., dict[str, Any]]] = {
    "fetch": hub.settings,
    "base": base.settings,
    "data": data.settings,
    "sft": sft.settings,
    "bases": curves.base_settings,
    "curves": curves.settings,
    "start": grpo.start_settings,
    "grpo": grpo.settings,
    "generate": evaluate.settings,
    "scores": evaluate.score_settings,
    "baselines": evaluate.baseline_settings,
    "compat": evaluate.compat_settings,
    "adapt": adapt.settings,
    "figures": figures.settings,
    "report": report.settings,
}


def load_study(path: str | Path) -> Study:
    """Read config/X.yaml (with its one `base:` file, if any) as study X; ValueError names the key or the file."""
    path = Path(path)
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", path.stem):
        raise ValueError(f"{path}: a study is named after its file, so the name has letters, digits, - and _ only")
    return Study(path.stem, read_values(path))


def check_name(path: Path, top: Path = Path("config")) -> None:
    """ValueError where a config file below `top` has the same name as `path`: both would write results/NAME."""
    for other in sorted(top.rglob(f"{path.stem}.y*ml")):
        if other.resolve() != path.resolve():
            raise ValueError(f"{path} and {other} are two studies of one name: rename one, their results would mix")


def read_values(path: Path) -> dict[str, Any]:
    """The file's values over those of the file that its `base:` line names (deep merge, one level of files)."""
    values = _read_yaml(path)
    if isinstance(values.get("claims"), str):
        values["claims"] = _read_yaml(path.parent / values["claims"])
    if "base" not in values:
        return values
    below = values.pop("base")
    if not isinstance(below, str) or not (path.parent / below).is_file():
        raise ValueError(f"{path}: no file `base: {below}`; it names one other config file, relative to this one")
    parent = _read_yaml(path.parent / below)
    if "base" in parent:
        raise ValueError(f"{path}: its base file has a base of its own; one level only")
    return deep_merge(parent, values)


class OneKeyLoader(yaml.SafeLoader):
    """YAML's safe loader, but a key that stands twice in one mapping is an error, not a silent last word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise yaml.YAMLError(f"key '{min(map(str, twice))}' stands twice, line {node.start_mark.line + 1}")
        return super().construct_mapping(node, deep)


OneKeyLoader.add_implicit_resolver(  # as in YAML 1.2: the older one takes 1e-3, without a dot, for a text
    "tag:yaml.org,2002:float", re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def _read_yaml(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ValueError(f"config file {path} does not exist")
    try:
        values = yaml.load(path.read_text(encoding="utf-8"), Loader=OneKeyLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{path} must hold a mapping of sections")
    return values


def deep_merge(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` over `below`, mapping by mapping. A section of another kind (model.kind, data.task) replaces the old
    one whole; a key set to null takes the old one away."""
    merged = dict(below)
    for key, value in above.items():
        old = below.get(key)
        if isinstance(value, dict) and isinstance(old, dict) and not _other_variant(old, value):
            merged[key] = deep_merge(old, value)
        else:
            merged[key] = value
    return {key: value for key, value in merged.items() if value is not None}


def _other_variant(old: dict[str, Any], new: dict[str, Any]) -> bool:
    return any(isinstance(new.get(tag), str) and new[tag] != old.get(tag) for tag in ("kind", "task"))
