"""What every torch backend shares: the one formula, the exact merge of blocks, and a head that is never written out.

Legend: R rows, K blocks or tiles, N tokens, C columns of a tile, V vocabulary, D width of a hidden state.
"""

import math
from collections.abc import Callable, Iterable

import torch

from coherence.core.backends.moments import FLOOR_32, FLOOR_64, Moments

LOG2_E = math.log2(math.e)
HOST_TILE = 512, 2048  # tokens x columns: 4 MiB of float32, which a core's cache holds from product to sums
DEVICE_TILE = 4096, 8192  # 64 MiB of bfloat16; smaller ones leave an accelerator idle

Compute = Callable[[torch.Tensor, float], Moments]
Transform = Callable[[torch.Tensor], torch.Tensor]


def wide(x: torch.Tensor) -> torch.Tensor:
    """In the precision that statistics are computed in: float64 stays, all else is float32."""
    return x if x.element_size() == 8 else x.float()


def finest(x: torch.Tensor) -> torch.Tensor:
    """In float64, or float32 where the device has none (MPS): for the few numbers left once V is summed over."""
    return x.float() if x.device.type == "mps" else x.double()


def moments_of_rows(x: torch.Tensor, temperature: float | torch.Tensor) -> Moments:
    """Moments of logits [..., V] all at once. The one formula: run as it stands, or compiled for blocks."""
    x = wide(x)
    top = x.amax(dim=-1)
    d = x - top.masked_fill(top == -torch.inf, 0.0).unsqueeze(-1)
    tempered = isinstance(temperature, torch.Tensor) or temperature != 1.0
    u = (d * (LOG2_E / temperature)).exp2().sum(dim=-1) if tempered else None
    d = d.clamp(min=FLOOR_64 if x.element_size() == 8 else FLOOR_32)
    e = (d * LOG2_E).exp2()  # not exp: the compiler would write it out to memory, V numbers per row
    s = e.sum(dim=-1)
    return Moments(top, s, (d * e).sum(dim=-1), s if u is None else u)


def merge(parts: Moments, temperature: float) -> Moments:
    """Moments [...] of whole rows from those of their blocks [..., K], exactly."""
    top_k, s, t, u = (finest(part) for part in parts)
    top = top_k.amax(dim=-1)
    d = top_k - top.unsqueeze(-1)
    tempered = (u * (d / temperature).exp()).sum(dim=-1) if temperature != 1.0 else None
    d = d.clamp(min=FLOOR_64)
    scale = d.exp()
    total = (s * scale).sum(dim=-1)
    return Moments(top, total, ((t + d * s) * scale).sum(dim=-1), total if tempered is None else tempered)


def collect(parts: Iterable[Moments], shape: torch.Size) -> Moments:
    """Moments of successive rows as one, in the shape given.

    Copied out one after the other: kept, small results would split up the memory that the next temporaries need."""
    whole, filled = Moments(None, None, None, None), 0
    for part in parts:
        if whole.top is None:
            whole = Moments(*(column.new_empty(math.prod(shape)) for column in part))
        for column, values in zip(whole, part, strict=True):
            column[filled : filled + len(values)] = values
        filled += len(part.top)
    return Moments(*(column.reshape(shape) for column in whole))


def pick(x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """The logit [...] of each row's own token, from logits [..., V] and ids [...]."""
    return wide(x.gather(-1, ids.long().unsqueeze(-1)).squeeze(-1))


def project(
    hidden_ND: torch.Tensor,
    weight_VD: torch.Tensor,
    bias_V: torch.Tensor | None,
    ids_N: torch.Tensor,
    temperature: float,
    transform: Transform | None,
    moments: Compute,
) -> tuple[Moments, torch.Tensor]:
    """Moments and chosen logit [N] of hidden @ weight^T + bias, a tile of tokens x vocabulary at a time."""
    tokens, columns = HOST_TILE if hidden_ND.device.type == "cpu" else DEVICE_TILE
    buffer = hidden_ND.new_empty(min(tokens, len(hidden_ND)) * min(columns, len(weight_VD)))
    parts, chosen = [], []
    for first in range(0, max(len(hidden_ND), 1), tokens):
        hidden, ids = hidden_ND[first : first + tokens], ids_N[first : first + tokens]
        picked, tiles = wide(hidden.new_zeros(len(hidden))), []
        for start in range(0, len(weight_VD), columns):
            part = slice(start, start + columns)
            tile = _tile(hidden, weight_VD[part], None if bias_V is None else bias_V[part], transform, buffer)
            tiles.append(moments(tile, temperature))
            here = (ids >= start) & (ids < start + tile.shape[1])
            picked = torch.where(here, pick(tile, (ids - start).clamp(0, tile.shape[1] - 1)), picked)
        stacked = Moments(*(torch.stack(column, dim=-1) for column in zip(*tiles, strict=True)))
        parts.append(merge(stacked, temperature))
        chosen.append(picked)
    return collect(parts, ids_N.shape), torch.cat(chosen)


def _tile(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    transform: Transform | None,
    buffer: torch.Tensor,
) -> torch.Tensor:
    """Logits [R, C] of one tile, in the buffer."""
    out = buffer[: len(hidden) * len(weight)].view(len(hidden), len(weight))
    torch.mm(hidden, weight.to(hidden.dtype).t(), out=out)
    if bias is not None:
        out += bias
    return out if transform is None else transform(out)


def finish(
    moments: Moments, chosen: torch.Tensor, log_vocab: float, temperature: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """ln P of the chosen token, H in [0, ln V], and ln P at the temperature, shape [...] and dtype of `chosen`."""
    top, s, t, u, x = (finest(part) for part in (*moments, chosen))
    d, log_s = x - top, s.log()
    logp, entropy, tempered = d - log_s, (log_s - t / s).clamp(0.0, log_vocab), d / temperature - u.log()
    return logp.to(chosen.dtype), entropy.to(chosen.dtype), tempered.to(chosen.dtype)
