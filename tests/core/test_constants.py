"""The constants are exact, and every verdict about them follows from its check."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coherence.core import constant_checks as checks
from coherence.core import constants
from coherence.core.constant_checks import (
    constant_checks,
    is_integer,
    is_power_of_two,
    is_triadic,
    phi_can_fall_to,
    phi_floor,
    verdict_of,
)
from coherence.core.constants import t_star

ROWS = {row.name: row for row in constant_checks()}


def test_the_constants_are_exact() -> None:
    assert Fraction(64, 3) == constants.KAPPA
    assert Fraction(3, 16) == constants.SIGMA
    assert constants.KAPPA_SIGMA == 4
    assert float(constants.DEFECT_THRESHOLD) == 0.03


@given(st.integers(1, 10**9))
def test_t_star_is_exact_and_tells_integers_and_powers(width: int) -> None:
    assert t_star(width) * 3 == 64 * width
    assert is_integer(t_star(width)) == (width % 3 == 0)
    assert is_power_of_two(t_star(width)) == is_triadic(width)
    assert is_triadic(width) == (width % 3 == 0 and bin(width // 3).count("1") == 1)


@given(st.integers(0, 60))
def test_triadic_widths_give_the_power_six_above(k: int) -> None:
    assert t_star(3 * 2**k) == 2 ** (k + 6)


@pytest.mark.parametrize("value", [Fraction(0), Fraction(-4), Fraction(1, 2), Fraction(6), Fraction(64, 3)])
def test_what_is_no_power_of_two(value: Fraction) -> None:
    assert not is_power_of_two(value)


@pytest.mark.parametrize("width", [0, -3])
def test_a_width_is_positive(width: int) -> None:
    with pytest.raises(ValueError, match="width must be at least 1"):
        t_star(width)


def test_verdicts_follow_from_the_cases() -> None:
    assert verdict_of([True, True]) == "holds"
    assert verdict_of([True, False]) == "fails"
    assert verdict_of([True], [False, True]) == "holds"
    assert verdict_of([True], [True, True]) == "tautology"
    assert verdict_of([False], [True]) == "fails"


def test_the_verdicts() -> None:
    failing = {name for name, row in ROWS.items() if row.verdict == "fails"}
    assert failing == {
        "t_star_irrational",
        "t_star_whole",
        "context_tax_up",
        "context_tax_down",
        "natural_context",
        "context_by_width",
        "occurs_phi_4/5",
        "occurs_phi_1/5",
        "kuramoto_zeros",
        "kuramoto_order",
        "kuramoto_uniform",
    }
    assert {name for name, row in ROWS.items() if row.verdict == "tautology"} == {"conservation"}
    assert all(row.verdict == "holds" for row in ROWS.values() if row.kind in ("definition", "arithmetic"))


def test_rows_have_names_of_their_own_and_show_exact_numbers() -> None:
    assert len(ROWS) == len(constant_checks())
    assert ROWS["t_star_12288"].computed == ROWS["t_star_12288"].expected == "262144"
    assert "T*(512) = 32768/3" in ROWS["t_star_irrational"].computed
    assert ROWS["t_star_whole"].computed == "T*(2304) = 49152"
    assert ROWS["cloud_product_phi_4/5"].computed == "18/25"
    assert "1/6 at d = 5120" in ROWS["context_tax_up"].computed
    assert "2/5 at d = 5120" in ROWS["context_tax_down"].computed
    assert "V = 25:" in ROWS["occurs_phi_4/5"].note


@pytest.mark.parametrize(
    ("name", "value", "changed"),
    [
        (
            "KAPPA",
            Fraction(21),
            {"kappa", "conservation", "t_star_384", "t_star_power_of_two", "t_star_integer"},
        ),
        ("SIGMA", Fraction(1, 5), {"sigma", "conservation"}),
        ("DEFECT_THRESHOLD", Fraction(1, 30), {"defect_threshold"}),
        ("GASEOUS_BELOW", Fraction(2), {"kuramoto_zeros", "kuramoto_uniform", "kuramoto_mixture"}),
        ("PUBLISHED_TAX", Fraction(1, 4), {"context_tax_up_exact", "context_tax_down_exact"}),
        ("REAL_VOCABULARIES", (24,), {"occurs_phi_4/5"}),
    ],
)
def test_verdicts_change_with_the_numbers(
    name: str, value: object, changed: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (constants, checks):
        if hasattr(module, name):
            monkeypatch.setattr(module, name, value)
    now = {row.name: row.verdict for row in constant_checks()}
    assert changed <= {row for row, verdict in now.items() if verdict != ROWS[row].verdict}


@given(st.integers(2, 500), st.integers(1, 19), st.integers(0, 20))
def test_the_exact_comparison_agrees_with_logarithms(vocab_size: int, p_20: int, phi_20: int) -> None:
    p, phi = Fraction(p_20, 20), Fraction(phi_20, 20)
    floor = phi_floor(p, vocab_size)
    if abs(floor - phi) > 1e-9:  # an equality of logarithms is the exact test's to decide
        assert phi_can_fall_to(phi, p, vocab_size) == (floor < phi)


def test_the_exact_comparison_decides_ties() -> None:
    """P = 1/V is the uniform distribution, whose Phi is 0 exactly."""
    assert phi_can_fall_to(Fraction(0), Fraction(1, 10), 10)
    assert not phi_can_fall_to(Fraction(0), Fraction(1, 10) + Fraction(1, 1000), 10)
    with pytest.raises(ValueError, match="strictly between"):
        phi_can_fall_to(Fraction(1, 2), Fraction(1), 10)


def test_pi_lies_between_its_bounds() -> None:
    assert checks.PI_LOW < Fraction(math.pi) < checks.PI_HIGH
