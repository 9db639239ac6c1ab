"""One truth for Phi: log-probability, entropy and order parameter of every token, from logits or hidden states.

Legend: B batch, T tokens, V vocabulary, D width of a hidden state; `...` stands for any leading axes.
The formula is in `backends.moments`: shifted sums, in which nothing cancels and no epsilon is needed.
NumPy computes in float64 (the oracle); torch in float32 (float64 for float64), on the device it is given.
This file does not import torch: a program without tensors needs none.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from coherence.core.backends import oracle
from coherence.core.backends.choose import is_tensor, moments_function
from coherence.core.backends.moments import Moments

if TYPE_CHECKING:
    import torch

A = TypeVar("A", npt.NDArray[Any], "torch.Tensor")
N = TypeVar("N", float, npt.NDArray[Any], "torch.Tensor")


@dataclass(frozen=True)
class TokenStatistics(Generic[A]):
    """Per token, shape [..., T]: ln P(token), entropy H (nats), Phi = 1 - H/ln V, and whether there is one.

    `tempered_logp` is ln P(token) at the temperature asked for; the other three are at temperature 1, always.
    A row whose logits hold NaN or +inf, or nothing but -inf, has valid False and NaN in all four. A valid
    row has logp -inf for a token that it masks itself.
    """

    logp: A
    entropy: A
    phi: A
    valid: A
    tempered_logp: A


def token_statistics(
    logits: A, token_ids: A, *, vocab_size: int | None = None, temperature: float = 1.0, backend: str | None = None
) -> TokenStatistics[A]:
    """Phi_t = 1 - H(P_t)/ln V of the logits [..., T, V] that *predict* token_ids [..., T].

    vocab_size: number of real tokens; columns beyond it (a padded head) enter neither softmax nor ln V.
    temperature: of `tempered_logp` alone. backend: numpy, eager, compiled or triton; None takes the fastest.
    Raises ValueError for shapes that do not match, fewer than 2 real tokens, an id that is none of them.
    No gradient (tensors are detached), no shift: `completion_logits` aligns.
    """
    x, ids = _arrays(logits=logits, token_ids=token_ids)
    _check_shapes("logits [..., T, V]", x, ids)
    real = _check_vocabulary(int(x.shape[-1]), ids, vocab_size, temperature)
    moments = moments_function(x, math.prod(x.shape), backend)(x[..., :real], temperature)
    return _statistics(moments, _family(x).pick(x, ids), real, temperature)


def hidden_statistics(
    hidden: A,
    head_weight: A,
    token_ids: A,
    *,
    bias: A | None = None,
    vocab_size: int | None = None,
    temperature: float = 1.0,
    transform: Callable[[A], A] | None = None,
    backend: str | None = None,
) -> TokenStatistics[A]:
    """`token_statistics` of the logits hidden [..., T, D] @ head_weight [V, D]^T + bias [V], never held at once.

    Vocabulary tiles are multiplied in the dtype of `hidden` and merged exactly; head rows from vocab_size on
    are not multiplied at all. transform: elementwise on each tile of logits (scale, softcap), may be in place.
    Raises ValueError as `token_statistics`. No gradient.
    """
    extra = {} if bias is None else {"bias": bias}
    h, ids, weight, *rest = _arrays(hidden=hidden, token_ids=token_ids, head_weight=head_weight, **extra)
    _check_shapes("hidden [..., T, D]", h, ids)
    _check_head(h, weight, *rest)
    real = _check_vocabulary(int(weight.shape[0]), ids, vocab_size, temperature)
    rows, flat = h.reshape(-1, h.shape[-1]), ids.reshape(-1)
    compute = moments_function(rows, math.prod(ids.shape) * real, backend)
    real_bias = rest[0][:real] if rest else None
    moments, chosen = _family(h).project(rows, weight[:real], real_bias, flat, temperature, transform, compute)
    shaped = Moments(*(part.reshape(ids.shape) for part in moments))
    return _statistics(shaped, chosen.reshape(ids.shape), real, temperature)


def phi_from_entropy(entropy: N, vocab_size: int) -> N:
    """Phi = 1 - H/ln V for entropies in nats at temperature 1. Raises ValueError for V < 2: Phi is undefined.

    Not clamped: a Phi outside [0, 1] tells that H was taken over another vocabulary.
    """
    return 1.0 - entropy / _log_vocab(vocab_size)


def completion_logits(logits: A, prompt_length: int) -> A:
    """Rows P-1 .. T-2 of a whole sequence's logits [..., T, V]: those that predict tokens P .. T-1. A view.

    Row t predicts token t+1. Raises ValueError unless 1 <= P <= T: the first token is predicted by nothing.
    """
    tokens = logits.shape[-2]
    if not 1 <= prompt_length <= tokens:
        raise ValueError(f"prompt_length must lie in 1..{tokens} (the tokens given), got {prompt_length}")
    return logits[..., prompt_length - 1 : tokens - 1, :]


def _family(x: Any) -> Any:
    """The module that holds `pick`, `project` and `finish` for this kind of array."""
    if not is_tensor(x):
        return oracle
    from coherence.core.backends import tensors

    return tensors


def _statistics(moments: Moments, chosen: Any, real: int, temperature: float) -> TokenStatistics[Any]:
    logp, entropy, tempered = _family(chosen).finish(moments, chosen, _log_vocab(real), temperature)
    valid = entropy.isfinite() if is_tensor(entropy) else np.isfinite(entropy)
    return TokenStatistics(logp, entropy, phi_from_entropy(entropy, real), valid, tempered)


def _log_vocab(vocab_size: int) -> float:
    if vocab_size < 2:
        raise ValueError(f"Phi = 1 - H/ln V is undefined for vocab_size {vocab_size}: it needs at least 2 tokens")
    return math.log(vocab_size)


def _arrays(**given: Any) -> list[Any]:
    """The arguments as arrays of one kind; tensors detached, on the device of the first."""
    kinds = {is_tensor(array) for array in given.values()}
    if len(kinds) > 1:
        raise ValueError(f"{', '.join(given)} must be all NumPy arrays or all torch tensors")
    for name, array in given.items():
        if _is_integer(array) != (name == "token_ids"):
            wanted = "integers" if name == "token_ids" else "floating point"
            raise ValueError(f"{name} must be {wanted}, got {array.dtype}")
    first = next(iter(given.values()))
    if not is_tensor(first):
        return [np.asarray(array) for array in given.values()]
    return [tensor.detach().to(first.device) for tensor in given.values()]


def _is_integer(array: Any) -> bool:
    return not array.dtype.is_floating_point if is_tensor(array) else np.issubdtype(array.dtype, np.integer)


def _check_shapes(what: str, x: Any, ids: Any) -> None:
    if x.ndim < 2 or tuple(x.shape[:-1]) != tuple(ids.shape):
        raise ValueError(f"{what} and token_ids [..., T] do not match: {tuple(x.shape)}, {tuple(ids.shape)}")


def _check_head(hidden: Any, weight: Any, bias: Any = None) -> None:
    if weight.ndim != 2 or weight.shape[1] != hidden.shape[-1]:
        raise ValueError(f"head_weight [V, D] does not fit hidden {tuple(hidden.shape)}: {tuple(weight.shape)}")
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        raise ValueError(f"bias must have shape [V] = [{weight.shape[0]}], got {tuple(bias.shape)}")


def _check_vocabulary(width: int, ids: Any, vocab_size: int | None, temperature: float) -> int:
    """Number of real tokens; ValueError for what cannot be scored."""
    real = width if vocab_size is None else vocab_size
    _log_vocab(real)
    if real > width:
        raise ValueError(f"vocab_size {real} exceeds the {width} columns of the logits")
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be a positive number, got {temperature}")
    bad = (ids < 0) | (ids >= real)
    if bool(bad.any()):
        where = tuple(int(i) for i in np.argwhere(np.array(bad.tolist()))[0])
        raise ValueError(f"token_ids{list(where)} = {int(ids[where])} lies outside 0..{real - 1}")
    return real
