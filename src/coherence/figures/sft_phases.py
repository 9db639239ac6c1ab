"""The phase diagram of supervised fine-tuning: accuracy and entropy share per token class, with the phases found."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coherence.core.phases import Phase, find_phases
from coherence.figures import style
from coherence.figures.curves import draw_seeds, median_curve
from coherence.figures.read import Run, logged, unusual
from coherence.figures.words import seeds, span

CLASSES = ("all", "format", "content")
COLOURS = {"all": "#8a8a8a", "format": "#e69f00", "content": "#7b3294"}
BANDS = {
    "baseline": "#f2f2f2",
    "melting": "#fbe3d6",
    "transition": "#ffffff",
    "crystallization": "#dfeaf4",
    "converged": "#c9dcec",
}
"""Tint of each phase, in the order in which phases follow each other."""
PANEL, LETTER = 6.0, 0.046
"""Width of a panel, and of a letter of a phase's name (in)."""
TICK_ROOM = 0.022
"""Between ticks, as a share of the axis."""
ROOM = 0.17
"""Share of the axis that a label takes."""


class Band(NamedTuple):
    """A phase between two steps, ends included: medians over the runs that went through it."""

    phase: str
    first: float
    last: float


# ------------------------------------------------------------------------------- data


def phases_of(run: Run, token_class: str) -> list[Phase]:
    """The phases of one run: accuracy of the gate's token class, entropy and loss of all completion tokens."""
    log_vocab, gate = math.log(run.outcome["vocab_size"]), run.outcome["gate_step"]
    step, accuracy, entropy, loss = (run.metrics[k] for k in ("step", f"{token_class}/accuracy", "all/entropy", "loss"))
    return find_phases(step, accuracy, entropy, log_vocab, gate, loss)


def curves(runs: Sequence[Run], token_class: str) -> pd.DataFrame:
    """One row per run, step and token class: accuracy, entropy share H/ln V, the phase that the step lies in.

    ValueError without a step.
    """
    own = [(run, name) for run in logged(runs) for name in CLASSES if f"{name}/accuracy" in run.metrics]
    return pd.concat([_curve(run, name, token_class) for run, name in own], ignore_index=True)


def _curve(run: Run, name: str, token_class: str) -> pd.DataFrame:
    metrics, phases = run.metrics, phases_of(run, token_class)
    starts = np.array([phase.first_step for phase in phases])
    index = np.searchsorted(starts, metrics["step"], side="right") - 1
    return pd.DataFrame(
        {
            "seed": run.seed,
            "status": run.status,
            "gate_step": pd.array([run.outcome["gate_step"]] * len(metrics), dtype="Int64"),
            "step": metrics["step"],
            "phase": [phases[i].name for i in index],
            "token_class": name,
            "accuracy": metrics[f"{name}/accuracy"].astype(float),
            "entropy_share": metrics[f"{name}/entropy_share"].astype(float),
        }
    )


def bands(data: pd.DataFrame) -> list[Band]:
    """The phases in order, each from the median of its first steps over runs to where the next one begins."""
    steps = data.groupby(["phase", "seed"])["step"]
    first = steps.min().groupby("phase").median()
    names = [name for name in BANDS if name in first.index]
    starts = np.maximum.accumulate(first[names].to_numpy())
    end = steps.max().groupby("phase").median()[names[-1]]
    ends = [*(starts[1:] - 1), max(end, starts[-1])]
    return [Band(name, float(a), float(b)) for name, a, b in zip(names, starts, ends, strict=True) if a <= b]


# ------------------------------------------------------------------------------- drawing


@style.paper_style()
def draw(data: pd.DataFrame, smooth: int, gate: Mapping[str, Any]) -> Figure:
    """Accuracy above, entropy share below, on one step axis with square-root spacing (the melt is short)."""
    figure = style.new_figure(style.DOUBLE, 3.5)
    top, bottom = figure.subplots(2, 1, sharex=True)
    for ax in (top, bottom):
        draw_bands(ax, bands(data))
        step_axis(ax, int(data["step"].max()))
    draw_accuracy(top, data, smooth)
    draw_gates(top, data, gate["threshold"])
    draw_entropy(bottom, data, smooth)
    name_bands(top, bands(data))
    bottom.set_xlabel("SFT step (square-root spacing)")
    return figure


