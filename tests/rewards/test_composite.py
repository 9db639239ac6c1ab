"""The vectorised composite: the reference's loops as oracle, and its promises. Legend: B batch, T tokens."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coherence.core import compat
from coherence.core.composite import (
    Composite,
    CompositeWeights,
    carl_composite,
    cloud_quality,
    discontinuity_score,
    multiscale_coherence,
)
from coherence.core.order_parameter import completion_logits, phi_from_entropy, token_statistics

Array = npt.NDArray[np.float64]
Batch = tuple[Array, Array, npt.NDArray[np.int64]]

TERMS = ("multiscale", "cloud_quality", "discontinuity")
COLUMNS = ("reward", *TERMS, "phi_mean", "phi_std")


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    """logp [B, T], Phi [B, T] and lengths [B], zero included."""
    rows, tokens = draw(st.integers(1, 5)), draw(st.integers(1, 40))
    phi = draw(hnp.arrays(np.float64, (rows, tokens), elements=st.floats(0, 1)))
    logp = draw(hnp.arrays(np.float64, (rows, tokens), elements=st.floats(-30, 0)))
    return logp, phi, draw(hnp.arrays(np.int64, rows, elements=st.integers(0, tokens)))


def _reference(logp_T: Array, phi_T: Array) -> dict[str, float]:
    """The reference's loops on one completion, given the same Phi."""
    probs = np.exp(logp_T)[:, None]  # one column: the probability of the token itself
    terms = {
        "multiscale": compat.multiscale_coherence(phi_T),
        "cloud_quality": compat.cloud_quality(phi_T, probs, np.zeros(len(phi_T), dtype=int)),
        "discontinuity": compat.discontinuity_score(phi_T),
    }
    reward = 0.5 * terms["multiscale"] + 0.3 * terms["cloud_quality"] + 0.2 * terms["discontinuity"]
    return {"reward": reward, **terms, "phi_mean": float(phi_T.mean()), "phi_std": float(phi_T.std())}


def _assert_equal_to_reference(got: Composite, batch: Batch) -> None:
    logp, phi, lengths = batch
    for b, length in enumerate(lengths):
        assert got.valid[b] == (length > 0)
        expected = _reference(logp[b, :length], phi[b, :length]) if length else dict.fromkeys(COLUMNS, math.nan)
        for name in COLUMNS:
            np.testing.assert_allclose(getattr(got, name)[b], expected[name], rtol=0, atol=1e-12, err_msg=name)


def test_ragged_lengths_agree_with_the_reference_loops() -> None:
    rng, tokens = np.random.default_rng(0), 300
    lengths = np.array([0, 1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 64, 127, 128, 129, 255, 256, 257, 299, 300])
    phi = rng.random((len(lengths), tokens))
    phi[::2] = np.clip(0.9 + 0.05 * rng.standard_normal(phi[::2].shape), 0, 1)  # the smooth regime of a trained model
    batch = np.log(rng.random(phi.shape)), phi, lengths
    _assert_equal_to_reference(carl_composite(*batch), batch)


def test_the_largest_scale_is_capped_as_in_the_reference() -> None:
    rng, tokens = np.random.default_rng(1), 2**16 + 3
    batch = np.zeros((1, tokens)), rng.random((1, tokens)), np.array([tokens])
    _assert_equal_to_reference(carl_composite(*batch), batch)


@given(batches())
def test_any_batch_agrees_with_the_reference_loops(batch: Batch) -> None:
    _assert_equal_to_reference(carl_composite(*batch), batch)


def test_a_phi_out_of_range_is_clamped_scale_by_scale_as_in_the_reference() -> None:
    batch = np.zeros((1, 6)), np.array([[0.0, 10.0, 0.2, 0.3, -4.0, 0.5]]), np.array([6])
    _assert_equal_to_reference(carl_composite(*batch), batch)


