"""The CARL composite of a padded batch, from log-probabilities and order parameters.

Legend: B completions, T padded token positions. R = 0.5 multiscale + 0.3 cloud + 0.2 discontinuity.
Positions at or beyond a completion's length have no influence, whatever they hold. A completion that is
empty, or has a token that is not finite, has no score: NaN everywhere and valid False, never 0 or a constant.
Arrays give float64 arrays. Tensors give tensors on their device, float64 for float64, else float32; inside it is
float64 wherever the device has it. One text serves both: `xp` is the module numpy or torch.
"""

from dataclasses import dataclass, fields
from itertools import accumulate
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from coherence.core.backends.choose import is_tensor
from coherence.core.constants import DEFECT_THRESHOLD

JUMP = float(DEFECT_THRESHOLD)
LARGEST_SCALE = 15  # blocks of up to 2^15 tokens
UNDECIDED = 0.5  # score of a completion too short, or too smooth, to be judged
LOGP_SLACK = 1e-3  # rounding of a log-probability; more than that above 0 is not one


@dataclass(frozen=True)
class CompositeWeights:
    """Weights of the three terms, published ones by default. ValueError if one is negative or not finite."""

    multiscale: float = 0.5
    cloud_quality: float = 0.3
    discontinuity: float = 0.2

    def __post_init__(self) -> None:
        for field in fields(self):
            weight = getattr(self, field.name)
            if not (np.isfinite(weight) and weight >= 0):
                raise ValueError(f"weight {field.name} must be a finite number >= 0, got {weight}")


@dataclass(frozen=True)
class Composite:
    """Per completion, shape [B]: the reward, its three terms, mean and population std of Phi, validity."""

    reward: Any
    multiscale: Any
    cloud_quality: Any
    discontinuity: Any
    phi_mean: Any
    phi_std: Any
    valid: Any


class _Batch(NamedTuple):
    """Phi and ln P [B, T], 0 where they are not to count; sums and lengths [B]; positions inside; who is scored."""

    xp: ModuleType
    phi: Any
    phi_sum: Any
    logp: Any
    lengths: Any
    inside: Any
    valid: Any
    dtype: Any


def carl_composite(logp_BT: Any, phi_BT: Any, lengths_B: Any, weights: CompositeWeights | None = None) -> Composite:
    """CARL composite of each completion from ln P and Phi of its tokens [B, T] and its length [B].

    Published weights unless given. Raises ValueError for shapes that do not match, lengths outside 0..T, or a
    log-probability above 0 (two swapped arguments look like that). Phi in [0, 1] is the caller's to ensure.
    """
    batch, w = _prepare(phi_BT, lengths_B, logp_BT), weights or CompositeWeights()
    terms = _multiscale(batch), _cloud(batch), _discontinuity(batch)
    reward = w.multiscale * terms[0] + w.cloud_quality * terms[1] + w.discontinuity * terms[2]
    scores = _scores(batch, batch.xp.stack([reward, *terms, *_moments(batch)]))
    return Composite(*scores, batch.valid)  # type: ignore[call-arg, unused-ignore]


def multiscale_coherence(phi_BT: Any, lengths_B: Any) -> Any:
    """sum_j 2^(j/2) C_j / sum_j 2^(j/2), C_j = 1 - mean population std of Phi in blocks of 2^j tokens.

    Phi [B, T], lengths [B] -> [B]. Tokens after the last whole block do not count (as published); one token
    alone gives 0.5. NaN for an empty completion or one with a Phi that is not finite.
    """
    batch = _prepare(phi_BT, lengths_B)
    return _scores(batch, _multiscale(batch))


def cloud_quality(logp_BT: Any, phi_BT: Any, lengths_B: Any) -> Any:
    """Mean over a completion's tokens of P(token) Phi. ln P, Phi [B, T], lengths [B] -> [B].

    NaN for an empty completion or one with a token that is not finite. Raises ValueError as `carl_composite`.
    """
    batch = _prepare(phi_BT, lengths_B, logp_BT)
    return _scores(batch, _cloud(batch))


