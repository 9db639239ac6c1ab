"""The CARL composite of a padded batch, from log-probabilities and order parameters.

Legend: B completions, T padded token positions. R = 0.5 multiscale + 0.3 cloud + 0.2 discontinuity.
Positions at or beyond a completion's length have no influence, whatever they hold. A completion that is
empty, or has a token that is not finite, has no score: NaN everywhere and valid False, never 0 or a constant.
"""

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from coherence.core.constants import DEFECT_THRESHOLD

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Lengths = npt.NDArray[np.int64]

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

    reward: Array
    multiscale: Array
    cloud_quality: Array
    discontinuity: Array
    phi_mean: Array
    phi_std: Array
    valid: Mask


def carl_composite(
    logp_BT: npt.ArrayLike,
    phi_BT: npt.ArrayLike,
    lengths_B: npt.ArrayLike,
    weights: CompositeWeights | None = None,
) -> Composite:
    """CARL composite of each completion from ln P and Phi of its tokens [B, T] and its length [B].

    Published weights unless given. Raises ValueError for shapes that do not match, lengths outside 0..T, or a
    log-probability above 0 (two swapped arguments look like that). Phi in [0, 1] is the caller's to ensure.
    """
    logp, phi, lengths, valid = _prepare_pair(logp_BT, phi_BT, lengths_B)
    w = weights or CompositeWeights()
    multiscale, cloud = _multiscale(phi, lengths), _cloud(logp, phi, lengths)
    discontinuity = _discontinuity(phi, lengths)
    reward = w.multiscale * multiscale + w.cloud_quality * cloud + w.discontinuity * discontinuity
    phi_mean, phi_std = _moments(phi, lengths)
    nan = np.where(valid, 0.0, np.nan)  # added: leaves a score as it is, or leaves none
    terms = multiscale + nan, cloud + nan, discontinuity + nan
    return Composite(reward + nan, *terms, phi_mean + nan, phi_std + nan, valid)


def multiscale_coherence(phi_BT: npt.ArrayLike, lengths_B: npt.ArrayLike) -> Array:
    """sum_j 2^(j/2) C_j / sum_j 2^(j/2), C_j = 1 - mean population std of Phi in blocks of 2^j tokens.

    Phi [B, T], lengths [B] -> [B]. Tokens after the last whole block do not count (as published); one token
    alone gives 0.5. NaN for an empty completion or one with a Phi that is not finite.
    """
    phi, lengths, valid = _prepare(phi_BT, lengths_B)
    return _flag(_multiscale(phi, lengths), valid)


def cloud_quality(logp_BT: npt.ArrayLike, phi_BT: npt.ArrayLike, lengths_B: npt.ArrayLike) -> Array:
    """Mean over a completion's tokens of P(token) Phi. ln P, Phi [B, T], lengths [B] -> [B].

    NaN for an empty completion or one with a token that is not finite. Raises ValueError as `carl_composite`.
    """
    logp, phi, lengths, valid = _prepare_pair(logp_BT, phi_BT, lengths_B)
    return _flag(_cloud(logp, phi, lengths), valid)


def discontinuity_score(phi_BT: npt.ArrayLike, lengths_B: npt.ArrayLike) -> Array:
    """Mean score of the jumps |Phi_{t+1} - Phi_t| > 0.03; 0.5 without one. Phi [B, T], lengths [B] -> [B].

    Up: 0.8 from below 0.5, else 0.3. Down: 0.2 from above 0.7, else 0.5. NaN for an empty completion or one
    with a Phi that is not finite.
    """
    phi, lengths, valid = _prepare(phi_BT, lengths_B)
    return _flag(_discontinuity(phi, lengths), valid)


def _prepare(values_BT: npt.ArrayLike, lengths_B: npt.ArrayLike) -> tuple[Array, Lengths, Mask]:
    """Float64 copy with 0 beyond each length and where not finite; lengths; who can be scored."""
    values, lengths = np.asarray(values_BT, dtype=np.float64), np.asarray(lengths_B)
    if values.ndim != 2 or lengths.shape != values.shape[:1]:
        raise ValueError(f"expected values [B, T] and lengths [B], got {values.shape} and {lengths.shape}")
    if lengths.size and not np.issubdtype(lengths.dtype, np.integer):
        raise ValueError(f"lengths must be integers, got {lengths.dtype}")
    lengths = lengths.astype(np.int64)
    if ((lengths < 0) | (lengths > values.shape[1])).any():
        raise ValueError(f"lengths must lie in 0..{values.shape[1]}, got {lengths.min()}..{lengths.max()}")
    inside, finite = _inside(values, lengths), np.isfinite(values)
    valid = (lengths > 0) & (finite | ~inside).all(axis=1)
    return np.where(inside & finite, values, 0.0), lengths, valid


