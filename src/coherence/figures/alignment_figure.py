"""Draw what the reference file's scoring says beside the aligned one."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coherence.figures import style
from coherence.figures.alignment import ALIGNED, COMPAT, PUBLISHED_COLLAPSED
from coherence.figures.strips import OFFSET, draw_pairs, name_rows, unit_axis

OFFSETS = {ALIGNED: -OFFSET, COMPAT: OFFSET}
SPREAD, GOLDEN = 0.3, 0.618
"""Height of a strip of dots; a step that fills it evenly, the same in every build."""


@style.paper_style()
def draw(data: pd.DataFrame) -> Figure:
    """Both scores of each completion, how well each tells right from wrong, and both scores of known cases."""
    figure = style.new_figure(style.DOUBLE, 2.5)
    left, middle, right = figure.subplots(1, 3, width_ratios=[1.25, 1, 1.1])
    draw_completions(left, data[data["panel"] == "completion"])
    style.title(left, "a", "the same completions")
    draw_separation(middle, data[data["panel"] == "separation"])
    middle.set_yticklabels([])
    style.title(middle, "b", "right from wrong")
    draw_cases(right, data[data["panel"] == "case"])
    style.title(right, "c", "known cases")
    return figure


def draw_completions(ax: Axes, data: pd.DataFrame) -> Axes:
    """Every greedy completion as a dot at its aligned (above) and its reference-file score (below); means as marks."""
    looks = style.arm_looks(data["arm"])
    for y, (arm, (colour, marker)) in enumerate(looks.items()):
        rows = data[data["arm"] == arm]
        for name, offset in OFFSETS.items():
            heights = y + offset + SPREAD * (np.arange(len(rows)) * GOLDEN % 1 - 0.5)
            ax.scatter(rows[name], heights, s=2, color=colour, alpha=0.25, linewidth=0, rasterized=True)
            face = colour if name == ALIGNED else "white"
            ax.plot(rows[name].mean(), y + offset, marker=marker, color=style.INK, markerfacecolor=face, markersize=4.5)
    name_rows(ax, [style.arm_name(arm) for arm in looks])
    values = [*data[ALIGNED], *data[COMPAT], PUBLISHED_COLLAPSED]
    ax.set_xlim(np.floor(min(values) * 10) / 10, np.ceil(max(values) * 10) / 10)
    ax.axvline(PUBLISHED_COLLAPSED, color=style.MUTED, linewidth=0.8, linestyle=style.DASHES, zorder=0)
    at, how = (PUBLISHED_COLLAPSED, ax.get_ylim()[0]), {"rotation": 90, "ha": "right", "va": "bottom"}
    style.note(ax, "published, collapsed", at, (-2, 4), style.MUTED, **how)
    ax.set_xlabel("CARL")
    _name_scores(ax, data[data["arm"] == next(iter(looks))])
    return ax


def _name_scores(ax: Axes, first: pd.DataFrame) -> None:
    """The two scores by name beside the first arm's dots, on the side that has room."""
    aligned_is_right = first[ALIGNED].mean() >= first[COMPAT].mean()
    for name, text, inner in ((ALIGNED, "aligned", "left"), (COMPAT, "reference file", "right")):
        left = (inner == "left") == aligned_is_right
        end = first[name].min() if left else first[name].max()
        style.beside(ax, text, (end, OFFSETS[name]), "left" if left else "right", style.INK)


def draw_separation(ax: Axes, data: pd.DataFrame) -> Axes:
    """A line per arm: aligned filled, the reference file's open, bars for the interval, small dots for seeds."""
    ax.axvline(0.5, color=style.RULE, linewidth=0.8, zorder=0)
    draw_pairs(ax, data, data["arm"], "convention", ALIGNED, COMPAT)
    unit_axis(ax, "AUROC of CARL")
    return ax


def draw_cases(ax: Axes, data: pd.DataFrame) -> Axes:
    """A line per case: aligned a dot, the reference file's a ring, a cross for a published number."""
    for y, (_, row) in enumerate(data.iterrows()):
        ax.plot([row[COMPAT], row[ALIGNED]], [y, y], color=style.RULE, linewidth=0.8, zorder=1)
        ax.plot(row[COMPAT], y, "o", color=style.INK, markerfacecolor="white", markersize=6, clip_on=False, zorder=2)
        ax.plot(row[ALIGNED], y, "o", color=style.INK, markersize=3, clip_on=False, zorder=3)
        if np.isfinite(row["published"]):
            ax.plot(row["published"], y, "x", color=style.INK, markersize=4, zorder=3)
            style.beside(ax, "published", (row["published"], y), "left", style.MUTED)
    name_rows(ax, [str(name) for name in data["case"]])
    unit_axis(ax, "CARL")
    first = data.iloc[0]
    style.beside(ax, "reference file", (first[COMPAT], 0), "left", style.INK)
    style.note(ax, "aligned", (first[ALIGNED], 0), (0, 4), style.INK, ha="center")
    return ax
