"""The composite of tensors is that of arrays: values, masks, validity, dtype. Legend: B batch, T tokens."""

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coherence.core.composite import (
    CompositeWeights,
    carl_composite,
    cloud_quality,
    discontinuity_score,
    multiscale_coherence,
)

torch = pytest.importorskip("torch")

COLUMNS = ("reward", "multiscale", "cloud_quality", "discontinuity", "phi_mean", "phi_std")
finite_or_not = st.floats(0, 1) | st.sampled_from([math.nan, math.inf, -math.inf])


@st.composite
def batches(draw: st.DrawFn) -> tuple[npt.NDArray[Any], ...]:
    """logp, Phi [B, T] with an invalid value now and then, and lengths [B] of 0, 1, 2 and more."""
    shape = draw(st.integers(1, 4)), draw(st.integers(0, 40))
    phi = draw(hnp.arrays(np.float64, shape, elements=finite_or_not if draw(st.booleans()) else st.floats(0, 1)))
    logp = draw(hnp.arrays(np.float64, shape, elements=st.floats(-30, 0)))
    return logp, phi, draw(hnp.arrays(np.int64, shape[0], elements=st.integers(0, shape[1])))


def _tensors(batch: tuple[npt.NDArray[Any], ...], dtype: Any) -> tuple[Any, Any, Any]:
    logp, phi, lengths = (torch.tensor(part) for part in batch)
    return logp.to(dtype), phi.to(dtype), lengths


@given(batches())
def test_float64_tensors_give_the_numbers_of_arrays(batch: tuple[npt.NDArray[Any], ...]) -> None:
    weights = CompositeWeights(0.2, 0.7, 0.4)
    expected, got = carl_composite(*batch, weights), carl_composite(*_tensors(batch, torch.float64), weights)
    np.testing.assert_array_equal(got.valid.numpy(), expected.valid)
    for name in COLUMNS:
        assert getattr(got, name).dtype == torch.float64
        np.testing.assert_allclose(getattr(got, name).numpy(), getattr(expected, name), rtol=0, atol=1e-12)


@given(batches())
def test_the_single_terms_are_those_of_the_composite(batch: tuple[npt.NDArray[Any], ...]) -> None:
    logp, phi, lengths = _tensors((batch[0], np.nan_to_num(batch[1], posinf=1, neginf=0), batch[2]), torch.float64)
    got = carl_composite(logp, phi, lengths)
    for term, alone in (
        (got.multiscale, multiscale_coherence(phi, lengths)),
        (got.cloud_quality, cloud_quality(logp, phi, lengths)),
        (got.discontinuity, discontinuity_score(phi, lengths)),
    ):
        torch.testing.assert_close(alone, term, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_lesser_precisions_are_scored_in_float64_and_given_back_in_float32(dtype: str) -> None:
    rng = np.random.default_rng(0)
    batch = np.log(rng.random((9, 300))), rng.random((9, 300)), rng.integers(0, 301, 9)
    logp, phi, lengths = _tensors(batch, getattr(torch, dtype))
    got = carl_composite(logp, phi, lengths.int())
    expected = carl_composite(logp.double().numpy(), phi.double().numpy(), lengths.numpy())
    for name in COLUMNS:
        assert getattr(got, name).dtype == torch.float32
        np.testing.assert_allclose(getattr(got, name).numpy(), getattr(expected, name), rtol=1e-6, atol=0)


def test_lengths_may_be_a_list_and_gradients_are_dropped() -> None:
    phi = torch.rand(2, 5, requires_grad=True)
    got = carl_composite(-torch.rand(2, 5), phi, [5, 0])
    assert got.valid.tolist() == [True, False] and got.reward[1].isnan() and not got.reward.requires_grad


def test_a_huge_phi_at_the_end_is_no_reason_for_nan() -> None:
    phi = [[0.5, 0.5, 0.5, 0.5, 1e200, 0.0]]
    with np.errstate(over="ignore"):
        assert np.isfinite(multiscale_coherence(np.array(phi), [5])).all()
    assert multiscale_coherence(torch.tensor(phi, dtype=torch.float64), [5]).isfinite().all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"phi_BT": np.zeros((2, 3))}, "both arrays or both tensors"),
        ({"phi_BT": torch.zeros(2, 4)}, r"one shape \[B, T\]"),
        ({"lengths_B": torch.tensor([3.0, 3.0])}, "lengths must be integers"),
        ({"lengths_B": [3, 4]}, r"lengths must lie in 0\.\.3, got 3\.\.4"),
        ({"lengths_B": [3]}, "lengths"),
        ({"logp_BT": torch.full((2, 3), 0.9)}, r"logp\[0, 0\] = 0\.9 is above 0"),
    ],
)
def test_mistakes_are_named(changes: dict[str, Any], message: str) -> None:
    arguments = {"logp_BT": torch.zeros(2, 3), "phi_BT": torch.zeros(2, 3), "lengths_B": [3, 3]}
    with pytest.raises(ValueError, match=message):
        carl_composite(**arguments | changes)
