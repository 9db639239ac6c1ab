"""Everybody's way to the same numbers, each from its own package, behind one signature; and float64 to judge them.

Legend: T tokens, V vocabulary, D hidden size. A contender takes logits [T, V] (torch) and ids [T], and gives
log-probability and entropy [T]. What is not installed is absent from the tables here, and said to be so in the report.
"""

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.machine import installed

Pair = tuple[Any, Any]
FromLogits = Callable[[torch.Tensor, torch.Tensor], Pair]
FromHidden = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], Pair]
Array = npt.NDArray[np.float64]

OURS = ("compiled", "eager")
"""Our two backends for a CPU. The first is for many tokens: its first call takes seconds, which are told apart."""
ORACLE_ROWS = 8
GEMM_COLUMNS = (8192, 32768)
"""Chunks of the bare product: ours by default, and TRL's."""


def oracle(logits: torch.Tensor, ids: torch.Tensor) -> tuple[Array, Array]:
    """Log-probability and entropy [T] in float64, by the textbook formula and not by anything that is judged here."""
    logp, entropy = [], []
    for rows, chosen in zip(torch.split(logits, ORACLE_ROWS), torch.split(ids, ORACLE_ROWS), strict=True):
        logp_RV = torch.log_softmax(rows.double(), dim=-1)
        logp.append(logp_RV.gather(-1, chosen[:, None])[:, 0])
        entropy.append(-(logp_RV.exp() * logp_RV).nan_to_num(nan=0.0).sum(-1))  # 0 ln 0 = 0
    return torch.cat(logp).cpu().numpy(), torch.cat(entropy).cpu().numpy()


def to_float64(values: Any) -> Array:
    """A contender's answer, array or tensor of any dtype, as it is but in float64."""
    return np.asarray(values.double().cpu() if isinstance(values, torch.Tensor) else values, dtype=np.float64)


def largest_error(values: Any, exact: Array) -> float:
    """Largest difference; NaN if any is."""
    return float(np.abs(to_float64(values) - exact).max())


def from_logits(names: Iterable[str] = ()) -> dict[str, FromLogits]:
    """The contenders that are installed, or those named of them; only what takes part is imported."""
    make: dict[str, Callable[[], FromLogits]] = {
        "compiled": lambda: partial(ours, "compiled"),
        "eager": lambda: partial(ours, "eager"),
        "reference": lambda: _reference,
        "trl": _trl,
        "carl-studio": _carl_studio,
    }
    wanted = set(names) or set(make)
    return {name: make[name]() for name in installed() if name in wanted}


def from_hidden() -> dict[str, FromHidden]:
    """Ours, TRL's fused head where TRL is installed, and the matrix product that neither can do without."""
    table: dict[str, FromHidden] = {name: partial(ours_hidden, name) for name in OURS}
    if "trl" in installed():
        table["trl"] = _trl_hidden()
    return table | {f"gemm {columns}": _gemm(columns) for columns in GEMM_COLUMNS}


def ours(backend: str, logits: torch.Tensor, ids: torch.Tensor) -> Pair:
    from coherence.core.order_parameter import token_statistics

    statistics = token_statistics(logits, ids, backend=backend)
    return statistics.logp, statistics.entropy


def ours_hidden(backend: str, hidden_TD: torch.Tensor, weight_VD: torch.Tensor, ids: torch.Tensor) -> Pair:
    from coherence.core.order_parameter import hidden_statistics

    statistics = hidden_statistics(hidden_TD, weight_VD, ids, backend=backend)
    return statistics.logp, statistics.entropy


def _reference(logits: torch.Tensor, ids: torch.Tensor) -> Pair:
    """Its copy to the host in float32 included: that is how its formula gets to see a tensor."""
    from coherence.core.compat import compute_phi

    _, probs, entropy = compute_phi(logits.float().numpy())
    return np.log(probs[np.arange(len(ids)), ids.numpy()]), entropy


def _carl_studio() -> FromLogits:
    from carl_core.coherence_trace import CoherenceTrace  # type: ignore[import-not-found]

    def run(logits: torch.Tensor, ids: torch.Tensor) -> Pair:
        trace = CoherenceTrace.from_logits(logits.float().numpy(), ids.numpy())
        return np.log(trace.selected_prob), trace.entropy

    return run


def studio_loops(logp_BT: Array, phi_BT: Array, lengths_B: npt.NDArray[np.int64]) -> Array:
    """carl-studio's composite and components [6, B] of each completion, from the trace that it keeps of one."""
    from carl_core.coherence_trace import CoherenceTrace

    rows = []
    for logp, phi, length in zip(logp_BT, phi_BT, lengths_B, strict=True):
        phi_T, fields = phi[:length], {"vocab_size": 2, "n_tokens": int(length), "entropy": phi[:length]}
        trace = CoherenceTrace(phi=phi_T, selected_prob=np.exp(logp[:length]), delta_phi=np.diff(phi_T), **fields)
        terms = trace.multiscale_coherence, trace.cloud_quality, trace.discontinuity_score
        rows.append([trace.carl_reward(), *terms, trace.phi_mean, trace.phi_std])
    return np.array(rows).T


def _trl() -> FromLogits:
    from trl.trainer.utils import entropy_from_logits, selective_log_softmax

    @torch.no_grad()
    def run(logits: torch.Tensor, ids: torch.Tensor) -> Pair:
        batch, chosen = logits.unsqueeze(0), ids.unsqueeze(0)
        return selective_log_softmax(batch, chosen)[0], entropy_from_logits(batch)[0]

    return run


def _trl_hidden() -> FromHidden:
    from trl.kernels.chunked_logprob import ChunkedLogProbFunction
    from trl.trainer.utils import _CHUNKED_LOGPROB_CHUNK_SIZE as columns

    @torch.no_grad()
    def run(hidden_TD: torch.Tensor, weight_VD: torch.Tensor, ids: torch.Tensor) -> Pair:
        outputs = ("log_probs", "entropy")
        logp, entropy, *_ = ChunkedLogProbFunction.apply(
            hidden_TD, weight_VD, None, ids, 1.0, columns, None, 1.0, outputs
        )
        return logp, entropy

    return run


def _gemm(columns: int) -> FromHidden:
    @torch.no_grad()
    def run(hidden_TD: torch.Tensor, weight_VD: torch.Tensor, ids: torch.Tensor) -> Pair:
        buffer = torch.empty(len(hidden_TD), columns)
        for part in torch.split(weight_VD, columns):
            torch.mm(hidden_TD, part.T, out=buffer[:, : len(part)])
        return None, None

    return run
