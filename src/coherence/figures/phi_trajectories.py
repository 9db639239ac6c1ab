"""Phi along the tokens of held-out completions, and Phi of sampled completions along training."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from tokenizers import Tokenizer

from coherence.core.constants import DEFECT_THRESHOLD
from coherence.figures import style
from coherence.figures.curves import bold_curve, draw_arms, draw_seeds, median_curve, name_arms
from coherence.figures.read import Run, over_steps, status_of, unusual
from coherence.figures.words import seeds

SPACE, END = "\N{OPEN BOX}", "<end>"
STRUCTURE = "#ececec"
"""Tint of the positions at which most tokens are punctuation."""
COLUMNS = ["panel", "arm", "seed", "status", "x", "token", "punctuation", "phi"]


# ------------------------------------------------------------------------------- data


def greedy_tokens(generations: pd.DataFrame, tokenizer: Tokenizer) -> pd.DataFrame:
    """One row per token of the greedy completions: its position x from 1, its text, Phi, and whether it is punctuation.

    ValueError if no greedy completion is stored.
    """
    greedy = generations[generations["mode"] == "greedy"].reset_index(drop=True)
    if greedy.empty:
        raise ValueError("no greedy completion is stored: there is nothing to draw")
    tokens = greedy[["arm", "seed", "ids", "phi"]].explode(["ids", "phi"]).astype({"ids": int, "phi": float})
    tokens = tokens.rename_axis("completion").reset_index()
    tokens["x"] = tokens.groupby("completion").cumcount() + 1
    text = {token: token_text(tokenizer, token) for token in tokens["ids"].unique()}
    tokens["token"] = tokens.pop("ids").map(text)
    tokens["punctuation"] = tokens["token"].map(is_punctuation)
    return tokens


def token_text(tokenizer: Tokenizer, token: int) -> str:
    """A token as it stands on an axis: spaces visible, special tokens (only the end is generated) as `<end>`."""
    added = tokenizer.get_added_tokens_decoder().get(token)
    if added is not None and added.special:
        return END
    return tokenizer.decode([token], skip_special_tokens=False).replace(" ", SPACE).replace("\n", r"\n")


def is_punctuation(text: str) -> bool:
    """Whether a token only structures: brackets, commas, spaces, the end; neither letter nor digit."""
    return text == END or not any(character.isalnum() for character in text)


def token_phi(tokens: pd.DataFrame, most: int) -> pd.DataFrame:
    """Mean Phi and share of punctuation at each of the first `most` positions, one row per arm, seed and position.

    Over the completions that reach the position; a position that less than half of a run's completions reach
    is left out.
    """
    completions = tokens.groupby(["arm", "seed"])["completion"].transform("nunique")
    positions = tokens.assign(of=completions).groupby(["arm", "seed", "x"], sort=False)
    table = positions.agg(
        phi=("phi", "mean"), punctuation=("punctuation", "mean"), reached=("x", "size"), of=("of", "first")
    )
    table = table[table["reached"] * 2 >= table["of"]].reset_index()
    return table[table["x"] <= most].drop(columns=["reached", "of"]).reset_index(drop=True)


def example_tokens(tokens: pd.DataFrame) -> list[str]:
    """Token texts of a typical completion: of the start's greedy ones of the most frequent length, the first."""
    texts = tokens[tokens["arm"] == style.START].groupby("completion")["token"].agg(list)
    lengths = texts.map(len)
    return list(texts[lengths == lengths.mode().iloc[0]].iloc[0])


def jumps_at_boundaries(tokens: pd.DataFrame) -> tuple[float, float]:
    """Share of the jumps of Phi (beyond the reference's threshold) that lie between punctuation and another token, and
    share of all neighbouring tokens that do. NaN where there is no jump."""
    within = tokens.groupby("completion")
    step = within["phi"].diff()
    boundary = within["punctuation"].transform(lambda own: own != own.shift()).astype(bool)
    jump = step.abs() > float(DEFECT_THRESHOLD)
    return float(boundary[jump].mean()), float(boundary[step.notna()].mean())


