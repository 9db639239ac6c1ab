"""Where a curve of accuracy climbs, how wide the climb is, and whether any single step jumps.

Legend: C curves, S logged steps.
A climb is the logistic a(t) = a0 + (a1 - a0) / (1 + exp(-(t - tau)/w)) with both plateaus in [0, 1] that lies closest
to the curve in least squares; a curve of another shape has one too, and it is what is estimated. tau: half climb.
Width: steps from 10 to 90 % of the climb, w ln 81. rho: width / tau. One logged step is the least width that can be
seen, so no fit is narrower. Without the bounds on the plateaus an exponential saturation would have its tau at minus
infinity.

A jump at a step is the gap there between two straight lines, one through the `reach` values before it and one through
those from it on, in what the logistic leaves: a smooth climb that is wide against the reach has none, whatever its
shape. Noise has gaps, as large downward as upward. So the largest upward gap is compared with the largest downward
one of the same curve: if nothing jumps, neither is larger but by chance, however large the noise and however long
its memory. No model of the noise is needed, and none that is wrong can speak.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import correlate1d
from scipy.special import expit

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

LN81 = math.log(81)
LEAST_STEPS = 20  # fewer hold no plateau, no climb and no second plateau
REACH = (4, 20)  # least and most values on each side of a jump; between them a quarter of the width
CHUNK, ROUNDS, CLOSE = 1000, 60, 1e-8  # curves at a time; Levenberg's steps, and when they have arrived
FLAT, OUTSIDE, UNFINISHED = "climb too small", "half climb outside the run", "no plateau yet"
"""Why a curve has no transition."""


@dataclass(frozen=True)
class Climbs:
    """The logistics [C] closest to C curves: plateaus a0 and a1, half climb tau and scale w (steps), squared error."""

    start: Array
    end: Array
    tau: Array
    scale: Array
    error: Array

    @property
    def width(self) -> Array:
        """Steps from 10 to 90 % of the climb."""
        return self.scale * LN81

    @property
    def rho(self) -> Array:
        """Width relative to the step of the half climb."""
        return self.width / self.tau

    @property
    def last(self) -> Array:
        """The step at which 90 % of the climb are done."""
        return self.tau + self.width / 2

    def at(self, step_S: npt.ArrayLike) -> Array:
        """The fitted accuracy [C, S] at these steps."""
        share = expit((np.asarray(step_S, dtype=float) - self.tau[:, None]) / self.scale[:, None])
        return np.asarray(self.start[:, None] + (self.end - self.start)[:, None] * share)


# ------------------------------------------------------------------------------- the climb


def fit(step_S: npt.ArrayLike, accuracy_CS: npt.ArrayLike) -> Climbs:
    """The logistic closest to each curve [C, S].

    Raises ValueError for fewer than LEAST_STEPS steps, steps that do not rise, accuracy that is missing or no share.
    """
    step, curves = _checked(step_S, accuracy_CS)
    chunks = [curves[i : i + CHUNK] for i in range(0, len(curves), CHUNK)]
    found = [_refined(step, chunk, *_coarse(step, chunk)) for chunk in chunks]
    return Climbs(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _checked(step_S: npt.ArrayLike, accuracy_CS: npt.ArrayLike) -> tuple[Array, Array]:
    step, curves = np.asarray(step_S, dtype=np.float64), np.asarray(accuracy_CS, dtype=np.float64)
    if step.ndim != 1 or curves.ndim != 2 or not len(curves) or curves.shape[1] != len(step):
        raise ValueError(f"expected curves [C, S] of {step.size} steps, got {curves.shape}")
    if len(step) < LEAST_STEPS or not (np.diff(step) > 0).all():
        raise ValueError(f"a curve needs at least {LEAST_STEPS} rising steps, got {len(step)}")
    if not np.isfinite(curves).all():
        raise ValueError(f"accuracy is missing at step {step[~np.isfinite(curves).all(axis=0)][0]:g}")
    return step, curves


def _limits(step: Array) -> tuple[Array, Array]:
    """Least and most of (tau, ln w): a run's length about it; one step wide to as wide as the run."""
    span = step[-1] - step[0]
    narrow, wide = math.log(np.diff(step).min() / LN81), math.log(span)
    return np.array([step[0] - span, narrow]), np.array([step[-1] + span, wide])


