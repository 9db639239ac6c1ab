"""The table of the conventions, and the caption of table and figure."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from coherence.figures.alignment import ALIGNED, COMPAT, STEPS, known_cases, two_faced
from coherence.figures.read import Ended, unusual
from coherence.figures.style import arm_name
from coherence.figures.tables import Table
from coherence.figures.words import bootstrapped, seeds

NAMES = {ALIGNED: "aligned", "both": "reference's tokens", "prompted": "no shift", "shifted": "no prompt"}


def table(means: pd.DataFrame, data: pd.DataFrame) -> Table:
    """One row per arm: accuracy, CARL from the aligned scoring to the reference file's, and both AUROCs."""
    headers = ["arm", "strict", *(f"CARL, {NAMES.get(name, 'neither')}" for name in STEPS)]
    headers += ["AUROC, aligned", "AUROC, reference file"]
    rows = [
        [arm_name(row["arm"]), *(f"{row[name]:.3f}" for name in ("strict", *(f"carl_{step}" for step in STEPS)))]
        + [area(data, row["arm"], name) for name in (ALIGNED, COMPAT)]
        for _, row in means.iterrows()
    ]
    return Table(headers, rows, ["l", *["r"] * (len(headers) - 1)])


def area(data: pd.DataFrame, arm: str, convention: str) -> str:
    """The AUROC over seeds with the ends of its interval; `-` where no checkpoint has right and wrong answers."""
    rows = data[(data["panel"] == "separation") & (data["arm"] == arm) & (data["convention"] == convention)]
    whole = rows[rows["seed"].isna()].iloc[0]
    if pd.isna(whole["estimate"]):
        return "-"
    return f"{whole['estimate']:.2f} [{whole['low']:.2f}, {whole['high']:.2f}]"


def caption(
    compat: pd.DataFrame, means: pd.DataFrame, data: pd.DataFrame, runs: Sequence[Ended], options: Mapping[str, Any]
) -> str:
    """What figure and table show, in numbers from the data."""
    kept = data[data["panel"] == "completion"]
    arms = "; ".join(_arm(row) for _, row in means.iterrows())
    cases = known_cases()
    published = cases[cases["published"].notna()].iloc[0]
    lost = len(compat) - len(kept)
    left_out = f"{lost} completions without a score are left out." if lost else ""
    return f"""\
**The published scoring and the aligned one, on the same completions.** The reference file scores a completion's text
without its prompt and pairs each token with the distribution that predicts the one after it. (a) CARL of
{len(kept)} greedy held-out completions ({seeds(kept["seed"].nunique())}) with the checkpoint's own model: aligned
(upper strip, filled mean) and by the reference file (lower strip, open mean). Means: {arms}. Dashed: what was
published of a collapsed model. (b) Whether CARL tells right from wrong answers of the same checkpoint: area under the
ROC curve, aligned (filled) and by the reference file (open); mean over seeds, dots for each seed,
{bootstrapped(options, kept["seed"].nunique())} (seeds: those with right and wrong answers).
{two_faced(compat)} texts are right for one prompt and wrong for another of the same checkpoint; the reference file
gives both the same score. (c) Cases whose predictions are known, one character a token: aligned (dot), by the
reference file (ring). For a model that is certain of its one answer it gives {published["compat"]:.2f} where the
formula gives {published["aligned"]:.2f}; the paper published about {published["published"]:.2f}. Table: from the
aligned scoring to the reference's tokens and arithmetic, then without its shift, without its prompt, with neither.
{left_out} {unusual(runs, "Crosses, and in every mean")}"""


def _arm(row: "pd.Series[Any]") -> str:
    return f"{arm_name(row['arm'])} {row[f'carl_{ALIGNED}']:.2f} and {row[f'carl_{COMPAT}']:.2f}"
