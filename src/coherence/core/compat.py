"""The reference file's own conventions, to reproduce its numbers: no reward, gate or evaluation may use them.

Legend: T tokens, V vocabulary. What differs from `order_parameter` and `composite`: an epsilon inside the
log, ln V of the whole array width, Python's max/min as clamps (NaN becomes 1), ids used as indices unchecked,
logits[t] paired with token t (which they do not predict), completions scored as bare text without their
prompt, four decimals.
Not reproduced: its blanket `except`, which turned any failure into a reward of 0.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from coherence.core import constants

Array = npt.NDArray[Any]

KAPPA = float(constants.KAPPA)
SIGMA = float(constants.SIGMA)
DEFECT_THRESHOLD = float(constants.DEFECT_THRESHOLD)
EPSILON = 1e-10
LARGEST_SCALE = 15
TEXT_TOKENS = 512
SHORTEST_TEXT = 5


def t_star(width: int) -> int:
    """T*(d) as the reference prints it: float product truncated toward 0, unvalidated: t_star(-1) is -21."""
    return int(KAPPA * width)


def compute_phi(logits_TV: Array) -> tuple[Array, Array, Array]:
    """(phi [T], probs [T, V], entropy [T]) with H = -sum p log(p + 1e-10); dtype follows the input.

    Raises ValueError for anything but [T, V] with V >= 1. Rows with NaN or +inf give NaN; V = 1 gives +inf.
    """
    _, width = logits_TV.shape
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        weights = np.exp(logits_TV - logits_TV.max(axis=-1, keepdims=True))
        probs = weights / weights.sum(axis=-1, keepdims=True)
        entropy = -(probs * np.log(probs + EPSILON)).sum(axis=-1)
        return 1.0 - entropy / math.log(width), probs, entropy


def multiscale_coherence(phi_T: Array) -> float:
    """sum_j 2^(j/2) C_j / sum_j 2^(j/2) over blocks of 2^j tokens, 0.5 below two tokens.

    The clamp is Python's max(0, min(1, x)): a NaN counts as perfect coherence.
    """
    tokens = len(phi_T)
    if tokens < 2:
        return 0.5
    scales = range(min(tokens.bit_length() - 1, LARGEST_SCALE) + 1)
    weights = [2 ** (j / 2) for j in scales]
    return sum(w * _scale_coherence(phi_T, 2**j) for w, j in zip(weights, scales, strict=True)) / sum(weights)


def _scale_coherence(phi_T: Array, block: int) -> float:
    blocks = len(phi_T) // block
    with np.errstate(invalid="ignore"):
        spread = phi_T[: blocks * block].reshape(blocks, block).std(axis=1).mean()
    return max(0.0, min(1.0, 1.0 - float(spread)))


def cloud_quality(phi_T: Array, probs_TV: Array, token_ids: Array) -> float:
    """mean_t probs[t, id_t] phi_t; 0 without tokens.

    Ids are bare indices: cut to T, a negative one wraps, a single one broadcasts, others raise IndexError.
    """
    if len(phi_T) == 0:
        return 0.0
    chosen = probs_TV[np.arange(len(phi_T)), token_ids[: len(phi_T)]]
    return float((chosen * phi_T).mean())


def steps(phi_T: Array, previous: float | None = None) -> Array:
    """Phi's steps: [T-1], or [T] where the Phi before the first token is given."""
    with np.errstate(invalid="ignore"):
        return np.diff(phi_T) if previous is None else np.diff(phi_T, prepend=previous)


def discontinuity_score(phi_T: Array, previous: float | None = None) -> float:
    """Mean score of the jumps |delta| > 0.03: 0.8/0.3 up, 0.2/0.5 down, 0.5 without one; NaN is a down.

    Where the Phi before the first token is given, each jump is judged by the Phi that it led to, not its own before.
    """
    scores = []
    for before, delta in zip(phi_T, steps(phi_T, previous), strict=False):
        if abs(delta) <= DEFECT_THRESHOLD:
            continue
        if delta > DEFECT_THRESHOLD:
            scores.append(0.8 if before < 0.5 else 0.3)
        else:
            scores.append(0.2 if before > 0.7 else 0.5)
    return sum(scores) / len(scores) if scores else 0.5


