"""Known answers and properties of Phi on NumPy arrays. Legend: T tokens, V vocabulary."""

import math
import os
import subprocess
import sys
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coherence.core import compat
from coherence.core.backends import oracle
from coherence.core.order_parameter import completion_logits, phi_from_entropy, token_statistics

Array = npt.NDArray[Any]

logit_rows = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 5), st.integers(2, 9)),
    elements=st.floats(-60, 60) | st.just(-np.inf),
).filter(lambda rows: bool(np.isfinite(rows).any(axis=1).all()))


def _ids(logits_TV: Array) -> Array:
    return np.arange(logits_TV.shape[0]) % logits_TV.shape[1]


def _entropy_by_definition(logits_V: Array) -> float:
    """-sum p ln p in long double, straight from the definition."""
    weights = np.exp(logits_V.astype(np.longdouble) - logits_V.max())
    probs = weights[weights > 0] / weights.sum()
    return float(-(probs * np.log(probs)).sum())


@pytest.mark.parametrize("width", [2, 3, 1000, 151_936])
def test_a_uniform_row_has_phi_exactly_zero(width: int) -> None:
    for offset in (0.0, 1e4, -1e4):
        got = token_statistics(np.full((1, width), offset), np.array([width - 1]))
        assert got.phi[0] == 0.0
        assert got.entropy[0] == math.log(width)
        assert got.logp[0] == pytest.approx(-math.log(width), rel=1e-14)


@pytest.mark.parametrize("low", [-np.inf, -1e9, -1e300])
def test_a_one_hot_row_has_phi_exactly_one(low: float) -> None:
    logits_TV = np.full((2, 5), low)
    logits_TV[:, 3] = 7.0
    got = token_statistics(logits_TV, np.array([3, 0]))
    assert got.phi.tolist() == [1.0, 1.0]
    assert got.entropy.tolist() == [0.0, 0.0]
    assert got.logp[0] == 0.0 and got.logp[1] == low - 7.0


def test_two_levels_have_the_entropy_worked_out_by_hand() -> None:
    logits_TV = np.log([[0.5, 0.25, 0.25, 0.0 + 1e-300]])
    got = token_statistics(logits_TV, np.array([1]))
    assert got.entropy[0] == pytest.approx(1.5 * math.log(2), rel=1e-14)
    assert got.phi[0] == pytest.approx(0.25, rel=1e-13)
    assert math.exp(got.logp[0]) == pytest.approx(0.25, rel=1e-14)


@given(logit_rows)
def test_entropy_agrees_with_the_definition_and_stays_in_bounds(logits_TV: Array) -> None:
    got = token_statistics(logits_TV, _ids(logits_TV))
    expected = [_entropy_by_definition(row) for row in logits_TV]
    np.testing.assert_allclose(got.entropy, expected, rtol=1e-11, atol=1e-15)
    assert got.valid.all()
    assert (got.entropy >= 0).all() and (got.entropy <= math.log(logits_TV.shape[1])).all()
    assert (got.phi >= 0).all() and (got.phi <= 1).all() and (got.logp <= 0).all()


