"""Transitions of SFT curves: what each curve climbs by, and what the seeds of a family say together."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from coherence.config.claims import BY_WIDTH, SLOPE
from coherence.core.gate import WindowedGate
from coherence.core.statistics import Interval
from coherence.core.transition import Array, Climbs, aic_gain, fit, largest_jumps, why_none
from coherence.core.transition_family import Rule, found_rho, geometric_interval, judge, mean_interval
from coherence.figures.phase_table import PAPER_PHASES
from coherence.figures.read import Run, logged, spelled

PUBLISHED = "published"
SCALES = ("tau", "width", "rho")
"""Quantities that seeds differ in by factors."""
MEANS = ("log_rho", "jump", "drop", "apart", "aic_gain", "after_half", "after_last", "gate_off")
MEASURED = ("ok", "not_crystallized")
"""Whether its gate fired or not, such a run went its way."""


class Curve(NamedTuple):
    """A run with its accuracy, its fit (none if it broke off), why it has no transition (empty where it has one), and
    its numbers."""

    run: Run
    step: Array
    accuracy: Array
    climb: Climbs | None
    why: str
    numbers: Mapping[str, float]


def measure(runs: Sequence[Run], options: Mapping[str, Any], gate: Mapping[str, Any]) -> list[Curve]:
    """The fit of every run on accuracy of the gate's tokens.

    ValueError if none logged a step; it names a run whose curve is too short or has gaps.
    """
    logged(runs)
    return [_measured(run, options, gate) for run in runs]


def _measured(run: Run, options: Mapping[str, Any], gate: Mapping[str, Any]) -> Curve:
    names = ("step", f"{gate['token_class']}/accuracy") if len(run.metrics) else ()
    step, accuracy = run.metrics[[*names]].to_numpy(dtype=float).T if names else np.empty((2, 0))
    numbers = {"gate": gate_step(step, accuracy, gate)}
    if run.status not in MEASURED or run.outcome.get("diverged"):
        why = "diverged" if run.status in MEASURED else spelled(run.status)
        return Curve(run, step, accuracy, None, why, numbers)
    try:
        climb = fit(step, accuracy[None])
    except ValueError as error:
        raise ValueError(f"curve {run.arm}, seed {run.seed}: {error}") from None
    (why,) = why_none(climb, step, options["least_climb"])
    if not why:
        numbers |= _numbers(climb, step, accuracy, numbers["gate"], options["narrowest"])
    return Curve(run, step, accuracy, climb, why, numbers)


def _numbers(climb: Climbs, step: Array, accuracy: Array, fired: float, narrowest: float) -> dict[str, float]:
    """`gate_off` is how far from the end of the climb the gate fires, before or after; the run's length if never."""
    gaps = largest_jumps(climb, step, accuracy[None], narrowest)
    own = {"tau": climb.tau, "width": climb.width, "rho": climb.rho, "log_rho": np.log(climb.rho)}
    own |= {"jump": gaps.up, "drop": gaps.down, "apart": gaps.up - gaps.down, "jump_step": step[gaps.index]}
    own |= {"aic_gain": aic_gain(climb, step, accuracy[None], gaps)}
    own |= {"after_half": fired - climb.tau, "after_last": fired - climb.last}
    own |= {"gate_off": np.abs(fired - climb.last) if np.isfinite(fired) else step[-1:]}
    return {name: float(value[0]) for name, value in own.items()}


def gate_step(step: Array, accuracy: Array, gate: Mapping[str, Any]) -> float:
    """Where the study's gate would have fired on the training batches; NaN if never."""
    own = WindowedGate(gate["threshold"], gate["window"], gate["count"])
    return next((float(t) for t, value in zip(step, accuracy, strict=True) if own.update(int(t), value)), np.nan)


def published() -> Climbs:
    """The fit to the published table of phases, with straight lines between its rows."""
    rows: dict[float, float] = {}
    for phase in PAPER_PHASES:
        for at, accuracy in zip(phase.steps, phase.accuracy, strict=True):
            rows.setdefault(at, accuracy)
    step = np.arange(min(rows), max(rows) + 1.0)
    return fit(step, np.interp(step, list(rows), list(rows.values()))[None])


