"""The ledger of claims: what is claimed, by whom, and which number of which table decides."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, model_validator

from coherence.config.strict import Strict


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


def check_claims(claims: Mapping[str, Claim], figures: list[str], cells: set[str], seeds: int) -> None:
    """ValueError for a claim about a figure or cell that the study does not have, or with too few seeds to test it."""
    for name, claim in claims.items():
        if claim.figure is None:
            continue
        if claim.figure not in figures:
            raise ValueError(f"claims.{name}.figure: no figure '{claim.figure}' here (has: {', '.join(figures)})")
        for column in ("arm", "curve", "against"):
            cell = claim.take.get(column)
            if cell is not None and cell not in cells:
                raise ValueError(f"claims.{name}.take.{column}: no cell '{cell}' in this study")
        if not claim.exact and seeds < claim.seeds:
            raise ValueError(f"claims.{name}: its test needs {claim.seeds} seeds, the study has {seeds}")