def _coarse(step: Array, curves: Array) -> tuple[Array, Array]:
    """The best (tau, ln w) of a grid for each curve."""
    (_, narrow), (_, wide) = _limits(step)
    taus, scales = np.linspace(step[0], step[-1], 40), np.linspace(narrow, wide, 10)
    tau, scale = (grid.ravel() for grid in np.meshgrid(taus, scales))
    share = expit((step - tau[:, None]) * np.exp(-scale)[:, None])
    *_, error = _plateaus((share**2).sum(axis=1), share.sum(axis=1), curves @ share.T, curves)
    best = error.argmin(axis=1)
    return tau[best], scale[best]


def _plateaus(squares: Array, sums: Array, along: Array, curves: Array) -> tuple[Array, Array, Array]:
    """(a0, a1, squared error) in [0, 1] x [0, 1] for given shares L of the climb, from sums of L^2, L and L y.

    The error is convex: its least value lies at the free solution, or else on an edge of the square.
    """
    total, own = curves.sum(axis=1), (curves**2).sum(axis=1)
    if along.ndim > 1:
        total, own = total[:, None], own[:, None]
    gram = (curves.shape[1] - 2 * sums + squares + 1e-9, sums - squares, squares + 1e-9)
    left, right = total - along, along
    whole = gram[0] * gram[2] - gram[1] ** 2
    free = (left * gram[2] - right * gram[1]) / whole, (right * gram[0] - left * gram[1]) / whole
    inside = (np.minimum(*free) >= 0) & (np.maximum(*free) <= 1)
    choices = [tuple(np.where(inside, value, 0.5) for value in free)]
    for end in (0.0, 1.0):
        at = np.full_like(left, end)
        choices.append((at, np.clip((right - end * gram[1]) / gram[2], 0, 1)))
        choices.append((np.clip((left - end * gram[1]) / gram[0], 0, 1), at))
    errors = [
        a**2 * gram[0] + 2 * a * b * gram[1] + b**2 * gram[2] - 2 * (a * left + b * right) + own for a, b in choices
    ]
    errors[0] = np.where(inside, errors[0], np.inf)
    best = np.argmin(errors, axis=0)
    return np.choose(best, [a for a, _ in choices]), np.choose(best, [b for _, b in choices]), np.choose(best, errors)


def _refined(step: Array, curves: Array, tau: Array, scale: Array) -> tuple[Array, ...]:
    """(a0, a1, tau, w, squared error) by Levenberg's method in (tau, ln w), the plateaus solved for at each of them."""
    low, high = _limits(step)
    at = np.stack([tau, scale], axis=1)
    best, damping = _state(step, curves, at), np.full(len(curves), 1e-3)
    open_ = np.arange(len(curves))
    for _ in range(ROUNDS):
        move = _move(step, curves[open_], at[open_], best[:, open_], damping[open_])
        trial = np.clip(at[open_] + move, low, high)
        found = _state(step, curves[open_], trial)
        better = found[2] <= best[2, open_]
        taken = open_[better]
        at[taken], best[:, taken] = trial[better], found[:, better]
        damping[open_] *= np.where(better, 0.1, 10)
        arrived = (np.abs(move) < CLOSE * np.array([step[-1], 1.0])).all(axis=1)
        open_ = open_[~arrived & (damping[open_] < 1e12)]
        if not len(open_):
            break
    return best[0], best[1], at[:, 0], np.exp(at[:, 1]), np.maximum(best[2], 0)


def _share(step: Array, at: Array) -> tuple[Array, Array]:
    """Distance from tau in scales, and the share of the climb done, both [C, S]."""
    away = (step - at[:, :1]) * np.exp(-at[:, 1:])
    return away, expit(away)


def _state(step: Array, curves: Array, at: Array) -> Array:
    """(a0, a1, squared error) [3, C]."""
    _, share = _share(step, at)
    along = np.einsum("cs,cs->c", share, curves)
    return np.stack(_plateaus(np.einsum("cs,cs->c", share, share), share.sum(axis=1), along, curves))


