"""The coherence gate: act, or abstain, by the mean Phi of what a model has said."""

from typing import Literal

from coherence.core.constants import SIGMA

Confidence = Literal["high", "medium", "low", "abstain"]
THRESHOLD = float(SIGMA)
HIGH, MEDIUM = 0.8, 0.5


def coherence_gate(phi: float, threshold: float = THRESHOLD) -> tuple[bool, Confidence]:
    """(act, confidence): abstains below the threshold, and on NaN; high from 0.8, medium from 0.5, else low.

    The reference asks for the threshold last, so that from 0.5 its gate acts whatever the threshold; here a threshold
    above 0.5 is heeded. Up to 0.5 both agree.
    """
    if not phi >= threshold:
        return False, "abstain"
    return True, "high" if phi >= HIGH else "medium" if phi >= MEDIUM else "low"