def carl_reward(logits_TV: Array, token_ids: Array) -> tuple[float, dict[str, float]]:
    """0.5 multiscale + 0.3 cloud + 0.2 discontinuity, and its components, for logits [T, V] and ids [T]."""
    phi, probs, entropy = compute_phi(logits_TV)
    components = {
        "multiscale": multiscale_coherence(phi),
        "cloud_quality": cloud_quality(phi, probs, token_ids),
        "discontinuity": discontinuity_score(phi),
        "phi_mean": _mean(phi),
        "phi_std": _std(phi),
        "entropy_mean": _mean(entropy),
    }
    reward = 0.5 * components["multiscale"] + 0.3 * components["cloud_quality"] + 0.2 * components["discontinuity"]
    return reward, components


def _mean(values: Array) -> float:
    return float(values.mean()) if values.size else float("nan")


def _std(values: Array) -> float:
    with np.errstate(invalid="ignore"):
        return float(values.std()) if values.size else float("nan")


def coherence_gate(phi: float, threshold: float = SIGMA) -> tuple[bool, str]:
    """(act, confidence) at Phi: high from 0.8, medium from 0.5, low from the threshold, else abstain.

    The threshold is consulted last, so one above 0.5 has no effect. NaN abstains.
    """
    if phi >= 0.8:
        return True, "high"
    if phi >= 0.5:
        return True, "medium"
    if phi >= threshold:
        return True, "low"
    return False, "abstain"


class PhaseTransitionGate:
    """Fires once, when `min_above` of the last `window` values reach the threshold; tracks the entropy peak.

    Nothing is validated: min_above > window never fires. `gate.WindowedGate` is the one to use.
    """

    def __init__(self, threshold: float = 0.99, window: int = 5, min_above: int = 3) -> None:
        self.threshold, self.window, self.min_above = threshold, window, min_above
        self.recent: list[float] = []
        self.triggered, self.trigger_step = False, -1
        self.peak_entropy, self.peak_entropy_step = 0.0, -1

    def check(self, value: float, entropy: float = 0, step: int = 0) -> bool:
        """True at the observation that fires; a window need not be full for that."""
        if entropy > self.peak_entropy:
            self.peak_entropy, self.peak_entropy_step = entropy, step
        self.recent = [*self.recent, value][-self.window :]
        above = sum(v >= self.threshold for v in self.recent)
        if self.triggered or len(self.recent) < self.min_above or above < self.min_above:
            return False
        self.triggered, self.trigger_step = True, step
        return True

    def on_log(self, logs: Mapping[str, float], step: int = 0) -> bool:
        """`check` on a trainer's log entry; one without the metric (an evaluation) counts as the value 0."""
        return self.check(logs.get("mean_token_accuracy", 0), logs.get("entropy", 0), step)


def text_rewards(
    completions: Sequence[str | Sequence[Mapping[str, str]]],
    encode: Callable[[str], Sequence[int]],
    forward: Callable[[Sequence[int]], Array],
) -> list[float]:
    """Rewards of bare texts: re-encoded without prompt, first 512 tokens, logits[t] against token t.

    encode: text -> ids; forward: ids [T] -> logits [T, V]. Under 5 characters the reward is 0, which is below
    any scored text. Raises IndexError for an empty chat.
    """
    return [text_reward(_text(completion), encode, forward)[0] for completion in completions]


def _text(completion: str | Sequence[Mapping[str, str]]) -> str:
    return completion if isinstance(completion, str) else completion[-1]["content"]


def text_reward(
    text: str, encode: Callable[[str], Sequence[int]], forward: Callable[[Sequence[int]], Array]
) -> tuple[float, dict[str, float]]:
    """The reward of one text, to four decimals, and its components; 0 and none for one that is not scored.

    Not scored are texts of nothing but white space, and of fewer than 5 characters, white space among them.
    """
    if not text.strip() or len(text) < SHORTEST_TEXT:
        return 0.0, {}
    ids = list(encode(text))[:TEXT_TOKENS]
    reward, components = carl_reward(forward(ids), np.asarray(ids))
    return round(reward, 4), components
