"""Phi and the CARL reward of logits that lie in .npy files. Legend: T tokens, V vocabulary.

`aligned` is this project's arithmetic: float64, no epsilon, a row that is no distribution is counted and not scored.
`compat` is the reference file's. Both pair row t of the logits with token t of the ids, exactly as they are given.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from coherence.core import compat
from coherence.core.composite import carl_composite
from coherence.core.order_parameter import TokenStatistics, token_statistics

Mode = Literal["aligned", "compat"]
Report = dict[str, float]
Array = npt.NDArray[Any]
SCORES = ("reward", "multiscale", "cloud_quality", "discontinuity")


def phi_report(logits_file: Path, mode: Mode) -> Report:
    """phi_mean, phi_std (population), entropy_mean (nats), n_tokens, vocab_size, invalid_rows.

    Aligned means are over the valid rows, NaN without one. ValueError names a file that cannot be scored.
    """
    logits_TV = read_logits(logits_file)
    if mode == "compat":
        phi_T, _, entropy_T = compat.compute_phi(logits_TV)
        return _means(phi_T, entropy_T) | _counts(logits_TV, _no_distribution(logits_TV))
    tokens = _statistics(logits_TV, np.zeros(len(logits_TV), dtype=np.int64), logits_file)
    return _means(tokens.phi[tokens.valid], tokens.entropy[tokens.valid]) | _counts(logits_TV, ~tokens.valid)


def reward_report(logits_file: Path, token_ids_file: Path, mode: Mode) -> Report:
    """reward, multiscale, cloud_quality, discontinuity, and what `phi_report` gives.

    Aligned, a row that is invalid, or that gives its own token probability 0, is counted and makes the first four NaN.
    ValueError names a file that cannot be scored.
    """
    logits_TV, ids_T = read_logits(logits_file), read_token_ids(token_ids_file)
    if mode == "compat":
        try:
            reward, components = compat.carl_reward(logits_TV, ids_T)
        except IndexError as error:
            raise ValueError(f"{token_ids_file} does not go with {logits_file}: {error}") from None
        return {"reward": reward, **components, **_counts(logits_TV, _no_distribution(logits_TV))}
    tokens = _statistics(logits_TV, ids_T, token_ids_file)
    carl = carl_composite(tokens.logp[None], tokens.phi[None], [len(ids_T)])
    scores = {name: float(getattr(carl, name)[0]) for name in SCORES}
    means = _means(tokens.phi[tokens.valid], tokens.entropy[tokens.valid])
    return scores | means | _counts(logits_TV, ~np.isfinite(tokens.logp))


def _statistics(logits_TV: Array, ids_T: Array, file: Path) -> TokenStatistics[Array]:
    if not len(logits_TV):
        raise ValueError(f"{file}: there is no token to score")
    try:
        return token_statistics(logits_TV, ids_T)
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None


def _means(phi_T: Array, entropy_T: Array) -> Report:
    if not phi_T.size:
        return dict.fromkeys(("phi_mean", "phi_std", "entropy_mean"), np.nan)
    with np.errstate(invalid="ignore"):
        return {"phi_mean": float(phi_T.mean()), "phi_std": float(phi_T.std()), "entropy_mean": float(entropy_T.mean())}


def _counts(logits_TV: Array, invalid_T: Array) -> Report:
    return {"n_tokens": len(logits_TV), "vocab_size": logits_TV.shape[1], "invalid_rows": int(invalid_T.sum())}


def _no_distribution(logits_TV: Array) -> Array:
    """Rows that hold NaN or +inf, or nothing but -inf."""
    valid_T: Array = np.isfinite(logits_TV.max(axis=-1))
    return ~valid_T


def read_logits(path: Path) -> Array:
    """Logits [T, V] of a .npy file; ValueError for another shape or no real numbers."""
    array = _read(path)
    if array.ndim != 2 or not array.shape[1] or array.dtype.kind not in "fiu":
        raise ValueError(f"{path}: logits are real numbers [tokens, vocabulary], this is {_told(array)}")
    return array


def read_token_ids(path: Path) -> Array:
    """Token ids [T] of a .npy file; ValueError for another shape or no integers."""
    array = _read(path)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(f"{path}: token ids are integers [tokens], this is {_told(array)}")
    return array


def _read(path: Path) -> Array:
    """The array, without ever unpickling: a .npy file from elsewhere could run code."""
    try:
        return np.asarray(np.lib.format.open_memmap(path, mode="r"))
    except ValueError as error:
        raise ValueError(f"{path} is not a .npy file of plain numbers: {error}") from None


def _told(array: Array) -> str:
    return f"{array.dtype} {list(array.shape)}"