@given(logit_rows, st.floats(-1e3, 1e3))
def test_an_offset_of_the_logits_changes_nothing(logits_TV: Array, offset: float) -> None:
    ids = _ids(logits_TV)
    plain, moved = token_statistics(logits_TV, ids), token_statistics(logits_TV + offset, ids)
    np.testing.assert_allclose(moved.entropy, plain.entropy, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(moved.logp, plain.logp, rtol=1e-9, atol=1e-11)


@given(logit_rows, st.randoms(use_true_random=False))
def test_the_order_of_the_vocabulary_does_not_matter(logits_TV: Array, random: Any) -> None:
    order = list(range(logits_TV.shape[1]))
    random.shuffle(order)
    ids = _ids(logits_TV)
    plain, shuffled = (
        token_statistics(logits_TV, ids),
        token_statistics(logits_TV[:, order], np.argsort(order)[ids]),
    )
    np.testing.assert_allclose(shuffled.phi, plain.phi, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(shuffled.logp, plain.logp, rtol=1e-12, atol=1e-12)


@given(logit_rows)
def test_log_probabilities_sum_to_one_and_are_largest_where_the_logits_are(logits_TV: Array) -> None:
    tokens, width = logits_TV.shape
    every = np.stack([token_statistics(logits_TV, np.full(tokens, v)).logp for v in range(width)], axis=1)
    np.testing.assert_allclose(np.exp(every).sum(axis=1), 1.0, rtol=1e-12)
    np.testing.assert_array_equal(every[np.arange(tokens), logits_TV.argmax(axis=1)], every.max(axis=1))


@given(logit_rows, hnp.arrays(np.float64, 3, elements=st.sampled_from([0.0, 1e30, np.nan, np.inf, -np.inf])))
def test_padded_head_columns_have_no_influence(logits_TV: Array, padding: Array) -> None:
    tokens, width = logits_TV.shape
    padded = np.concatenate([logits_TV, np.tile(padding, (tokens, 1))], axis=1)
    plain = token_statistics(logits_TV, _ids(logits_TV))
    masked = token_statistics(padded, _ids(logits_TV), vocab_size=width)
    for name in ("logp", "entropy", "phi", "valid"):
        np.testing.assert_array_equal(getattr(masked, name), getattr(plain, name))


def test_masked_tokens_keep_ln_v_of_the_real_vocabulary() -> None:
    got = token_statistics(np.array([[0.0, -np.inf, 0.0, -np.inf]]), np.array([1]))
    assert got.entropy[0] == pytest.approx(math.log(2), rel=1e-15)
    assert got.phi[0] == pytest.approx(0.5, rel=1e-15)
    assert got.logp[0] == -np.inf and got.valid[0]


def test_rows_that_are_no_distribution_are_flagged_and_leave_their_neighbours_alone() -> None:
    good = [0.0, 1.0, 2.0]
    bad = [[0.0, np.nan, 1.0], [0.0, np.inf, 1.0], [-np.inf] * 3, [np.inf, -np.inf, np.nan], [np.inf] * 3]
    rows = np.array([good, *bad, good])
    got = token_statistics(rows, np.full(len(rows), 2))
    assert got.valid.tolist() == [True, *[False] * len(bad), True]
    for name in ("logp", "entropy", "phi"):
        assert np.isnan(getattr(got, name)[1:-1]).all()
    alone = token_statistics(np.array([good]), np.array([2]))
    assert got.phi[0] == got.phi[-1] == alone.phi[0]


def test_extreme_logits_neither_overflow_nor_warn() -> None:
    with np.errstate(all="raise", under="ignore"):
        got = token_statistics(np.array([[1e308, -1e308, 0.0]]), np.array([0]))
    assert got.phi[0] == 1.0 and got.logp[0] == 0.0


@pytest.mark.parametrize("leading", [(3,), (2, 3), (2, 2, 3)])
def test_leading_axes_and_strides_do_not_matter(leading: tuple[int, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    logits, ids = rng.standard_normal((*leading, 8)), rng.integers(0, 8, leading)
    whole = token_statistics(logits, ids)
    monkeypatch.setattr(oracle, "CHUNK", 8)
    strided = token_statistics(np.repeat(logits, 2, axis=-2)[..., ::2, :], ids)
    assert whole.phi.shape == strided.phi.shape == leading
    for name in ("logp", "entropy", "phi"):
        np.testing.assert_array_equal(getattr(strided, name), getattr(whole, name))
    flat = [
        token_statistics(row[None], np.array([i])).phi[0]
        for row, i in zip(logits.reshape(-1, 8), ids.flat, strict=True)
    ]
    np.testing.assert_array_equal(whole.phi.ravel(), flat)


def test_logits_are_read_a_chunk_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, ...]] = []
    moments = oracle._moments

    def spy(logits_RV: Array, temperature: float) -> Any:
        seen.append(logits_RV.shape)
        return moments(logits_RV, temperature)

    monkeypatch.setattr(oracle, "_moments", spy)
    monkeypatch.setattr(oracle, "CHUNK", 20)
    token_statistics(np.zeros((2, 5, 8)), np.zeros((2, 5), dtype=int), vocab_size=7)
    assert seen == [(2, 7)] * 5  # a view: neither the padding nor the batch axis is copied away
    seen.clear()
    token_statistics(np.zeros((3, 30)), np.zeros(3, dtype=int))
    assert seen == [(1, 30)] * 3


def test_no_tokens_give_no_statistics() -> None:
    got = token_statistics(np.zeros((2, 0, 4)), np.zeros((2, 0), dtype=int))
    assert got.phi.shape == got.valid.shape == (2, 0)


@pytest.mark.parametrize(
    ("logits", "ids", "vocab_size", "message"),
    [
        (np.zeros((2, 1)), [0, 0], None, "undefined for vocab_size 1"),
        (np.zeros((2, 4)), [0, 0], 1, "undefined for vocab_size 1"),
        (np.zeros((2, 0)), [0, 0], None, "undefined for vocab_size 0"),
        (np.zeros((2, 4)), [0, 0], 5, "vocab_size 5 exceeds the 4 columns"),
        (np.zeros((2, 4)), [0, 4], None, r"token_ids\[1\] = 4 lies outside 0\.\.3"),
        (np.zeros((2, 4)), [3, 0], 3, r"token_ids\[0\] = 3 lies outside 0\.\.2"),
        (np.zeros((1, 2, 4)), [[0, -1]], None, r"token_ids\[0, 1\] = -1 lies outside 0\.\.3"),
        (np.zeros((2, 4)), [0], None, "do not match"),
        (np.zeros(4), 0, None, "do not match"),
        (np.zeros((2, 4)), [0.0, 1.0], None, "must be integers"),
    ],
)
def test_mistakes_are_named(logits: Array, ids: Any, vocab_size: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        token_statistics(logits, np.array(ids), vocab_size=vocab_size)


def test_completion_rows_are_those_that_predict_the_completion() -> None:
    sequence = np.array([5, 1, 4, 2, 3])
    logits_TV = np.full((5, 6), -30.0)
    logits_TV[np.arange(4), sequence[1:]] = 0.0  # row t is certain of token t+1
    aligned = completion_logits(logits_TV, prompt_length=2)
    assert np.shares_memory(aligned, logits_TV)
    assert (token_statistics(aligned, sequence[2:]).logp > -1e-9).all()
    assert (token_statistics(logits_TV[2:], sequence[2:]).logp < -1.0).all()  # the unshifted pairing
    assert completion_logits(logits_TV[None], 5).shape == (1, 0, 6)


@pytest.mark.parametrize("prompt_length", [0, -1, 6])
def test_a_prompt_must_hold_the_first_token_and_fit(prompt_length: int) -> None:
    with pytest.raises(ValueError, match=r"prompt_length must lie in 1\.\.5"):
        completion_logits(np.zeros((5, 6)), prompt_length)


def test_phi_from_entropy() -> None:
    assert phi_from_entropy(0.0, 7) == 1.0
    assert phi_from_entropy(math.log(7), 7) == 0.0
    np.testing.assert_allclose(phi_from_entropy(np.array([0.0, 1.0]), 1000), [1.0, 1 - 1 / math.log(1000)])
    with pytest.raises(ValueError, match="undefined"):
        phi_from_entropy(0.5, 1)


def test_the_reference_epsilon_explains_its_difference() -> None:
    rng = np.random.default_rng(3)
    logits_TV = rng.standard_normal((16, 5000)) * rng.uniform(0.2, 8.0, (16, 1))
    ids = rng.integers(0, 5000, 16)
    ours, (theirs, probs, _) = token_statistics(logits_TV, ids), compat.compute_phi(logits_TV)
    bound = 5000 * compat.EPSILON / math.log(5000)  # ln(p + eps) - ln p < eps / p, summed with weights p
    assert (theirs - ours.phi > 0).all() and (theirs - ours.phi < bound).all()
    np.testing.assert_allclose(np.exp(ours.logp), probs[np.arange(16), ids], rtol=1e-12)


def test_the_core_imports_without_torch() -> None:
    modules = "compat, composite, constants, gate, order_parameter, phases, statistics"
    program = (
        f"import sys\nfrom coherence.core import {modules}\nimport numpy as np\n"
        "got = order_parameter.token_statistics(np.zeros((1, 2)), np.array([0]))\n"
        "assert got.phi[0] == 0 and 'torch' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)
