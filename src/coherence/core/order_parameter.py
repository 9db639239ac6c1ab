"""One truth for Phi: log-probability, entropy and order parameter of every token, from logits.

Legend: B batch, T tokens, V vocabulary, R rows of one chunk; `...` stands for any leading axes.
With x a row of logits, m its maximum and d = x - m: s = sum e^d, t = sum d e^d, H = ln s - t/s. Both terms
are >= 0, so nothing cancels, no epsilon is needed, and an offset of the logits changes nothing.
NumPy computes in float64 (the oracle); torch in float32 (float64 for float64), on the device of the logits.
This file does not import torch: a program without tensors needs none.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

A = TypeVar("A")  # a NumPy array or a torch tensor
ArrayN = npt.NDArray[Any]
Moments = Callable[[Any, Any], tuple[Any, Any]]  # logits [R, V], ids [R] -> logp [R], entropy [R]

HOST_CHUNK = 2**18  # logits in flight; rows ~ 262144 / V keep the temporaries inside a core's cache
DEVICE_CHUNK = 2**24  # an accelerator starves on a row at a time; 64 MiB of float32 per temporary
FLOOR_64, FLOOR_32 = -750.0, -120.0  # e^floor is exactly 0 there, and 0 * floor is 0 where 0 * -inf is NaN


@dataclass(frozen=True)
class TokenStatistics(Generic[A]):
    """Per token, shape [..., T]: ln P(token), entropy H (nats), Phi = 1 - H/ln V, and whether there is one.

    A row whose logits hold NaN or +inf, or nothing but -inf, has valid False and NaN in the other three. A
    valid row has logp -inf for a token that it masks itself.
    """

    logp: A
    entropy: A
    phi: A
    valid: A


@overload
def token_statistics(
    logits: ArrayN, token_ids: ArrayN, *, vocab_size: int | None = None
) -> TokenStatistics[ArrayN]: ...
@overload
def token_statistics(
    logits: torch.Tensor, token_ids: torch.Tensor, *, vocab_size: int | None = None
) -> TokenStatistics[torch.Tensor]: ...
def token_statistics(
    logits: ArrayN | torch.Tensor, token_ids: ArrayN | torch.Tensor, *, vocab_size: int | None = None
) -> TokenStatistics[ArrayN] | TokenStatistics[torch.Tensor]:
    """Phi_t = 1 - H(P_t)/ln V of the logits [..., T, V] that *predict* token_ids [..., T].

    vocab_size: number of real tokens; columns beyond it (a padded head) enter neither softmax nor ln V.
    Raises ValueError for shapes that do not match, fewer than 2 real tokens, or an id that is none of them.
    No temperature, no gradient (tensors are detached), no shift: `completion_logits` aligns.
    """
    tensors = [_is_tensor(logits), _is_tensor(token_ids)]
    if any(tensors) != all(tensors):
        raise ValueError("logits and token_ids must be both NumPy arrays or both torch tensors")
    statistics: Any = _torch_statistics if all(tensors) else _numpy_statistics
    return statistics(logits, token_ids, vocab_size)  # type: ignore[no-any-return]


@overload
def phi_from_entropy(entropy: float, vocab_size: int) -> float: ...
@overload
def phi_from_entropy(entropy: ArrayN, vocab_size: int) -> ArrayN: ...
@overload
def phi_from_entropy(entropy: torch.Tensor, vocab_size: int) -> torch.Tensor: ...
def phi_from_entropy(entropy: Any, vocab_size: int) -> Any:
    """Phi = 1 - H/ln V for entropies in nats at temperature 1. Raises ValueError for V < 2: Phi is undefined.

    Not clamped: a Phi outside [0, 1] tells that H was taken over another vocabulary.
    """
    return 1.0 - entropy / _log_vocab(vocab_size)


@overload
def completion_logits(logits: ArrayN, prompt_length: int) -> ArrayN: ...
@overload
def completion_logits(logits: torch.Tensor, prompt_length: int) -> torch.Tensor: ...
def completion_logits(logits: Any, prompt_length: int) -> Any:
    """Rows P-1 .. T-2 of a whole sequence's logits [..., T, V]: those that predict tokens P .. T-1. A view.

    Row t predicts token t+1. Raises ValueError unless 1 <= P <= T: the first token is predicted by nothing.
    """
    tokens = logits.shape[-2]
    if not 1 <= prompt_length <= tokens:
        raise ValueError(f"prompt_length must lie in 1..{tokens} (the tokens given), got {prompt_length}")
    return logits[..., prompt_length - 1 : tokens - 1, :]


def _is_tensor(array: object) -> bool:
    torch_module = sys.modules.get("torch")  # nobody can hold a tensor before torch is imported
    return torch_module is not None and isinstance(array, torch_module.Tensor)


def _log_vocab(vocab_size: int) -> float:
    if vocab_size < 2:
        raise ValueError(f"Phi = 1 - H/ln V is undefined for vocab_size {vocab_size}: it needs at least 2 tokens")
    return math.log(vocab_size)


def _check(logits: Any, token_ids: Any, vocab_size: int | None) -> int:
    """Number of real tokens; ValueError for what cannot be scored."""
    if logits.ndim < 2 or tuple(logits.shape[:-1]) != tuple(token_ids.shape):
        shapes = f"logits {tuple(logits.shape)}, token_ids {tuple(token_ids.shape)}"
        raise ValueError(f"logits [..., T, V] and token_ids [..., T] do not match: {shapes}")
    width = int(logits.shape[-1])
    real = width if vocab_size is None else vocab_size
    _log_vocab(real)
    if real > width:
        raise ValueError(f"vocab_size {real} exceeds the {width} columns of the logits")
    _check_ids(token_ids, real)
    return real


def _check_ids(token_ids: Any, real: int) -> None:
    bad = (token_ids < 0) | (token_ids >= real)
    if bool(bad.any()):
        where = tuple(int(i) for i in np.argwhere(np.array(bad.tolist()))[0])
        raise ValueError(f"token_ids{list(where)} = {int(token_ids[where])} lies outside 0..{real - 1}")


def _fill(logits: Any, ids: Any, out: tuple[Any, Any], moments: Moments, chunk: int) -> None:
    """Writes logp and entropy into `out`, about `chunk` logits at a time, without copying the logits."""
    if logits.ndim > 2:
        for i in range(len(logits)):
            _fill(logits[i], ids[i], (out[0][i], out[1][i]), moments, chunk)
        return
    rows = max(1, chunk // logits.shape[-1])
    for first in range(0, len(logits), rows):
        block = slice(first, first + rows)
        out[0][block], out[1][block] = moments(logits[block], ids[block])


def _numpy_statistics(logits: ArrayN, token_ids: ArrayN, vocab_size: int | None) -> TokenStatistics[ArrayN]:
    x, ids = np.asarray(logits), np.asarray(token_ids)
    if not np.issubdtype(ids.dtype, np.integer):
        raise ValueError(f"token_ids must be integers, got {ids.dtype}")
    real = _check(x, ids, vocab_size)
    shape = ids.shape
    if x.flags.c_contiguous or x.size <= HOST_CHUNK:
        x, ids = x.reshape(-1, x.shape[-1]), ids.reshape(-1)
    logp, entropy = np.empty(ids.shape), np.empty(ids.shape)
    _fill(x, ids, (logp, entropy), lambda x_RV, ids_R: _numpy_moments(x_RV[:, :real], ids_R), HOST_CHUNK)
    entropy = entropy.clip(0.0, _log_vocab(real)).reshape(shape)
    return TokenStatistics(logp.reshape(shape), entropy, phi_from_entropy(entropy, real), np.isfinite(entropy))


def _numpy_moments(x_RV: ArrayN, ids_R: ArrayN) -> tuple[ArrayN, ArrayN]:
    x = x_RV.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):  # inf - inf: the NaN that flags the row
        top = x.max(axis=-1, keepdims=True)
        d = np.maximum(x - top, FLOOR_64)
        e = np.exp(d)
        s = e.sum(axis=-1)
        log_s, t = np.log(s), (d * e).sum(axis=-1)
        logp = (np.take_along_axis(x, ids_R[:, None], axis=-1) - top)[:, 0] - log_s
    return logp, log_s - t / s


def _torch_statistics(
    logits: torch.Tensor, token_ids: torch.Tensor, vocab_size: int | None
) -> TokenStatistics[torch.Tensor]:
    if not logits.is_floating_point() or token_ids.is_floating_point():
        raise ValueError(f"logits must be floating point and token_ids integers: {logits.dtype}, {token_ids.dtype}")
    real = _check(logits, token_ids, vocab_size)
    x, ids, shape = logits.detach(), token_ids.to(logits.device).long(), token_ids.shape
    chunk = HOST_CHUNK if x.device.type == "cpu" else DEVICE_CHUNK
    if x.is_contiguous() or x.numel() <= chunk:
        x, ids = x.reshape(-1, x.shape[-1]), ids.reshape(-1)
    logp = _wide(x.new_empty(ids.shape))
    entropy = logp.clone()
    _fill(x, ids, (logp, entropy), lambda x_RV, ids_R: _torch_moments(x_RV[:, :real], ids_R), chunk)
    entropy = entropy.clamp(0.0, _log_vocab(real)).reshape(shape)
    return TokenStatistics(logp.reshape(shape), entropy, phi_from_entropy(entropy, real), entropy.isfinite())


def _wide(x: torch.Tensor) -> torch.Tensor:
    return x if x.element_size() == 8 else x.float()


def _torch_moments(x_RV: torch.Tensor, ids_R: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    x = _wide(x_RV)
    top = x.amax(dim=-1, keepdim=True)
    d = (x - top).clamp_(min=FLOOR_64 if x.element_size() == 8 else FLOOR_32)
    e = d.exp()
    s = e.sum(dim=-1)
    log_s, t = s.log(), d.mul_(e).sum(dim=-1)
    logp = (x.gather(-1, ids_R[:, None]) - top).squeeze(-1) - log_s
    return logp, log_s - t / s
