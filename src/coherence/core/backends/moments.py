"""The shifted moments of rows of logits, which log-probability, entropy and Phi are made of.

Legend: V vocabulary, R rows, K blocks of one row; `...` stands for any leading axes.
With x a row, m its maximum and d = x - m:  s = sum e^d,  t = sum d e^d,  u = sum e^(d / temperature).  Then
ln P(v) = d_v - ln s,  H = ln s - t/s,  and ln P(v) at the temperature is d_v / temperature - ln u.
Both terms of H are >= 0: nothing cancels, no epsilon is needed, and an offset of the logits changes nothing.
Blocks of a row merge exactly: m = max m_k, s = sum s_k e^(m_k - m), t = sum (t_k + (m_k - m) s_k) e^(m_k - m).
A block of nothing but -inf has m = -inf and s = t = u = 0, and so adds nothing. NaN or +inf makes s and t NaN.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

FLOOR_64, FLOOR_32 = -750.0, -120.0  # e^floor is exactly 0 there, and 0 * floor is 0 where 0 * -inf is NaN


class Moments(NamedTuple):
    """m, s, t and u (which is s at temperature 1) of every row, shape [...] each."""

    top: Any
    s: Any
    t: Any
    u: Any


def pieces(x: Any, rows: int) -> Iterator[Any]:
    """Views [R, V] of x [..., V] with R <= rows, in order and never copied; at least one, which may be empty."""
    if x.ndim > 2 and len(x) and not _leading_axes_collapse(x):
        for part in x:
            yield from pieces(part, rows)
        return
    flat = x if x.ndim == 2 else x.reshape(-1, x.shape[-1])
    for first in range(0, max(len(flat), 1), rows):
        yield flat[first : first + rows]


def _leading_axes_collapse(x: Any) -> bool:
    strides = x.strides if isinstance(x, np.ndarray) else x.stride()
    return all(strides[i] == strides[i + 1] * x.shape[i + 1] for i in range(x.ndim - 2))
