"""Moments by torch.compile, in two levels: blocks of 1024 logits in one compiled loop, then their exact merge.

Short sums keep float32 accurate; one loop reads the logits once. Shapes, strides and the temperature are symbolic:
neither another number of rows nor another vocabulary compiles anew, only another dtype does, the first temperature
other than 1, and the first logits whose blocks all lie side by side (or do not).
"""

import functools
from collections.abc import Callable
from typing import Any

import torch

from coherence.core.backends.moments import Moments, pieces
from coherence.core.backends.tensors import collect, merge, moments_of_rows

BLOCK = 1024
CHUNK = 2**25  # logits per call: enough to hide what a call costs; the block moments are 1 % of them
VARIANTS = 32  # of dtype, temperature and layout; the compiler gives up beyond


def compiled_moments(x: torch.Tensor, temperature: float = 1.0) -> Moments:
    """Moments [...] of logits [..., V]. The first call in a process takes seconds."""
    of_rows = _of_long_rows if x.shape[-1] >= 2 * BLOCK else _of_short_rows
    parts = (of_rows(piece, temperature) for piece in pieces(x, max(2, CHUNK // x.shape[-1])))
    return collect(parts, x.shape[:-1])


def _of_long_rows(x_RV: torch.Tensor, temperature: float) -> Moments:
    """Whole blocks compiled, the columns after the last of them eagerly, then one merge."""
    blocks = x_RV.shape[1] // BLOCK
    parts = _of_blocks(x_RV[:, : blocks * BLOCK].unflatten(1, (blocks, BLOCK)), temperature)  # type: ignore[no-untyped-call]
    if blocks * BLOCK < x_RV.shape[1]:
        rest = moments_of_rows(x_RV[:, blocks * BLOCK :], temperature)
        parts = Moments(*(torch.cat([a, b.unsqueeze(-1)], dim=-1) for a, b in zip(parts, rest, strict=True)))
    return merge(parts, temperature)


def _of_short_rows(x_RV: torch.Tensor, temperature: float) -> Moments:
    """A row is a block. Two rows at a time, so that the compiled loop sees three axes here too."""
    pairs = len(x_RV) // 2
    parts = _of_blocks(x_RV[: 2 * pairs].unflatten(0, (pairs, 2)), temperature)  # type: ignore[no-untyped-call]
    last = moments_of_rows(x_RV[2 * pairs :], temperature)  # one row or none
    return Moments(*(torch.cat([a.flatten(), b]) for a, b in zip(parts, last, strict=True)))


def _of_blocks(x_RKC: torch.Tensor, temperature: float) -> Moments:
    """Moments [R, K] of blocks of C logits. For R < 2 eagerly: the compiler would take that size for a constant."""
    if len(x_RKC) < 2:
        return moments_of_rows(x_RKC, temperature)
    # detached, a view has no base, whose shape would be compiled in; so would a temperature that is a number
    symbolic = temperature if temperature == 1.0 else torch.tensor(temperature, dtype=torch.float64)
    return _compile()(x_RKC.detach(), symbolic)


@functools.cache
def _compile() -> Callable[[torch.Tensor, float | torch.Tensor], Moments]:
    compile_function: Any = torch.compile  # its published overloads lack the two last options
    return compile_function(  # type: ignore[no-any-return]
        moments_of_rows, dynamic=True, fullgraph=True, recompile_limit=VARIANTS, isolate_recompiles=True
    )
