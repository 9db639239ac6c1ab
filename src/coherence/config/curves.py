"""Stage `curves`: SFT alone, not stopped by its gate, over bases and learning rates, to infer transitions from."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator, model_validator

from coherence.config.compute import in_one_process
from coherence.config.strict import Strict, check_cell_name


class CurveBase(Strict):
    """An embedded base that differs from the study's `model` in what is named here."""

    prior: str | None = None
    hidden_size: int | None = None
    heads: int | None = None
    intermediate_size: int | None = None


class CurveRun(Strict):
    """One curve per seed; what is not named is that of the study's `model` and `sft`."""

    base: str | None = None
    """One of `bases`."""
    learning_rate: float | None = Field(default=None, gt=0)
    resonance: bool | None = None
    resonance_steps: int | None = Field(default=None, ge=1)


class Curves(Strict):
    """Runs that go on for `steps` whatever their accuracy, so that both ends of a transition are seen."""

    steps: int = Field(ge=20)
    bases: dict[str, CurveBase] = Field(default_factory=dict)
    runs: dict[str, CurveRun] = Field(min_length=1)

    @field_validator("bases", "runs")
    @classmethod
    def _names(cls, cells: dict[str, Any]) -> dict[str, Any]:
        for name in cells:
            check_cell_name(name, "curves")
        return cells

    @model_validator(mode="after")
    def _bases_exist(self) -> "Curves":
        for name, run in self.runs.items():
            if run.base is not None and run.base not in self.bases:
                raise ValueError(f"runs.{name}.base: no base '{run.base}' (has: {', '.join(self.bases) or 'none'})")
        return self


def model_of(study: Mapping[str, Any], base: str) -> dict[str, Any]:
    """The model section of one of the curves' bases."""
    return {**study["model"], **_named(study["curves"]["bases"][base])}


def base_settings(study: Mapping[str, Any], base: str) -> dict[str, Any]:
    """The part of a resolved study that decides what one of the curves' bases is."""
    return {"model": model_of(study, base), "compute": in_one_process(study)}


def sft_of(study: Mapping[str, Any], curve: str) -> dict[str, Any]:
    """The SFT section of one curve: its own steps, and no cool-down."""
    run, curves = study["curves"]["runs"][curve], study["curves"]
    own = {key: value for key, value in _named(run).items() if key != "base"}
    return {**study["sft"], "cooldown_steps": 0, "max_steps": curves["steps"], **own}


def settings(study: Mapping[str, Any], curve: str, seed: int) -> dict[str, Any]:
    """The part of a resolved study that decides what one curve is."""
    return {"sft": sft_of(study, curve), "compute": study["compute"], "seed": seed}


def _named(section: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in section.items() if value is not None}
