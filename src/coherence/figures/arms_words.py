"""The table of the arms, and the caption of table and figure."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from coherence.figures.arms import ALL, DIFFERENCE, DISTINCT, Scores, by_seed, pooled
from coherence.figures.style import START, arm_name, arm_order
from coherence.figures.tables import Table
from coherence.figures.words import seeds, span


def table(data: pd.DataFrame, ended: Mapping[str, str], reference: str) -> Table:
    """One row per arm: accuracy with intervals, differences, and what greedy completions look like."""
    own = [family for family in data["family"].unique() if family != ALL]
    headers = ["arm", "runs", "strict, greedy", *(f"{family}, greedy" for family in own), "strict, sampled"]
    headers += [f"greedy minus {reference}", f"sampled minus {reference}", "distinct greedy", "format", "Φ", "CARL"]
    rows = [_row(data, arm, own, ended, reference) for arm in arm_order(data["arm"])]
    return Table(headers, rows, ["l", "l", *["r"] * (len(headers) - 2)])


def _row(data: pd.DataFrame, arm: str, own: list[str], ended: Mapping[str, str], reference: str) -> list[str]:
    families = [interval(pooled(data, arm, "strict", family=family)) for family in own]
    differences = ["reference"] * 2
    if arm != reference:
        differences = [interval(pooled(data, arm, DIFFERENCE, mode), "+.3f") for mode in ("greedy", "sampled")]
    means = [f"{pooled(data, arm, name)['estimate']:.3f}" for name in ("format", "phi", "carl")]
    strict = [interval(pooled(data, arm, "strict", mode)) for mode in ("greedy", "sampled")]
    return [
        arm_name(arm),
        ended.get(arm, "?"),
        strict[0],
        *families,
        strict[1],
        *differences,
        distinct(data, arm),
        *means,
    ]


def interval(values: Mapping[str, float], form: str = ".3f") -> str:
    """An estimate with the ends of its interval."""
    return f"{values['estimate']:{form}} [{values['low']:{form}}, {values['high']:{form}}]"


def distinct(data: pd.DataFrame, arm: str) -> str:
    """Number of different greedy completions, lowest to highest over seeds."""
    return span(by_seed(data, arm, DISTINCT), 0)


def caption(data: pd.DataFrame, kept: Scores, ended: Mapping[str, str], options: Mapping[str, Any]) -> str:
    """What figure and table show, in numbers from the data."""
    items, units, count = (kept.table[name].nunique() for name in ("id", "unit", "seed"))
    arms = [arm for arm in arm_order(data["arm"]) if arm != START]
    moves = "; ".join(_move(data, arm) for arm in arms)
    odd = "; ".join(f"{arm_name(arm)}: {text}" for arm, text in ended.items() if not text.endswith(" ok"))
    what = "seeds and units" if count > 1 else "units (of the one seed)"
    left_out = f"{kept.left_out} items without a score somewhere are left out." if kept.left_out else ""
    return f"""\
**Arms on the held-out split.** Strict accuracy on {items} prompts about {units} units, greedy (filled) and sampled
(open), by family of prompts; its difference to {options["reference"]}, prompt by prompt, over all items; and the mean
CARL of greedy completions against their accuracy, with arrows from the SFT start. Bars: {options["level"]:.0%}
percentile intervals from {options["resamples"]} bootstrap resamples of {what}; small dots: {seeds(count)}.
From the start, {_start(data)}: {moves}. In the coherence trap (CARL above the start's, accuracy below it, intervals
apart): {_trapped(data, arms)}. Table: format, Φ and CARL are means over greedy completions; distinct counts different
ones among {items}, lowest to highest seed. {left_out} {f"Crosses: runs that did not end ok ({odd})." if odd else ""}"""


def _start(data: pd.DataFrame) -> str:
    strict, carl = (pooled(data, START, name)["estimate"] for name in ("strict", "carl"))
    return f"accuracy {strict:.2f} and CARL {carl:.2f}"


def _move(data: pd.DataFrame, arm: str) -> str:
    strict, carl = (pooled(data, arm, name)["estimate"] for name in ("strict", "carl"))
    return f"{arm_name(arm)} comes to {strict:.2f} and {carl:.2f} with {distinct(data, arm)} distinct completions"


def _trapped(data: pd.DataFrame, arms: list[str]) -> str:
    """The arms whose intervals lie wholly above the start's in CARL and wholly below it in accuracy."""
    caught = [arm for arm in arms if _is_trapped(data, arm)]
    return ", ".join(caught) or "no arm"


def _is_trapped(data: pd.DataFrame, arm: str) -> bool:
    carl, strict = ([pooled(data, name, quantity) for name in (arm, START)] for quantity in ("carl", "strict"))
    return carl[0]["low"] > carl[1]["high"] and strict[0]["high"] < strict[1]["low"]
