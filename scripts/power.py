"""How far from its threshold each claim's number must lie to be told from it, with more or fewer seeds."""

from pathlib import Path
from typing import Annotated

import tyro

from coherence.console import run_cli


def main(
    claims: Annotated[Path, tyro.conf.Positional], seeds: tuple[int, ...] = (3, 5, 10, 20), power: float = 0.8
) -> None:
    """Print, before a study is paid for, what it could show: per claim the distance found so far, and the one that so
    many seeds would detect, spread as the judged runs are, corrected for all claims of its family at once.

    Args:
        claims: a judged ledger, figs/STUDY/claims.parquet or a published one.
        seeds: numbers of seeds to plan for.
        power: share of studies that would tell it.
    """
    if not claims.is_file():
        raise ValueError(f"{claims}: no such file; `make claims` writes one to figs/claims_study")
    if not 0 < power < 1:
        raise ValueError(f"power must lie between 0 and 1, got {power}")
    import pandas as pd

    from coherence.core.statistics import Interval
    from coherence.core.verdicts import ALPHA, detectable, with_seeds
    from coherence.figures.tables import Table, to_markdown

    judged = pd.read_parquet(claims)
    if "freedom" not in judged:
        raise ValueError(f"{claims}: not a judged ledger of this version: it has no column 'freedom'")
    judged = judged[judged["p"].notna()]
    sizes, rows = judged["family"].value_counts(), []
    for row in judged.to_dict("records"):
        found = Interval(*(float(row[key]) for key in ("estimate", "low", "high", "level", "freedom")))
        planned = [with_seeds(found, int(row["seeds"]), number) for number in seeds]
        told = [f"{detectable(each, power, ALPHA / sizes[row['family']]):.3g}" for each in planned]
        rows.append([row["claim"], f"{row['estimate'] - row['threshold']:+.3g}", *told])
    headers = ["claim", "found", *(f"{number} seeds" for number in seeds)]
    print(to_markdown(Table(headers, rows, ["l", *["r"] * (len(headers) - 1)])))
    print(f"found: estimate minus threshold. Then: the distance that such a study tells in {power:.0%} of cases.")


if __name__ == "__main__":
    run_cli(main)
