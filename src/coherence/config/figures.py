"""Stage `figures`: options of each figure and table, one section each."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from coherence.config.evaluate import shown_arms
from coherence.config.strict import Strict


def _odd(value: int) -> int:
    if value % 2 == 0:
        raise ValueError("must be odd, since the median is centred")
    return value


Odd = Annotated[int, Field(ge=1), AfterValidator(_odd)]


class Bootstrapped(Strict):
    """A figure with bootstrap intervals."""

    resamples: int = Field(ge=100)
    """Over seeds and units of prompts."""
    level: float = Field(gt=0.5, lt=1)
    """Of the percentile intervals."""


class Alignment(Bootstrapped):
    """The reference file's scoring beside the aligned one."""


class Adaptation(Bootstrapped):
    """Methods that adapt to the prompts, beside their controls, and an agent that may abstain."""

    target_risk: float = Field(gt=0, lt=1)
    """Share of wrong acts that the threshold chosen on the first half of a stream promises."""
    wrong_cost: float = Field(ge=0)
    """Of a wrong act, where a right one earns 1 and none earns 0."""


class Arms(Bootstrapped):
    """Arms on the held-out split."""

    reference: str
    """The arm that the others are subtracted from, item by item."""


class Claims(Strict):
    """The verdicts."""

    level: float = Field(gt=0.5, lt=1)
    """Of the intervals of the figures that claims read; they must share it."""


class Contrasts(Bootstrapped):
    """Every arm and curve against its control."""

    against: dict[str, str] = Field(min_length=1)
    """Arm or curve -> its control. Pairs share seeds, so random numbers, start and data."""


class CoherenceTrap(Bootstrapped):
    """Phi against accuracy along GRPO, and how alike the completions become."""

    smooth: Odd
    """Running median (GRPO steps) of the bold lines."""


class Families(Strict):
    """Right answers by kind of prompt."""

    resamples: int = Field(ge=100)
    """Bootstrap resamples over seeds and units."""
    level: float = Field(gt=0.5, lt=1)
    """Of the bootstrap intervals."""


class NoiseGate(Strict):
    """The gate that noise is tried on: that of a cascade."""

    baseline: int = Field(ge=2)
    window: int = Field(ge=2)
    alpha: float = Field(gt=0, lt=1)


class Gates(Bootstrapped):
    """The alarm on every run, and gates at noise; the bootstrap is of held-out units, run by run."""

    courses: int = Field(ge=10)
    """Resampled ones of each run, on which the alarm is replayed."""
    series: int = Field(ge=100)
    """Of noise, for each correlation."""
    gate: NoiseGate


class PhiTrajectories(Strict):
    """Phi over tokens and over training."""

    tokens: int = Field(ge=2)
    """Token positions shown."""
    smooth: Odd
    """Running median (GRPO steps) of the bold lines."""


class RewardComponents(Strict):
    """Every reward, and every part of CARL, along GRPO."""

    smooth: Odd
    """Running median (GRPO steps) of the bold lines."""


class RiskCoverage(Bootstrapped):
    """What Phi knows of right and wrong, and what thresholds on it promise."""

    target_risk: float = Field(gt=0, lt=1)
    """Share of wrong answers among the answered that a calibrated threshold promises."""
    halvings: int = Field(ge=1)
    """Of the units, in each bootstrap resample."""


class SftPhases(Strict):
    """The SFT phase diagram."""

    smooth: Odd
    """Running median (steps) of the bold lines."""


class Transitions(Strict):
    """Transitions of the curves: thresholds that were fixed before a curve was seen."""

    level: float = Field(gt=0.5, lt=1)
    """Of Student's intervals over seeds."""
    least_climb: float = Field(gt=0, lt=1)
    """In accuracy, from the first step to the last; a smaller one is none."""
    sharp: float = Field(gt=0)
    """rho = width / half-climb step under which a climb is sharp."""
    narrowest: float = Field(ge=1)
    """Width (steps, 10 to 90 %) under which a climb counts as a jump."""
    least_jump: float = Field(ge=0, lt=1)
    """Share of the climb; a smaller jump makes no transition."""
    widths: list[str] | None = Field(default=None, min_length=2)
    """Curves that differ in the model's width alone: does rho change with it?"""


