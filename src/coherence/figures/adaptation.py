"""Adaptation to prompts beside its controls, and an agent that observes, predicts, gates, acts and adapts.

Legend: S seeds, K units of prompts. Seeds meet the prompts in orders of their own. The unit of every interval is the
unit of prompts, nested in the seed.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from coherence.config.adapt import CONTROLS, METHODS
from coherence.config.claims import AGENTS
from coherence.core.coherence_gate import THRESHOLD
from coherence.core.selective import promised, rank
from coherence.core.statistics import SHARE, SHARES_APART, Array, Bounds, bootstrap_ratio, ratio
from coherence.figures.arms import Bootstrap
from coherence.figures.read import Cell, with_status
from coherence.figures.style import START
from coherence.streams import generator

ALWAYS, SIGMA, CALIBRATED = "always", "sigma", "calibrated"
STREAM = "stream_accuracy"
NEW = "new_strict_difference"
"""Over the prompts that are the first of the stream about their unit: what a label told before cannot have told."""
NLL: Bounds = (0.0, np.inf)
MEANS: dict[str, Bounds | None] = {"strict": SHARE, "phi": SHARE, "nll_answering": NLL, "nll_after": NLL}
APART: dict[str, Bounds | None] = {"strict": SHARES_APART, "nll_answering": None, "nll_after": None}


def read_tables(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """The answers of all seeds, with the control's beside each. ValueError where no model answered anything."""
    answers = pd.concat([table for table in tables if len(table)] or tables, ignore_index=True)
    if answers.empty:
        raise ValueError("no model answered a prompt: there is nothing to draw")
    answers["control"] = answers["method"].map(CONTROLS)
    key = ["seed", "position"]
    answers = answers.sort_values(["method", *key], ignore_index=True)
    answers["met"] = answers.duplicated(["method", "seed", "unit"])
    plain = answers[["method", *key, *APART]].rename(columns={"method": "control"})
    return answers.merge(plain, on=["control", *key], how="left", suffixes=("", "_control"))


def summarise(answers: pd.DataFrame, options: Mapping[str, Any], status: Mapping[Cell, str]) -> pd.DataFrame:
    """Tidy: per method and quantity one row for all seeds (with its interval) and one per seed; the agent's by gate, on
    the second half of each stream; and accuracy so far along the stream."""
    rows = [
        {"method": method, **row}
        for method in METHODS
        for row in _rows(answers[answers["method"] == method], method, options)
    ]
    data = pd.DataFrame(rows).astype({"seed": "Int64"})
    return with_status(data.assign(arm=START), status).drop(columns="arm")


def _rows(own: pd.DataFrame, method: str, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    bootstrap = Bootstrap(options["resamples"], options["level"])
    for name, bounds in MEANS.items():
        yield from pooled(own, own[name], own[name].notna(), name, bootstrap, bounds)
    if method in CONTROLS:
        for name, bounds in APART.items():
            apart = own[name] - own[f"{name}_control"]
            yield from pooled(own, apart, apart.notna(), f"{name}_difference", bootstrap, bounds)
        new, apart = ~own["met"], own["strict"] - own["strict_control"]
        yield from pooled(own, apart * new, new, NEW, bootstrap, SHARES_APART)
    if method in AGENTS:
        yield from _agent(own, options, bootstrap)
        yield from _stream(own)


def pooled(
    table: pd.DataFrame,
    part: Any,
    whole: Any,
    quantity: str,
    bootstrap: Bootstrap,
    bounds: Bounds | None,
    gate: str = "",
) -> Iterator[dict[str, Any]]:
    """sum(part)/sum(whole) over the rows of the table: of all seeds with its interval, and of each."""
    cells = table[["seed", "unit"]].assign(part=np.nan_to_num(part), whole=np.asarray(whole, dtype=float))
    sums = cells.pivot_table(index="seed", columns="unit", values=["part", "whole"], aggfunc="sum", fill_value=0.0)
    parts, wholes = (sums[name].to_numpy(dtype=float) for name in ("part", "whole"))
    rng = generator(0, "figures", "adaptation", str(table["method"].iloc[0]), quantity, gate)
    found = bootstrap_ratio(parts, wholes, rng, bounds=bounds, **bootstrap._asdict())
    told, values = {"quantity": quantity, "gate": gate or None}, ratio(parts.sum(axis=1), wholes.sum(axis=1))
    known = int(np.isfinite(values).sum())
    yield {**told, "seed": None, "estimate": found.estimate, **found.ends, "seeds": known}
    for seed, value in zip(sums.index, values, strict=True):
        yield {**told, "seed": seed, "estimate": float(value), "low": np.nan, "high": np.nan}


def _agent(own: pd.DataFrame, options: Mapping[str, Any], bootstrap: Bootstrap) -> Iterator[dict[str, Any]]:
    """Acts where Phi reaches a threshold: share acted, accuracy of the acts, and reward per prompt."""
    half = own["position"] >= (own["position"].max() + 1) // 2
    chosen = {seed: calibrated(part, options["target_risk"]) for seed, part in own[~half].groupby("seed")}
    later = own[half]
    right = later["strict"] == 1
    gates = {ALWAYS: -np.inf, SIGMA: THRESHOLD, CALIBRATED: later["seed"].map(chosen)}
    for gate, threshold in gates.items():
        acted = (later["phi"] >= threshold) | (gate == ALWAYS)
        reward = acted * np.where(right, 1.0, -options["wrong_cost"])
        everything = np.ones(len(later))
        yield from pooled(later, acted, everything, "acted", bootstrap, SHARE, gate)
        yield from pooled(later, acted & right, acted, "acts_right", bootstrap, SHARE, gate)
        yield from pooled(later, reward, everything, "reward", bootstrap, (-options["wrong_cost"], 1.0), gate)


def calibrated(part: pd.DataFrame, target: float) -> float:
    """The lowest Phi from which at most the target share of a seed's answers is wrong; inf where there is none."""
    known = part[part["phi"].notna()]
    if known.empty:
        return np.inf
    once: Array = np.ones((1, len(known)))
    return float(promised(rank(known["phi"], known["strict"] == 1), once, once, target)[2][0])


def _stream(own: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Accuracy of the prompts so far, of each seed."""
    for seed, part in own.groupby("seed"):
        so_far = part.sort_values("position")["strict"].expanding().mean()
        for position, value in enumerate(so_far, start=1):
            yield {"quantity": STREAM, "seed": seed, "position": position, "estimate": value}
