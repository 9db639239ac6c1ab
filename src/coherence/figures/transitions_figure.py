"""Draw transitions: the curves with their fits, and what their seeds say of step, width, sharpness, jump and gate."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coherence.config.claims import BY_WIDTH
from coherence.figures import style
from coherence.figures.strips import name_rows
from coherence.figures.transitions import MEASURED, PUBLISHED, Curve

ACROSS, FAR = 3, 4
"""Panels of curves side by side; by which factor beyond all estimates the ends of an interval are still drawn."""


def rows_of(data: pd.DataFrame, quantity: str, arm: str) -> pd.DataFrame:
    """The rows of one quantity and family, the family's own (without a seed) first."""
    rows = data[(data["quantity"] == quantity) & (data["arm"] == arm)]
    return rows.sort_values("seed", na_position="first", kind="stable")


def names_of(data: pd.DataFrame) -> list[str]:
    """The families, in the data's order."""
    return [str(name) for name in data["arm"].unique() if name not in (PUBLISHED, BY_WIDTH)]


def verdict_of(data: pd.DataFrame, name: str) -> str:
    """A family's verdict, without its reason."""
    return str(rows_of(data, "verdict", name)["said"].iloc[0]).split(" (")[0]


def colours(data: pd.DataFrame) -> dict[str, str]:
    """One colour per base."""
    base = data[data["arm"].isin(names_of(data))].drop_duplicates("arm").set_index("arm")["base"].fillna("")
    shades = [style.ARMS["task"], style.ARMS["carl"], style.ARMS["task+carl"], *style.MORE]
    of = {name: shades[i % len(shades)][0] for i, name in enumerate(sorted(base.unique()))}
    return {str(arm): of[name] for arm, name in base.items()}