def read_tokenizer(folder: Path) -> Tokenizer:
    """The tokenizer of a model's folder; ValueError where it has no tokenizer.json."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ValueError(f"{path} is missing: token texts are read from it")
    return Tokenizer.from_file(str(path))


def trajectories(tokens: pd.DataFrame, runs: Sequence[Run], most: int) -> pd.DataFrame:
    """Both panels in one tidy table: `x` is a token position in panel `token`, a GRPO step in panel `step`.

    `runs` are those of SFT and GRPO that the tokens' checkpoints come from.
    """
    status = status_of(runs)
    along = token_phi(tokens, most)
    along["token"] = along["x"].map(dict(enumerate(example_tokens(tokens), start=1)))
    along["status"] = [status[cell] for cell in zip(along["arm"], along["seed"], strict=True)]
    trained = [run for run in runs if run.arm != style.START]
    steps = over_steps(trained, {"coherence/phi": "phi"}).rename(columns={"step": "x"}).dropna(subset=["phi"])
    data = pd.concat([along.assign(panel="token"), steps.assign(panel="step")], ignore_index=True)
    data["arm"] = pd.Categorical(data["arm"], style.arm_order(data["arm"]), ordered=True)
    return data.sort_values(["panel", "arm", "seed", "x"])[COLUMNS].astype({"arm": str}).reset_index(drop=True)


# ------------------------------------------------------------------------------- drawing


@style.paper_style()
def draw(data: pd.DataFrame, smooth: int) -> Figure:
    """Phi along tokens on the left, along GRPO steps on the right."""
    figure = style.new_figure(style.DOUBLE, 2.5)
    left, right = figure.subplots(1, 2, width_ratios=[1.15, 1])
    draw_tokens(left, data[data["panel"] == "token"])
    draw_steps(right, data[data["panel"] == "step"], smooth)
    return figure


def draw_tokens(ax: Axes, data: pd.DataFrame) -> Axes:
    """A line per run (thin) and per arm (bold) over token positions, named by the tokens of one completion; where
    most tokens are punctuation the ground is grey."""
    for arm, (colour, marker) in style.arm_looks(data["arm"]).items():
        rows = data[data["arm"] == arm]
        draw_seeds(ax, rows, "x", "phi", colour)
        bold = median_curve(rows, "x", "phi")
        ax.plot(bold.index, bold, color=colour, marker=marker, markersize=3.5, label=style.arm_name(arm))
    for first, last in punctuation_spans(data):
        ax.axvspan(first - 0.5, last + 0.5, color=STRUCTURE, linewidth=0, zorder=0)
    ticks = data.drop_duplicates("x").sort_values("x")
    ax.set_xticks(ticks["x"], ticks["token"].fillna(""))
    ax.set_xlim(0.5, data["x"].max() + 0.5)
    ax.set_xlabel("token that is predicted (grey: punctuation)")
    ax.set_ylabel(r"order parameter $\Phi$")
    ax.legend(loc="best")
    style.title(ax, "a", "greedy held-out completions")
    return ax


def punctuation_spans(data: pd.DataFrame) -> list[tuple[int, int]]:
    """First and last position of each run of positions at which most tokens are punctuation."""
    most = data.groupby("x")["punctuation"].mean() > 0.5
    groups = (list(group) for punctuation, group in groupby(most.index, key=most.get) if punctuation)
    return [(group[0], group[-1]) for group in groups]


def draw_steps(ax: Axes, data: pd.DataFrame, smooth: int) -> Axes:
    """A line per run (thin) and per arm (bold, smoothed) over GRPO steps, named at the right ends."""
    bold = draw_arms(ax, data, "x", "phi", smooth)
    low, high = data["phi"].min(), data["phi"].max()
    name_arms(ax, bold, gap=0.06 * (high - low))
    ax.set_xlabel("GRPO step")
    ax.set_ylabel(r"order parameter $\Phi$")
    style.title(ax, "b", "sampled completions in training")
    return ax


# ------------------------------------------------------------------------------- words


def caption(data: pd.DataFrame, tokens: pd.DataFrame, runs: Sequence[Run], smooth: int) -> str:
    """What the figure shows, in numbers from the data."""
    along, steps = data[data["panel"] == "token"], data[data["panel"] == "step"]
    lowest = "; ".join(_lowest(arm, along[along["arm"] == arm]) for arm in along["arm"].unique())
    change = "; ".join(_change(arm, steps[steps["arm"] == arm], smooth) for arm in steps["arm"].unique())
    count = data["seed"].nunique()
    spread = f"Bold: median over {seeds(count)}; thin: each seed, which is the spread (there are no error bars)."
    spread = spread if count > 1 else "One seed: no spread can be shown."
    threshold = float(DEFECT_THRESHOLD)
    at, chance = jumps_at_boundaries(tokens[tokens["arm"] == style.START])
    return f"""\
**Where a completion is undecided, and how training decides it.** Φ = 1 - H/ln V of the distribution that predicts
each token, at temperature 1. (a) Mean over greedy held-out completions, by token position; tick labels are the tokens
of one typical completion of the start ({SPACE} is a space); grey where most completions have
punctuation (neither letter nor digit). The lowest means: {lowest}. Of the start's jumps of Φ by more than
{threshold:g}, {at:.0%} lie between punctuation and another token, as do {chance:.0%} of all neighbours. (b) Mean over
the completions sampled in each GRPO step; the running median of {smooth} steps goes: {change}. {spread}
{unusual(runs)}"""


def _lowest(arm: str, data: pd.DataFrame) -> str:
    bold = median_curve(data, "x", "phi")
    return f"{style.arm_name(arm)} {bold.min():.2f} (token {bold.idxmin()})"


def _change(arm: str, data: pd.DataFrame, smooth: int) -> str:
    bold = bold_curve(data, "x", "phi", smooth)
    return f"{style.arm_name(arm)} from {bold.iloc[0]:.3f} to {bold.iloc[-1]:.3f}"
