"""Draw when the alarm sounds in each run, and how often gates fire at noise."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coherence.figures import style
from coherence.figures.gates import GATES
from coherence.figures.read import DEGENERATE
from coherence.figures.strips import name_rows

LOST, HEALTHY = "#d55e00", "#0072b2"


@style.paper_style()
def draw(data: pd.DataFrame) -> Figure:
    """Every run as a mark at the step of its alarm, and the share of noise series in which a gate fires."""
    replays = data[data["part"] == "replay"]
    arms = list(dict.fromkeys(replays["name"]))
    figure = style.new_figure(style.DOUBLE, max(2.2, 0.8 + 0.17 * len(arms)))
    left, right = figure.subplots(1, 2, width_ratios=[1.5, 1])
    draw_replays(left, replays, arms)
    draw_noise(right, data[data["part"] == "noise"])
    style.title(left, "a", "the alarm, replayed on every run")
    style.title(right, "b", "gates fired by noise")
    return figure


def draw_replays(ax: Axes, replays: pd.DataFrame, arms: list[str]) -> Axes:
    """Marks at alarm steps, crosses where the alarm stopped the run; runs without an alarm stand at the right edge,
    hollow. Colour: whether the run ended worse than it began."""
    edge = float(replays["steps"].max()) * 1.06
    for y, arm in enumerate(arms):
        own = replays[replays["name"] == arm].sort_values("seed")
        for offset, row in zip(_offsets(len(own)), own.to_dict("records"), strict=True):
            colour = LOST if row["lost"] else HEALTHY
            silent = pd.isna(row["step"])
            face = "white" if silent else colour
            x = edge if silent else row["step"]
            mark = "x" if row["status"].startswith(DEGENERATE) else "o"
            ax.plot(x, y + offset, mark, color=colour, markerfacecolor=face, markersize=3, clip_on=False)
    name_rows(ax, arms)
    ax.set_xlim(0, edge)
    ax.set_xlabel("GRPO step of the alarm (hollow: none; cross: it stopped the run)")
    for colour, text, below in ((LOST, "ended worse than it began", 5), (HEALTHY, "did not", -5)):
        style.note(ax, text, (0.3, 0.5), (0, below), colour, xycoords="axes fraction")
    return ax


def _offsets(count: int) -> list[float]:
    """Places of a few marks across one line."""
    return [0.6 * (i - (count - 1) / 2) / max(count, 1) for i in range(count)]


def draw_noise(ax: Axes, rows: pd.DataFrame) -> Axes:
    """Share of noise series that fire each gate, by their correlation from step to step."""
    for name, colour, marker, above in (("published", LOST, "^", -12), ("rise", HEALTHY, "o", -10)):
        own = rows[rows["name"] == name]
        ax.plot(own["correlation"], own["share"], marker=marker, color=colour, markersize=4)
        at = own.iloc[1]
        style.note(ax, GATES[name], (at["correlation"], at["share"]), (5, above), colour)
    ax.set_ylim(-0.03, 1.05)
    ax.set_xlabel("correlation of neighbouring steps")
    ax.set_ylabel("share of series that fire")
    return ax