@given(batches())
def test_every_term_lies_in_its_bounds(batch: Batch) -> None:
    got = carl_composite(*batch)
    ok = got.valid
    assert ((got.multiscale[ok] >= 0) & (got.multiscale[ok] <= 1)).all()
    assert ((got.cloud_quality[ok] >= 0) & (got.cloud_quality[ok] <= 1)).all()
    assert ((got.discontinuity[ok] >= 0.2 - 1e-12) & (got.discontinuity[ok] <= 0.8 + 1e-12)).all()
    assert ((got.reward[ok] >= 0.04) & (got.reward[ok] <= 0.96 + 1e-12)).all()
    assert np.isnan([getattr(got, name)[~ok] for name in COLUMNS]).all()


@given(batches(), st.randoms(use_true_random=False))
def test_the_order_of_the_batch_does_not_matter(batch: Batch, random: Any) -> None:
    order = list(range(len(batch[2])))
    random.shuffle(order)
    plain, shuffled = carl_composite(*batch), carl_composite(*(part[order] for part in batch))
    for name in COLUMNS:
        np.testing.assert_array_equal(getattr(shuffled, name), getattr(plain, name)[order])


@given(batches(), st.sampled_from([np.nan, np.inf, -np.inf, 1e308, -5.0, 0.3]), st.integers(0, 9))
def test_padding_has_no_influence(batch: Batch, garbage: float, extra: int) -> None:
    logp, phi, lengths = batch
    beyond = np.arange(phi.shape[1] + extra) >= lengths[:, None]

    def pad(values: Array) -> Array:
        return np.where(beyond, garbage, np.pad(values, ((0, 0), (0, extra))))

    plain, padded = carl_composite(*batch), carl_composite(pad(logp), pad(phi), lengths)
    np.testing.assert_array_equal(padded.valid, plain.valid)
    for name in COLUMNS:
        np.testing.assert_allclose(getattr(padded, name), getattr(plain, name), rtol=0, atol=1e-13, err_msg=name)


@given(batches())
def test_the_single_terms_are_those_of_the_composite(batch: Batch) -> None:
    logp, phi, lengths = batch
    got = carl_composite(*batch)
    np.testing.assert_array_equal(multiscale_coherence(phi, lengths), got.multiscale)
    np.testing.assert_array_equal(cloud_quality(logp, phi, lengths), got.cloud_quality)
    np.testing.assert_array_equal(discontinuity_score(phi, lengths), got.discontinuity)


@pytest.mark.parametrize("column", [0, 1])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_token_that_is_not_finite_leaves_no_score(bad: float, column: int) -> None:
    logp, phi = np.full((3, 4), -0.1), np.full((3, 4), 0.9)
    (logp, phi)[column][1, 2] = bad
    got = carl_composite(logp, phi, [4, 4, 4])
    assert got.valid.tolist() == [True, False, True]
    for name in COLUMNS:
        assert np.isnan(getattr(got, name)).tolist() == [False, True, False], name
    assert carl_composite(logp, phi, [4, 2, 4]).valid.all()  # the bad token lies beyond the length


def test_an_empty_completion_has_no_score() -> None:
    got = carl_composite(np.zeros((2, 0)), np.zeros((2, 0)), [0, 0])
    assert not got.valid.any() and np.isnan(got.reward).all()
    assert np.isnan(multiscale_coherence(np.zeros((1, 3)), [0])).all()
    assert np.isnan(discontinuity_score(np.zeros((1, 3)), [0])).all()
    assert carl_composite(np.zeros((0, 3)), np.zeros((0, 3)), []).reward.shape == (0,)


def test_known_answers() -> None:
    """Constant Phi: 0.6 + 0.3 P Phi. A staircase of commitments from below 0.5: discontinuity 0.8."""
    constant = carl_composite(np.log([[0.5] * 8]), np.full((1, 8), 0.5), [8])
    assert constant.reward[0] == pytest.approx(0.6 + 0.3 * 0.25, rel=1e-14)
    assert discontinuity_score([[0.1, 0.2, 0.3, 0.4, 0.49]], [5])[0] == pytest.approx(0.8)
    assert multiscale_coherence([[0.0, 1.0]], [2])[0] == pytest.approx(2**-0.5)
    assert carl_composite([[-1.0]], [[0.5]], [1]).multiscale[0] == 0.5


