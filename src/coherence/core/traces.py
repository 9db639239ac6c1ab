"""What a completion's Phi does from token to token. Legend: B completions, T padded token positions."""

import numpy as np
import numpy.typing as npt

from coherence.core.composite import JUMP

Array = npt.NDArray[np.float64]


def inside(phi_BT: Array, lengths_B: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Which positions [B, T] hold a token."""
    return np.arange(phi_BT.shape[1]) < np.asarray(lengths_B)[:, None]


def crystallizations(phi_BT: Array, lengths_B: npt.ArrayLike) -> Array:
    """How often Phi rises by more than DEFECT_THRESHOLD from one token to the next, [B]."""
    return np.asarray(((np.diff(phi_BT) > JUMP) & inside(phi_BT, lengths_B)[:, 1:]).sum(axis=1), dtype=np.float64)


def synchrony(phi_BT: Array, lengths_B: npt.ArrayLike) -> Array:
    """Kuramoto's R = |mean_t exp(i pi Phi_t)| of each completion, [B]: how alike its Phi are, not how high. As
    published 0 for fewer than two tokens; NaN where a Phi is not finite."""
    within, lengths = inside(phi_BT, lengths_B), np.asarray(lengths_B)
    total = np.where(within, np.exp(1j * np.pi * np.where(within, phi_BT, 0.0)), 0.0).sum(axis=1)
    return np.where(lengths < 2, 0.0, np.abs(total) / np.clip(lengths, 1, None))
