"""Stage `figures`: options of each figure and table, one section each."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from coherence.config.strict import Strict


class Arms(Strict):
    """Arms on the held-out split."""

    resamples: int = Field(ge=100)
    """Bootstrap resamples over seeds and items."""
    level: float = Field(gt=0.5, lt=1)


class PhiTrajectories(Strict):
    """Phi over tokens and over training."""

    tokens: int = Field(ge=2)
    """Token positions shown."""


class SftPhases(Strict):
    """The SFT phase diagram."""

    smooth: int = Field(ge=1)
    """Running median (steps) of the bold lines."""


class Figures(Strict):
    """Options of the figures and tables."""

    arms: Arms
    phi_trajectories: PhiTrajectories
    sft_phases: SftPhases


NAMES = ("arms", "constants", "phase_table", "phi_trajectories", "sft_phases")
"""Every figure and table of a study."""


def settings(study: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A figure's own options, and the cells that it pools."""
    options = study["figures"].get(name, {})
    if name == "constants":
        return {"figure": options}
    cells = {"seeds": study["seeds"]}
    if name in ("arms", "phi_trajectories"):
        cells["arms"] = list(study["grpo"]["arms"])
    return {"figure": options, **cells}
