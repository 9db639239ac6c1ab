"""Arms on the held-out split: means with bootstrap intervals, per family, and paired differences to one arm.

Legend: S seeds, I items (held-out prompts), clustered by their unit (prompts that ask for the same thing).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from coherence.core.statistics import SHARE, SHARES_APART, Array, Interval, bootstrap_mean, paired
from coherence.figures.read import Cell, Ended, averaged, with_status
from coherence.figures.style import arm_order
from coherence.streams import generator

MEANS = ("strict", "format", "phi", "carl")
DISTINCT, DIFFERENCE = "distinct", "strict_difference"
QUANTITIES = (*MEANS, DIFFERENCE, DISTINCT)
ALL = "all"
BOUNDS = {"strict": SHARE, "format": SHARE, "phi": SHARE}
"""CARL has none: its weights are free."""


class Scores(NamedTuple):
    """Scores of items that are scored under every arm, seed and mode; how many are not, and were left out."""

    table: pd.DataFrame
    left_out: int

    @property
    def size(self) -> str:
        """How many prompts there are, about how many things, in words."""
        items, units = (self.table[name].nunique() for name in ("id", "unit"))
        return f"{items} prompts about {units} units"

    @property
    def lost(self) -> str:
        """What was left out, in words; empty where nothing was."""
        return f"{self.left_out} items without a score somewhere are left out." if self.left_out else ""


class Bootstrap(NamedTuple):
    """Resamples and level of all intervals of the table."""

    resamples: int
    level: float


def complete_scores(scores: pd.DataFrame, runs: Iterable[Ended]) -> Scores:
    """Of the runs' arms, without degenerate runs: items without a failed score anywhere, so that arms are compared on
    the same items. ValueError if none is left."""
    scores = averaged(scores, runs)
    finite = np.isfinite(scores[list(MEANS)].to_numpy(dtype=float)).all(axis=1)
    failed = set(scores["id"][~finite])
    table = scores[~scores["id"].isin(failed)]
    if table.empty:
        raise ValueError("no item is scored under every arm and seed: there is nothing to draw")
    return Scores(table, len(failed))


def matrix(scores: pd.DataFrame, arm: str, mode: str, quantity: str) -> tuple[Array, list[str]]:
    """A quantity as [S, I], averaged over the samples of an item, and the cluster of each item.

    ValueError where a seed lacks an item.
    """
    rows = scores[(scores["arm"] == arm) & (scores["mode"] == mode)]
    values = rows.pivot_table(index="seed", columns="id", values=quantity, aggfunc="mean").sort_index(axis=1)
    if values.empty or values.isna().to_numpy().any():
        raise ValueError(f"arm '{arm}': its seeds are not all scored on the same items ({mode})")
    units = rows.drop_duplicates("id").set_index("id")["unit"]
    return values.to_numpy(dtype=float), units.loc[values.columns].tolist()


def summarise(scores: pd.DataFrame, reference: str, bootstrap: Bootstrap, status: Mapping[Cell, str]) -> pd.DataFrame:
    """Tidy: one row per arm, mode, family and quantity, for each seed (no interval) and for all seeds (seed missing).

    Families are the data's own and `all`. `strict_difference` is the arm minus the reference, item by item;
    `distinct` counts different completions; `status` is how the seed's run ended. ValueError for a reference that is
    no arm.
    """
    arms = arm_order(scores["arm"])
    if reference not in arms:
        raise ValueError(f"figures.arms.reference: '{reference}' is no arm of this study (has: {', '.join(arms)})")
    rows = [
        {"family": family, "mode": mode, "arm": arm, **row}
        for family, part in families(scores).items()
        for mode in ("greedy", "sampled")
        for arm in arms
        for row in _rows(part, family, mode, arm, reference, bootstrap)
    ]
    return with_status(pd.DataFrame(rows).astype({"seed": "Int64"}), status)


def families(scores: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """All items, and each family's own if there are several."""
    names = sorted(scores["family"].unique())
    parts = {name: scores[scores["family"] == name] for name in names} if len(names) > 1 else {}
    return {ALL: scores, **parts}


