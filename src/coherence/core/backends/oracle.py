"""NumPy arrays, in float64 whatever their dtype: what every other backend is held against.

Legend: R rows, N tokens, V vocabulary, D width of a hidden state.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from coherence.core.backends.moments import FLOOR_64, Moments, pieces

ArrayN = npt.NDArray[Any]

CHUNK = 2**18  # logits in flight: the temporaries stay inside a core's cache


def numpy_moments(x: ArrayN, temperature: float = 1.0) -> Moments:
    """Moments [...] of logits [..., V]."""
    parts = [_moments(piece, temperature) for piece in pieces(x, max(1, CHUNK // x.shape[-1]))]
    return Moments(*(np.concatenate(column).reshape(x.shape[:-1]) for column in zip(*parts, strict=True)))


def _moments(x_RV: ArrayN, temperature: float) -> Moments:
    x = x_RV.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):  # inf - inf: the NaN that flags the row
        top = x.max(axis=-1)
        d = x - np.where(top == -np.inf, 0.0, top)[:, None]
        u = np.exp(d / temperature).sum(axis=-1) if temperature != 1.0 else None
        d = np.maximum(d, FLOOR_64)
        e = np.exp(d)
        s, t = e.sum(axis=-1), (d * e).sum(axis=-1)
    return Moments(top, s, t, s if u is None else u)


def pick(x: ArrayN, ids: ArrayN) -> ArrayN:
    """The logit [...] of each row's own token, from logits [..., V] and ids [...]."""
    return np.take_along_axis(x, ids[..., None], axis=-1)[..., 0].astype(np.float64)


def project(
    hidden_ND: ArrayN,
    weight_VD: ArrayN,
    bias_V: ArrayN | None,
    ids_N: ArrayN,
    temperature: float,
    transform: Callable[[ArrayN], ArrayN] | None,
    moments: Callable[[Any, float], Moments],
) -> tuple[Moments, ArrayN]:
    """Moments and chosen logit [N] of hidden @ weight^T + bias, whole rows at a time: no tile, nothing to merge."""
    weight, rows = weight_VD.astype(np.float64), max(1, 16 * CHUNK // len(weight_VD))
    parts, chosen = [], []
    for first in range(0, max(len(hidden_ND), 1), rows):
        logits = hidden_ND[first : first + rows].astype(np.float64) @ weight.T
        logits = logits if bias_V is None else logits + bias_V
        logits = logits if transform is None else transform(logits)
        parts.append(moments(logits, temperature))
        chosen.append(pick(logits, ids_N[first : first + rows]))
    return Moments(*(np.concatenate(column) for column in zip(*parts, strict=True))), np.concatenate(chosen)


def finish(moments: Moments, chosen: ArrayN, log_vocab: float, temperature: float) -> tuple[ArrayN, ArrayN, ArrayN]:
    """ln P of the chosen token, H in [0, ln V], and ln P at the temperature, shape [...] each."""
    top, s, t, u = moments
    with np.errstate(invalid="ignore", divide="ignore"):
        d, log_s = chosen - top, np.log(s)
        return d - log_s, (log_s - t / s).clip(0.0, log_vocab), d / temperature - np.log(u)
