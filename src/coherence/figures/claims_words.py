"""The table of claims and verdicts, and its caption."""

from collections import Counter
from typing import Any

import pandas as pd

from coherence.core.verdicts import ALPHA
from coherence.figures.arms_words import interval
from coherence.figures.claims import VERDICTS
from coherence.figures.tables import Table


def table(data: pd.DataFrame) -> Table:
    """One row per claim: the verdict first, then what is claimed, the number and its threshold, and what decides."""
    headers = ["", "verdict", "claim", "measured", "claimed", "runs", "P (Holm)", "source", "from"]
    rows = [
        [
            row["claim"],
            row["verdict"],
            row["text"],
            row["why"] if pd.isna(row["estimate"]) else interval(row, ".3g"),
            f"{row['comparator']} {row['threshold']:g}" if pd.notna(row["threshold"]) else "exact",
            str(row["seeds"]) if row["seeds"] else "-",
            "-" if pd.isna(row["p"]) else f"{row['p']:.2g}",
            row["source"],
            "-" if pd.isna(row["figure"]) else row["figure"],
        ]
        for row in rows_of(data)
    ]
    return Table(headers, rows, ["l", "l", r"p{0.3\textwidth}", "l", "l", "r", "r", "l", "l"])


def rows_of(data: pd.DataFrame) -> list[dict[str, Any]]:
    """The table's rows by column."""
    return [{str(column): value for column, value in row.items()} for row in data.to_dict("records")]


def caption(data: pd.DataFrame, level: float) -> str:
    """How many claims hold, and how that was decided."""
    counts, families = Counter(data["verdict"]), data["family"].nunique()
    told = ", ".join(f"{counts[name]} {name}" for name in VERDICTS)
    return f"""\
**Claims and verdicts.** {len(data)} claims: {told}. The ledger (config/claims.yaml) names the number, comparator and
threshold of each. Intervals are at {level:.0%}, over seeds; P is two-sided against the threshold, corrected by Holm
within each of {families} families. A claim is supported or refuted where P is below {ALPHA:g}, by the side on which
the number lies, else inconclusive; exact claims are decided by arithmetic. The figure shows the distance of each number
from its threshold in units of its interval's half, positive where it speaks for the claim; triangles lie
farther out, and claims without P are not drawn."""
