"""Phases of a supervised fine-tuning curve, found by a stated rule. Legend: S logged steps.

A melt exists iff the peak of entropy lies at least MELT_SHARE ln V above its value at the first step.
With a melt
  baseline         until entropy exceeds its first value by more than ONSET_SHARE of the rise to the peak
  melting          to the peak, which it includes
  transition       until accuracy has covered HALF_SHARE of its climb from the peak to its maximum after it
  crystallization  the rest
Without one
  baseline         until accuracy has covered ONSET_SHARE of its climb from the first step to its maximum
  transition       until accuracy has covered HALF_SHARE of that climb
  crystallization  the rest
The step that completes the half climb belongs to the transition. A climb that never comes leaves the phase
before it open to the end. The gate ends whichever phase is running: from its step on, converged. A phase
without a step is left out. Accuracy is smoothed: centred running median of MEDIAN_STEPS logged values,
shortened at the ends.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

MELT_SHARE = 0.05  # a melt exists iff entropy rises by at least this share of ln V
ONSET_SHARE = 0.10  # a rise or climb has begun once it has covered this share of its way
HALF_SHARE = 0.50  # the transition is over once accuracy has covered this share of its climb
MEDIAN_STEPS = 5


@dataclass(frozen=True)
class Phase:
    """A stretch of logged steps, ends included, with accuracy, entropy (nats) and loss at both of them."""

    name: str
    first_step: int
    last_step: int
    accuracy_first: float
    accuracy_last: float
    entropy_first: float
    entropy_last: float
    loss_first: float | None = None
    loss_last: float | None = None


def find_phases(
    step: npt.ArrayLike,
    accuracy: npt.ArrayLike,
    entropy: npt.ArrayLike,
    log_vocab: float,
    gate_step: int | None = None,
    loss: npt.ArrayLike | None = None,
) -> list[Phase]:
    """Baseline, melting, transition, crystallization, converged: phases in order that tile the steps [S].

    Rule and thresholds: top of this file. entropy, log_vocab in nats; gate_step: where the gate fired, if it
    did. Raises ValueError for curves that are empty, unordered, of unequal length or not finite, and for a
    gate_step beyond them.
    """
    steps, acc, ent, losses = _checked(step, accuracy, entropy, loss)
    if not log_vocab > 0:
        raise ValueError(f"log_vocab must be positive, got {log_vocab}")
    gate = _gate_index(steps, gate_step)
    melted = ent.max() - ent[0] >= MELT_SHARE * log_vocab
    starts = _with_melt(acc, ent) if melted else _without_melt(acc)
    curves = [acc, ent] if losses is None else [acc, ent, losses]
    return [
        Phase(name, int(steps[first]), int(steps[last]), *(float(c[i]) for c in curves for i in (first, last)))
        for name, first, last in _tiles(starts, gate, len(steps))
    ]


def _checked(
    step: npt.ArrayLike, accuracy: npt.ArrayLike, entropy: npt.ArrayLike, loss: npt.ArrayLike | None
) -> tuple[npt.NDArray[np.int64], Array, Array, Array | None]:
    steps = np.asarray(step)
    if steps.ndim != 1 or not steps.size or not (np.diff(steps) > 0).all():
        raise ValueError("step must be a non-empty, strictly increasing sequence")
    curves = {"accuracy": accuracy, "entropy": entropy} | ({} if loss is None else {"loss": loss})
    arrays = {name: np.asarray(curve, dtype=np.float64) for name, curve in curves.items()}
    for name, array in arrays.items():
        if array.shape != steps.shape:
            raise ValueError(f"{name} has shape {array.shape}, step has {steps.shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"{name} is not finite at step {steps[~np.isfinite(array)][0]}")
    return steps.astype(np.int64), arrays["accuracy"], arrays["entropy"], arrays.get("loss")


def _gate_index(steps: npt.NDArray[np.int64], gate_step: int | None) -> int:
    """Index of the first logged step at or after the gate; the number of steps if it never fired."""
    if gate_step is None:
        return len(steps)
    if not steps[0] <= gate_step <= steps[-1]:
        raise ValueError(f"gate_step {gate_step} lies outside the curve, steps {steps[0]}..{steps[-1]}")
    return int(np.searchsorted(steps, gate_step))


def _running_median(values_S: Array) -> Array:
    reach = MEDIAN_STEPS // 2
    return np.array([np.median(values_S[max(0, i - reach) : i + reach + 1]) for i in range(len(values_S))])


def _climbed(smooth_S: Array, start: int, share: float) -> int:
    """First index where the curve has covered `share` of its climb from `start`; its length if none."""
    climb = smooth_S[start:].max() - smooth_S[start]
    if climb <= 0:
        return len(smooth_S)
    covered = smooth_S[start:] >= smooth_S[start] + share * climb
    return start + int(np.argmax(covered))


def _with_melt(accuracy_S: Array, entropy_S: Array) -> list[tuple[str, int]]:
    peak = int(np.argmax(entropy_S))
    onset = entropy_S[0] + ONSET_SHARE * (entropy_S[peak] - entropy_S[0])
    half = _climbed(_running_median(accuracy_S), peak, HALF_SHARE)
    return [
        ("baseline", 0),
        ("melting", int(np.argmax(entropy_S > onset))),
        ("transition", peak + 1),
        ("crystallization", half + 1),
    ]


def _without_melt(accuracy_S: Array) -> list[tuple[str, int]]:
    smooth = _running_median(accuracy_S)
    onset, half = (_climbed(smooth, 0, share) for share in (ONSET_SHARE, HALF_SHARE))
    return [("baseline", 0), ("transition", onset), ("crystallization", half + 1)]


def _tiles(starts: list[tuple[str, int]], gate: int, count: int) -> Iterator[tuple[str, int, int]]:
    """(name, first index, last index) of the phases that hold a step, all cut at the gate."""
    ends = [*(start for _, start in starts[1:]), count]
    bounds = [(name, start, min(end, gate)) for (name, start), end in zip(starts, ends, strict=True)]
    for name, start, end in [*bounds, ("converged", gate, count)]:
        if start < min(end, count):
            yield name, start, min(end, count) - 1
