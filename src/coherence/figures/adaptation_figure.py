"""Draw what adaptation changes, and what an agent earns with and without it."""

from collections.abc import Iterable

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coherence.config.adapt import NONE, STILL
from coherence.figures import style
from coherence.figures.adaptation import CALIBRATED, NEW, SIGMA, STREAM
from coherence.figures.curves import draw_seeds
from coherence.figures.strips import draw_pairs

NAMES = {
    NONE: "no adaptation",
    "slot": "SLOT",
    "slot_random": "SLOT, random vector",
    "slot_leaking": "SLOT, label seen",
    "slot_leaking_next": "SLOT, label seen, next",
    STILL: "LoRA, rate 0",
    "micro": "LoRA, own answers",
    "micro_label": "LoRA, true answers",
}


@style.paper_style()
def draw(data: pd.DataFrame) -> Figure:
    """Differences of accuracy and of the true answer's NLL to the controls, the stream, and the agent's reward."""
    named = data.assign(arm=data["method"].map(NAMES))
    figure = style.new_figure(style.DOUBLE, 5.0)
    (first, second), (third, fourth) = figure.subplots(2, 2)
    draw_apart(first, named, {"strict_difference": "all prompts", NEW: "new units"}, "strict accuracy minus control")
    style.title(first, "a", "right answers")
    draw_apart(
        second,
        named,
        {"nll_answering_difference": "answering", "nll_after_difference": "after"},
        "NLL minus control (nats per token)",
    )
    second.set_yticklabels([])
    style.title(second, "b", "the true answer")
    draw_agent(third, named)
    style.title(third, "c", "an agent that may abstain")
    draw_stream(fourth, named[named["quantity"] == STREAM])
    style.title(fourth, "d", "answers so far")
    return figure


def draw_apart(ax: Axes, data: pd.DataFrame, marks: dict[str, str], label: str) -> Axes:
    """Paired differences to the control of each method: two quantities, the first filled, the second open below it."""
    ax.axvline(0, color=style.RULE, linewidth=0.8, zorder=0)
    draw_pairs(ax, data, NAMES.values(), "quantity", *marks)
    ax.xaxis.set_major_formatter("{x:g}")
    for control in (NONE, STILL):
        style.beside(ax, "control", (0, line_of(control)), "right", style.MUTED)
    name_marks(ax, STILL, marks.values())
    ax.set_xlabel(label)
    return ax


def name_marks(ax: Axes, method: str, names: Iterable[str]) -> Axes:
    """What the filled and the open marks are, in the line of a method that has none."""
    row, edge = line_of(method), ax.get_xlim()[0]
    for kind, name, offset in zip(("filled", "open"), names, (-0.23, 0.23), strict=True):
        style.beside(ax, f"{kind}: {name}", (edge, row + offset), "right", style.MUTED)
    return ax


def line_of(method: str) -> int:
    """Where draw_pairs puts a method."""
    return style.arm_order(NAMES.values()).index(NAMES[method])


def draw_stream(ax: Axes, rows: pd.DataFrame) -> Axes:
    """Accuracy of the answers so far of the methods that carry what they learned; bold the mean over seeds."""
    bold = {}
    for method in ("micro", "micro_label", STILL):
        name = NAMES[method]
        own, colour = rows[rows["arm"] == name], style.arm_looks(NAMES.values())[name][0]
        draw_seeds(ax, own, "position", "estimate", colour)
        bold[name] = own.groupby("position")["estimate"].mean()
        ax.plot(bold[name].index, bold[name], color=colour)
    last = float(rows["position"].max())
    ax.set_xlim(0, 1.4 * last)
    ax.set_xticks([0, last // 2, last])
    ax.set_ylim(-0.03, 1.03)
    colours = {arm: style.arm_looks(NAMES.values())[arm][0] for arm in bold}
    ends = {arm: (last, float(curve.iloc[-1])) for arm, curve in bold.items()}
    style.label_ends(ax, ends, colours, 0.08)
    ax.set_xlabel("prompts answered")
    ax.set_ylabel("strict accuracy so far")
    return ax


def draw_agent(ax: Axes, data: pd.DataFrame) -> Axes:
    """Reward per prompt behind the published gate (filled) and behind a calibrated one (open)."""
    reward = data[data["quantity"] == "reward"]
    ax.axvline(0, color=style.RULE, linewidth=0.8, zorder=0)
    draw_pairs(ax, reward, NAMES.values(), "gate", SIGMA, CALIBRATED)
    ax.xaxis.set_major_formatter("{x:g}")
    for method in ("slot_leaking", "slot_leaking_next"):
        style.beside(ax, "knows an answer", (0, line_of(method)), "right", style.MUTED)
    name_marks(ax, "slot_random", ("published gate", "calibrated gate"))
    ax.set_xlabel("reward per prompt")
    return ax
