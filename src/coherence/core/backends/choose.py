"""Which backend computes the moments of an array, by name or by rule.

`numpy` is the float64 oracle; `eager` is plain torch; `compiled` is torch.compile; `triton` is one GPU kernel.
The rule looks at the array and at what is installed, never at what was computed before: a run that is resumed
computes as it did. This file does not import torch.
"""

import importlib.util
import os
import shutil
import sys
import sysconfig
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from coherence.core.backends.moments import Moments

Backend = Callable[[Any, float], Moments]

COMPILE_FROM = 2**31  # logits in one call (14,000 tokens of Qwen's vocabulary): saves a second, compiling costs a few


def is_tensor(array: object) -> bool:
    """Whether it is a torch tensor, without importing torch: nobody holds a tensor before torch is imported."""
    torch_module = sys.modules.get("torch")
    return torch_module is not None and isinstance(array, torch_module.Tensor)


def available_backends(x: Any) -> list[str]:
    """Names of the backends that can compute the moments of x here, most careful first."""
    if not is_tensor(x):
        return ["numpy"]
    compiles = _has_cpp_compiler() if x.device.type == "cpu" else x.device.type == "cuda" and _has_triton()
    runs_triton = _has_triton() and (x.device.type == "cuda" or os.environ.get("TRITON_INTERPRET") == "1")
    offered = {"eager": True, "compiled": compiles, "triton": runs_triton and x.element_size() <= 4}
    return [name for name, there in offered.items() if there]


def choose_backend(x: Any, logits: int) -> str:
    """The fastest backend worth its start for that many logits: triton on CUDA, compiled for 2^31 on a CPU, else eager.

    NumPy arrays have one only.
    """
    there = available_backends(x)
    if is_tensor(x) and x.device.type == "cuda" and "triton" in there:
        return "triton"
    if is_tensor(x) and x.device.type == "cpu" and "compiled" in there and logits >= COMPILE_FROM:
        return "compiled"
    return there[0]


def moments_function(x: Any, logits: int, name: str | None) -> Backend:
    """The function of the backend named, or chosen. Raises ValueError, with what there is, for one that is not."""
    there = available_backends(x)
    chosen = choose_backend(x, logits) if name is None else name
    if chosen not in there:
        kind = f"{x.dtype} on {x.device}" if is_tensor(x) else "a NumPy array"
        raise ValueError(f"backend {chosen!r} is not available for {kind}: choose one of {', '.join(there)}")
    return _load(chosen)


def _load(name: str) -> Backend:
    from coherence.core.backends import oracle

    if name == "numpy":
        return oracle.numpy_moments
    from coherence.core.backends import compiled, eager

    if name == "triton":
        from coherence.core.backends import kernel

        return kernel.triton_moments
    return compiled.compiled_moments if name == "compiled" else eager.eager_moments


@cache
def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None


@cache
def _has_cpp_compiler() -> bool:
    """What torch.compile needs on a CPU: a C++ compiler and Python's headers."""
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    return compiler is not None and (Path(sysconfig.get_path("include")) / "Python.h").exists()
