"""The published phase-adaptive weights of the composite, by Kuramoto's R of a batch of completions."""

from coherence.core.composite import CompositeWeights

GASEOUS_BELOW, CRYSTALLINE_FROM = 0.3, 0.7
PHASES = {
    "gaseous": CompositeWeights(0.20, 0.30, 0.50),
    "liquid": CompositeWeights(0.40, 0.30, 0.30),
    "crystalline": CompositeWeights(0.60, 0.30, 0.10),
}


def phase_of(synchrony: float) -> str:
    """gaseous below 0.3, crystalline from 0.7, liquid between; NaN is none and raises ValueError."""
    if not 0 <= synchrony <= 1 + 1e-9:
        raise ValueError(f"R lies in [0, 1], got {synchrony}")
    if synchrony < GASEOUS_BELOW:
        return "gaseous"
    return "liquid" if synchrony < CRYSTALLINE_FROM else "crystalline"