def _rows(
    scores: pd.DataFrame, family: str, mode: str, arm: str, reference: str, bootstrap: Bootstrap
) -> Iterator[dict[str, Any]]:
    for quantity in MEANS:
        values, units = matrix(scores, arm, mode, quantity)
        rng = generator(0, "figures", "arms", family, mode, arm, quantity)
        pooled = bootstrap_mean(values, rng, cluster_I=units, bounds=BOUNDS.get(quantity), **bootstrap._asdict())
        yield from _quantity(quantity, values.mean(axis=1), seeds_of(scores, arm), pooled)
    both = sorted(set(seeds_of(scores, arm)) & set(seeds_of(scores, reference)))
    if arm != reference and both:
        matched = scores[scores["seed"].isin(both)]
        values, units = matrix(matched, arm, mode, "strict")
        control, _ = matrix(matched, reference, mode, "strict")
        apart, rng = paired(values, control), generator(0, "figures", "arms", family, mode, arm, DIFFERENCE)
        pooled = bootstrap_mean(apart, rng, cluster_I=units, bounds=SHARES_APART, **bootstrap._asdict())
        yield from _quantity(DIFFERENCE, apart.mean(axis=1), both, pooled)
    rows = scores[(scores["arm"] == arm) & (scores["mode"] == mode)]
    counts = np.array(rows.groupby("seed")["completion"].nunique(), dtype=np.float64)
    whole = Interval(float(counts.mean()), np.nan, np.nan, np.nan)
    yield from _quantity(DISTINCT, counts, seeds_of(scores, arm), whole)


def seeds_of(scores: pd.DataFrame, arm: str) -> list[int]:
    """The seeds that an arm is averaged over, ascending."""
    return sorted(map(int, scores.loc[scores["arm"] == arm, "seed"].unique()))


def _quantity(name: str, by_seed: Array, seeds: list[int], pooled: Interval) -> Iterator[dict[str, Any]]:
    """Rows of one quantity; seeds stand in ascending order, as in the matrix."""
    ends = {"low": pooled.low, "high": pooled.high}
    yield {"quantity": name, "seed": None, "estimate": pooled.estimate, **ends}
    for seed, value in zip(seeds, by_seed, strict=True):
        yield {"quantity": name, "seed": int(seed), "estimate": float(value), "low": np.nan, "high": np.nan}


def both_modes(data: pd.DataFrame, quantity: str, family: str = ALL) -> pd.DataFrame:
    """The rows of one quantity and family."""
    return data[(data["quantity"] == quantity) & (data["family"] == family)]


def pick(data: pd.DataFrame, quantity: str, mode: str = "greedy", family: str = ALL) -> pd.DataFrame:
    """The rows of one quantity, mode and family."""
    rows = both_modes(data, quantity, family)
    return rows[rows["mode"] == mode]


def pooled(data: pd.DataFrame, arm: str, quantity: str, mode: str = "greedy", family: str = ALL) -> Mapping[str, float]:
    """Estimate, low and high over all seeds of one arm."""
    rows = pick(data, quantity, mode, family)
    row = rows[(rows["arm"] == arm) & rows["seed"].isna()].iloc[0]
    return {name: float(row[name]) for name in ("estimate", "low", "high")}


def by_seed(data: pd.DataFrame, arm: str, quantity: str, mode: str = "greedy", family: str = ALL) -> "pd.Series[float]":
    """Each seed's own value of one arm, seeds ascending."""
    rows = pick(data, quantity, mode, family)
    values: pd.Series[float] = rows.loc[(rows["arm"] == arm) & rows["seed"].notna(), "estimate"]
    return values


def wide(data: pd.DataFrame) -> pd.DataFrame:
    """The pooled rows, one line per arm, family and mode; intervals as QUANTITY_low and QUANTITY_high."""
    rows, cell = data[data["seed"].isna()], ["arm", "family", "mode"]
    lines = rows.set_index([*cell, "quantity"])[["estimate", "low", "high"]].unstack("quantity")
    lines = lines.reindex(pd.MultiIndex.from_frame(rows[cell].drop_duplicates()))
    ends = {"estimate": "", "low": "_low", "high": "_high"}
    named = {f"{quantity}{ends[end]}": lines[end][quantity] for quantity in QUANTITIES for end in ends}
    return pd.DataFrame(named).dropna(axis=1, how="all").reset_index()
