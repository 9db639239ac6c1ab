"""What exact arithmetic says about the claims made for the paper's constants. A width d is triadic when d = 3 * 2^k."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import lcm, log
from typing import Literal

from coherence.core.constants import DEFECT_THRESHOLD, KAPPA, KAPPA_SIGMA, SIGMA, t_star

Kind = Literal["definition", "arithmetic", "claim"]
Verdict = Literal["holds", "fails", "tautology"]

PUBLISHED_EXPONENTS = {384: 13, 768: 14, 3072: 16, 12288: 18}  # width: log2 T*, as published
OTHER_WIDTHS = (512, 1024, 2048, 2304, 3584, 4096, 5120)  # non-triadic widths of public models
PUBLISHED_CONTEXTS = {
    "openai-community/gpt2": (768, 1024),
    "Qwen/Qwen3-0.6B": (1024, 40_960),
    "openai/gpt-oss-120b": (2880, 131_072),
    "MiniMaxAI/MiniMax-M2.1": (3072, 196_608),
    "Qwen/Qwen2.5-7B-Instruct": (3584, 32_768),
    "mistralai/Mixtral-8x7B-v0.1": (4096, 32_768),
    "Qwen/Qwen3-235B-A22B": (4096, 40_960),
    "meta-llama/Llama-3.1-8B": (4096, 131_072),
    "zai-org/GLM-4.5": (5120, 131_072),
    "moonshotai/Kimi-K2-Instruct": (7168, 131_072),
    "deepseek-ai/DeepSeek-V3": (7168, 163_840),
    "Qwen/Qwen2.5-72B-Instruct": (8192, 32_768),
    "meta-llama/Llama-3.1-70B": (8192, 131_072),
}
"""Width and positions (max_position_embeddings, n_positions) in the config.json of these repositories."""
PUBLISHED_TAX = Fraction(1, 3)
REAL_VOCABULARIES = (1_000, 32_000, 151_936, 248_320)
GASEOUS_BELOW, CRYSTALLINE_FROM = Fraction(3, 10), Fraction(7, 10)
PI_LOW, PI_HIGH = Fraction(223, 71), Fraction(22, 7)  # Archimedes: 223/71 < pi < 22/7
SEARCHED_WIDTHS = range(1, 4097)


@dataclass(frozen=True)
class ConstantCheck:
    """One statement about the constants; `verdict` is computed from the check, never written down."""

    name: str
    statement: str
    expected: str
    computed: str
    kind: Kind
    verdict: Verdict
    note: str = ""


def is_integer(value: Fraction) -> bool:
    """Whether an exact rational is a whole number."""
    return value.denominator == 1


def is_power_of_two(value: Fraction) -> bool:
    """Whether an exact rational is 2^k with a whole k >= 0."""
    return is_integer(value) and value > 0 and value.numerator.bit_count() == 1


def is_triadic(width: int) -> bool:
    """Whether d = 3 * 2^k with a whole k >= 0."""
    return is_power_of_two(Fraction(width, 3))


def verdict_of(covered: Iterable[bool], excluded: Iterable[bool] = ()) -> Verdict:
    """Fails unless every covered case agrees; a tautology if the cases that the statement excludes agree too.

    A statement that is true of everything, also of what it is meant to rule out, says nothing.
    """
    others = list(excluded)
    if not all(covered):
        return "fails"
    return "tautology" if others and all(others) else "holds"


def constant_checks() -> list[ConstantCheck]:
    """Every published statement about kappa, sigma, T*, P Phi and the R phases, checked exactly."""
    parts = _definitions, _conservation, _triadic_widths, _rationality, _context_tax, _natural_context
    return [check for part in (*parts, _products, _occurrence, _kuramoto_phases) for check in part()]


Checks = Iterator[ConstantCheck]


def _definitions() -> Checks:
    published = [
        ("kappa", "2^6 / 3", KAPPA, Fraction(2**6, 3)),
        ("sigma", "3 / 2^4", SIGMA, Fraction(3, 2**4)),
        ("defect_threshold", "3 / 100", DEFECT_THRESHOLD, Fraction("0.03")),
    ]
    for name, text, ours, value in published:
        told = name, f"{name} = {text}", str(value), str(ours)
        yield ConstantCheck(*told, "definition", verdict_of([ours == value]))


def _conservation() -> Checks:
    """sigma T*(d) / d: the width cancels, so the product is 4 for any d whatever."""
    product = {d: SIGMA * t_star(d) / d for d in (*PUBLISHED_EXPONENTS, *OTHER_WIDTHS, 1, 7)}
    triadic, others = ([v == 4 for d, v in product.items() if is_triadic(d) == wanted] for wanted in (True, False))
    statement, computed = (
        "sigma T*(d) / d = kappa sigma = 4 is conserved for triadic d",
        set(map(str, product.values())),
    )
    note = "the product of two definitions; no measured quantity enters it"
    told = "conservation", statement, "4", ", ".join(sorted(computed))
    yield ConstantCheck(*told, "claim", verdict_of(triadic, others), note)
    in_float = float(KAPPA) * float(SIGMA)
    told = "conservation_float64", "kappa sigma = 4 in binary64", "4.0", repr(in_float)
    yield ConstantCheck(*told, "arithmetic", verdict_of([in_float == KAPPA_SIGMA]))


def _triadic_widths() -> Checks:
    for d, exponent in PUBLISHED_EXPONENTS.items():
        told = f"t_star_{d}", f"T*({d}) = 2^{exponent}", str(2**exponent), str(t_star(d))
        yield ConstantCheck(*told, "arithmetic", verdict_of([t_star(d) == 2**exponent]))
    agree = (is_power_of_two(t_star(d)) == is_triadic(d) for d in SEARCHED_WIDTHS)
    yield _searched("t_star_power_of_two", "T*(d) is a power of two iff d = 3 * 2^k", agree)


def _searched(name: str, statement: str, agree: Iterable[bool]) -> ConstantCheck:
    """A statement about every width: `agree` says of each whether it is no exception."""
    exceptions = sum(not agrees for agrees in agree)
    searched = f"exceptions in d = {SEARCHED_WIDTHS[0]}..{SEARCHED_WIDTHS[-1]}"
    told = name, statement, f"0 {searched}", f"{exceptions} {searched}"
    return ConstantCheck(*told, "arithmetic", verdict_of([not exceptions]))


def _rationality() -> Checks:
    values = {f"T*({d})": t_star(d) for d in OTHER_WIDTHS}
    rational = verdict_of(value * value.denominator != value.numerator for value in values.values())
    listed = ", ".join(f"{name} = {value}" for name, value in values.items())
    told = "t_star_irrational", "T* of a non-triadic width is irrational", "no ratio of whole numbers", listed
    yield ConstantCheck(*told, "claim", rational, "a rational number times a whole number is rational")
    whole = ", ".join(f"{name} = {value}" for name, value in values.items() if is_integer(value))
    told = "t_star_whole", "T* of a non-triadic width is not a whole number", "none", whole or "none"
    note = "the weaker reading; any multiple of 3 gives a whole number, a power of two or not"
    yield ConstantCheck(*told, "claim", verdict_of([not whole]), note)
    agree = (is_integer(t_star(d)) == (d % 3 == 0) for d in SEARCHED_WIDTHS)
    yield _searched("t_star_integer", "T*(d) is a whole number iff 3 divides d", agree)


def _tax(width: int) -> dict[str, Fraction]:
    """1 - T*/next and 1 - previous/T*, against the neighbouring powers of two."""
    previous = 2 ** (int(t_star(width)).bit_length() - 1)
    return {"up": 1 - t_star(width) / (2 * previous), "down": 1 - previous / t_star(width)}


def _context_tax() -> Checks:
    """The published 33 % is exact for d = 2^k rounded up and for d = 9 * 2^k rounded down."""
    for direction, odd in {"up": 1, "down": 9}.items():
        taxes = {d: _tax(d)[direction] for d in OTHER_WIDTHS}
        claim = f"a non-triadic width pays 33 % of context when T* is rounded {direction} to a power of two"
        listed = ", ".join(f"{tax} at d = {d}" for d, tax in taxes.items())
        verdict = verdict_of(tax == PUBLISHED_TAX for tax in taxes.values())
        yield ConstantCheck(f"context_tax_{direction}", claim, str(PUBLISHED_TAX), listed, "claim", verdict)
        agree = ((_tax(d)[direction] == PUBLISHED_TAX) == is_power_of_two(Fraction(d, odd)) for d in SEARCHED_WIDTHS)
        statement = f"T* rounded {direction} costs exactly 1/3 iff d = {odd} * 2^k"
        yield _searched(f"context_tax_{direction}_exact", statement, agree)


def _natural_context() -> Checks:
    """T* beside the positions that public models have."""
    ratios = {name: positions / t_star(width) for name, (width, positions) in PUBLISHED_CONTEXTS.items()}
    equal, near = sum(r == 1 for r in ratios.values()), sum(Fraction(1, 2) <= r <= 2 for r in ratios.values())
    low, high = (f"{float(r):.2g}" for r in (min(ratios.values()), max(ratios.values())))
    computed = f"{equal} of {len(ratios)} equal, {near} within a factor of two; positions / T* from {low} to {high}"
    told = "natural_context", "T*(d) is the natural context of a model of width d", "positions = T*(d)", computed
    note = "positions of public models, from their config.json"
    yield ConstantCheck(*told, "claim", verdict_of(r == 1 for r in ratios.values()), note)
    by_width: dict[int, set[int]] = {}
    for width, positions in PUBLISHED_CONTEXTS.values():
        by_width.setdefault(width, set()).add(positions)
    several = {width: sorted(found) for width, found in by_width.items() if len(found) > 1}
    listed = "; ".join(f"d = {width}: {', '.join(map(str, found))}" for width, found in several.items())
    told = "context_by_width", "the width of a model decides its context", "one context per width", listed or "one each"
    yield ConstantCheck(*told, "claim", verdict_of([not several]), note)


def _products() -> Checks:
    for p, phi, expected in (("9/10", "4/5", "18/25"), ("9/10", "1/5", "9/50")):
        product = Fraction(p) * Fraction(phi)
        told = f"cloud_product_phi_{phi}", f"P = {p}, Phi = {phi}: P Phi = {expected}", expected, str(product)
        yield ConstantCheck(*told, "arithmetic", verdict_of([product == Fraction(expected)]))


def phi_can_fall_to(phi: Fraction, p: Fraction, vocab_size: int) -> bool:
    """Whether some distribution over V tokens with one probability P has an order parameter as low as Phi.

    Entropy is largest with the rest spread evenly: -P ln P - (1-P) ln((1-P)/(V-1)) >= (1-Phi) ln V. Times
    a common denominator n, exponentiated, both sides are rational: exact. Raises ValueError unless 0 < P < 1.
    """
    if not 0 < p < 1:
        raise ValueError(f"P must lie strictly between 0 and 1, got {p}")
    n = lcm(p.denominator, phi.denominator)
    spread = (1 / p) ** int(n * p) * ((vocab_size - 1) / (1 - p)) ** int(n * (1 - p))
    return spread >= Fraction(vocab_size) ** int(n * (1 - phi))


def phi_floor(p: Fraction, vocab_size: int) -> float:
    """Smallest order parameter of a distribution over V tokens with one probability P, as a float."""
    rest = float(1 - p)
    entropy = -float(p) * log(p) - rest * log(rest / (vocab_size - 1))
    return 1 - entropy / log(vocab_size)


def _occurrence() -> Checks:
    p = Fraction(9, 10)
    for phi in (Fraction(4, 5), Fraction(1, 5)):
        floors = ", ".join(f"Phi >= {phi_floor(p, v):.4f} at V = {v}" for v in REAL_VOCABULARIES)
        smallest = next(v for v in range(2, 10_000) if not phi_can_fall_to(phi, p, v))
        statement = f"a token with P = {p} can have Phi = {phi} in a real vocabulary"
        verdict = verdict_of(phi_can_fall_to(phi, p, v) for v in REAL_VOCABULARIES)
        note = f"already impossible at V = {smallest}: P = {p} leaves too little entropy"
        yield ConstantCheck(f"occurs_phi_{phi}", statement, f"Phi = {phi}", floors, "claim", verdict, note)


def _binary_order(share_of_ones: Fraction) -> Fraction:
    """R = |mean exp(i pi Phi)| for Phi in {0, 1}: the angles are 0 and pi, so R = |1 - 2 share|."""
    return abs(1 - 2 * share_of_ones)


def _kuramoto_phases() -> Checks:
    """The phase classifier (gaseous R < .3, crystalline R >= .7) on sequences whose R is known exactly."""
    zeros, half, ones = (_binary_order(Fraction(share)) for share in ("0", "1/2", "1"))
    low, high = 2 / PI_HIGH, 2 / PI_LOW  # uniform Phi: R = 2 / pi
    gas, order = "R < 3/10", f"R(0) = {zeros}, R(1) = {ones}"
    rows = [
        ("zeros", "Phi = 0 everywhere is gaseous", gas, f"R = {zeros}", zeros < GASEOUS_BELOW),
        ("ones", "Phi = 1 everywhere is crystalline", "R >= 7/10", f"R = {ones}", ones >= CRYSTALLINE_FROM),
        ("order", "R tells Phi = 0 from Phi = 1", "R(0) != R(1)", order, zeros != ones),
        ("uniform", "independent uniform Phi is gaseous", gas, f"{low} < R < {high}", high < GASEOUS_BELOW),
        ("half", "Phi half 0 and half 1 is gaseous", gas, f"R = {half}", half < GASEOUS_BELOW),
    ]
    note = "R measures how alike the Phi are, not how high"
    for name, statement, expected, computed, agrees in rows:
        told = f"kuramoto_{name}", statement, expected, computed
        yield ConstantCheck(*told, "claim", verdict_of([agrees]), note)
    yield _mixture()


def _mixture() -> ConstantCheck:
    low, high = Fraction(7, 20), Fraction(13, 20)
    gaseous = {share: _binary_order(share) < GASEOUS_BELOW for share in (Fraction(k, 1000) for k in range(1001))}
    found = [share for share, is_gaseous in gaseous.items() if is_gaseous]
    statement = "a mixture of Phi = 0 and Phi = 1 is gaseous iff the share of ones lies between 7/20 and 13/20"
    told = f"shares {low} to {high}, ends excluded", f"shares {min(found)} to {max(found)} in steps of 1/1000"
    agree = verdict_of((low < share < high) == is_gaseous for share, is_gaseous in gaseous.items())
    return ConstantCheck("kuramoto_mixture", statement, *told, "arithmetic", agree)
