"""Does the Triton kernel hold on this GPU? Errors against float64, share of copy bandwidth, and TRL's kernel beside it.

Legend: N rows, V vocabulary. The kernel's part needs torch and triton alone; a GRPO step is timed where TRL is there.
"""

import argparse
import importlib
import importlib.util
import json
import math
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
SHAPES = [(vocab, dtype) for vocab in (32000, 50257, 151936) for dtype in ("bfloat16", "float32")]
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
    import torch

    there = torch.cuda.is_available() and importlib.util.find_spec("triton")
    if not there:
        print(f"{'no CUDA device' if not torch.cuda.is_available() else 'triton is not installed'}: nothing to check")
        return 0
    kernels = _kernels(trl_kernel)
    records = [_about(), *_correctness(kernels), *_invalid_rows(), *_speed(kernels), *_steps()]
    out.mkdir(parents=True, exist_ok=True)
    (out / "gpu.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    wrong = _report(records)
    print(f"lines in {out / 'gpu.jsonl'}")
    return int(wrong)


def _about() -> Record:
    import torch

    from benchmarks.machine import versions

    date = time.strftime("%Y-%m-%d", time.gmtime())
    told = {name: version for name, version in versions().items() if version} | {"cuda": torch.version.cuda}
    return {"measure": "run", "date": date, "device": torch.cuda.get_device_name(), "versions": told}


def _kernels(trl_kernel: Path | None) -> dict[str, Kernel]:
    """Ours, and TRL's from the file named or from TRL, where either is there."""
    import torch

    from benchmarks.contenders import ours

    found: dict[str, Kernel] = {"ours": partial(ours, "triton")}
    if trl_kernel is None and not importlib.util.find_spec("trl"):
        return found
    if trl_kernel is not None:
        sys.path.insert(0, str(trl_kernel.parent))
    module = importlib.import_module(trl_kernel.stem if trl_kernel else "trl.kernels.logprob_entropy")
    return {**found, "trl": torch.no_grad()(module.selective_log_softmax_and_entropy)}


def _logits(rows: int, vocab: int, dtype: str) -> Pair:
    """Logits [N, V], and ids that are even."""
    import torch

    from benchmarks.measures import make_logits

    logits, ids = make_logits(rows, vocab, seed=0, device=DEVICE)
    return logits.to(getattr(torch, dtype)), ids // 2 * 2


def _cases(vocab: int, dtype: str) -> Iterator[tuple[str, Pair]]:
    """Plain rows, masked ones (every other token; a whole leading block), and an offset that must not matter."""
    logits, ids = _logits(ROWS, vocab, dtype)
    halved, blocked = logits.clone(), logits.clone()
    halved[:, 1::2], blocked[:, :8192] = -math.inf, -math.inf
    yield "plain", (logits, ids)
    yield "half masked", (halved, ids)
    yield "first 8192 masked", (blocked, ids.clamp(min=8192))
    yield "offset", (logits + 1024, ids)


def _correctness(kernels: Mapping[str, Kernel]) -> Iterator[Record]:
    """Largest errors of Phi and of the log-probability against float64 on the same values; NaN where one is NaN."""
    from benchmarks.contenders import largest_error, oracle

    for vocab, dtype in SHAPES:
        for case, (logits, ids) in _cases(vocab, dtype):
            exact = oracle(logits, ids)
            for name, kernel in kernels.items():
                logp, entropy = map(largest_error, kernel(logits, ids), exact)
                numbers = {"phi_error": entropy / math.log(vocab), "logp_error": logp}
                yield {"measure": "gpu_error", "case": case, **_what(name, vocab, dtype), **numbers}


def _invalid_rows() -> Iterator[Record]:
    """Rows with NaN, with +inf, of nothing but -inf: each must be flagged, and no row beside them."""
    from coherence.core.order_parameter import token_statistics

    logits, ids = _logits(6, 50257, "float32")
    logits[1, 7], logits[3, 50256], logits[4] = math.nan, math.inf, -math.inf
    found = token_statistics(logits, ids, backend="triton")
    flagged = found.valid.tolist() == [True, False, True, False, False, True]
    yield {"measure": "gpu_invalid_rows", "value": flagged and found.phi.isfinite().tolist() == found.valid.tolist()}


def _speed(kernels: Mapping[str, Kernel]) -> Iterator[Record]:
    """Bandwidth of a copy and of each kernel (GB/s), and TRL's time over ours; turns in random order."""
    import numpy as np
    import torch

    from benchmarks.rounds import take_turns

    for vocab, dtype in SHAPES:
        logits, ids = _logits(BYTES // (2 if dtype == "bfloat16" else 4) // vocab, vocab, dtype)
        size = logits.numel() * logits.element_size()
        work: dict[str, Callable[[], object]] = {n: partial(kernel, logits, ids) for n, kernel in kernels.items()}
        work["copy"] = partial(torch.empty_like(logits).copy_, logits)
        turns = {name: partial(_device_seconds, run) for name, run in work.items()}
        seconds = take_turns(turns, WARM_UP + ROUNDS, np.random.default_rng(0))
        seconds = {name: taken[WARM_UP:] for name, taken in seconds.items()}  # after compilation, at full clocks
        copied = 2 * size / float(np.median(seconds["copy"]))  # a copy reads and writes
        for name in kernels:
            speed = size / (middle := float(np.median(seconds[name])))
            numbers = {"ms": middle * 1e3, "gb_s": speed / 1e9, "copy_gb_s": copied / 1e9, "copy_share": speed / copied}
            over = float(np.median(seconds[name] / seconds["ours"]))
            yield {"measure": "gpu_speed", **_what(name, vocab, dtype), **numbers, "over_ours": over}


def _what(name: str, vocab: int, dtype: str) -> Record:
    return {"contender": name, "vocab": vocab, "dtype": dtype}


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
    print(*(f"{text}  {mark}".rstrip() for text, mark in lines), sep="\n")
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
