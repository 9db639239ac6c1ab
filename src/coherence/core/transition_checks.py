"""Synthetic studies whose truth is known: do the intervals of the transitions cover, do the tests hold their level?

Legend: C curves (N seeds of each study, studies one after another), S steps.
Seeds differ lognormally in tau and in rho. A step's accuracy is a binomial share of its tokens, about a curve whose
log-odds wander with a memory, as a model does that is trained while it is measured.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter
from scipy.special import expit, logit

from coherence.core.transition import LN81, Array, fit, largest_jumps
from coherence.core.transition_family import student

SIZES = (3, 5, 10)
"""Seeds of a study."""
FULL = SIZES[-1]


@dataclass(frozen=True)
class World:
    """How curves of a synthetic study come about."""

    rho: float = 0.6
    jump: float = 0.0
    """Share of the climb that is done in one step, at its middle."""
    shape: str = "logistic"
    heavy: bool = False
    """Seeds spread by Student's t with 5 degrees of freedom, of the same variance, in place of the normal."""
    tau: float = 80.0
    steps: int = 200
    tokens: int = 96
    spread_tau: float = 0.15
    spread_rho: float = 0.25
    wander: float = 0.3
    memory: float = 0.7


SHAPES = ("logistic", "saturation", "log-logistic", "two stages")
"""Smooth by construction; `saturation` and `log-logistic` are logistics neither in step nor in width."""


def drawn(world: World, curves: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """Steps [S] and accuracy [C, S]."""
    step, shape = np.arange(1.0, world.steps + 1), (2, curves, 1)
    far = rng.standard_t(5, shape) * np.sqrt(3 / 5) if world.heavy else rng.standard_normal(shape)
    tau = world.tau * np.exp(world.spread_tau * far[0])
    share = _shape(world.shape, step, tau, world.rho * np.exp(world.spread_rho * far[1]))
    share = (1 - world.jump) * share + world.jump * (step >= tau)
    wander = rng.standard_normal((curves, world.steps)) * world.wander
    wander[:, 1:] *= np.sqrt(1 - world.memory**2)
    odds = logit(0.01 + 0.98 * share) + lfilter([1.0], [1.0, -world.memory], wander, axis=1)
    return step, rng.binomial(world.tokens, expit(odds)) / world.tokens


def _shape(name: str, step: Array, tau: Array, rho: Array) -> Array:
    """Share of the climb that is done [C, S]."""
    if name == "saturation":
        return np.asarray(-np.expm1(-step * np.log(2) / tau))
    if name == "log-logistic":  # from 10 to 90 % is a factor of 81^(1/k) in steps
        return np.asarray(expit(np.log(step / tau) * np.log(9) / np.arcsinh(rho / 2)))
    whole = expit((step - tau) * LN81 / (rho * tau))
    if name == "two stages":  # a third of the climb comes early
        return np.asarray(0.7 * whole + 0.3 * expit((step - tau / 2) * LN81 / (rho * tau / 2)))
    return np.asarray(whole)


def checked(
    world: World, sharp: float, narrowest: float, studies: int, level: float, rng: np.random.Generator
) -> Iterator[tuple[str, int, float]]:
    """(check, seeds, share of the studies): the interval of tau, width, rho or J holds the truth; the interval of rho
    lies under `sharp`; a jump is found. Of a curve that is no logistic the first three have no truth."""
    step, curves = drawn(world, studies * FULL, rng)
    found = fit(step, curves)
    gaps = largest_jumps(found, step, curves, narrowest)
    values = {"tau": np.log(found.tau / world.tau), "width": np.log(found.width / (world.rho * world.tau))}
    values |= {"rho": np.log(found.rho / world.rho), "J": gaps.up - world.jump, "jump": gaps.up - gaps.down}
    for (name, value), seeds in product(values.items(), SIZES):
        own = value.reshape(studies, FULL)[:, :seeds]
        middle, half = own.mean(axis=1), student(seeds - 1, level) * own.std(axis=1, ddof=1) / np.sqrt(seeds)
        yield name, seeds, float((middle > half if name == "jump" else np.abs(middle) <= half).mean())
        if name == "rho":
            yield "sharp", seeds, float((middle + half < np.log(sharp / world.rho)).mean())


def fires(accuracy_CS: npt.ArrayLike, threshold: float, window: int, count: int) -> npt.NDArray[np.bool_]:
    """Whether a gate fires on each curve up to each step [C, S]: core/gate.py for many curves at once."""
    high = np.asarray(accuracy_CS, dtype=float) >= threshold
    done = np.cumsum(np.pad(high, ((0, 0), (window, 0))), axis=1)
    return np.asarray(np.maximum.accumulate(done[:, window:] - done[:, :-window] >= count, axis=1))


def early(world: World, threshold: float, window: int, count: int, curves: int, rng: np.random.Generator) -> float:
    """Share of climbing curves on which the gate fires before 90 % of the climb are done."""
    step, accuracy = drawn(world, curves, rng)
    last = np.searchsorted(step, fit(step, accuracy).last).clip(1, len(step)) - 1
    return float(fires(accuracy, threshold, window, count)[np.arange(curves), last].mean())
