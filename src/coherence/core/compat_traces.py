"""CoherenceTrace of carl-studio 0.3.0 as functions, to reproduce its numbers: `composite` is the one to use.

Legend: T tokens. `previous`: the Phi before the first token, which the reference keeps from whatever it met last.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from coherence.core import compat
from coherence.core.compat import DEFECT_THRESHOLD, EPSILON, LARGEST_SCALE, Array, steps

GLYPHS = " \u2581\u2582\u2583\u2584\u2585\u2586\u2587\u2588"


def trace_scores(phi_T: Array, prob_T: Array, previous: float | None = None) -> dict[str, float]:
    """Scores of one trace from Phi and P(chosen token), as in `compat` but for one token, whose multiscale is 1."""
    multiscale = 1.0 if len(phi_T) == 1 else compat.multiscale_coherence(phi_T)
    cloud, jumps = float((prob_T * phi_T).mean()), compat.discontinuity_score(phi_T, previous)
    return {
        "multiscale": multiscale,
        "cloud": cloud,
        "discontinuity": jumps,
        "reward": 0.5 * multiscale + 0.3 * cloud + 0.2 * jumps,
        "density": sum(map(len, jump_positions(phi_T, previous))) / len(phi_T),
        "surprisal": float(-np.log(prob_T + EPSILON).mean()),
    }


def from_entropy(entropy_T: npt.ArrayLike, logp_T: npt.ArrayLike, vocab_size: int) -> tuple[Array, Array]:
    """(Phi, P) of tokens with these entropies and log-probabilities (nats)."""
    return 1.0 - np.asarray(entropy_T) / np.log(vocab_size), np.exp(logp_T)


def scale_coherence(phi_T: Array) -> dict[int, float]:
    """j -> 1 - mean spread of Phi in blocks of 2^j tokens; tokens after the last whole block are unseen."""
    blocks = {j: phi_T[: len(phi_T) >> j << j].reshape(-1, 2**j) for j in range(LARGEST_SCALE + 1)}
    return {j: float(1.0 - block.std(axis=1).mean()) for j, block in blocks.items() if block.size}


def jump_positions(phi_T: Array, previous: float | None = None) -> tuple[list[int], list[int]]:
    """Indices of the steps above 0.03 ("crystallization") and below -0.03 ("melting")."""
    up, down = (np.flatnonzero(sign * steps(phi_T, previous) > DEFECT_THRESHOLD).tolist() for sign in (1, -1))
    return up, down


def transition_sharpness(phi_T: Array, positions: Sequence[int]) -> float:
    """mean |step of Phi| at some positions."""
    return float(np.abs(steps(phi_T)[list(positions)]).mean())


def segment_means(phi_T: Array, starts: Sequence[int]) -> list[float]:
    """Mean Phi of the segments that begin at `starts`."""
    return [float(phi_T[a:b].mean()) for a, b in zip(starts, [*starts[1:], len(phi_T)], strict=True)]


def kuramoto(phi_T: Array) -> float:
    """R = |mean exp(i pi Phi)|, 0 below two tokens: how alike the Phi are, not how high (1 for Phi = 0 throughout)."""
    return float(abs(np.exp(1j * np.pi * phi_T).mean())) if len(phi_T) > 1 else 0.0


def sparkline(phi_T: Array) -> str:
    """One of nine glyphs per token; the full block is for Phi = 1 alone."""
    return "".join(GLYPHS[int(8 * level)] for level in np.clip(phi_T, 0.0, 1.0))


def defect_map(phi_T: Array) -> str:
    """One sign per step: +, - or a dot."""
    up, down = jump_positions(phi_T)
    return "".join("+" if i in up else "-" if i in down else "\N{MIDDLE DOT}" for i in range(len(phi_T) - 1))
