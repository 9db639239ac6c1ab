"""Every reward and every part of CARL along GRPO, in every arm: paid for, or only observed."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coherence.figures import style
from coherence.figures.curves import bold_curve, draw_arms
from coherence.figures.read import Run, over_steps, unusual
from coherence.figures.words import mix, seeds
from coherence.tasks.rewards import TASK_REWARDS

CARL = "carl"
PARTS = {"multiscale": "multiscale coherence", "cloud_quality": "cloud quality", "discontinuity": "discontinuity"}
COLUMNS = 3
GAP = 0.11
"""Between the names at the right ends, as a share of the axis."""


def shown_rewards(task: str, arms: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The parts of CARL, CARL, and the task's rewards that some arm pays for, in the task's own order."""
    paid = [name for name in TASK_REWARDS[task] if any(name in rewards for rewards in arms.values())]
    return [*PARTS, CARL, *paid]


def components(runs: Sequence[Run], task: str, arms: Mapping[str, Mapping[str, float]]) -> pd.DataFrame:
    """One row per run, step and reward: its mean over the step's completions, and whether the arm pays for it.

    A part of CARL is paid for where CARL is. ValueError without a run.
    """
    names = shown_rewards(task, arms)
    metrics = {f"coherence/{name}" if name in (*PARTS, CARL) else f"task/{name}": name for name in names}
    table = over_steps(runs, metrics).melt(["arm", "seed", "status", "step"], names, "reward").dropna(subset=["value"])
    paying = {
        (arm, name) for arm, rewards in arms.items() for name in names if (CARL if name in PARTS else name) in rewards
    }
    table["paid"] = [cell in paying for cell in zip(table["arm"], table["reward"], strict=True)]
    return table.reset_index(drop=True)


# ------------------------------------------------------------------------------- drawing


@style.paper_style()
def draw(data: pd.DataFrame, smooth: int) -> Figure:
    """A panel per reward, three to a row."""
    names = list(data["reward"].unique())
    rows = math.ceil(len(names) / COLUMNS)
    figure = style.new_figure(style.DOUBLE, 0.25 + 1.55 * rows)
    axes = figure.subplots(rows, COLUMNS, sharex=True, squeeze=False).flat
    for ax, name, letter in zip(axes, names, "abcdefghijkl", strict=False):
        draw_reward(ax, data[data["reward"] == name], smooth)
        style.title(ax, letter, reward_name(name))
        ax.tick_params(labelbottom=True)
    for ax in axes[len(names) :]:
        ax.remove()
    figure.supxlabel("GRPO step (filled mark: the arm pays for it; open mark: only observed)", fontsize=8)
    figure.supylabel("mean over a step's completions", fontsize=8)
    return figure


def reward_name(name: str) -> str:
    """How a reward is called in print."""
    return PARTS.get(name, "CARL composite" if name == CARL else f"task reward: {name}")


def draw_reward(ax: Axes, data: pd.DataFrame, smooth: int) -> Axes:
    """One reward in every arm, named at the right: filled marks where the arm pays for it, else open ones."""
    bold = draw_arms(ax, data, "step", "value", smooth)
    last = float(data["step"].max())
    low, high = ax.get_ylim()
    heights = style.spread([float(curve.iloc[-1]) for curve in bold.values()], GAP * (high - low), (low, high))
    for (arm, (colour, marker)), height in zip(style.arm_looks(bold).items(), heights, strict=True):
        face = colour if data.loc[data["arm"] == arm, "paid"].any() else "white"
        ax.plot(last * 1.05, height, marker, color=colour, markerfacecolor=face, markersize=3.5, clip_on=False)
        style.beside(ax, style.arm_name(arm), (last * 1.06, height), "right", colour)
    ax.set_ylim(low, high)
    return ax


# ------------------------------------------------------------------------------- words


def caption(data: pd.DataFrame, runs: Sequence[Run], settings: Mapping[str, Any]) -> str:
    """What the figure shows, in numbers from the data."""
    smooth, weights = settings["figure"]["smooth"], settings["grpo"]["carl_weights"]
    arms = {arm: settings["arms"][arm] for arm in style.arm_order(settings["arms"])}
    changes = "; ".join(f"{reward_name(name)} {_changes(data, name, smooth)}" for name in data["reward"].unique())
    return f"""\
**What is paid for rises; what else does?** Mean of each reward over the completions of each GRPO step, in every arm,
whether the arm pays for it (filled mark before its name) or it is only observed (open mark).
Thin: {seeds(data["seed"].nunique())}; bold: median over seeds, running median of {smooth} steps. CARL is
{mix(weights)}. The arms pay: {"; ".join(f"{arm} {mix(rewards)}" for arm, rewards in arms.items())}.
First to last of the bold lines: {changes}. {unusual(runs)}"""


def _changes(data: pd.DataFrame, name: str, smooth: int) -> str:
    rows = data[data["reward"] == name]
    return ", ".join(_change(rows[rows["arm"] == arm], arm, smooth) for arm in style.arm_order(rows["arm"]))


def _change(rows: pd.DataFrame, arm: str, smooth: int) -> str:
    bold = bold_curve(rows, "step", "value", smooth)
    return f"{bold.iloc[0]:.2f} to {bold.iloc[-1]:.2f} ({style.arm_name(arm)})"