def _prepare_pair(
    logp_BT: npt.ArrayLike, phi_BT: npt.ArrayLike, lengths_B: npt.ArrayLike
) -> tuple[Array, Array, Lengths, Mask]:
    phi, lengths, valid = _prepare(phi_BT, lengths_B)
    logp, _, scored = _prepare(logp_BT, lengths_B)
    if logp.shape != phi.shape:
        raise ValueError(f"logp and phi must have one shape [B, T], got {logp.shape} and {phi.shape}")
    if (logp > LOGP_SLACK).any():
        b, t = np.argwhere(logp > LOGP_SLACK)[0]
        raise ValueError(f"logp[{b}, {t}] = {logp[b, t]:.4g} is above 0: not a log-probability")
    return logp, phi, lengths, valid & scored


def _inside(values_BT: Array, lengths_B: Lengths) -> Mask:
    mask: Mask = np.arange(values_BT.shape[1]) < lengths_B[:, None]
    return mask


def _flag(values_B: Array, valid_B: Mask) -> Array:
    return np.where(valid_B, values_B, np.nan)


def _multiscale(phi_BT: Array, lengths_B: Lengths) -> Array:
    """Dyadic merge: two neighbouring blocks of n = 2^(j-1) tokens with means a, b and squared deviations M, N
    become one with mean (a+b)/2 and M + N + (a-b)^2 n/2. O(T) per completion, no cancellation."""
    mean, deviation = phi_BT, np.zeros_like(phi_BT)
    total = weight = (lengths_B > 0).astype(np.float64)  # scale 0: single tokens, std 0, coherence 1
    for j in range(1, min(phi_BT.shape[1].bit_length() - 1, LARGEST_SCALE) + 1):
        pairs = mean.shape[1] // 2 * 2
        a, b = mean[:, 0:pairs:2], mean[:, 1:pairs:2]
        deviation = deviation[:, 0:pairs:2] + deviation[:, 1:pairs:2] + (a - b) ** 2 * 2.0 ** (j - 2)
        mean = (a + b) / 2
        blocks = lengths_B >> j  # whole blocks of a completion; the later ones reach beyond its length
        spread = np.where(_inside(mean, blocks), np.sqrt(deviation * 0.5**j), 0.0).sum(axis=1)
        share = 2.0 ** (j / 2) * (blocks > 0)
        total = total + share * np.clip(1.0 - spread / np.maximum(blocks, 1), 0.0, 1.0)
        weight = weight + share
    return np.where(lengths_B < 2, UNDECIDED, total / np.maximum(weight, 1.0))


def _cloud(logp_BT: Array, phi_BT: Array, lengths_B: Lengths) -> Array:
    total: Array = (np.exp(logp_BT) * phi_BT).sum(axis=1)  # Phi is 0 beyond the length
    return total / np.maximum(lengths_B, 1)


def _discontinuity(phi_BT: Array, lengths_B: Lengths) -> Array:
    before, jump = phi_BT[:, :-1], np.diff(phi_BT, axis=1)
    event = (np.abs(jump) > JUMP) & _inside(jump, lengths_B - 1)
    score = np.where(jump > 0, np.where(before < 0.5, 0.8, 0.3), np.where(before > 0.7, 0.2, 0.5))
    events = event.sum(axis=1)
    return np.where(events > 0, (score * event).sum(axis=1) / np.maximum(events, 1), UNDECIDED)


def _moments(phi_BT: Array, lengths_B: Lengths) -> tuple[Array, Array]:
    count = np.maximum(lengths_B, 1)
    mean: Array = phi_BT.sum(axis=1) / count
    squares: Array = (np.where(_inside(phi_BT, lengths_B), phi_BT - mean[:, None], 0.0) ** 2).sum(axis=1)
    return mean, np.sqrt(squares / count)
