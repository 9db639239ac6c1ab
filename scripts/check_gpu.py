"""Does the Triton kernel hold on this GPU? Errors against float64, share of copy bandwidth, and TRL's kernel beside it.

Legend: N rows, V vocabulary. The kernel's part needs torch and triton alone; a GRPO step is timed where TRL is there.
"""

import argparse
import importlib.util
import json
import math
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

if TYPE_CHECKING:
    import torch

Record = dict[str, Any]
Pair = tuple["torch.Tensor", "torch.Tensor"]
Kernel = Callable[["torch.Tensor", "torch.Tensor"], Pair]

DEVICE = "cuda"
VOCABULARIES = (32000, 50257, 151936)
DTYPES = ("bfloat16", "float32")
ROWS = 512
"""Compared with float64."""
BYTES = 2**30
"""Logits that are timed: far more than any cache holds."""
FLUSH = 2**28
WARM_UP, ROUNDS = 3, 30
LARGEST_ERROR = 2e-7
COPY_SHARE = 0.85


def main(out: Path, trl_kernel: Path | None) -> int:
    """Check, print and write gpu.jsonl. 1 if a number is wrong or not finite; slowness is told, but fails nothing."""
    reason = _nothing_to_check()
    if reason:
        print(f"{reason}: nothing to check")
        return 0
    kernels = {"ours": _ours, **_trl(trl_kernel)}
    records = [_about(), *_correctness(kernels), *_invalid_rows(), *_speed(kernels), *_steps()]
    out.mkdir(parents=True, exist_ok=True)
    (out / "gpu.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    wrong = _report(records)
    print(f"lines in {out / 'gpu.jsonl'}")
    return int(wrong)


def _nothing_to_check() -> str:
    import torch

    if not torch.cuda.is_available():
        return "no CUDA device"
    return "" if importlib.util.find_spec("triton") else "triton is not installed"


def _about() -> Record:
    import torch
    import triton  # type: ignore[import-not-found]

    versions = {"torch": torch.__version__, "triton": triton.__version__, "cuda": torch.version.cuda}
    device = {"device": torch.cuda.get_device_name(), "versions": versions}
    return {"measure": "run", "date": time.strftime("%Y-%m-%d", time.gmtime()), **device}


def _ours(logits: "torch.Tensor", ids: "torch.Tensor") -> Pair:
    from coherence.core.order_parameter import token_statistics

    found = token_statistics(logits, ids, backend="triton")
    return found.logp, found.entropy


def _trl(path: Path | None) -> dict[str, Kernel]:
    """TRL's own kernel, from the file named or from TRL; none where neither is there."""
    import torch

    if path is not None:
        spec = importlib.util.spec_from_file_location("trl_logprob_entropy", path)
        if spec is None or spec.loader is None:
            raise ValueError(f"{path} is no Python file")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    elif importlib.util.find_spec("trl"):
        module = importlib.import_module("trl.kernels.logprob_entropy")
    else:
        return {}
    return {"trl": torch.no_grad()(module.selective_log_softmax_and_entropy)}


def _logits(rows: int, vocab: int, dtype: str) -> Pair:
    import torch

    generator = torch.Generator(DEVICE).manual_seed(0)
    logits = torch.randn(rows, vocab, device=DEVICE, generator=generator)
    logits *= torch.rand(rows, 1, device=DEVICE, generator=generator) * 6
    ids = torch.randint(vocab // 2, (rows,), device=DEVICE, generator=generator) * 2
    return logits.to(getattr(torch, dtype)), ids


def _cases(vocab: int, dtype: str) -> Iterator[tuple[str, Pair]]:
    """Plain rows, masked ones (every other token; a whole leading block), and an offset that must not matter."""
    import torch

    logits, ids = _logits(ROWS, vocab, dtype)
    yield "plain", (logits, ids)
    halved = logits.clone()
    halved[:, 1::2] = -torch.inf
    yield "half masked", (halved, ids)
    blocked = logits.clone()
    blocked[:, :8192] = -torch.inf
    yield "first 8192 masked", (blocked, ids.clamp(min=8192))
    yield "offset", (logits + 1024, ids)


def _correctness(kernels: Mapping[str, Kernel]) -> Iterator[Record]:
    """Largest errors of Phi and of the log-probability against float64 on the same values; NaN where one is NaN."""
    for vocab in VOCABULARIES:
        for dtype in DTYPES:
            for case, (logits, ids) in _cases(vocab, dtype):
                exact = _oracle(logits, ids)
                for name, kernel in kernels.items():
                    errors = [_largest(a, b) for a, b in zip(kernel(logits, ids), exact, strict=True)]
                    numbers = {"phi_error": errors[1] / math.log(vocab), "logp_error": errors[0]}
                    yield {"measure": "gpu_error", "case": case, **_what(name, vocab, dtype), **numbers}


def _oracle(logits: "torch.Tensor", ids: "torch.Tensor") -> Pair:
    import torch

    logp_NV = torch.log_softmax(logits.double(), dim=-1)
    entropy = -(logp_NV.exp() * logp_NV).nan_to_num(nan=0.0).sum(-1)  # 0 ln 0 = 0
    return logp_NV.gather(-1, ids[:, None])[:, 0], entropy


def _largest(found: "torch.Tensor", exact: "torch.Tensor") -> float:
    return float((found.double() - exact).abs().max())


def _invalid_rows() -> Iterator[Record]:
    """Rows with NaN, with +inf, of nothing but -inf: each must be flagged, and no row beside them."""
    import torch

    from coherence.core.order_parameter import token_statistics

    logits, ids = _logits(6, 50257, "float32")
    logits[1, 7], logits[3, 50256], logits[4] = torch.nan, torch.inf, -torch.inf
    found = token_statistics(logits, ids, backend="triton")
    flagged = found.valid.tolist() == [True, False, True, False, False, True]
    yield {"measure": "gpu_invalid_rows", "value": flagged and found.phi.isfinite().tolist() == found.valid.tolist()}


def _speed(kernels: Mapping[str, Kernel]) -> Iterator[Record]:
    """Bandwidth of a copy and of each kernel (GB/s), and TRL's time over ours; turns in random order."""
    import torch

    for vocab in VOCABULARIES:
        for dtype in DTYPES:
            size = 2 if dtype == "bfloat16" else 4
            logits, ids = _logits(BYTES // size // vocab, vocab, dtype)
            work = {name: partial(kernel, logits, ids) for name, kernel in kernels.items()}
            copy = {"copy": partial(torch.empty_like(logits).copy_, logits)}
            yield from _speed_records(_seconds({**work, **copy}), logits.numel() * size, vocab, dtype)


def _speed_records(seconds: Mapping[str, list[float]], size: int, vocab: int, dtype: str) -> Iterator[Record]:
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    copied = 2 * size / middle["copy"]  # a copy reads and writes
    for name in [name for name in seconds if name != "copy"]:
        numbers = {"ms": middle[name] * 1e3, "gb_s": size / middle[name] / 1e9, "copy_gb_s": copied / 1e9}
        record = {"measure": "gpu_speed", **_what(name, vocab, dtype), **numbers}
        ratios = [a / b for a, b in zip(seconds[name], seconds["ours"], strict=True)]
        yield {**record, "copy_share": size / middle[name] / copied, "over_ours": statistics.median(ratios)}


def _what(name: str, vocab: int, dtype: str) -> Record:
    return {"contender": name, "vocab": vocab, "dtype": dtype}


def _seconds(work: Mapping[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Device seconds of each round, in turns; the first rounds, of compilation and rising clocks, do not count."""
    shuffle = random.Random(0)
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(WARM_UP + ROUNDS):
        for name in shuffle.sample(list(work), len(work)):
            taken = _device_seconds(work[name])
            seconds[name] += [taken] if turn >= WARM_UP else []
    return seconds


def _device_seconds(work: Callable[[], object]) -> float:
    """Seconds between two events around the work, nothing of its input left in the cache."""
    import torch

    torch.empty(FLUSH, dtype=torch.uint8, device=DEVICE).zero_()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    start.record()
    work()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end)) / 1e3


def _steps() -> list[Record]:
    """A bf16 GRPO step with CARL over one without; none where TRL is not importable."""
    if not importlib.util.find_spec("trl"):
        return []
    import numpy as np

    from benchmarks.grpo_steps import grpo_records

    return grpo_records(rounds=15, completion=32, batch=64, rng=np.random.default_rng(0), device="cuda")


def _report(records: list[Record]) -> bool:
    """Print what was found; True if a number of ours is wrong."""
    print(", ".join([records[0]["device"], *(f"{k} {v}" for k, v in records[0]["versions"].items())]))
    lines = [line for record in records[1:] if (line := _line(record))]
    print("\n".join(text + (f"  {mark}" if mark else "") for text, mark in lines))
    if not any(record.get("contender") == "trl" for record in records):
        print("TRL is not installed: its kernel and the GRPO step were left out")
    return any(mark == "WRONG" for _, mark in lines)


def _line(record: Record) -> tuple[str, str] | None:
    """A record in words, and its mark: WRONG, SHORT or none."""
    at = " ".join(str(record.get(key, "")) for key in ("vocab", "dtype", "contender")).strip()
    ours = record.get("contender") == "ours"
    if record["measure"] == "gpu_error":
        wrong = ours and not (record["phi_error"] <= LARGEST_ERROR and math.isfinite(record["logp_error"]))
        text = f"{at}, {record['case']}: error of Phi {record['phi_error']:.1e}, of logp {record['logp_error']:.1e}"
        return text, "WRONG" if wrong else ""
    if record["measure"] == "gpu_invalid_rows":
        return "rows with NaN, +inf, nothing but -inf are flagged, and only those", "" if record["value"] else "WRONG"
    if record["measure"] == "gpu_speed":
        slow = record["copy_share"] < COPY_SHARE if ours else record["over_ours"] < 1
        share = f"{record['copy_share']:.0%} of copy bandwidth ({record['copy_gb_s']:.0f} GB/s)"
        beside = "" if ours else f", {record['over_ours']:.2f} times ours"
        return f"{at}: {record['ms']:.3f} ms, {share}{beside}", "SHORT" if slow else ""
    if record["measure"] == "grpo_ratio":
        return f"GRPO step, {record['of']} / {record['over']}: {record['value']:.3f}", ""
    return None


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results", help="folder of gpu.jsonl")
    parser.add_argument("--trl-kernel", type=Path, help="TRL's logprob_entropy.py, where TRL itself is not installed")
    given = parser.parse_args()
    try:
        sys.exit(main(given.out, given.trl_kernel))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