def discontinuity_score(phi_BT: Any, lengths_B: Any) -> Any:
    """Mean score of the jumps |Phi_{t+1} - Phi_t| > 0.03; 0.5 without one. Phi [B, T], lengths [B] -> [B].

    Up: 0.8 from below 0.5, else 0.3. Down: 0.2 from above 0.7, else 0.5. NaN for an empty completion or one
    with a Phi that is not finite.
    """
    batch = _prepare(phi_BT, lengths_B)
    return _scores(batch, _discontinuity(batch))


def _prepare(phi_BT: Any, lengths_B: Any, logp_BT: Any = None) -> _Batch:
    if logp_BT is not None and is_tensor(phi_BT) != is_tensor(logp_BT):
        raise ValueError("logp and phi must be both arrays or both tensors")
    xp, phi, dtype = _values(phi_BT)
    lengths = _lengths(xp, lengths_B, phi)
    inside = xp.arange(phi.shape[1], device=phi.device) < lengths[:, None]
    phi = _masked(xp, phi, inside)
    total = _sums(phi)
    valid = xp.isfinite(total) & (lengths > 0)
    logp = None if logp_BT is None else _log_probabilities(xp, logp_BT, inside)
    if logp is not None:
        valid = valid & xp.isfinite(_sums(logp))
    if not valid.all():
        phi, total = xp.where(valid[:, None], phi, 0.0), xp.where(valid, total, 0.0)
        logp = None if logp is None else xp.where(valid[:, None], logp, 0.0)
    return _Batch(xp, phi, total, logp, lengths, inside, valid, dtype)


def _log_probabilities(xp: ModuleType, logp_BT: Any, inside_BT: Any) -> Any:
    """ln P in the precision of the batch, 0 beyond the lengths."""
    _, logp, _ = _values(logp_BT)
    if logp.shape != inside_BT.shape:
        shapes = f"{tuple(logp.shape)} and {tuple(inside_BT.shape)}"
        raise ValueError(f"logp and phi must have one shape [B, T], got {shapes}")
    logp = _masked(xp, logp, inside_BT)
    above = logp > LOGP_SLACK
    if above.any() and (above := above & xp.isfinite(logp)).any():
        b, t = (int(i) for i in xp.argwhere(above)[0])
        raise ValueError(f"logp[{b}, {t}] = {float(logp[b, t]):.4g} is above 0: not a log-probability")
    return logp


def _masked(xp: ModuleType, values_BT: Any, inside_BT: Any) -> Any:
    """The values with 0 beyond the lengths; the values themselves where nothing lies beyond."""
    return values_BT if inside_BT.all() else xp.where(inside_BT, values_BT, 0.0)


def _sums(values_BT: Any) -> Any:
    """Sum of each row, finite only where all of its terms are."""
    with np.errstate(invalid="ignore", over="ignore"):
        return values_BT.sum(axis=1)


def _values(values: Any) -> tuple[ModuleType, Any, Any]:
    """The module, the values in float64 (float32 on a device without it), and the dtype that scores shall have."""
    if not is_tensor(values):
        return np, np.asarray(values, dtype=np.float64), np.float64
    import torch

    fine = torch.float32 if values.device.type == "mps" else torch.float64
    return torch, values.detach().to(fine), torch.float64 if values.dtype == torch.float64 else torch.float32


def _lengths(xp: ModuleType, lengths_B: Any, values: Any) -> Any:
    lengths = xp.asarray(lengths_B, device=values.device)
    if values.ndim != 2 or lengths.shape != values.shape[:1]:
        shapes = f"{tuple(values.shape)} and {tuple(lengths.shape)}"
        raise ValueError(f"expected values [B, T] and lengths [B], got {shapes}")
    if len(lengths) and lengths.dtype != xp.int64 and "int" not in str(lengths.dtype):
        raise ValueError(f"lengths must be integers, got {lengths.dtype}")
    lengths = xp.asarray(lengths, dtype=xp.int64)
    if ((lengths < 0) | (lengths > values.shape[1])).any():
        found = f"{int(lengths.min())}..{int(lengths.max())}"
        raise ValueError(f"lengths must lie in 0..{values.shape[1]}, got {found}")
    return lengths


def _scores(batch: _Batch, values_B: Any) -> Any:
    return batch.xp.asarray(batch.xp.where(batch.valid, values_B, batch.xp.nan), dtype=batch.dtype)


