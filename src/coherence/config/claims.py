"""The ledger of claims: what is claimed, by whom, and which number of which table decides."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field, model_validator

from coherence.config.adapt import CONTROLS, METHODS, NONE, STILL
from coherence.config.strict import Strict
from coherence.core.constant_checks import constant_checks

START = "sft"


class Claim(Strict):
    """One claim and its test, written before the study runs. It is supported where the number lies beyond the threshold
    on the claimed side, refuted on the other, both by more than chance explains; an exact claim is what its check says.
    """

    claim: str
    source: str
    family: str
    """Claims of one family share their chance of a false verdict (Holm)."""
    figure: str | None = None
    """The figure or table whose data hold the number."""
    take: dict[str, str | None] = Field(default_factory=dict)
    """Column -> value: they select one row, over seeds. null: the column is empty there."""
    comparator: Literal[">", "<"] | None = None
    threshold: float | None = None
    seeds: int = Field(default=3, ge=2)
    """Fewest runs that the test may rest on."""
    not_testable: str | None = None
    """Why nothing here can decide it."""

    @model_validator(mode="after")
    def _has_a_test(self) -> "Claim":
        if (self.comparator is None) != (self.threshold is None):
            raise ValueError("comparator and threshold go together")
        if (self.figure is None) == (self.not_testable is None):
            raise ValueError("a claim names either the `figure` that decides it, or why it is `not_testable`")
        if self.figure is not None and not self.take:
            raise ValueError("take: which row of the figure's data decides?")
        return self

    @property
    def exact(self) -> bool:
        """Decided by arithmetic, without a sample."""
        return self.figure is not None and self.comparator is None


SCORED = ("strict_greedy", "strict_sampled", "phi_sampled")
OF_START = (*SCORED, "length_bias", "length_bias_multiscale", "boundary_jumps")
"""What is measured on held-out completions, of the SFT start, too."""
OF_GRPO = (
    *("train_strict", "train_phi", "distinct", "zero_variance", "all_wrong", "zero_signal", "kl_to_start"),
    *("lowest_synchrony", "alarm", "alarm_step", "carl_from_step", "gradient_spike"),
)
OF_CURVES = ("first_loss", "first_entropy", "peak_entropy", "melt", "jump", "last_accuracy", "half_way_accuracy")
TRANSITIONS = (
    *("tau", "width", "rho", "log_rho", "jump", "drop", "apart", "aic_gain"),
    *("after_half", "after_last", "gate_off"),
)
BY_WIDTH, SLOPE = "by width", "log_rho_by_log_d"
"""Where and how the transitions have the change of ln rho with ln d."""
REFERENCE = "logp"
CONFIDENCE = ("phi", "cloud_quality", "carl", "logp", "prob_mean", "prob_min")
COVERAGE = ("auroc", "auroc_difference", "aurc", "sigma_coverage", "sigma_risk", "lowest")
ADAPTED = (
    *("strict", "phi", "nll_answering", "nll_after", "strict_difference", "nll_answering_difference"),
    *("nll_after_difference", "new_strict_difference"),
)
ACTS = ("acted", "acts_right", "reward")
AGENTS = (NONE, "slot", STILL, "micro", "micro_label")
"""Methods of adaptation that know no label of what they answer, and what is told of them as agents."""
GATES = ("always", "sigma", "calibrated")
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "contrasts": ("arm", "quantity", "against"),
    "transitions": ("arm", "quantity"),
    "risk_coverage": ("arm", "quantity", "score"),
    "adaptation": ("method", "quantity", "gate"),
    "constants": ("name",),
}
"""The figures that can decide a claim, and the columns that name one row of their data."""


def check_claims(claims: Mapping[str, Claim], study: Mapping[str, Any], figures: Sequence[str]) -> None:
    """ValueError for a claim about a figure, cell or quantity that the resolved study does not have, or with too few
    seeds to test it; `figures` are those of the study."""
    for name, claim in claims.items():
        if claim.figure is None:
            continue
        if claim.figure not in figures:
            raise ValueError(f"claims.{name}.figure: no figure '{claim.figure}' here (has: {', '.join(figures)})")
        if claim.figure not in COLUMNS:
            raise ValueError(f"claims.{name}.figure: '{claim.figure}' decides no claim ({', '.join(COLUMNS)} do)")
        if set(claim.take) != set(COLUMNS[claim.figure]):
            raise ValueError(f"claims.{name}.take: it must name {', '.join(COLUMNS[claim.figure])}")
        for column, values in _values(claim, study).items():
            if claim.take[column] not in values:
                known = ", ".join("null" if value is None else value for value in values)
                raise ValueError(f"claims.{name}.take.{column}: no '{claim.take[column]}' (has: {known})")
        if claim.exact != (claim.figure == "constants"):
            raise ValueError(f"claims.{name}: `constants` are exact, all else needs comparator and threshold")
        if not claim.exact and len(study["seeds"]) < claim.seeds:
            raise ValueError(f"claims.{name}: its test needs {claim.seeds} seeds, the study has {len(study['seeds'])}")


def _values(claim: Claim, study: Mapping[str, Any]) -> Mapping[str, Sequence[str | None]]:
    """What each column of a claim's figure can hold, given what the claim says of those before it."""
    arms = list(study["grpo"]["arms"])
    own: Sequence[str]
    score: Sequence[str]
    arm, curves = claim.take.get("arm"), list((study["curves"] or {"runs": ()})["runs"])
    if claim.figure == "contrasts":
        own = OF_CURVES if arm in curves else OF_START if arm == START else (*OF_START, *OF_GRPO)
        control = study["figures"]["contrasts"]["against"].get(arm)
        controls = {control} - {None} | ({START} if arm in arms and claim.take["quantity"] in SCORED else set())
        if claim.take["quantity"] not in OF_START:
            controls -= {START}
        return {"arm": [START, *arms, *curves], "quantity": own, "against": [None, *sorted(controls)]}
    if claim.figure == "transitions":
        widths = [BY_WIDTH] if study["figures"]["transitions"]["widths"] else []
        return {"arm": [*curves, *widths], "quantity": (SLOPE,) if arm == BY_WIDTH else TRANSITIONS}
    if claim.figure == "risk_coverage":
        quantity = str(claim.take["quantity"])
        score = CONFIDENCE[:1] if quantity.startswith(("sigma", "lowest")) else CONFIDENCE
        if quantity == "auroc_difference":
            score = tuple(name for name in CONFIDENCE if name != REFERENCE)
        return {"arm": [START, *(study["figures"]["shown"] or arms)], "quantity": COVERAGE, "score": score}
    if claim.figure == "adaptation":
        method, gates = claim.take["method"], GATES if claim.take["quantity"] in ACTS else (None,)
        own = [name for name in ADAPTED if method in CONTROLS or not name.endswith("_difference")]
        return {"method": METHODS, "quantity": [*own, *(ACTS if method in AGENTS else ())], "gate": gates}
    return {"name": [check.name for check in constant_checks()]}
