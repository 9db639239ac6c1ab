"""Phi along the tokens of held-out completions, and Phi of sampled completions along training."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tokenizers import Tokenizer

from coherence.figures.read import Run, unusual
from coherence.figures.style import (
    DASHES,
    DOUBLE,
    arm_looks,
    arm_name,
    arm_order,
    label_ends,
    new_figure,
    running_median,
    title,
)
from coherence.figures.words import seeds

TITLE = "Phi over tokens and over training"
SPACE, END = "\N{OPEN BOX}", "<end>"
COLUMNS = ["panel", "arm", "seed", "status", "x", "token", "phi"]


# ------------------------------------------------------------------------------- data


def token_phi(generations: pd.DataFrame, tokens: int) -> pd.DataFrame:
    """Mean Phi at each of the first `tokens` positions of greedy completions, one row per arm, seed and position.

    Over the completions that reach the position; a position that less than half of a run's completions reach
    is left out. ValueError if no greedy completion is stored.
    """
    greedy = generations[generations["mode"] == "greedy"]
    if greedy.empty:
        raise ValueError("no greedy completion is stored: there is nothing to draw")
    values = greedy[["arm", "seed", "phi"]].explode("phi").astype({"phi": float})
    values["x"] = values.groupby(level=0).cumcount() + 1
    table = values.groupby(["arm", "seed", "x"], sort=False)["phi"].agg(["mean", "size"]).reset_index()
    completions = greedy.groupby(["arm", "seed"]).size().rename("completions").reset_index()
    table = table.merge(completions)
    kept = table[(table["x"] <= tokens) & (table["size"] * 2 >= table["completions"])]
    return kept.rename(columns={"mean": "phi"})[["arm", "seed", "x", "phi"]].reset_index(drop=True)


def step_phi(runs: Sequence[Run]) -> pd.DataFrame:
    """Mean Phi of the sampled completions of each GRPO step, one row per run and step; ValueError without a run."""
    if not runs:
        raise ValueError("no GRPO run: there is nothing to draw")
    columns = {"step": "x", "coherence/phi": "phi"}
    tables = [run.metrics[list(columns)].rename(columns=columns).assign(arm=run.arm, seed=run.seed) for run in runs]
    return pd.concat(tables, ignore_index=True).dropna(subset=["phi"])


def example_tokens(generations: pd.DataFrame, tokenizer: Tokenizer) -> list[str]:
    """Token texts of a typical completion: of the start's greedy ones of the most frequent length, the first."""
    greedy = generations[(generations["mode"] == "greedy") & (generations["arm"] == "sft")]
    lengths = greedy["ids"].map(len)
    ids = greedy["ids"][lengths == lengths.mode().iloc[0]].iloc[0]
    return [token_text(tokenizer, int(i)) for i in ids]


def token_text(tokenizer: Tokenizer, token: int) -> str:
    """A token as it stands on an axis: spaces visible, special tokens (only the end is generated) as `<end>`."""
    added = tokenizer.get_added_tokens_decoder().get(token)
    if added is not None and added.special:
        return END
    return tokenizer.decode([token], skip_special_tokens=False).replace(" ", SPACE).replace("\n", r"\n")


def read_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a model's folder; ValueError where it has no tokenizer.json."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ValueError(f"{path} is missing: token texts are read from it")
    return Tokenizer.from_file(str(path))


def trajectories(generations: pd.DataFrame, runs: Sequence[Run], tokenizer: Tokenizer, tokens: int) -> pd.DataFrame:
    """Both panels in one tidy table: `x` is a token position in panel `token`, a GRPO step in panel `step`."""
    along, steps = token_phi(generations, tokens), step_phi(runs)
    text = dict(enumerate(example_tokens(generations, tokenizer), start=1))
    along["token"] = along["x"].map(text)
    data = pd.concat([along.assign(panel="token"), steps.assign(panel="step")], ignore_index=True)
    status = {(run.arm, run.seed): run.status for run in runs}
    data["status"] = [status.get(cell, "ok") for cell in zip(data["arm"], data["seed"], strict=True)]
    data["arm"] = pd.Categorical(data["arm"], arm_order(data["arm"]), ordered=True)
    return data.sort_values(["panel", "arm", "seed", "x"])[COLUMNS].astype({"arm": str}).reset_index(drop=True)