def step_axis(ax: Axes, last: int) -> None:
    """Steps 1 to `last`, spaced by their square root, with ticks at 1, 2, 5, 10, ... that have room, and at `last`."""
    ax.set_xscale("function", functions=(lambda x: np.sqrt(np.maximum(x, 0)), np.square))
    room, ticks = TICK_ROOM * np.sqrt(last), [1]
    for tick in (digit * 10**power for power in range(7) for digit in (1, 2, 5)):
        if np.sqrt(tick) - np.sqrt(ticks[-1]) >= room and tick * 1.2 <= last:
            ticks.append(tick)
    ax.set_xticks([*ticks, last])
    ax.set_xlim(0.5, last + 1.5)


def draw_bands(ax: Axes, found: Sequence[Band]) -> Axes:
    """The phases as light bands, a thin rule where one gives way to the next."""
    for band in found:
        ax.axvspan(band.first - 0.5, band.last + 0.5, color=BANDS[band.phase], linewidth=0, zorder=0)
    for band in found[1:]:
        ax.axvline(band.first - 0.5, color=style.RULE, linewidth=0.6, zorder=0.5)
    return ax


def name_bands(ax: Axes, found: Sequence[Band], panel: float = PANEL) -> Axes:
    """The phases' names above their bands, moved apart where a band is narrower than its name; `panel` inches wide."""
    low, high = ax.get_xlim()
    left, right = np.sqrt([low, high])
    edges = np.sqrt([(max(band.first - 0.5, low), min(band.last + 0.5, high)) for band in found])
    middles = (edges.mean(axis=1) - left) / (right - left)
    widths = [(len(band.phase) + 2.5) * LETTER / panel for band in found]
    gaps = [0.0, *((before + width) / 2 for before, width in pairwise(widths))]
    for band, x in zip(found, style.spread(middles.tolist(), gaps), strict=True):
        ax.text(x, 1.03, band.phase, transform=ax.transAxes, ha="center", fontsize=7, color=style.MUTED)
    return ax


def draw_accuracy(ax: Axes, data: pd.DataFrame, smooth: int) -> Axes:
    """Top-1 accuracy of format and of content tokens; names stand where the first run reaches one half.

    Format rises first and has its name before the rise, content under its own; a run that begins above one half has
    its name under the top.
    """
    for name in _classes(data, "format", "content"):
        _lines(ax, data, name, "accuracy", smooth)
        rows = data[data["token_class"] == name]
        high = rows.loc[rows["accuracy"] >= 0.5, "step"]
        x = float(high.min() if len(high) else rows["step"].max())
        y = 0.5 if x > rows["step"].min() else 0.9
        if name == "content" and y == 0.5 and _share_right(ax, x) > ROOM:
            text = style.beside(ax, f"{name} tokens", (x, 0.12), "right", COLOURS[name])
        else:
            text = style.beside(ax, f"{name} tokens", (x, y), _roomy_side(ax, x), COLOURS[name])
        style.halo(text)
    ax.set_ylim(-0.03, 1.09)
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1])
    ax.set_ylabel("token accuracy")
    return ax


def draw_gates(ax: Axes, data: pd.DataFrame, threshold: float) -> Axes:
    """A triangle where the gate fired in each run, over the level that it asks for."""
    ax.axhline(threshold, color=style.INK, linewidth=0.5, linestyle=(0, (1, 2)), zorder=1)
    gates = data.drop_duplicates("seed")["gate_step"].dropna().astype(float)
    ax.plot(gates, [1.055] * len(gates), linestyle="none", marker="v", markersize=3.5, color=style.INK, clip_on=False)
    if len(gates):
        side = _roomy_side(ax, gates.min())
        style.beside(ax, "gate", (gates.min() if side == "left" else gates.max(), 1.055), side, style.INK)
    return ax