def summarise(
    curves: Sequence[Curve], options: Mapping[str, Any], named: Mapping[str, Mapping[str, Any]]
) -> pd.DataFrame:
    """Tidy: one row per curve and quantity, one per family and quantity (seed missing), three of the published table.

    `named` are the study's curves; `seeds` counts those behind a family's number; `said` is a curve's reason for no
    transition, or a family's verdict.
    """
    rule = Rule(options["sharp"], options["least_jump"], options["level"])
    rows = [row for name in in_order(curves, named) for row in _family(name, curves, rule, named[name])]
    rows += _by_width([curve for curve in curves if curve.run.arm in (options["widths"] or ())], rule.level)
    paper = {name: float(getattr(published(), name)[0]) for name in SCALES}
    rows += [{"arm": PUBLISHED, "quantity": name, "estimate": value} for name, value in paper.items()]
    return pd.DataFrame(rows).astype({"seed": "Int64", "seeds": "Int64"})


def in_order(curves: Sequence[Curve], named: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The names of the curves by base, then by learning rate."""
    rates = {curve.run.arm: curve.run.outcome.get("learning_rate", 0.0) for curve in curves}
    return sorted(rates, key=lambda name: (named[name]["base"] or "", rates[name], name))


def _family(name: str, curves: Sequence[Curve], rule: Rule, named: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    own = [curve for curve in curves if curve.run.arm == name]
    told = own[0].run.outcome
    about = {"arm": name, "base": named["base"]}
    about |= {"learning_rate": told.get("learning_rate"), "hidden_size": told.get("width")}
    for curve in own:
        seed = about | {"seed": curve.run.seed, "status": curve.run.status, "said": curve.why}
        yield from ({**seed, "quantity": key, "estimate": value} for key, value in curve.numbers.items())
    climbing = [curve for curve in own if not curve.why]
    found = _intervals(climbing, rule.level)
    for key, values in found.items():
        told = {"quantity": key, "estimate": values.estimate, "seeds": len(_values(climbing, key))}
        yield about | told | values.ends
    verdict = judge([curve.why for curve in own], found["rho"], found["jump"], found["apart"], rule)
    yield {**about, "quantity": "verdict", "estimate": len(climbing), "said": f"{verdict.verdict} ({verdict.why})"}
    spread = float(_values(climbing, "log_rho").std(ddof=1)) if len(climbing) > 1 else np.nan
    yield {**about, "quantity": "found_rho", "estimate": found_rho(spread, len(climbing), rule.sharp, rule.level)}


def _by_width(curves: Sequence[Curve], level: float) -> Iterator[dict[str, Any]]:
    """Slope of ln rho over ln d, of each seed whose curves all climb, and over those seeds: below 0, the transition
    sharpens with size."""
    about: dict[str, Any] = {"arm": BY_WIDTH, "quantity": SLOPE}
    slopes = {}
    for seed in sorted({curve.run.seed for curve in curves}):
        own = [curve for curve in curves if curve.run.seed == seed]
        if not any(curve.why for curve in own):
            sizes = np.log([float(curve.run.outcome["width"]) for curve in own])
            slopes[seed] = float(np.polyfit(sizes, [curve.numbers["log_rho"] for curve in own], 1)[0])
            yield about | {"seed": seed, "estimate": slopes[seed]}
    if slopes:
        found = mean_interval(list(slopes.values()), level)
        yield about | {"estimate": found.estimate, "seeds": len(slopes)} | found.ends


def _intervals(curves: Sequence[Curve], level: float) -> dict[str, Interval]:
    """Of every quantity over the seeds; a gate that never fired has no delay, and is left out of those."""
    narrow = any(curve.numbers["width"] <= np.diff(curve.step).min() * (1 + 1e-6) for curve in curves)
    scales = {key: geometric_interval(_values(curves, key), level, narrow and key != "tau") for key in SCALES}
    return scales | {key: mean_interval(_values(curves, key), level) for key in MEANS}


def _values(curves: Sequence[Curve], quantity: str) -> Array:
    values = np.array([curve.numbers[quantity] for curve in curves], dtype=np.float64)
    return values[np.isfinite(values)]