def mean_curve(data: pd.DataFrame, smooth: int = 1) -> "pd.Series[float]":
    """Mean over seeds at each x that at least half of them reached, then the running median where it is whole."""
    values = data.groupby("x")["phi"]
    mean = values.mean()[values.count() * 2 >= data["seed"].nunique()]
    reach = smooth // 2 if len(mean) > smooth else 0
    return pd.Series(running_median(mean, smooth), index=mean.index).iloc[reach : len(mean) - reach]


# ------------------------------------------------------------------------------- drawing


def draw(data: pd.DataFrame, smooth: int) -> Figure:
    """Phi along tokens on the left, along GRPO steps on the right."""
    figure = new_figure(DOUBLE, 2.5)
    left, right = figure.subplots(1, 2, width_ratios=[1.15, 1])
    draw_tokens(left, data[data["panel"] == "token"])
    draw_steps(right, data[data["panel"] == "step"], smooth)
    return figure


def draw_tokens(ax: Axes, data: pd.DataFrame) -> Axes:
    """A line per run (thin) and per arm (bold) over token positions, named by the tokens of one completion."""
    for arm, (colour, marker) in arm_looks(data["arm"]).items():
        rows = data[data["arm"] == arm]
        _thin(ax, rows, colour)
        bold = mean_curve(rows)
        ax.plot(bold.index, bold, color=colour, marker=marker, markersize=3.5, label=arm_name(arm))
    ticks = data.drop_duplicates("x").sort_values("x")
    ax.set_xticks(ticks["x"], ticks["token"].fillna(""))
    ax.grid(axis="x")
    ax.set_xlabel("token that is predicted")
    ax.set_ylabel(r"order parameter $\Phi$")
    ax.legend(loc="best")
    title(ax, "a", "greedy held-out completions")
    return ax


def draw_steps(ax: Axes, data: pd.DataFrame, smooth: int) -> Axes:
    """A line per run (thin) and per arm (bold, smoothed) over GRPO steps, named at the right ends."""
    colours, ends = {arm: colour for arm, (colour, _) in arm_looks(data["arm"]).items()}, {}
    for arm, colour in colours.items():
        rows = data[data["arm"] == arm]
        _thin(ax, rows, colour)
        bold = mean_curve(rows, smooth)
        ax.plot(bold.index, bold, color=colour)
        ends[arm] = (float(data["x"].max()), float(bold.iloc[-1]))
    low, high = data["phi"].min(), data["phi"].max()
    label_ends(ax, ends, colours, gap=0.06 * (high - low))
    ax.set_xlim(0, data["x"].max())
    ax.set_xlabel("GRPO step")
    ax.set_ylabel(r"order parameter $\Phi$")
    title(ax, "b", "sampled completions in training")
    return ax


def _thin(ax: Axes, data: pd.DataFrame, colour: str) -> None:
    for _, run in data.groupby("seed"):
        dashed = DASHES if run["status"].iloc[0] != "ok" else "-"
        ax.plot(run["x"], run["phi"], color=colour, alpha=0.4, linewidth=0.6, linestyle=dashed)


# ------------------------------------------------------------------------------- words


def caption(data: pd.DataFrame, runs: Sequence[Run], smooth: int) -> str:
    """What the figure shows, in numbers from the data."""
    tokens, steps = data[data["panel"] == "token"], data[data["panel"] == "step"]
    lowest = "; ".join(_lowest(arm, tokens[tokens["arm"] == arm]) for arm in tokens["arm"].unique())
    change = "; ".join(_change(arm, steps[steps["arm"] == arm], smooth) for arm in steps["arm"].unique())
    count = data["seed"].nunique()
    spread = f"Bold: mean over {seeds(count)}; thin: each seed, which is the spread (there are no error bars)."
    spread = spread if count > 1 else "One seed: no spread can be shown."
    return f"""\
**Where a completion is undecided, and how training decides it.** Φ = 1 - H/ln V of the distribution that predicts
each token, at temperature 1. (a) Mean over greedy held-out completions, by token position; tick labels are the tokens
of one typical completion of the start ({SPACE} is a space). The lowest means: {lowest}. (b) Mean over the completions
sampled in each GRPO step; the running median of {smooth} steps goes: {change}. {spread}
{unusual(runs)}"""


def _lowest(arm: str, data: pd.DataFrame) -> str:
    bold = mean_curve(data)
    return f"{arm_name(arm)} {bold.min():.2f} (token {bold.idxmin()})"


def _change(arm: str, data: pd.DataFrame, smooth: int) -> str:
    bold = mean_curve(data, smooth)
    return f"{arm_name(arm)} from {bold.iloc[0]:.3f} to {bold.iloc[-1]:.3f}"
