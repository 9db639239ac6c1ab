"""Stage `figures`: options of each figure and table, one section each."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from coherence.config.strict import Strict


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("must be odd, since the median is centred")
    return value


Odd = Annotated[int, Field(ge=1), AfterValidator(_odd)]


class Alignment(Strict):
    """The reference file's scoring beside the aligned one."""

    resamples: int = Field(ge=100)
    """Bootstrap resamples over seeds and units of prompts."""
    level: float = Field(gt=0.5, lt=1)
    """Of the bootstrap intervals."""


class Arms(Strict):
    """Arms on the held-out split."""

    resamples: int = Field(ge=100)
    """Bootstrap resamples over seeds and items."""
    level: float = Field(gt=0.5, lt=1)
    """Of the bootstrap intervals."""
    reference: str
    """The arm that the others are subtracted from, item by item."""


class PhiTrajectories(Strict):
    """Phi over tokens and over training."""

    tokens: int = Field(ge=2)
    """Token positions shown."""
    smooth: Odd
    """Running median (GRPO steps) of the bold lines."""


class SftPhases(Strict):
    """The SFT phase diagram."""

    smooth: Odd
    """Running median (steps) of the bold lines."""


class Figures(Strict):
    """Options of the figures and tables."""

    alignment: Alignment
    arms: Arms
    phi_trajectories: PhiTrajectories
    sft_phases: SftPhases


NAMES = ("alignment", "arms", "constants", "phase_table", "phi_trajectories", "sft_phases")
"""Every figure and table of a study."""


def settings(study: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A figure's own options, and the cells that it pools."""
    options = study["figures"].get(name, {})
    if name == "constants":
        return {"figure": options}
    cells = {"seeds": study["seeds"]}
    if name in ("alignment", "arms", "phi_trajectories"):
        cells["arms"] = sorted(study["grpo"]["arms"])
    else:
        cells["gate"] = study["sft"]["gate"]
    return {"figure": options, **cells}