@style.paper_style()
def draw(data: pd.DataFrame, curves: Sequence[Curve], options: Mapping[str, Any]) -> Figure:
    """A panel of curves per family above, a strip per quantity below."""
    names, looks = names_of(data), colours(data)
    lines = -(-len(names) // ACROSS)
    heights = (1.05 * lines + 0.2, 0.2 * len(names) + 0.75)
    figure = style.new_figure(style.DOUBLE, sum(heights))
    grid = figure.add_gridspec(2, 1, height_ratios=heights)
    above, below = figure.add_subfigure(grid[0]), figure.add_subfigure(grid[1])
    panels = above.subplots(lines, ACROSS, sharex=True, sharey=True, squeeze=False).ravel()
    for ax, name in zip(panels, names, strict=False):
        draw_curves(ax, name, [curve for curve in curves if curve.run.arm == name], data, looks[name])
    for ax in panels[len(names) :]:
        ax.set_axis_off()
    above.supxlabel("SFT step", fontsize=8)
    above.supylabel("token accuracy", fontsize=8)
    strips = below.subplots(1, 5, sharey=True)
    draw_scale(strips[0], data, "tau", r"half climb $\tau$ (step)", looks)
    draw_scale(strips[1], data, "width", "width (steps)", looks)
    draw_scale(strips[2], data, "rho", r"$\rho$ = width / $\tau$", looks)
    draw_sharp(strips[2], data, options["sharp"], len(names))
    draw_jumps(strips[3], data, looks)
    draw_delay(strips[4], data, looks)
    for ax in strips:
        name_rows(ax, [short(name) for name in names])
        ax.tick_params(labelleft=ax is strips[0])
    return figure


def short(name: str, most: int = 22) -> str:
    """A family's name as long as there is room for it."""
    return name if len(name) <= most else f"{name[: most - 3]}..."


def draw_curves(ax: Axes, name: str, own: Sequence[Curve], data: pd.DataFrame, colour: str) -> Axes:
    """Every seed's accuracy, its fit where it has a transition, and a tick at each half climb."""
    for curve in own:
        dashed = "-" if curve.run.status in MEASURED else style.DASHES
        ax.plot(curve.step, curve.accuracy, color=style.RULE, linewidth=0.5, linestyle=dashed)
    for curve in own:
        if curve.climb and not curve.why:
            ax.plot(curve.step, curve.climb.at(curve.step)[0], color=colour, linewidth=0.9)
            ax.plot(curve.climb.tau, [-0.04], marker="|", markersize=4, color=colour, clip_on=False)
    ax.set_ylim(-0.04, 1.04)
    ax.set_yticks([0, 0.5, 1], ["0", "0.5", "1"])
    ax.set_xlim(0, max(1.0, *(float(curve.step.max(initial=0)) for curve in own)))
    ax.set_title(short(name), color=colour, fontsize=7, pad=2)
    ax.set_title(verdict_of(data, name), fontsize=7, pad=2, loc="right")
    return ax


def draw_scale(ax: Axes, data: pd.DataFrame, quantity: str, label: str, looks: Mapping[str, str]) -> Axes:
    """Seeds as dots, the geometric mean and its interval as a bar, on a logarithmic axis."""
    ax.set_xscale("log")
    for y, name in enumerate(names_of(data)):
        _bar(ax, rows_of(data, quantity, name), y, looks[name])
    rows = data[(data["quantity"] == quantity) & data["arm"].isin(names_of(data)) & data["estimate"].notna()]
    if len(rows):
        least, most = rows["estimate"].min(), rows["estimate"].max()
        low = max(np.fmin(rows["low"].min(), least), least / FAR) / 1.3
        high = min(np.fmax(rows["high"].max(), most), most * FAR) * 1.3
        ax.set_xlim(low, high)
        ticks = [d * 10.0**p for p in range(-3, 5) for d in (1, 2, 5) if low <= d * 10.0**p <= high]
        ax.set_xticks(ticks if len(ticks) < 5 else ticks[::2], minor=False)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.minorticks_off()
    ax.set_xlabel(label)
    return ax


def _bar(ax: Axes, rows: pd.DataFrame, y: float, colour: str, face: str | None = None) -> None:
    """Nothing where no seed has the quantity."""
    seeds = rows.loc[rows["seed"].notna(), "estimate"]
    if not seeds.notna().any():
        return
    whole = rows[rows["seed"].isna()].iloc[0]
    ax.plot(seeds, [y + 0.22] * len(seeds), ".", color=colour, markersize=2)
    ends = np.clip([whole["low"], whole["high"]], 1e-9, None) if ax.get_xscale() == "log" else whole[["low", "high"]]
    ax.plot(ends, [y, y], color=colour, linewidth=1.1, solid_capstyle="butt")
    ax.plot(whole["estimate"], y, "o", color=colour, markerfacecolor=face or colour, markersize=3.5)


def draw_sharp(ax: Axes, data: pd.DataFrame, sharp: float, count: int) -> Axes:
    """The threshold of rho, and where the published table stands."""
    published = float(rows_of(data, "rho", PUBLISHED)["estimate"].iloc[0])
    low, high = ax.get_xlim()
    ax.set_xlim(min(low, published / 1.3), max(high, sharp * 1.3))
    ax.axvline(sharp, color=style.INK, linewidth=0.7, zorder=0)
    ax.axvline(published, color=style.MUTED, linewidth=0.7, linestyle=(0, (1, 1.5)), zorder=0)
    return ax


def draw_jumps(ax: Axes, data: pd.DataFrame, looks: Mapping[str, str]) -> Axes:
    """The largest jump (filled) and, under it, the largest drop (open), which is what noise alone shows."""
    for y, name in enumerate(names_of(data)):
        _bar(ax, rows_of(data, "jump", name), y - 0.12, looks[name])
        _bar(ax, rows_of(data, "drop", name), y + 0.2, looks[name], "white")
    ax.set_xlim(left=0)
    ax.set_xlabel("largest jump, drop")
    return ax


def draw_delay(ax: Axes, data: pd.DataFrame, looks: Mapping[str, str]) -> Axes:
    """The gate's step minus the step at which 90 % of the climb are done."""
    ax.axvline(0, color=style.RULE, linewidth=0.8, zorder=0)
    for y, name in enumerate(names_of(data)):
        _bar(ax, rows_of(data, "after_last", name), y, looks[name])
    ax.set_xlabel("gate after 90 %")
    return ax
