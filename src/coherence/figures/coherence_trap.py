"""The coherence trap: paid for coherence alone, a policy becomes certain of completions that are all alike.

Legend: one GRPO step samples groups of completions, a group per prompt.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coherence.core.statistics import bootstrap_mean
from coherence.figures.arms import Bootstrap, Scores, matrix
from coherence.figures.curves import draw_arms, draw_seeds, median_curve, settled
from coherence.figures.read import Run, over_steps, unusual
from coherence.figures.style import (
    DOUBLE,
    MUTED,
    RULE,
    START,
    arm_looks,
    arm_name,
    arm_order,
    label_ends,
    name_points,
    new_figure,
    paper_style,
    title,
)
from coherence.figures.words import mix, seeds
from coherence.streams import generator
from coherence.tasks.rewards import STRICT

HELDOUT = {"phi": "phi", "strict": "accuracy"}
"""Columns of the scores, and what they are called here."""
PARTS = 10
"""Of training, each a dot in the plane."""


# ------------------------------------------------------------------------------- data


def trap(runs: Sequence[Run], scores: pd.DataFrame, task: str, bootstrap: Bootstrap) -> pd.DataFrame:
    """Both splits in one tidy table: `training`, a row per run and step; `heldout`, a row per arm with intervals.

    Held-out rows are means over sampled completions, those of the start among them. ValueError without a run.
    """
    metrics = {
        "coherence/phi": "phi",
        f"task/{STRICT[task]}": "accuracy",
        "distinct_completions": "distinct",
        "strict_zero_variance_groups": "zero_variance",
    }
    training = over_steps(runs, metrics).dropna(subset=["phi", "accuracy"])
    heldout = pd.DataFrame([_heldout(scores, arm, bootstrap) for arm in arm_order(scores["arm"])])
    data = pd.concat([training.assign(split="training"), heldout.assign(split="heldout")], ignore_index=True)
    return data.astype({"seed": "Int64", "step": "Int64"})


def _heldout(scores: pd.DataFrame, arm: str, bootstrap: Bootstrap) -> dict[str, Any]:
    row: dict[str, Any] = {"arm": arm}
    for column, name in HELDOUT.items():
        values, units = matrix(scores, arm, "sampled", column)
        rng = generator(0, "figures", "coherence_trap", arm, column)
        whole = bootstrap_mean(values, rng, cluster_I=units, **bootstrap._asdict())
        row |= {name: whole.estimate, f"{name}_low": whole.low, f"{name}_high": whole.high}
    return row


def trapped(data: pd.DataFrame) -> list[str]:
    """Arms whose held-out intervals lie wholly above the start's in Phi and wholly below it in accuracy."""
    rows = data[data["split"] == "heldout"].set_index("arm")
    start = rows.loc[START]
    caught = (rows["phi_low"] > start["phi_high"]) & (rows["accuracy_high"] < start["accuracy_low"])
    return list(rows.index[caught])


# ------------------------------------------------------------------------------- drawing


@paper_style()
def draw(data: pd.DataFrame, smooth: int, grpo: Mapping[str, Any]) -> Figure:
    """The way of each arm through the plane of Phi and accuracy; on the right what its completions become."""
    figure = new_figure(DOUBLE, 3.1)
    grid = figure.add_gridspec(2, 2, width_ratios=[1.15, 1])
    plane, distinct, variance = (figure.add_subplot(cell) for cell in (grid[:, 0], grid[0, 1], grid[1, 1]))
    training = data[data["split"] == "training"]
    draw_plane(plane, training, data[data["split"] == "heldout"])
    draw_distinct(distinct, training, smooth, grpo["prompts_per_step"], grpo["num_generations"])
    draw_variance(variance, training, smooth)
    return figure


def draw_plane(ax: Axes, training: pd.DataFrame, heldout: pd.DataFrame) -> Axes:
    """Training as lines, each dot a part of it; the held-out set as marks with intervals."""
    data, points = parts(training), {str(row["arm"]): row for row in heldout.to_dict("records")}
    for arm, (colour, marker) in arm_looks(points).items():
        rows = data[data["arm"] == arm]
        draw_seeds(ax, rows, "phi", "accuracy", colour)
        x, y = (median_curve(rows, "part", name) for name in ("phi", "accuracy"))
        ax.plot(x, y, ".-", color=colour, markersize=5)
        _heldout_mark(ax, points[arm], colour, marker)
    ax.set_ylim(bottom=-0.03)
    spans = {arm: (row["phi_low"], row["phi_high"], row["accuracy"]) for arm, row in points.items()}
    name_points(ax, spans, gap=0.07 * ax.get_ylim()[1])
    ax.set_xlabel(r"order parameter $\Phi$")
    ax.set_ylabel("strict accuracy (sampled)")
    title(ax, "a", "training (lines) and held-out set (marks)")
    return ax


