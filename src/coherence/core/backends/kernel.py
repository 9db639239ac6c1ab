"""Moments by one Triton kernel: every logit is read once, nothing of the size of the vocabulary is written.

Legend: N rows = B x T, V vocabulary, K = `split` programs per row. A program walks through its columns a block at a
time with the running maximum as shift, and keeps s, t and u per lane until the end: the only reduction in the loop
is the maximum, and no sum is long. Where there are few rows, several programs share one and `merge` joins them.
Float32 inside, so no float64 logits. Runs in Triton's interpreter on the CPU under TRITON_INTERPRET=1.
"""

# mypy: disable-error-code="import-not-found,import-untyped,untyped-decorator,no-untyped-def,no-untyped-call"
import math

import torch
import triton
import triton.language as tl

from coherence.core.backends.moments import FLOOR_32, Moments
from coherence.core.backends.tensors import merge

BLOCK = 4096
ENOUGH_PROGRAMS = 1024  # a few for each multiprocessor of any GPU
FLOOR = tl.constexpr(FLOOR_32)


def triton_moments(x: torch.Tensor, temperature: float = 1.0) -> Moments:
    """Moments [...] of logits [..., V] of at most 32 bits, in float32 sums. The columns must lie side by side."""
    x_BTV = _three_axes(x)
    sequences, tokens, width = x_BTV.shape
    block = min(BLOCK, triton.next_power_of_2(width))
    rows = sequences * tokens
    split = max(1, min(triton.cdiv(ENOUGH_PROGRAMS, max(rows, 1)), triton.cdiv(width, block)))
    columns = triton.cdiv(triton.cdiv(width, block), split) * block  # of one program
    parts = x.new_empty((4, rows, split), dtype=torch.float32)
    if rows:
        strides = x_BTV.stride(0), x_BTV.stride(1)
        layout = {"BLOCK": block, "TEMPERED": temperature != 1.0, "num_warps": max(1, block // 512)}
        _moments_kernel[(rows, split)](x_BTV, parts, rows, tokens, width, columns, *strides, 1 / temperature, **layout)
    whole = merge(Moments(*parts), temperature)
    return Moments(*(part.reshape(x.shape[:-1]) for part in whole))


def _three_axes(x: torch.Tensor) -> torch.Tensor:
    """A [B, T, V] view with V contiguous; a copy only where strides allow none."""
    x = x if x.stride(-1) == 1 else x.contiguous()
    return x if x.ndim == 3 else x.reshape(math.prod(x.shape[:-2]), *x.shape[-2:])


@triton.jit
def _moments_kernel(
    x_ptr, parts_ptr, rows, tokens, width, columns, sequence_stride, token_stride, inverse_temperature,
    BLOCK: tl.constexpr, TEMPERED: tl.constexpr,
):  # fmt: skip
    """parts[i, row, part] = m, s, t, u of columns part * columns .. of a row. -inf never meets 0, NaN survives."""
    row = tl.program_id(0).to(tl.int64)
    part, parts_per_row = tl.program_id(1), tl.num_programs(1)
    start = x_ptr + (row // tokens) * sequence_stride + (row % tokens) * token_stride
    lanes = tl.arange(0, BLOCK)
    top = -float("inf")
    s = tl.zeros((BLOCK,), tl.float32)
    t = tl.zeros((BLOCK,), tl.float32)
    u = tl.zeros((BLOCK,), tl.float32)
    for first in range(part * columns, tl.minimum((part + 1) * columns, width), BLOCK):
        at = first + lanes
        x = tl.load(start + at, mask=at < width, other=-float("inf")).to(tl.float32)
        before = top
        top = tl.maximum(before, tl.max(x, axis=0))
        shift = tl.where(top == -float("inf"), 0.0, top)
        moved = before - shift
        d = x - shift
        if TEMPERED:
            u = u * tl.exp(moved * inverse_temperature) + tl.exp(d * inverse_temperature)
        moved = tl.where(moved < FLOOR, FLOOR, moved)  # unlike a maximum, a comparison lets NaN through
        d = tl.where(d < FLOOR, FLOOR, d)
        scale = tl.exp(moved)
        e = tl.exp(d)
        t = (t + moved * s) * scale + e * d
        s = s * scale + e
    here = parts_ptr + row * parts_per_row + part
    step = rows.to(tl.int64) * parts_per_row
    tl.store(here, top)
    tl.store(here + step, tl.sum(s, axis=0))
    tl.store(here + 2 * step, tl.sum(t, axis=0))
    tl.store(here + 3 * step, tl.sum(u if TEMPERED else s, axis=0))
