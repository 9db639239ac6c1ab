"""A run as lines for a terminal: one sparkline per curve, the gate, the phases so far, what looks wrong."""

import math
import textwrap
from collections.abc import Iterator, Sequence

import numpy as np

from coherence.observing.findings import Finding
from coherence.observing.run import SHARES, Curve, Run

BLOCKS = "▁▂▃▄▅▆▇█"
LEFT = 42
"""Columns left of a sparkline."""
NARROWEST = 60
"""Terminals that lines are broken for."""


def printable(text: str) -> str:
    """The text without the characters that a terminal obeys instead of showing them."""
    return "".join(filter(str.isprintable, text))


def full(run: Run, wrong: Sequence[Finding], width: int) -> list[str]:
    """Everything about one run, in lines of `width` columns."""
    width = max(width, NARROWEST)
    lines = [run.headline, "", *_curve_lines(run, width), gate_text(run), *_phase_lines(run), ""]
    for finding in wrong:
        lines += [f"! {finding.sentence}", f"  {finding.evidence}"]
    lines += [] if wrong else ["Nothing that is checked for looks wrong."]
    broken = (textwrap.wrap(printable(line), width, subsequent_indent="  ", break_on_hyphens=False) for line in lines)
    return [part for parts in broken for part in parts or [""]]


def one_line(run: Run, wrong: Sequence[Finding]) -> str:
    """A run among others: where it stands now."""
    told = [f"step {max(run.log.rows, default=0)}"]
    told += [
        f"{name} {short(run.curves[name].value[-1])}"
        for name in ("accuracy", "entropy", "Phi", "reward")
        if name in run.curves
    ]
    told += [f"gate {run.gate.fired_step}"] if run.gate and run.gate.fired else []
    told += [run.status] if run.status else []
    told += [f"! {', '.join(finding.name for finding in wrong)}"] if wrong else []
    return printable("  ".join([f"{run.log.name:<20}", f"{run.kind:<10}", *told]))


def gate_text(run: Run) -> str:
    """Where the gate stands, in a sentence."""
    gate = run.gate
    if gate is None:
        return "gate: none, it watches supervised runs"
    if "accuracy" not in run.curves:
        return "gate: no accuracy in this log"
    rule = f"{gate.count} of {gate.window} logged values at {gate.threshold:g} or more"
    if gate.fired:
        return f"gate: fired at step {gate.fired_step} ({rule})"
    reached = sum(value >= gate.threshold for value in gate.recent)
    return f"gate: {reached} of {len(gate.recent)} so far (fires at {rule})"


def short(value: float) -> str:
    """Three digits or so, without needless zeros."""
    return f"{value:.2e}" if value and abs(math.log10(abs(value))) > 3 else f"{value:.3f}".rstrip("0").rstrip(".")


def sparkline(curve: Curve, width: int, low: float, high: float) -> str:
    """The means of at most `width` equal stretches of the values, as blocks from `low` to `high`."""
    width = min(width, len(curve.value))
    place = np.arange(len(curve.value)) * width // len(curve.value)
    means = np.bincount(place, curve.value) / np.bincount(place)
    levels = np.clip((means - low) / ((high - low) or 1.0), 0, 1) * (len(BLOCKS) - 1)
    return "".join(BLOCKS[round(level)] for level in levels)


def _curve_lines(run: Run, width: int) -> Iterator[str]:
    """Name, first and last value and sparkline of each curve, then the keys that they were read from."""
    for name, curve in run.curves.items():
        ends = f"{name:<20} {short(curve.value[0]):>8} → {short(curve.value[-1]):<8}"
        yield f"{ends}  {sparkline(curve, width - LEFT, *_range(name, curve))}"
    if run.curves:
        yield f"read from: {', '.join(curve.key for curve in run.curves.values())}"
    yield ""


def _range(name: str, curve: Curve) -> tuple[float, float]:
    """Shares from 0 to 1, entropy and counts from 0, the others over the values that they take."""
    if name in SHARES:
        return 0.0, 1.0
    low = 0.0 if name in ("entropy", "distinct outputs") else float(curve.value.min())
    return low, float(curve.value.max())


def _phase_lines(run: Run) -> Iterator[str]:
    yield ("phases" if run.status else "phases so far") if run.phases else run.no_phases
    for phase in run.phases:
        steps = f"{phase.first_step} to {phase.last_step}"
        accuracy = f"accuracy {phase.accuracy_first:.2f} → {phase.accuracy_last:.2f}"
        entropy = f"entropy {phase.entropy_first:.2f} → {phase.entropy_last:.2f}"
        yield f"  {phase.name:<16} {steps:<16} {accuracy}  {entropy}"