def parts(training: pd.DataFrame) -> pd.DataFrame:
    """Mean Phi and accuracy of each run over each of PARTS equal parts of the longest run's steps."""
    size = math.ceil(training["step"].max() / PARTS)
    part = ((training["step"] - 1) // size).rename("part")
    means = training.groupby(["arm", "seed", "status", part])[["phi", "accuracy"]].mean()
    return means.reset_index()


def _bold(rows: pd.DataFrame, name: str, smooth: int) -> "pd.Series[float]":
    return settled(median_curve(rows, "step", name, smooth), smooth)


def _heldout_mark(ax: Axes, row: Mapping[Any, Any], colour: str, marker: str) -> None:
    x, y = row["phi"], row["accuracy"]
    ax.plot([row["phi_low"], row["phi_high"]], [y, y], color=colour, linewidth=0.9, zorder=3)
    ax.plot([x, x], [row["accuracy_low"], row["accuracy_high"]], color=colour, linewidth=0.9, zorder=3)
    ax.plot(x, y, marker, color=colour, markeredgecolor="white", markersize=6, zorder=4)


def draw_distinct(ax: Axes, training: pd.DataFrame, smooth: int, prompts: int, group: int) -> Axes:
    """Different completions of a step; below the rule different prompts get the same answer."""
    ax.axhline(prompts, color=RULE, linewidth=0.8, zorder=0)
    _steps(ax, training, "distinct", smooth, gap=0.1 * prompts * group)
    ax.set_ylim(0, prompts * group)
    ax.set_ylabel(f"distinct of {prompts * group}")
    ax.annotate("one per prompt", (0, prompts), xytext=(2, 2), textcoords="offset points", fontsize=7, color=MUTED)
    title(ax, "b", "different completions in a step")
    return ax


def draw_variance(ax: Axes, training: pd.DataFrame, smooth: int) -> Axes:
    """Share of groups whose completions are all right or all wrong: accuracy has no gradient in them."""
    _steps(ax, training, "zero_variance", smooth, gap=0.1)
    ax.set_ylim(-0.03, 1.03)
    ax.set_ylabel("share of groups")
    ax.set_xlabel("GRPO step")
    title(ax, "c", "groups that are all right or all wrong")
    return ax


def _steps(ax: Axes, training: pd.DataFrame, name: str, smooth: int, gap: float) -> None:
    bold, last = draw_arms(ax, training, "step", name, smooth), int(training["step"].max())
    ends = {arm: (last, float(curve.iloc[-1])) for arm, curve in bold.items()}
    label_ends(ax, ends, {arm: colour for arm, (colour, _) in arm_looks(bold).items()}, gap)
    ax.set_xlim(0, last)


# ------------------------------------------------------------------------------- words


def caption(data: pd.DataFrame, runs: Sequence[Run], kept: Scores, settings: Mapping[str, Any]) -> str:
    """What the figure shows, in numbers from the data."""
    figure, grpo, training = settings["figure"], settings["grpo"], data[data["split"] == "training"]
    completions = grpo["prompts_per_step"] * grpo["num_generations"]
    items, units, count = (kept.table[name].nunique() for name in ("id", "unit", "seed"))
    left_out = f"{kept.left_out} items without a score somewhere are left out." if kept.left_out else ""
    return f"""\
**The coherence trap.** Every arm starts from the same checkpoints with learning rate {grpo["learning_rate"]:g} and is
paid for: {_pay(settings["arms"])}. (a) Φ against strict accuracy of the same completions, a dot for each tenth of
training; marks: the held-out set ({items} prompts about {units} units, sampled), with {figure["level"]:.0%} percentile
intervals from {figure["resamples"]} resamples of {"seeds and units" if count > 1 else "units (of the one seed)"}.
(b) Different ones among the {completions} completions of a step; below the rule ({grpo["prompts_per_step"]} prompts)
different prompts get the same answer. (c) Groups of {grpo["num_generations"]} whose completions are all right or all
wrong, which accuracy cannot tell apart. Thin: {seeds(count)}; bold: median over seeds, running median of
{figure["smooth"]} steps, which goes: {"; ".join(_moves(training, figure["smooth"]))}. In the trap on the held-out set
(Φ above the start's, accuracy below it, intervals apart): {", ".join(trapped(data)) or "no arm"}. {left_out}
{unusual(runs)}"""


def _pay(arms: Mapping[str, Mapping[str, float]]) -> str:
    return "; ".join(f"{arm_name(arm)} {mix(arms[arm])}" for arm in arm_order(arms))


def _moves(training: pd.DataFrame, smooth: int) -> Iterator[str]:
    names = {"phi": "Φ", "accuracy": "accuracy", "distinct": "distinct", "zero_variance": "without variance"}
    for arm in arm_order(training["arm"]):
        bold = {text: _bold(training[training["arm"] == arm], name, smooth) for name, text in names.items()}
        digits = {text: 0 if text == "distinct" else 2 for text in bold}
        moves = (f"{t} {c.iloc[0]:.{digits[t]}f} to {c.iloc[-1]:.{digits[t]}f}" for t, c in bold.items())
        yield f"{arm_name(arm)}: {', '.join(moves)}"
