"""100,000 rows with NaN, +inf and -inf strewn in: none that is no distribution is scored, every other one is."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from coherence.core.composite import carl_composite
from coherence.core.order_parameter import token_statistics

torch = pytest.importorskip("torch")

BATCHES, COMPLETIONS, TOKENS, WIDTH = 25, 125, 32, 24  # 100,000 rows in 3,125 completions
POISON = np.array([np.nan, np.inf, -np.inf, -1e30, 1e30])


def _batch(rng: np.random.Generator) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    logits = rng.standard_normal((COMPLETIONS, TOKENS, WIDTH)) * 10 ** rng.uniform(-2, 2, (COMPLETIONS, TOKENS, 1))
    struck = rng.random((COMPLETIONS, TOKENS, WIDTH)) < rng.choice([0.0, 0.0, 0.02, 1.0], (COMPLETIONS, TOKENS, 1))
    struck &= rng.random((COMPLETIONS, 1, 1)) < 0.5  # half of the completions are left whole
    logits = np.where(struck, rng.choice(POISON, logits.shape), logits)
    masked = rng.random((COMPLETIONS, TOKENS, 1)) < 0.01
    logits = np.where(masked & (rng.random((COMPLETIONS, 1, 1)) < 0.5), -np.inf, logits)
    return logits, rng.integers(0, WIDTH, (COMPLETIONS, TOKENS)), rng.integers(0, TOKENS + 1, COMPLETIONS)


@pytest.mark.parametrize("dtype", ["numpy", "float32", "bfloat16"])
def test_nothing_invalid_is_scored_and_nothing_valid_is_flagged(dtype: str) -> None:
    rng = np.random.default_rng(20)
    counted = scored = 0
    for _ in range(BATCHES):
        logits, ids, lengths = _batch(rng)
        values: Any = logits if dtype == "numpy" else torch.tensor(logits).to(getattr(torch, dtype))
        got = token_statistics(values, ids if dtype == "numpy" else torch.tensor(ids))
        logp, entropy, phi, valid = (np.asarray(part) for part in (got.logp, got.entropy, got.phi, got.valid))
        distribution = ~np.isnan(logits).any(-1) & ~np.isposinf(logits).any(-1) & np.isfinite(logits).any(-1)
        np.testing.assert_array_equal(valid, distribution)
        assert np.isnan(phi[~valid]).all() and np.isnan(logp[~valid]).all() and np.isnan(entropy[~valid]).all()
        assert ((phi[valid] >= 0) & (phi[valid] <= 1)).all() and (logp[valid] <= 0).all()

        reward = carl_composite(got.logp, got.phi, lengths)
        whole = np.isfinite(logp) & np.isfinite(phi) | (np.arange(TOKENS) >= lengths[:, None])
        payable = whole.all(axis=1) & (lengths > 0)
        np.testing.assert_array_equal(np.asarray(reward.valid), payable)
        for score in (reward.reward, reward.multiscale, reward.cloud_quality, reward.discontinuity):
            np.testing.assert_array_equal(np.isfinite(np.asarray(score)), payable)
        counted, scored = counted + phi.size, scored + int(payable.sum())
    assert counted == 100_000 and 1000 < scored < 3000
