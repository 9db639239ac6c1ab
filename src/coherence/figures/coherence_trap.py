"""The coherence trap: paid for coherence alone, a policy becomes certain of completions that are all alike.

Legend: one GRPO step samples groups of completions, a group per prompt.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from coherence.core.statistics import SHARE, SHARES_APART, bootstrap_mean, paired
from coherence.figures import style
from coherence.figures.arms import Bootstrap, Scores, matrix, seeds_of
from coherence.figures.curves import bold_curve, draw_arms, draw_seeds, median_curve, name_arms
from coherence.figures.read import OK, Run, over_steps, status_of, unusual
from coherence.figures.words import bootstrapped, mix, seeds
from coherence.streams import generator
from coherence.tasks.rewards import STRICT

HELDOUT = {"phi": "phi", "strict": "accuracy"}
"""Columns of the scores, and what they are called here."""
PARTS = 10
"""Of training, each a dot in the plane."""


# ------------------------------------------------------------------------------- data


def trap(runs: Sequence[Run], scores: pd.DataFrame, task: str, bootstrap: Bootstrap) -> pd.DataFrame:
    """Both splits in one tidy table: `training`, a row per run and step; `heldout`, a row per arm with intervals.

    `runs` are those of SFT too. Held-out rows are means over sampled completions, those of the start among them; their
    status is `ok` if every run of the arm ended so. ValueError without a step of GRPO.
    """
    metrics = {
        "coherence/phi": "phi",
        f"task/{STRICT[task]}": "accuracy",
        "distinct_completions": "distinct",
        "strict_zero_variance_groups": "zero_variance",
    }
    training = over_steps([run for run in runs if run.arm != style.START], metrics).dropna(subset=["phi", "accuracy"])
    heldout = pd.DataFrame([_heldout(scores, arm, bootstrap) for arm in style.arm_order(scores["arm"])])
    odd = {arm: status for (arm, _), status in status_of(runs).items() if status != OK}
    heldout["status"] = [odd.get(arm, OK) for arm in heldout["arm"]]
    data = pd.concat([training.assign(split="training"), heldout.assign(split="heldout")], ignore_index=True)
    return data.astype({"seed": "Int64", "step": "Int64"})


def _heldout(scores: pd.DataFrame, arm: str, bootstrap: Bootstrap) -> dict[str, Any]:
    """Means of an arm and their changes since its own start, over the seeds that it is averaged over."""
    row: dict[str, Any] = {"arm": arm}
    for column, name in HELDOUT.items():
        values, units = matrix(scores, arm, "sampled", column)
        start, _ = matrix(scores[scores["seed"].isin(seeds_of(scores, arm))], style.START, "sampled", column)
        own = {"cluster_I": units, **bootstrap._asdict()}
        whole = bootstrap_mean(values, _stream(arm, column), bounds=SHARE, **own)
        change = bootstrap_mean(paired(values, start), _stream(arm, column), bounds=SHARES_APART, **own)
        for told, found in ((name, whole), (f"{name}_change", change)):
            row |= {told: found.estimate, f"{told}_low": found.low, f"{told}_high": found.high}
    return row


def _stream(arm: str, column: str) -> np.random.Generator:
    return generator(0, "figures", "coherence_trap", arm, column)


def trapped(data: pd.DataFrame) -> list[str]:
    """Arms that differ from their start on the held-out set, item by item: Phi up and accuracy down, both intervals
    off zero."""
    rows = data[data["split"] == "heldout"].set_index("arm")
    caught = (rows["phi_change_low"] > 0) & (rows["accuracy_change_high"] < 0)
    return list(rows.index[caught])


# ------------------------------------------------------------------------------- drawing


@style.paper_style()
def draw(data: pd.DataFrame, smooth: int, grpo: Mapping[str, Any]) -> Figure:
    """The way of each arm through the plane of Phi and accuracy; on the right what its completions become."""
    figure = style.new_figure(style.DOUBLE, 3.1)
    grid = figure.add_gridspec(2, 2, width_ratios=[1.15, 1])
    plane, distinct, variance = (figure.add_subplot(cell) for cell in (grid[:, 0], grid[0, 1], grid[1, 1]))
    training = data[data["split"] == "training"]
    draw_plane(plane, training, data[data["split"] == "heldout"])
    draw_distinct(distinct, training, smooth, grpo["prompts_per_step"], grpo["num_generations"])
    draw_variance(variance, training, smooth)
    return figure


def draw_plane(ax: Axes, training: pd.DataFrame, heldout: pd.DataFrame) -> Axes:
    """Training as lines, each dot a part of it; the held-out set as marks with intervals, open where a run is odd."""
    data, points = parts(training), {str(row["arm"]): row for row in heldout.to_dict("records")}
    for arm, (colour, marker) in style.arm_looks(points).items():
        rows = data[data["arm"] == arm]
        draw_seeds(ax, rows, "phi", "accuracy", colour)
        x, y = (median_curve(rows, "part", name) for name in ("phi", "accuracy"))
        ax.plot(x, y, ".-", color=colour, markersize=5)
        _heldout_mark(ax, points[arm], colour, marker)
    ax.set_ylim(bottom=-0.03)
    spans = {arm: (row["phi_low"], row["phi_high"], row["accuracy"]) for arm, row in points.items()}
    style.name_points(ax, spans, gap=0.07 * ax.get_ylim()[1])
    ax.set_xlabel(r"order parameter $\Phi$")
    ax.set_ylabel("strict accuracy (sampled)")
    style.title(ax, "a", "training (lines) and held-out set (marks)")
    return ax


def parts(training: pd.DataFrame) -> pd.DataFrame:
    """Mean Phi and accuracy of each run over each of PARTS equal parts of the longest run's steps."""
    size = math.ceil(training["step"].max() / PARTS)
    part = ((training["step"] - 1) // size).rename("part")
    means = training.groupby(["arm", "seed", "status", part])[["phi", "accuracy"]].mean()
    return means.reset_index()


def _heldout_mark(ax: Axes, row: Mapping[Any, Any], colour: str, marker: str) -> None:
    x, y = row["phi"], row["accuracy"]
    ax.plot([row["phi_low"], row["phi_high"]], [y, y], color=colour, linewidth=0.9, zorder=3)
    ax.plot([x, x], [row["accuracy_low"], row["accuracy_high"]], color=colour, linewidth=0.9, zorder=3)
    face, edge = (colour, "white") if row["status"] == OK else ("white", colour)
    ax.plot(x, y, marker, color=face, markeredgecolor=edge, markersize=6, zorder=4)


def draw_distinct(ax: Axes, training: pd.DataFrame, smooth: int, prompts: int, group: int) -> Axes:
    """Different completions of a step; below the rule different prompts get the same answer."""
    ax.axhline(prompts, color=style.RULE, linewidth=0.8, zorder=0)
    name_arms(ax, draw_arms(ax, training, "step", "distinct", smooth), gap=0.1 * prompts * group)
    ax.set_ylim(0, prompts * group)
    ax.set_ylabel(f"distinct of {prompts * group}")
    style.note(ax, "one per prompt", (0, prompts), (2, 2), style.MUTED)
    style.title(ax, "b", "different completions in a step")
    return ax


def draw_variance(ax: Axes, training: pd.DataFrame, smooth: int) -> Axes:
    """Share of groups whose completions are all right or all wrong: accuracy has no gradient in them."""
    name_arms(ax, draw_arms(ax, training, "step", "zero_variance", smooth), gap=0.1)
    ax.set_ylim(-0.03, 1.03)
    ax.set_ylabel("share of groups")
    ax.set_xlabel("GRPO step")
    style.title(ax, "c", "groups that are all right or all wrong")
    return ax


# ------------------------------------------------------------------------------- words


def caption(data: pd.DataFrame, runs: Sequence[Run], kept: Scores, settings: Mapping[str, Any]) -> str:
    """What the figure shows, in numbers from the data."""
    figure, grpo, training = settings["figure"], settings["grpo"], data[data["split"] == "training"]
    completions = grpo["prompts_per_step"] * grpo["num_generations"]
    count = kept.table["seed"].nunique()
    return f"""\
**The coherence trap.** Every arm starts from the same checkpoints with learning rate {grpo["learning_rate"]:g} and is
paid for: {_pay(settings["arms"])}. (a) Φ against strict accuracy of the same completions, a dot for each tenth of
training; marks: the held-out set ({kept.size}, sampled), with
{bootstrapped(figure, count)}.
(b) Different ones among the {completions} completions of a step; below the rule ({grpo["prompts_per_step"]} prompts)
different prompts get the same answer. (c) Groups of {grpo["num_generations"]} whose completions are all right or all
wrong, which accuracy cannot tell apart. Thin: {seeds(count)}; bold: median over seeds, running median of
{figure["smooth"]} steps, which goes: {"; ".join(_moves(training, figure["smooth"]))}. In the trap on the held-out set
(against the start, item by item: Φ up and accuracy down, both intervals off zero): {_changes(data)}. {kept.lost}
{unusual(runs, "Dashed; an arm's mark is open where one of its runs did not end ok")}"""


def _changes(data: pd.DataFrame) -> str:
    rows = data[data["split"] == "heldout"].set_index("arm").to_dict("index")
    form = "{0} (Φ {1:+.3f} [{2:+.3f}, {3:+.3f}], accuracy {4:+.2f} [{5:+.2f}, {6:+.2f}])"
    columns = [f"{name}_change{end}" for name in ("phi", "accuracy") for end in ("", "_low", "_high")]
    told = [form.format(style.arm_name(arm), *(rows[arm][column] for column in columns)) for arm in trapped(data)]
    return "; ".join(told) or "no arm"


def _pay(arms: Mapping[str, Mapping[str, float]]) -> str:
    return "; ".join(f"{style.arm_name(arm)} {mix(arms[arm])}" for arm in style.arm_order(arms))


def _moves(training: pd.DataFrame, smooth: int) -> Iterator[str]:
    names = {"phi": "Φ", "accuracy": "accuracy", "distinct": "distinct", "zero_variance": "without variance"}
    for arm in style.arm_order(training["arm"]):
        rows = training[training["arm"] == arm]
        bold = {text: bold_curve(rows, "step", name, smooth) for name, text in names.items()}
        digits = {text: 0 if text == "distinct" else 2 for text in bold}
        moves = (f"{t} {c.iloc[0]:.{digits[t]}f} to {c.iloc[-1]:.{digits[t]}f}" for t, c in bold.items())
        yield f"{style.arm_name(arm)}: {', '.join(moves)}"