def _multiscale(batch: _Batch) -> Any:
    xp, lengths, tokens = batch.xp, batch.lengths, batch.phi.shape[1]
    scales = xp.arange(1, max(min(tokens.bit_length() - 1, LARGEST_SCALE), 0) + 1, device=lengths.device)
    blocks = lengths[:, None] >> scales  # whole blocks of each completion at each scale
    root = 2.0 ** xp.asarray(scales / 2, dtype=batch.phi.dtype)
    spread = _spreads(batch, blocks, tokens >> scales) / root / xp.clip(blocks, 1, None)
    share = (blocks > 0) * root
    score = (1.0 + (share * xp.clip(1.0 - spread, 0.0, 1.0)).sum(axis=1)) / (1.0 + share.sum(axis=1))
    return xp.where(lengths < 2, UNDECIDED, score)  # the ones: single tokens, coherence 1 and weight 1


def _spreads(batch: _Batch, blocks_BJ: Any, held_J: Any) -> Any:
    """Sum of sqrt(M) over the whole blocks of 2^j tokens, M = sum (Phi - mean)^2, for j = 1 .. J: [B, J].

    Dyadic merge: two neighbours with sums a, b and deviations M, N become one of n = 2^j tokens with sum a + b and
    M + N + (a - b)^2 / n. O(T), no cancellation. Beyond a completion's end Phi is constantly 0, so of the blocks
    held the only one to leave out is the one that its end lies in."""
    xp, sums = batch.xp, batch.phi
    levels: list[Any] = []
    for j in range(len(held_J)):
        even, odd = slice(0, sums.shape[1] // 2 * 2, 2), slice(1, None, 2)
        merged = sums[:, even] - sums[:, odd]
        merged *= merged
        merged *= 0.5 ** (j + 1)
        if levels:
            merged += levels[-1][:, even]
            merged += levels[-1][:, odd]
        levels.append(merged)
        sums = sums[:, even] + sums[:, odd]
    if not levels:
        return xp.zeros_like(blocks_BJ, dtype=sums.dtype)
    root = xp.sqrt(xp.concatenate(levels, axis=1))  # the blocks of all scales, side by side
    cut_BJ = blocks_BJ < held_J
    if cut_BJ.any():
        first = xp.cumsum(held_J, axis=0) - held_J
        at = xp.arange(len(sums), device=sums.device)[:, None], first + xp.minimum(blocks_BJ, held_J - 1)
        root[at] = xp.where(cut_BJ, 0.0, root[at])
    ends = accumulate(level.shape[1] for level in levels)
    parts = [root[:, end - level.shape[1] : end] for level, end in zip(levels, ends, strict=True)]
    return xp.stack([part.sum(axis=1) for part in parts], axis=1)


def _cloud(batch: _Batch) -> Any:
    total = batch.xp.linalg.vecdot(batch.xp.exp(batch.logp), batch.phi)  # Phi is 0 beyond the length
    return total / batch.xp.clip(batch.lengths, 1, None)


def _discontinuity(batch: _Batch) -> Any:
    xp, before = batch.xp, batch.phi[:, :-1]
    jump, event = batch.phi[:, 1:] - before, batch.inside[:, 1:]
    up, down = (jump > JUMP) & event, (jump < -JUMP) & event
    kinds = up, up & (before < 0.5), down, down & (before > 0.7)
    counts = (xp.asarray(kind.sum(axis=1, dtype=xp.int32), dtype=jump.dtype) for kind in kinds)
    ups, low_ups, downs, high_downs = counts
    total = 0.3 * ups + (0.8 - 0.3) * low_ups + 0.5 * downs + (0.2 - 0.5) * high_downs
    return xp.where(ups + downs > 0, total / xp.clip(ups + downs, 1, None), UNDECIDED)


def _moments(batch: _Batch) -> tuple[Any, Any]:
    xp, count = batch.xp, batch.xp.clip(batch.lengths, 1, None)
    mean = batch.phi_sum / count
    apart = _masked(xp, batch.phi - mean[:, None], batch.inside)
    return mean, xp.sqrt(xp.linalg.vecdot(apart, apart) / count)
