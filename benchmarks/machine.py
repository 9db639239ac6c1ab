"""The ground that everything is measured on: one thread, a stated allocator, and what the machine can do at most."""

import importlib.metadata
import importlib.util
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "NUMEXPR_NUM_THREADS": "1"}
ALLOCATORS = {
    "pooled": {
        "MALLOC_MMAP_MAX_": "0",
        "MALLOC_TRIM_THRESHOLD_": str(2**46),
        "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    },
    "default": {},
    "returning": {"MALLOC_MMAP_THRESHOLD_": str(2**16), "MALLOC_TRIM_THRESHOLD_": "0"},
}
"""glibc's settings. `pooled` keeps what it has been given, as a device's caching allocator does: arithmetic is timed,
not page faults. `default` is what a user gets who sets nothing. `returning` gives all back at once: peaks show."""

PACKAGES = ("coherence", "torch", "numpy", "triton", "transformers", "trl", "carl-studio", "carl-core")
ROOT = Path(__file__).parents[1]


def environment(allocator: str) -> dict[str, str]:
    """Environment of a worker: glibc reads its settings once, when a process starts, so each worker is a new one."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_TUNABLES"))}
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    quiet = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONWARNINGS": "ignore"}
    return {**inherited, **ONE_THREAD, **ALLOCATORS[allocator], **quiet, "PYTHONPATH": paths}


def versions() -> dict[str, str | None]:
    """Public versions of what took part; None for what is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def installed() -> list[str]:
    """Names of the contenders that can take part here, ours first."""
    needs = {"compiled": None, "eager": None, "reference": None, "trl": "trl", "carl-studio": "carl_core"}
    return [name for name, module in needs.items() if module is None or importlib.util.find_spec(module)]


def processor() -> str:
    """The processor's model name, as far as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def ceilings(megabytes: int, width: int, rounds: int) -> dict[str, float]:
    """Best of `rounds`, one thread: read bandwidth (GB/s) of a float32 array, float32 GEMM (GFLOP/s) of three squares.

    Read with a maximum per 4 MiB row, which is vectorised and does no arithmetic worth the name.
    """
    import torch

    x = torch.ones(megabytes // 4, 2**20)
    a, b, c = torch.rand(width, width), torch.rand(width, width), torch.empty(width, width)
    read, gemm = _best(lambda: x.amax(dim=-1), rounds), _best(lambda: torch.mm(a, b, out=c), rounds)
    return {"read_gb_s": x.numel() * 4 / read / 1e9, "gemm_gf_s": 2 * width**3 / gemm / 1e9}


def _best(work: Callable[[], Any], rounds: int) -> float:
    """Least CPU seconds: a ceiling is what the machine does when nobody disturbs it."""
    work()
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)
