"""Moments of torch tensors on any device, a few rows at a time."""

import torch

from coherence.core.backends.moments import Moments, pieces
from coherence.core.backends.tensors import collect, moments_of_rows

HOST_CHUNK = 2**18  # logits in flight; rows ~ 262144 / V keep the temporaries inside a core's cache
DEVICE_CHUNK = 2**24  # an accelerator starves on a row at a time; 64 MiB of float32 per temporary


def eager_moments(x: torch.Tensor, temperature: float = 1.0) -> Moments:
    """Moments [...] of logits [..., V]: float64 for float64, float32 for all else."""
    chunk = HOST_CHUNK if x.device.type == "cpu" else DEVICE_CHUNK
    parts = (moments_of_rows(piece, temperature) for piece in pieces(x, max(1, chunk // x.shape[-1])))
    return collect(parts, x.shape[:-1])
