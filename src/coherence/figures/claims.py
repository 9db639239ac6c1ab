"""The verdict on every claim, from the data of the study's other figures and nothing else."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from coherence.config.claims import Claim
from coherence.core.constant_checks import Verdict
from coherence.core.statistics import Interval
from coherence.core.verdicts import (
    ALPHA,
    INCONCLUSIVE,
    NOT_TESTABLE,
    REFUTED,
    SUPPORTED,
    detectable,
    holm,
    margin,
    p_value,
    verdict,
)

VERDICTS = (SUPPORTED, REFUTED, INCONCLUSIVE, NOT_TESTABLE)
EXACT: Mapping[Verdict, str] = {"holds": SUPPORTED, "fails": REFUTED, "tautology": NOT_TESTABLE}
ENDS = ("estimate", "low", "high")
MARGINS = ("margin", "margin_low", "margin_high")
NOTHING = dict.fromkeys((*ENDS, "freedom", "p", *MARGINS), np.nan) | {"seeds": 0}


def row_of(name: str, claim: Claim, data: pd.DataFrame) -> dict[str, Any] | None:
    """The one row of a figure's data that decides a claim, None where there is none; ValueError where the data lack the
    column, or several rows are meant."""
    rows = data[data["seed"].isna()] if "seed" in data else data
    for column, value in claim.take.items():
        if column not in rows:
            raise ValueError(f"claims.{name}.take: the data of '{claim.figure}' have no column '{column}'")
        rows = rows[rows[column].isna() if value is None else rows[column] == value]
    if len(rows) > 1:
        raise ValueError(f"claims.{name}.take: {len(rows)} rows of '{claim.figure}' are meant, it must be one")
    return None if rows.empty else {str(column): value for column, value in rows.iloc[0].items()}


def judge(claims: Mapping[str, Claim], data: Mapping[str, pd.DataFrame], level: float, seeds: int) -> pd.DataFrame:
    """One row per claim: estimate, interval, seeds, adjusted P, margins (of the estimate and of the interval's ends,
    signed towards the claim), verdict and why.

    `data` are the tables of the figures that claims name; `seeds` are those of the study.
    """
    rows = {name: _weighed(name, claim, data, level, seeds) for name, claim in claims.items()}
    for family in {claim.family for claim in claims.values()}:
        own = [name for name in rows if claims[name].family == family and rows[name]["verdict"] is None]
        size = max(1, len(own))
        for name, adjusted in zip(own, holm([rows[name]["p"] for name in own]), strict=True):
            claim, row = claims[name], rows[name]
            assert claim.threshold is not None and claim.comparator is not None
            found = row.pop("found")
            told = [row["why"]] * bool(row["why"]) + [f"detectable: {detectable(found, alpha=ALPHA / size):.3g}"]
            said = verdict(found, claim.threshold, claim.comparator, adjusted)
            row |= {"p": adjusted, "verdict": said, "why": "; ".join(told)}
    told = [{"claim": name, **_told(claims[name]), **row, "level": level} for name, row in rows.items()]
    return pd.DataFrame(told).sort_values("family", kind="stable", ignore_index=True)


def _weighed(name: str, claim: Claim, data: Mapping[str, pd.DataFrame], level: float, seeds: int) -> dict[str, Any]:
    """A row with its evidence and unadjusted P; the verdict is None until its family is corrected."""
    if claim.figure is None:
        return {**NOTHING, "verdict": NOT_TESTABLE, "why": claim.not_testable}
    row = row_of(name, claim, data[claim.figure])
    if claim.exact:
        if row is None:
            raise ValueError(f"claims.{name}.take: no such row in '{claim.figure}'")
        return {**NOTHING, "verdict": EXACT[row["verdict"]], "why": f"{row['computed']}; {row['note']}".strip("; ")}
    left = 0 if row is None else int(row["seeds"])
    if row is None or left < claim.seeds:
        return {**NOTHING, "verdict": NOT_TESTABLE, "why": f"{left} runs are left to test it, {claim.seeds} are needed"}
    if not np.isfinite([row["low"], row["high"]]).all():
        return {**NOTHING, "verdict": NOT_TESTABLE, "why": "its interval cannot be told from these runs"}
    found = Interval(float(row["estimate"]), float(row["low"]), float(row["high"]), level, float(row["freedom"]))
    told = {"estimate": found.estimate, **found.ends, "seeds": left}
    why = f"{left} of {seeds} runs have this number" if left < seeds else ""
    if np.isclose(
        found.low, found.high, rtol=1e-9, atol=1e-12
    ):  # that no other run would differ cannot be told from it
        same = "all runs gave the same number"
        return {**NOTHING, **told, "verdict": INCONCLUSIVE, "why": f"{same}; {why}" if why else same}
    assert claim.threshold is not None
    told |= {"p": p_value(found, claim.threshold), **_margins(found, claim.threshold, claim.comparator)}
    return {**told, "verdict": None, "why": why, "found": found}


def _margins(found: Interval, threshold: float, comparator: str | None) -> dict[str, float]:
    """Estimate and ends less the threshold in units of the half interval that faces it, positive for the claim."""
    towards, own = 1 if comparator == ">" else -1, margin(found, threshold)
    if not np.isfinite(own):
        return dict.fromkeys(MARGINS, towards * own)
    unit = (found.estimate - threshold) / own if own else (found.high - found.low) / 2
    low, high = sorted(towards * (end - threshold) / unit for end in (found.low, found.high))
    return dict(zip(MARGINS, (towards * own, low, high), strict=True))


def _told(claim: Claim) -> dict[str, Any]:
    return {
        "text": claim.claim,
        "source": claim.source,
        "family": claim.family,
        "figure": claim.figure,
        "comparator": claim.comparator,
        "threshold": claim.threshold,
    }