def _move(step: Array, curves: Array, at: Array, state: Array, damping: Array) -> Array:
    """Levenberg's step [C, 2] of the error, of whose slopes what the plateaus can follow is taken out."""
    away, share = _share(step, at)
    start, end = state[0][:, None], state[1][:, None]
    slope = -(end - start) * share * (1 - share)
    free = np.stack([(state[i] > 0) & (state[i] < 1) for i in (0, 1)], axis=1)
    left = curves - start - (end - start) * share
    rows = np.stack([1 - share, share, slope * np.exp(-at[:, 1:]), slope * away, left], axis=1)
    rows[:, :2] *= free[:, :, None]
    gram = rows @ rows.transpose(0, 2, 1)
    plateaus = gram[:, :2, :2] + np.eye(2) * np.where(free, 1e-9, 1.0)[:, :, None]
    followed = np.linalg.solve(plateaus, gram[:, :2, 2:])
    rest = gram[:, 2:, 2:] - gram[:, 2:, :2] @ followed
    curvature, downhill = rest[:, :2, :2], rest[:, :2, 2:]
    weight = np.einsum("cii->ci", curvature) * damping[:, None] + 1e-12
    return np.linalg.solve(curvature + np.eye(2) * weight[:, :, None], downhill)[..., 0]


def why_none(climbs: Climbs, step_S: npt.ArrayLike, least_climb: float) -> list[str]:
    """Why each curve has no transition; empty where it has one.

    The climb counts from the first to the last step, and has a plateau once 90 % of it are done.
    """
    step = np.asarray(step_S, dtype=float)
    ends = climbs.at(step[[0, -1]])
    tests = {
        FLAT: ends[:, 1] - ends[:, 0] < least_climb,
        OUTSIDE: (climbs.tau < step[0]) | (climbs.tau > step[-1]),
        UNFINISHED: climbs.last > step[-1],
    }
    return [next((why for why, is_so in tests.items() if is_so[c]), "") for c in range(len(climbs.tau))]


# ------------------------------------------------------------------------------- the jump


@dataclass(frozen=True)
class Jumps:
    """The largest upward gap of each curve [C] and the largest downward one, as shares of its climb; where the first
    lies (index of the step after it)."""

    up: Array
    down: Array
    index: Index


def largest_jumps(climbs: Climbs, step_S: npt.ArrayLike, accuracy_CS: npt.ArrayLike, narrowest: float) -> Jumps:
    """The largest gaps of what the fitted logistics leave.

    narrowest: width (steps) under which a climb counts as a jump itself, and no logistic is taken off.
    """
    smooth = np.where((climbs.width >= narrowest)[:, None], climbs.at(step_S), 0.0)
    left, reach = np.asarray(accuracy_CS, dtype=float) - smooth, reaches(climbs)
    found, index = np.zeros((2, len(left))), np.zeros(len(left), dtype=np.intp)
    for own in np.unique(reach):
        same = np.flatnonzero(reach == own)
        each = gaps(left[same], int(own))
        found[:, same], index[same] = (each.max(axis=1), -each.min(axis=1)), each.argmax(axis=1) + own
    up, down = found / np.maximum(climbs.end - climbs.start, 1e-12)
    return Jumps(up, down, index)


def reaches(climbs: Climbs) -> npt.NDArray[np.int64]:
    """Values on each side of a jump that are looked at [C]: a quarter of the climb's width, within REACH."""
    return np.clip(np.round(climbs.width / 4), *REACH).astype(np.int64)


def gaps(accuracy_CS: npt.ArrayLike, reach: int) -> Array:
    """The gap [C, S + 1 - 2 reach] at each step between the lines through the values before it and from it on.

    The first is at the step with index `reach`. Raises ValueError for a curve shorter than both lines.
    """
    curves = np.asarray(accuracy_CS, dtype=float)
    if curves.shape[1] < 2 * reach:
        raise ValueError(f"a jump needs {2 * reach} steps about it, the curve has {curves.shape[1]}")
    away = np.arange(reach) + 0.5
    line = np.linalg.pinv(np.stack([np.ones(reach), away], axis=1))[0]
    kernel = np.concatenate([-line[::-1], line])
    return np.asarray(correlate1d(curves, kernel, axis=1)[:, reach : curves.shape[1] + 1 - reach])


def aic_gain(climbs: Climbs, step_S: npt.ArrayLike, accuracy_CS: npt.ArrayLike, found: Jumps) -> Array:
    """How much lower Akaike's criterion is [C] with the largest jump added (two more parameters: where, how high).

    It takes noise as independent and the logistic as the true shape, which the test does not: it stands beside it.
    """
    curves = np.asarray(accuracy_CS, dtype=float)
    height = found.up * (climbs.end - climbs.start)
    without = curves - height[:, None] * (np.arange(curves.shape[1]) >= found.index[:, None])
    error = np.maximum(fit(step_S, without).error, 1e-12)
    return np.asarray(curves.shape[1] * np.log(np.maximum(climbs.error, 1e-12) / error) - 4)