def draw_entropy(ax: Axes, data: pd.DataFrame, smooth: int) -> Axes:
    """Entropy as a share of its maximum ln V, named at the right ends."""
    ends = {}
    for name in _classes(data, *CLASSES):
        _lines(ax, data, name, "entropy_share", smooth)
        ends[name] = (float(ax.get_xlim()[1]), float(class_curve(data, name, "entropy_share", smooth).iloc[-1]))
    ax.set_ylim(-0.03, 1.03)
    style.label_ends(ax, ends, COLOURS, gap=0.11)
    ax.set_yticks([0, 0.25, 0.5, 0.75, 1])
    ax.set_ylabel(r"entropy share $H/\ln V$")
    return ax


def _roomy_side(ax: Axes, step: float) -> Literal["left", "right"]:
    """The side of a step on which a label has room within the axes."""
    return "left" if _share_right(ax, step) < 1 - ROOM else "right"


def _share_right(ax: Axes, step: float) -> float:
    """Share of the axis that lies to the right of a step."""
    low, at, high = np.sqrt([ax.get_xlim()[0], step, ax.get_xlim()[1]])
    return float((high - at) / (high - low))


def _classes(data: pd.DataFrame, *names: str) -> list[str]:
    """Those of the token classes that the completions have tokens of."""
    return [name for name in names if (data["token_class"] == name).any()]


def _lines(ax: Axes, data: pd.DataFrame, name: str, quantity: str, smooth: int) -> None:
    draw_seeds(ax, data[data["token_class"] == name], "step", quantity, COLOURS[name])
    bold = class_curve(data, name, quantity, smooth)
    ax.plot(bold.index, bold, color=COLOURS[name])


def class_curve(data: pd.DataFrame, name: str, quantity: str, smooth: int) -> "pd.Series[float]":
    """The bold line of one token class."""
    return median_curve(data[data["token_class"] == name], "step", quantity, smooth)


# ------------------------------------------------------------------------------- words


def caption(data: pd.DataFrame, runs: Sequence[Run], smooth: int, gate: Mapping[str, Any]) -> str:
    """What the figure shows, in numbers from the data."""
    rows = data[data["token_class"] == "all"]
    first, peak = (rows.groupby("seed")["entropy_share"].agg(how) for how in ("first", "max"))
    at = rows.loc[rows.groupby("seed")["entropy_share"].idxmax(), "step"]
    melts = data.loc[data["phase"] == "melting", "seed"].nunique()
    half = " and ".join(_crossing(data, name, smooth) for name in _classes(data, "format", "content"))
    spans = "; ".join(f"{band.phase} {_span(band)}" for band in bands(data))
    return f"""\
**The phases of supervised fine-tuning.** Token accuracy (top) and entropy as a share of its maximum ln V (bottom),
per token class. Thin lines: {seeds(data["seed"].nunique())}; bold: median over seeds (while at least half of them
run), then running median of {smooth} steps. Over all completion tokens the entropy share goes from {span(first)} at
step 1 to {span(peak)} at its peak, step {span(at, 0)}: {melts} of {len(peak)} runs melt. The bold accuracies reach
one half: {half}. Bands: the phases found in each run by the rule in core/phases.py (accuracy of
{gate["token_class"]} tokens, entropy of all tokens), bounded by medians over seeds: steps {spans}.
{_gates(data, gate)} {unusual(runs)}"""


def _span(band: Band) -> str:
    return f"{band.first:g}" if band.first == band.last else f"{band.first:g} to {band.last:g}"


def _crossing(data: pd.DataFrame, name: str, smooth: int) -> str:
    bold = class_curve(data, name, "accuracy", smooth)
    return f"{name} at step {bold.index[bold >= 0.5][0]}" if (bold >= 0.5).any() else f"{name} never"


def _gates(data: pd.DataFrame, gate: Mapping[str, Any]) -> str:
    runs = data.drop_duplicates("seed")
    looks = "steps" if gate["split"] == "sft" else "looks at the validation split"
    rule = f"{gate['count']} of the last {gate['window']} {looks} at {gate['threshold']:g} or more"
    steps = ", ".join(str(step) for step in runs["gate_step"].dropna())
    never = int(runs["gate_step"].isna().sum())
    fired = f"Triangles: the gate ({rule}; dotted line) fired at step {steps}." if steps else f"The gate: {rule}."
    return fired + (f" In {never} of {len(runs)} runs it never fired." if never else "")
