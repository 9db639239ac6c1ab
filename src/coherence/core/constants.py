"""The paper's constants as exact rationals.

kappa = 64/3, sigma = 3/16, T*(d) = kappa d for a model of width d. What the claims made for them are worth is
computed in `constant_checks`.
"""

from fractions import Fraction

KAPPA = Fraction(64, 3)
SIGMA = Fraction(3, 16)
KAPPA_SIGMA = KAPPA * SIGMA
DEFECT_THRESHOLD = Fraction(3, 100)


def t_star(width: int) -> Fraction:
    """T*(d) = 64 d / 3, exact and untruncated. Raises ValueError unless d >= 1."""
    if width < 1:
        raise ValueError(f"width must be at least 1, got {width}")
    return KAPPA * width
