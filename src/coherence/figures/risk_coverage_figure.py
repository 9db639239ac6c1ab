"""Draw whether Phi knows when the answer is right, beside the mean log-probability."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coherence.figures import style
from coherence.figures.risk_coverage import GATE, ORDERS, REFERENCE, SCORES
from coherence.figures.strips import OFFSET, draw_pairs, unit_axis

LOOKS = {
    GATE: (style.ARMS["carl"][0], "-"),
    REFERENCE: (style.ARMS["task"][0], "-"),
    "random": (style.MUTED, style.DASHES),
    "perfect": (style.MUTED, ":"),
}
"""The curves that are drawn; the others stand in the table."""


@style.paper_style()
def draw(data: pd.DataFrame, target: float) -> Figure:
    """AUROC of Phi and of mean ln P per arm, risk against coverage of the start, and promises kept."""
    figure = style.new_figure(style.DOUBLE, 2.4)
    left, middle, right = figure.subplots(1, 3, width_ratios=[1, 1.25, 1])
    own = data[data["score"].isin((GATE, REFERENCE))]
    ax = draw_pairs(left, own[own["quantity"] == "auroc"], data["arm"], "score", GATE, REFERENCE)
    ax.axvline(0.5, color=style.RULE, linewidth=0.8, zorder=0)
    unit_axis(ax, "AUROC for a right answer")
    name_scores(ax, own[own["quantity"] == "auroc"])
    style.title(ax, "a", "right from wrong")
    first = style.arm_order(data["arm"])[0]
    draw_curves(middle, data[(data["quantity"] == "curve") & (data["arm"] == first)])
    style.title(middle, "b", f"abstention, {style.arm_name(first)}")
    kept = own[own["quantity"] == "promise_kept"]
    draw_pairs(right, kept, data["arm"], "score", GATE, REFERENCE)
    right.set_yticklabels([])
    unit_axis(right, "share of promises kept")
    style.title(right, "c", rf"promised risk $\leq$ {target:g}")
    return figure


def name_scores(ax: Axes, rows: pd.DataFrame) -> Axes:
    """Both scores by name beside the marks of the first arm that has any, in place of a legend."""
    for y, arm in enumerate(style.arm_order(rows["arm"])):
        whole = rows[(rows["arm"] == arm) & rows["seed"].isna()].set_index("score")
        if whole["estimate"].notna().all():
            for score, offset in ((GATE, -OFFSET), (REFERENCE, OFFSET)):
                ends = whole.loc[score, ["low", "estimate"]].dropna()
                style.beside(ax, SCORES[score], (min(ends), y + offset), "left", style.MUTED)
            break
    return ax


def draw_curves(ax: Axes, rows: pd.DataFrame) -> Axes:
    """Risk among what is answered against the share answered, most confident first."""
    for score, (colour, line) in LOOKS.items():
        curve, name = rows[rows["score"] == score], {**SCORES, **ORDERS}[score]
        ax.plot(curve["coverage"], curve["estimate"], color=colour, linestyle=line, linewidth=1.1, label=name)
    ax.legend(loc="upper left", ncols=2)
    unit_axis(ax, "coverage")
    ax.set_ylim(-0.03, 1.03)
    ax.set_ylabel("risk")
    return ax
