"""What is measured, each a function from sizes and a generator to records: flat dicts, one JSON line each.

Legend: B completions, T tokens, V vocabulary, D hidden size.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.contenders import OURS, from_hidden, from_logits, oracle, phi_error, studio_loops, to_float64
from benchmarks.machine import installed
from benchmarks.rounds import Seconds, interleave, ratio
from coherence.core import compat
from coherence.core.composite import carl_composite

Record = dict[str, Any]
Table = dict[str, Callable[[], tuple[Any, Any]]]
COMPONENTS = ("reward", "multiscale", "cloud_quality", "discontinuity", "phi_mean", "phi_std")
AGREEMENT = 1e-3
"""Nats by which a contender's float32 entropy or log-probability may be off and still count as the same quantity."""


@dataclass(frozen=True)
class Sizes:
    """How much of everything. QUICK proves that all of it works; no number of it means anything."""

    vocab: int
    tokens: int
    hidden_tokens: int
    hidden_size: int
    event_vocab: int
    event_shape: tuple[int, int]
    composite_shape: tuple[int, int]
    rounds: dict[str, int]
    """By allocator: a round of the default one takes ten times as long."""


FULL = Sizes(151936, 256, 128, 1024, 32000, (4, 256), (64, 512), {"pooled": 21, "default": 7})
QUICK = Sizes(4096, 16, 16, 32, 1000, (2, 64), (4, 64), {"pooled": 3, "default": 3})


