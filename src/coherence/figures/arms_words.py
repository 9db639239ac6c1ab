"""The table of the arms, and the caption of table and figure."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from coherence.figures.arms import ALL, DIFFERENCE, DISTINCT, Scores, by_seed, pooled
from coherence.figures.read import Ended, unusual
from coherence.figures.style import START, arm_name, arm_order
from coherence.figures.tables import Table
from coherence.figures.words import bootstrapped, seeds, span


def table(data: pd.DataFrame, ended: Mapping[str, str], reference: str) -> Table:
    """One row per arm: accuracy with intervals, differences, and what greedy completions look like."""
    own = [family for family in data["family"].unique() if family != ALL]
    headers = ["arm", "runs", "strict, greedy", *(f"{family}, greedy" for family in own), "strict, sampled"]
    headers += [f"greedy minus {reference}", f"sampled minus {reference}", "distinct greedy", "format", "Φ", "CARL"]
    rows = [_row(data, arm, own, ended, reference) for arm in arm_order(data["arm"])]
    gone = arm_order(set(ended) - set(data["arm"]))
    rows += [[arm_name(arm), ended[arm], *["-"] * (len(headers) - 2)] for arm in gone]
    return Table(headers, rows, ["l", "l", *["r"] * (len(headers) - 2)])


def _row(data: pd.DataFrame, arm: str, own: list[str], ended: Mapping[str, str], reference: str) -> list[str]:
    families = [interval(pooled(data, arm, "strict", family=family)) for family in own]
    differences = ["reference"] * 2
    if arm != reference:
        differences = [interval(pooled(data, arm, DIFFERENCE, mode), "+.3f") for mode in ("greedy", "sampled")]
    means = [f"{pooled(data, arm, name)['estimate']:.3f}" for name in ("format", "phi", "carl")]
    strict = [interval(pooled(data, arm, "strict", mode)) for mode in ("greedy", "sampled")]
    return [arm_name(arm), ended[arm], strict[0], *families, strict[1], *differences, distinct(data, arm), *means]


def interval(values: Mapping[str, float], form: str = ".3f") -> str:
    """An estimate with the ends of its interval."""
    return f"{values['estimate']:{form}} [{values['low']:{form}}, {values['high']:{form}}]"


def distinct(data: pd.DataFrame, arm: str) -> str:
    """Number of different greedy completions, lowest to highest over seeds."""
    return span(by_seed(data, arm, DISTINCT), 0)


def caption(data: pd.DataFrame, kept: Scores, runs: Sequence[Ended], options: Mapping[str, Any]) -> str:
    """What figure and table show, in numbers from the data."""
    items, count = (kept.table[name].nunique() for name in ("id", "seed"))
    arms = [arm for arm in arm_order(data["arm"]) if arm != START]
    moves = "; ".join(_move(data, arm) for arm in arms)
    return f"""\
**Arms on the held-out split.** Strict accuracy on {kept.size}, greedy (filled) and sampled
(open), by family of prompts; its difference to {options["reference"]}, prompt by prompt, over all items; and the mean
CARL of greedy completions against their accuracy, with arrows from the SFT start. Bars:
{bootstrapped(options, count)}; small dots: {seeds(count)}.
From the start, {_start(data)}: {moves}. Table: format, Φ and CARL are means over greedy completions; distinct counts
different ones among {items}, lowest to highest seed. {kept.lost} {unusual(runs, "Crosses, and in every mean")}"""


def _start(data: pd.DataFrame) -> str:
    strict, carl = (pooled(data, START, name)["estimate"] for name in ("strict", "carl"))
    return f"accuracy {strict:.2f} and CARL {carl:.2f}"


def _move(data: pd.DataFrame, arm: str) -> str:
    strict, carl = (pooled(data, arm, name)["estimate"] for name in ("strict", "carl"))
    return f"{arm_name(arm)} comes to {strict:.2f} and {carl:.2f} with {distinct(data, arm)} distinct completions"
