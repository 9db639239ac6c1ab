"""Draw how far each claim's number lies from its threshold."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coherence.core.verdicts import INCONCLUSIVE, REFUTED, SUPPORTED
from coherence.figures import style
from coherence.figures.strips import name_rows

COLOURS = {SUPPORTED: "#009e73", REFUTED: "#d55e00", INCONCLUSIVE: style.MUTED}
FARTHEST = 6.0
"""Margins beyond are drawn here, as arrows."""


@style.paper_style()
def draw(data: pd.DataFrame) -> Figure:
    """One line per claim that a number decides: its margin, positive where it speaks for the claim."""
    rows = data[data["margin"].notna()]
    figure = style.new_figure(style.SINGLE, 0.7 + 0.17 * max(1, len(rows)))
    ax = figure.subplots()
    draw_margins(ax, rows)
    return figure


def draw_margins(ax: Axes, rows: pd.DataFrame) -> Axes:
    """Bars are the intervals in the same unit: on the threshold's side they reach one; arrows lie farther out."""
    ax.axvline(0, color=style.RULE, linewidth=0.8, zorder=0)
    for y, row in enumerate(rows.to_dict("records")):
        colour, x = COLOURS[row["verdict"]], float(np.clip(row["margin"], -FARTHEST, FARTHEST))
        if abs(row["margin"]) > FARTHEST:
            ax.plot(x, y, ">" if x > 0 else "<", color=colour, markersize=4, clip_on=False)
            continue
        ends = np.clip([row["margin_low"], row["margin_high"]], -FARTHEST - 0.5, FARTHEST + 0.5)
        ax.plot(ends, [y, y], color=colour, linewidth=1.1, solid_capstyle="butt", clip_on=False)
        ax.plot(x, y, "o", color=colour, markersize=3.5)
    ax.set_xticks(range(-int(FARTHEST), int(FARTHEST) + 1, 2))
    ax.set_xlim(-FARTHEST - 0.5, FARTHEST + 0.5)
    name_rows(ax, [str(name) for name in rows["claim"]])
    ax.set_xlabel("distance / half interval (right: for the claim)")
    return ax
