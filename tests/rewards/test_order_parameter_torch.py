"""Phi on torch tensors against the float64 oracle. Legend: B batch, T tokens, V vocabulary."""

import math
from typing import Any

import numpy as np
import pytest

from coherence.core.backends import eager
from coherence.core.order_parameter import completion_logits, phi_from_entropy, token_statistics

torch = pytest.importorskip("torch")

WIDTH = 4480


def _edge_rows() -> Any:
    rng = np.random.default_rng(5)
    rows = np.stack([rng.standard_normal(WIDTH) * scale for scale in (0.0, 0.3, 1.0, 3.0, 8.0, 1.0, 1.0, 1.0, 1.0)])
    rows[5, ::2] = -np.inf
    rows[6, :2048] = -np.inf
    rows[7, 1:] = -np.inf
    rows[8, 17] += 30.0
    return torch.tensor(rows)


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-6), ("bfloat16", 1e-6), ("float16", 1e-6)]
)
def test_every_precision_agrees_with_the_oracle_on_the_same_values(dtype: str, tolerance: float) -> None:
    logits_TV = _edge_rows().to(getattr(torch, dtype))
    ids = torch.arange(len(logits_TV)) * 3 % WIDTH
    got = token_statistics(logits_TV, ids)
    oracle = token_statistics(logits_TV.double().numpy(), ids.numpy())
    assert got.phi.dtype == got.logp.dtype == (torch.float64 if dtype == "float64" else torch.float32)
    assert got.valid.all() and oracle.valid.all()
    np.testing.assert_allclose(got.phi.numpy(), oracle.phi, rtol=0, atol=tolerance)
    np.testing.assert_allclose(got.entropy.numpy(), oracle.entropy, rtol=tolerance, atol=10 * tolerance)
    np.testing.assert_allclose(got.logp.numpy(), oracle.logp, rtol=tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("offset", [0.0, 1e4, -1e4])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_uniform_is_zero_and_one_hot_is_one(dtype: str, offset: float) -> None:
    logits_TV = torch.full((2, 151_936), offset, dtype=getattr(torch, dtype))
    logits_TV[1, 1:] = -torch.inf
    got = token_statistics(logits_TV, torch.tensor([0, 0]))
    assert got.phi.tolist() == [0.0, 1.0]
    assert got.logp.tolist() == pytest.approx([-math.log(151_936), 0.0], rel=1e-6)


def test_padded_head_columns_have_no_influence() -> None:
    logits_TV = _edge_rows().float()
    padded = torch.cat([logits_TV, torch.full((len(logits_TV), 128), torch.nan)], dim=1)
    ids = torch.arange(len(logits_TV))
    plain, masked = token_statistics(logits_TV, ids), token_statistics(padded, ids, vocab_size=WIDTH)
    for name in ("logp", "entropy", "phi", "valid"):
        assert torch.equal(getattr(plain, name), getattr(masked, name))


def test_bad_rows_are_flagged_and_leave_their_neighbours_alone() -> None:
    good = [0.0, 1.0, 2.0]
    bad = [[0.0, math.nan, 1.0], [0.0, math.inf, 1.0], [-math.inf] * 3]
    got = token_statistics(torch.tensor([good, *bad, good]), torch.full((5,), 2))
    assert got.valid.tolist() == [True, False, False, False, True]
    for values in (got.logp, got.entropy, got.phi):
        assert values[1:4].isnan().all() and values[[0, 4]].isfinite().all()


@pytest.mark.parametrize("chunk", [1, 64, 10**9])
def test_chunks_and_strides_do_not_matter(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    logits_BTV = torch.randn(3, 7, 16, generator=generator)
    ids_BT = torch.randint(0, 16, (3, 5), generator=generator)
    aligned = completion_logits(logits_BTV, 2)
    assert not aligned.is_contiguous()
    whole = token_statistics(aligned.clone(), ids_BT)
    monkeypatch.setattr(eager, "HOST_CHUNK", chunk)
    pieces = token_statistics(aligned, ids_BT)
    assert pieces.phi.shape == (3, 5)
    torch.testing.assert_close(pieces.phi, whole.phi, rtol=0, atol=1e-6)
    torch.testing.assert_close(pieces.logp, whole.logp, rtol=1e-6, atol=1e-6)


def test_the_logits_are_left_alone_and_no_gradient_is_kept() -> None:
    logits_TV = torch.randn(4, 9, generator=torch.Generator().manual_seed(1), requires_grad=True)
    before = logits_TV.detach().clone()
    got = token_statistics(logits_TV, torch.arange(4))
    assert not got.phi.requires_grad and not got.logp.requires_grad
    assert torch.equal(logits_TV.detach(), before)


def test_mistakes_are_named() -> None:
    logits_TV = torch.zeros(2, 4)
    with pytest.raises(ValueError, match=r"token_ids\[1\] = 7 lies outside 0\.\.3"):
        token_statistics(logits_TV, torch.tensor([0, 7]))
    with pytest.raises(ValueError, match="undefined for vocab_size 1"):
        token_statistics(torch.zeros(2, 1), torch.tensor([0, 0]))
    with pytest.raises(ValueError, match="all NumPy arrays or all torch tensors"):
        token_statistics(logits_TV, np.array([0, 1]))
    with pytest.raises(ValueError, match="floating point"):
        token_statistics(torch.zeros(2, 4, dtype=torch.long), torch.tensor([0, 0]))


def test_phi_from_entropy_keeps_tensors() -> None:
    got = phi_from_entropy(torch.tensor([0.0, math.log(9)]), 9)
    assert torch.equal(got, torch.tensor([1.0, 0.0]))
