"""A run as lines for a terminal: one sparkline per curve, the gate, the phases so far, what looks wrong."""

import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from coherence.observing.findings import Finding
from coherence.observing.run import SHARES, Curve, Run

BLOCKS, ASCII = "▁▂▃▄▅▆▇█", "_.-:=+*#"
SPELLED = str.maketrans({**dict(zip(BLOCKS, ASCII, strict=True)), "→": "->"})
CODES = {"faint": "2", "red": "31", "green": "32"}
OURS = re.compile(rf"(\x1b\[(?:0|{'|'.join(CODES.values())})m)")
LEFT, LEAST = 40, 10
"""Columns left of a sparkline, and its least width."""


@dataclass(frozen=True)
class Screen:
    """What the terminal can show: its width, colour, and blocks (else ASCII alone)."""

    width: int
    colour: bool
    blocks: bool

    def paint(self, text: str, look: str) -> str:
        """The text in a look, where there is colour."""
        return f"\x1b[{CODES[look]}m{text}\x1b[0m" if self.colour else text

    def spell(self, lines: Sequence[str]) -> list[str]:
        """The lines in characters that the terminal has; of control characters, which a log may hold, only colours."""
        if not self.blocks:
            lines = [line.translate(SPELLED).encode("ascii", "replace").decode() for line in lines]
        return ["".join(map(self._safe, OURS.split(line))) for line in lines]

    def _safe(self, part: str) -> str:
        return part if self.colour and OURS.fullmatch(part) else printable(part)

    def wrap(self, text: str, indent: str = "  ") -> list[str]:
        """The text broken to the terminal's width, its later lines indented."""
        return textwrap.wrap(text, max(self.width, 30), subsequent_indent=indent, break_on_hyphens=False)


def printable(text: str) -> str:
    """The text without the characters that a terminal obeys instead of showing them."""
    return "".join(filter(str.isprintable, text))


def full(run: Run, wrong: Sequence[Finding], screen: Screen) -> list[str]:
    """Everything about one run."""
    lines = [*screen.wrap(run.headline), "", *_curve_lines(run, screen), *screen.wrap(gate_text(run))]
    lines += _phase_lines(run, screen) if run.phases else screen.wrap(run.no_phases)
    lines.append("")
    for finding in wrong:
        lines += [screen.paint(line, "red") for line in screen.wrap(f"! {finding.sentence}")]
        lines += screen.wrap(f"  {finding.evidence}")
    if not wrong:
        lines.append(screen.paint("Nothing that is checked for looks wrong.", "green"))
    return screen.spell(lines)


def one_line(run: Run, wrong: Sequence[Finding], screen: Screen) -> str:
    """A run among others: where it stands now."""
    told = [f"step {max(run.log.rows, default=0)}"]
    told += [
        f"{name} {short(run.curves[name].value[-1])}"
        for name in ("accuracy", "entropy", "Phi", "reward")
        if name in run.curves
    ]
    told += [f"gate {run.gate.fired_step}"] if run.gate and run.gate.fired else []
    told += [run.status] if run.status else []
    judged = screen.paint(f"! {', '.join(finding.name for finding in wrong)}", "red") if wrong else ""
    return "  ".join([f"{run.log.name:<20}", f"{run.kind:<10}", *told, judged]).rstrip()


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


def _curve_lines(run: Run, screen: Screen) -> list[str]:
    """Name, first and last value, sparkline, key; the keys in a list of their own where the terminal is narrow."""
    keys = [curve.key for curve in run.curves.values()]
    beside = screen.width - LEFT - max(map(len, keys), default=0) - 4
    room = beside if beside >= LEAST else screen.width - LEFT - 2
    lines = []
    for name, curve in run.curves.items():
        ends = f"{name:<20} {short(curve.value[0]):>8} → {short(curve.value[-1]):<8}"
        drawn = sparkline(curve, room if room >= LEAST else screen.width - 2, *_range(name, curve))
        key = screen.paint(curve.key, "faint") if beside >= LEAST else ""
        lines += [f"{ends}  {drawn:<{room}}  {key}".rstrip()] if room >= LEAST else [ends.rstrip(), f"  {drawn}"]
    if keys and beside < LEAST:
        lines += screen.wrap("read from: " + ", ".join(keys))
    return [*lines, ""]


def _range(name: str, curve: Curve) -> tuple[float, float]:
    """Shares from 0 to 1, entropy and counts from 0, the others over the values that they take."""
    if name in SHARES:
        return 0.0, 1.0
    low = 0.0 if name in ("entropy", "distinct outputs") else float(curve.value.min())
    return low, float(curve.value.max())


def _phase_lines(run: Run, screen: Screen) -> list[str]:
    lines = ["phases" if run.status else "phases so far"]
    for phase in run.phases:
        steps = f"{phase.first_step} to {phase.last_step}"
        accuracy = f"accuracy {phase.accuracy_first:.2f} → {phase.accuracy_last:.2f}"
        entropy = f"entropy {phase.entropy_first:.2f} → {phase.entropy_last:.2f}"
        lines.append(f"  {phase.name:<16} {steps:<16} {accuracy}  {entropy}")
    return [part for line in lines for part in (screen.wrap(line, "    ") if len(line) > screen.width else [line])]