class TransitionChecks(Strict):
    """The transitions' intervals and tests on curves whose truth is known."""

    studies: int = Field(ge=10)
    """Synthetic studies behind each coverage, and curves behind each false alarm of the gate."""
    worlds: int = Field(ge=10)
    """Synthetic studies behind each point of a test's power."""


class Figures(Strict):
    """Options of the figures and tables."""

    shown: list[str] | None = None
    """Arms of the figures that show arms one by one; all where this is not said. `contrasts` has all of them."""
    adaptation: Adaptation | None = None
    """Where the study has the section adapt."""
    alignment: Alignment
    arms: Arms
    coherence_trap: CoherenceTrap
    claims: Claims | None = None
    contrasts: Contrasts | None = None
    families: Families
    gates: Gates | None = None
    phi_trajectories: PhiTrajectories
    reward_components: RewardComponents
    risk_coverage: RiskCoverage
    sft_phases: SftPhases
    transitions: Transitions | None = None
    transition_checks: TransitionChecks | None = None


NAMES = (
    "claims",
    "sft_phases",
    "phase_table",
    "phi_trajectories",
    "reward_components",
    "arms",
    "families",
    "coherence_trap",
    "alignment",
    "risk_coverage",
    "adaptation",
    "contrasts",
    "gates",
    "transitions",
    "transition_checks",
    "constants",
)
"""Every figure and table of a study, in the order in which its report tells them."""
OPTIONAL = ("adaptation", "claims", "contrasts", "gates", "transitions", "transition_checks")
"""Those that a study has only where its `figures` section says so."""
GRPO_FIELDS = ("learning_rate", "prompts_per_step", "num_generations", "carl_weights")
"""What figures of GRPO's steps tell of all arms."""


def names(study: Mapping[str, Any]) -> list[str]:
    """The figures and tables that a study has: some need a section of their own."""
    return [name for name in NAMES if name not in OPTIONAL or study["figures"].get(name) is not None]


def settings(study: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A figure's own options, the cells that it pools, and what it tells of how they were trained."""
    options = {"figure": study["figures"].get(name, {})}
    if name == "constants":
        return options
    if name == "transition_checks":
        return {**options, "rule": study["figures"]["transitions"], "gate": study["sft"]["gate"]}
    pooled = {**options, "seeds": study["seeds"]}
    if name == "claims":
        return {**pooled, "claims": study["claims"]}
    if name == "adaptation":
        return {**pooled, "adapt": study["adapt"]}
    if name in ("phase_table", "sft_phases"):
        return {**pooled, "gate": study["sft"]["gate"]}
    if name == "gates":
        told = {"task": study["data"]["task"], "alarm": study["grpo"]["alarm"], "steps": study["grpo"]["steps"]}
        return {**pooled, "arms": sorted(study["grpo"]["arms"]), **told}
    if name == "contrasts":
        told = {"task": study["data"]["task"], "token_class": study["sft"]["gate"]["token_class"]}
        return {**pooled, "arms": sorted(study["grpo"]["arms"]), **told}
    if name == "transitions":
        return {**pooled, "gate": study["sft"]["gate"], "curves": study["curves"]["runs"]}
    if name in ("coherence_trap", "reward_components"):
        paid = {arm: study["grpo"]["arms"][arm]["rewards"] for arm in shown_arms(study)}
        grpo = {field: study["grpo"][field] for field in GRPO_FIELDS}
        return {**pooled, "arms": paid, "grpo": grpo, "task": study["data"]["task"]}
    arms = shown_arms(study)
    if name == "families":
        return {**pooled, "arms": arms, "task": study["data"]["task"]}
    return {**pooled, "arms": arms}