def make_logits(tokens: int, vocab: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [T, V] float32 from nearly uniform to nearly certain rows, and ids [T]; the same for everybody."""
    generator = torch.Generator().manual_seed(seed)
    sharpness = torch.rand(tokens, 1, generator=generator) * 6.0
    logits = torch.randn(tokens, vocab, generator=generator).mul_(sharpness)
    return logits, torch.randint(vocab, (tokens,), generator=generator)


def logits_records(sizes: Sizes, allocator: str, rng: np.random.Generator) -> list[Record]:
    """Entropy and log-probability from float32 logits: agreement first, then time."""
    logits, ids = make_logits(sizes.tokens, sizes.vocab, seed=0)
    exact = oracle(logits, ids)
    table: Table = {name: partial(work, logits, ids) for name, work in from_logits().items()}
    records = drop_who_disagrees(table, exact, "logits")
    seconds = interleave(table, sizes.rounds[allocator], rng)
    shape = {"tokens": sizes.tokens, "vocab": sizes.vocab, "dtype": "float32"}
    return (
        records + time_records("logits", allocator, seconds, shape) + ratio_records("logits", allocator, seconds, rng)
    )


def hidden_records(sizes: Sizes, allocator: str, rng: np.random.Generator) -> list[Record]:
    """The same from hidden states and the head's weight, beside the matrix product alone."""
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(sizes.hidden_tokens, sizes.hidden_size, generator=generator)
    weight = torch.randn(sizes.vocab, sizes.hidden_size, generator=generator).mul_(2.0 / math.sqrt(sizes.hidden_size))
    ids = torch.randint(sizes.vocab, (sizes.hidden_tokens,), generator=generator)
    wide = hidden.double()
    exact = oracle(torch.cat([wide @ part.double().T for part in torch.split(weight, 8192)], dim=1), ids)
    table: Table = {name: partial(work, hidden, weight, ids) for name, work in from_hidden().items()}
    records = drop_who_disagrees(table, exact, "hidden")
    seconds = interleave(table, max(3, sizes.rounds[allocator] // 2), rng)
    shape = {"tokens": sizes.hidden_tokens, "vocab": sizes.vocab, "hidden": sizes.hidden_size, "dtype": "float32"}
    gemm = min((name for name in seconds if name.startswith("gemm")), key=lambda name: np.median(seconds[name]))
    records += time_records("hidden", allocator, seconds, shape)
    records += ratio_records(
        "hidden", allocator, {"gemm": seconds[gemm]} | {n: seconds[n] for n in OURS}, rng, ("gemm",)
    )
    return records + ratio_records("hidden", allocator, seconds, rng)


def accuracy_records(sizes: Sizes) -> list[Record]:
    """Largest error of Phi against float64 on the same values: float32, bfloat16, half the vocabulary masked."""
    logits, ids = make_logits(sizes.tokens, sizes.vocab, seed=0)
    masked = logits[:16].clone()
    masked[:, 1::2] = -torch.inf
    cases = {"float32": (logits, ids), "bfloat16": (logits.bfloat16(), ids), "masked": (masked, ids[:16] // 2 * 2)}
    records = []
    for case, (values, chosen) in cases.items():
        exact = oracle(values, chosen)[1]
        for name, work in from_logits().items():
            with np.errstate(all="ignore"):
                error = phi_error(work(values, chosen)[1], exact, sizes.vocab)
            records.append({"measure": "phi_error", "case": case, "contender": name, "value": error})
    return records


def event_records(sizes: Sizes) -> list[Record]:
    """Jumps |dPhi| > 0.03 that a contender sees or misses where float64 does not, on bfloat16 logits."""
    (batch, tokens), rng = sizes.event_shape, np.random.default_rng(2)
    sharpness = np.exp(rng.normal(0.0, 0.15, (batch, tokens)).cumsum(axis=1).clip(-1.5, 0.7)) * 3.0
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(batch * tokens, sizes.event_vocab, generator=generator)
    logits = logits.mul_(torch.from_numpy(sharpness.reshape(-1, 1)).float()).bfloat16()
    ids = torch.zeros(batch * tokens, dtype=torch.long)
    exact = _events(oracle(logits, ids)[1], sizes)
    records = []
    for name, work in from_logits().items():
        flipped = int((_events(work(logits, ids)[1], sizes) != exact).sum())
        record = {"contender": name, "value": flipped, "of": exact.size, "events": int(exact.sum())}
        records.append({"measure": "events_flipped", **record})
    return records


def composite_records(sizes: Sizes, allocator: str, rng: np.random.Generator) -> list[Record]:
    """The composite of a padded batch against loops over completions, on the same Phi and log-probabilities."""
    batch, tokens = sizes.composite_shape
    cases = {"full": np.full(batch, tokens), "ragged": rng.integers(2, tokens + 1, batch)}
    records = []
    for case, lengths in cases.items():
        work = composite_work(tokens, lengths, rng)
        ours = work["ours"]()
        off = {name: float(np.abs(ours - run()).max()) for name, run in work.items() if name != "ours"}
        seconds = interleave(work, sizes.rounds[allocator] * 2, rng)
        shape = {"batch": batch, "tokens": tokens, "dtype": "float64", "case": case}
        records += time_records("composite", allocator, seconds, shape)
        ratios = ratio_records("composite", allocator, seconds, rng, ("ours",))
        records += [{**record, "case": case, "off": off[record["of"]]} for record in ratios]
    return records


def composite_work(tokens: int, lengths: np.ndarray, rng: np.random.Generator) -> dict[str, Callable[[], np.ndarray]]:
    """Ours and the loops, from the same random Phi and log-probabilities [B, T] of completions with lengths [B]."""
    phi = rng.uniform(0.0, 1.0, (len(lengths), tokens))
    logp = np.log(rng.uniform(1e-6, 1.0, phi.shape))
    work: dict[str, Callable[[], np.ndarray]] = {
        "ours": partial(_our_composite, logp, phi, lengths),
        "loops": partial(_loops, logp, phi, lengths),
    }
    if "carl-studio" in installed():
        work["carl-studio"] = partial(studio_loops, logp, phi, lengths)
    return work


def memory_records(name: str, sizes: Sizes) -> list[Record]:
    """Peak resident memory that one call adds, over the size of its logits; for a process that does nothing else."""
    logits, ids = make_logits(sizes.tokens, sizes.vocab, seed=0)
    work = from_logits((name,))[name]
    work(logits, ids)
    extra = _peak_of(lambda: work(logits, ids))
    size = logits.numel() * logits.element_size()
    return [{"measure": "memory", "contender": name, "extra_bytes": extra, "logits_bytes": size, "value": extra / size}]


def time_records(measure: str, allocator: str, seconds: Mapping[str, Seconds], shape: Record) -> list[Record]:
    """One record per contender: median and all CPU milliseconds."""
    return [
        {
            "measure": f"{measure}_time",
            "allocator": allocator,
            "contender": name,
            "cpu_ms": float(np.median(values) * 1e3),
            "all_cpu_ms": [round(float(value) * 1e3, 4) for value in values],
            **shape,
        }
        for name, values in seconds.items()
    ]


def ratio_records(
    measure: str, allocator: str, seconds: Mapping[str, Seconds], rng: np.random.Generator, bases: Iterable[str] = OURS
) -> list[Record]:
    """One record per base and other contender: the other's time over the base's."""
    records = []
    for base, name in itertools.product(bases, seconds):
        if name != base:
            r = ratio(seconds[name], seconds[base], rng)
            numbers = {"value": r.value, "low": r.low, "high": r.high, "rounds": len(seconds[name])}
            records.append({"measure": f"{measure}_ratio", "allocator": allocator, "of": name, "over": base, **numbers})
    return records


def drop_who_disagrees(table: Table, exact: tuple[Any, Any], what: str) -> list[Record]:
    """Run everybody once; who is further than AGREEMENT from float64 leaves the table. Seconds of the first call too.

    ValueError where one of ours has to leave: there is nothing to time.
    """
    records = []
    for name in [name for name in table if not name.startswith("gemm")]:
        start = time.perf_counter()
        pair = table[name]()
        first, off = time.perf_counter() - start, _disagreement(pair, exact)
        agreement = {"contender": name, "off_nats": off, "first_call_s": first}
        records.append({"measure": "agreement", "what": what, **agreement})
        if not off <= AGREEMENT:
            del table[name]
    if missing := set(OURS) - set(table):
        raise ValueError(f"{', '.join(missing)}: our own numbers from {what} disagree with float64, nothing is timed")
    return records


def _disagreement(pair: tuple[Any, Any], exact: tuple[Any, Any]) -> float:
    """Largest error of entropy (nats) and probability (its logarithm means nothing near 0); NaN if any is."""
    logp, entropy = (to_float64(part) for part in pair)
    return float(np.maximum(np.abs(entropy - exact[1]), np.abs(np.exp(logp) - np.exp(exact[0]))).max())


def _events(entropy: Any, sizes: Sizes) -> np.ndarray:
    phi = 1.0 - to_float64(entropy) / math.log(sizes.event_vocab)
    events: np.ndarray = np.abs(np.diff(phi.reshape(sizes.event_shape), axis=1)) > compat.DEFECT_THRESHOLD
    return events


def _our_composite(logp_BT: np.ndarray, phi_BT: np.ndarray, lengths_B: np.ndarray) -> np.ndarray:
    """Reward, its three terms, mean and deviation of Phi: [6, B]."""
    scores = carl_composite(logp_BT, phi_BT, lengths_B)
    return np.array([getattr(scores, name) for name in COMPONENTS])


def _loops(logp_BT: np.ndarray, phi_BT: np.ndarray, lengths_B: np.ndarray) -> np.ndarray:
    """The same [6, B] as the reference computes them, one completion after the other."""
    rows = []
    for logp, phi, length in zip(logp_BT, phi_BT, lengths_B, strict=True):
        phi_T, chosen = phi[:length], np.zeros(length, dtype=np.int64)
        cloud = compat.cloud_quality(phi_T, np.exp(logp[:length, None]), chosen)
        smooth, jumps = compat.multiscale_coherence(phi_T), compat.discontinuity_score(phi_T)
        reward = 0.5 * smooth + 0.3 * cloud + 0.2 * jumps
        rows.append([reward, smooth, cloud, jumps, float(np.mean(phi_T)), float(np.std(phi_T))])
    return np.array(rows).T


def _peak_of(work: Callable[[], Any]) -> int:
    """Bytes by which the resident set grew at its highest (Linux: the kernel's own high-water mark, reset before)."""
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    work()
    return max(0, _resident("VmHWM") - before)


def _resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))
