"""The table of the transitions, and the caption of table and figure."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from coherence.config.claims import BY_WIDTH, SLOPE
from coherence.figures.read import Run, spelled
from coherence.figures.tables import Table
from coherence.figures.transitions import MEASURED, PUBLISHED, Curve
from coherence.figures.transitions_figure import names_of, rows_of, verdict_of
from coherence.figures.words import seeds

COLUMNS = {
    "tau": ("τ (step)", ".0f"),
    "width": ("width (steps)", ".0f"),
    "rho": ("ρ", ".2f"),
    "jump": ("largest jump", ".2f"),
    "drop": ("largest drop", ".2f"),
    "apart": ("jump minus drop", "+.2f"),
    "aic_gain": ("AIC gain of a jump", "+.0f"),
    "after_half": ("gate after τ", "+.0f"),
    "after_last": ("gate after 90 %", "+.0f"),
}
"""Quantities with their headers and forms."""


def table(data: pd.DataFrame) -> Table:
    """One row per family: verdict, estimates with intervals, and the rho that so many seeds could have told."""
    headers = ["curve", "verdict", *(header for header, _ in COLUMNS.values()), "ρ found in 80 %"]
    rows = [_row(data, name) for name in names_of(data)]
    paper = [_cell(rows_of(data, name, PUBLISHED), form) for name, (_, form) in COLUMNS.items()]
    return Table(headers, [*rows, ["published table", "-", *paper, "-"]], ["l", "l", *["r"] * (len(COLUMNS) + 1)])


def _row(data: pd.DataFrame, name: str) -> list[str]:
    cells = [_cell(rows_of(data, quantity, name), form) for quantity, (_, form) in COLUMNS.items()]
    said = str(rows_of(data, "verdict", name)["said"].iloc[0])
    return [name, said, *cells, _cell(rows_of(data, "found_rho", name), ".2f")]


def _cell(rows: pd.DataFrame, form: str) -> str:
    """An estimate with its interval where it has one; `-` where there is none."""
    if rows.empty or math.isnan(rows["estimate"].iloc[0]):
        return "-"
    whole = rows.iloc[0]
    ends = f" [{whole['low']:{form}}, {whole['high']:{form}}]" if pd.notna(whole.get("low")) else ""
    return f"{whole['estimate']:{form}}{ends}"


def caption(data: pd.DataFrame, curves: Sequence[Curve], runs: Sequence[Run], settings: Mapping[str, Any]) -> str:
    """What figure and table show, in numbers from the data."""
    options, gate = settings["figure"], settings["gate"]
    verdicts = Counter(verdict_of(data, name) for name in names_of(data))
    tally = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())
    counts = {sum(curve.run.arm == name for curve in curves) for name in names_of(data)}
    paper = float(rows_of(data, "rho", PUBLISHED)["estimate"].iloc[0])
    return f"""\
**Transitions of supervised fine-tuning.** Above: accuracy of {gate["token_class"]} tokens of each seed (grey) and the
logistic closest to it, τ marked below; above it the verdict on the curve's seeds. Below, per curve: τ, the width
(10 to 90 % of the climb), ρ = width / τ with the threshold {options["sharp"]:g} (solid; dotted: the published table,
{paper:.2f}), the largest jump in one step (filled) and the largest drop (open) as shares of the climb, and the step at
which the gate ({gate["count"]} of {gate["window"]} at {gate["threshold"]:g} or more) would have fired. Dots:
{seeds(max(counts))} at most; bars: Student's {options["level"]:.0%} intervals over seeds, of logarithms for τ, width
and ρ. A family is a transition if its interval of ρ lies under the threshold, or if jumps exceed drops and
{options["least_jump"]:g} of the climb; smooth if the interval lies above and no jump; {tally}. {_gate(curves)}
{_by_width(data, options["widths"])} {_none(curves)} {_odd(runs)}"""


def _gate(curves: Sequence[Curve]) -> str:
    climbing = [curve.numbers for curve in curves if not curve.why]
    fired = [own for own in climbing if math.isfinite(own["gate"])]
    early, half = (sum(own[name] < 0 for own in fired) for name in ("after_last", "after_half"))
    told = (
        f"On {len(climbing)} climbing runs the gate fired {len(fired)} times, {early} of them before 90 % of the climb"
    )
    return f"{told} and {half} before half of it."


def _by_width(data: pd.DataFrame, widths: Sequence[str] | None) -> str:
    """How ln rho changes with ln d."""
    slope = rows_of(data, SLOPE, BY_WIDTH)
    if slope.empty:
        return ""
    sizes = sorted({int(d) for d in data.loc[data["arm"].isin(widths or ()), "hidden_size"]})
    told = f"At d = {', '.join(map(str, sizes))} ({', '.join(widths or ())}) ln ρ changes by"
    return f"{told} {_cell(slope, '+.2f')} for each unit of ln d, over {seeds(int(slope.iloc[0]['seeds']))}."


def _none(curves: Sequence[Curve]) -> str:
    """Why runs have no transition."""
    reasons = Counter(curve.why for curve in curves if curve.why)
    told = ", ".join(f"{why} in {count}" for why, count in sorted(reasons.items()))
    return f"Without a transition: {told}, of {len(curves)} runs." if told else ""


def _odd(runs: Sequence[Run]) -> str:
    odd = [f"{run.arm} seed {run.seed} ({spelled(run.status)})" for run in runs if run.status not in MEASURED]
    return f"Dashed, and in no estimate: {', '.join(odd)}." if odd else ""