def test_recorded_traces() -> None:
    recorded = json.loads((Path(__file__).parent / "carl_vectors_030.json").read_text())["vectors"]
    vectors = {vector["id"]: vector for vector in recorded}
    inputs, expected = vectors["trace-metrics"]["inputs"], vectors["trace-metrics"]["expected"]
    phi = np.array([inputs["phi"]])
    got = carl_composite(np.full(phi.shape, np.log(inputs["selected_prob"])), phi, [phi.shape[1]])
    names = {
        "multiscale": "multiscale",
        "discontinuity": "discontinuity",
        "cloud_quality": "cloud",
        "reward": "reward",
    }
    for ours, theirs in names.items():
        assert getattr(got, ours)[0] == pytest.approx(expected[theirs], rel=1e-11)
    inputs, expected = vectors["from-entropy"]["inputs"], vectors["from-entropy"]["expected"]
    phi = phi_from_entropy(np.array([inputs["entropy"]]), inputs["vocab_size"])
    np.testing.assert_allclose(phi[0], expected["phi"], rtol=1e-11)
    got = carl_composite([inputs["selected_logprobs"]], phi, [3])
    assert got.cloud_quality[0] == pytest.approx(expected["cloud"], rel=1e-11)
    assert got.reward[0] == pytest.approx(expected["reward"], rel=1e-11)


def test_weights() -> None:
    logp, phi, lengths = np.log([[0.2, 0.9, 0.5]]), np.array([[0.1, 0.8, 0.3]]), [3]
    plain = carl_composite(logp, phi, lengths)
    for name in TERMS:
        only = {term: float(term == name) for term in TERMS}
        assert carl_composite(logp, phi, lengths, CompositeWeights(**only)).reward == getattr(plain, name)
    for bad in (-0.1, math.nan, math.inf):
        with pytest.raises(ValueError, match="weight discontinuity"):
            CompositeWeights(discontinuity=bad)


@pytest.mark.parametrize(
    ("logp", "phi", "lengths", "message"),
    [
        (np.zeros((2, 3)), np.zeros((2, 4)), [3, 3], "one shape"),
        (np.zeros((2, 3)), np.zeros((2, 3)), [3], "lengths"),
        (np.zeros(3), np.zeros(3), 3, "lengths"),
        (np.zeros((1, 3)), np.zeros((1, 3)), [4], r"lengths must lie in 0\.\.3, got 4\.\.4"),
        (np.zeros((1, 3)), np.zeros((1, 3)), [-1], "lengths must lie"),
        (np.zeros((1, 3)), np.zeros((1, 3)), [2.0], "lengths must be integers"),
        (np.full((1, 3), 0.9), np.full((1, 3), -0.1), [3], r"logp\[0, 0\] = 0\.9 is above 0"),
    ],
)
def test_mistakes_are_named(logp: Any, phi: Any, lengths: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        carl_composite(logp, phi, lengths)


def _certain_of_next(ids: Sequence[int], width: int = 128) -> Array:
    logits_TV = np.full((len(ids), width), -60.0)
    logits_TV[np.arange(len(ids)), [*ids[1:], 0]] = 0.0
    return logits_TV


def _aligned_reward(prompt: str, completion: str) -> float:
    ids = [ord(character) for character in prompt + completion]
    rows = completion_logits(_certain_of_next(ids), len(prompt))
    got = token_statistics(rows, np.array(ids[len(prompt) :]))
    return float(carl_composite(got.logp[None], got.phi[None], [len(completion)]).reward[0])


def test_the_reference_pairing_rewards_repetition_and_the_aligned_one_does_not() -> None:
    """One model, certain of every next character: it is equally coherent on both texts."""
    texts = ["abcdefgh", "aaaaaaaa"]
    varied, repeated = compat.text_rewards(texts, lambda text: [ord(c) for c in text], _certain_of_next)
    assert repeated - varied > 0.25
    aligned = [_aligned_reward("say: ", text) for text in texts]
    assert aligned == pytest.approx([0.9, 0.9], abs=1e-12)
