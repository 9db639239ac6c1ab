"""The table of scores that may know when the answer is right, and the caption of table and figure."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from coherence.core.coherence_gate import THRESHOLD
from coherence.figures.read import Ended, unusual
from coherence.figures.risk_coverage import FEW, GATE, ORDERS, REFERENCE, SCORES
from coherence.figures.style import arm_name, arm_order
from coherence.figures.tables import Table
from coherence.figures.words import bootstrapped, seeds, span

HEADERS = [
    *("arm", "score", "seeds", "AUROC", f"minus {SCORES[REFERENCE]}", "AURC"),
    *("threshold found", "promise kept", "coverage", "risk"),
]


def table(data: pd.DataFrame) -> Table:
    """One row per arm and score, and the random and the perfect order for the area under the risk."""
    rows = [
        [arm_name(arm), name, *_cells(data[(data["arm"] == arm) & (data["score"] == score)])]
        for arm in arm_order(data["arm"])
        for score, name in {**SCORES, **ORDERS}.items()
    ]
    return Table(HEADERS, rows, ["l", "l", *["r"] * (len(HEADERS) - 2)])


def _cells(rows: pd.DataFrame) -> list[str]:
    auroc = rows[(rows["quantity"] == "auroc") & rows["seed"].notna()]["estimate"]
    known = str(int(auroc.notna().sum())) if len(auroc) else "-"
    areas = [cell(rows, "auroc"), cell(rows, "auroc_difference", "+.2f"), cell(rows, "aurc", ".3f")]
    promises = [cell(rows, f"promise_{name}") for name in ("made", "kept", "coverage", "risk")]
    return [known, *areas, *promises]


def cell(rows: pd.DataFrame, quantity: str, form: str = ".2f") -> str:
    """An estimate with its interval; `-` where there is none."""
    found = rows[(rows["quantity"] == quantity) & rows["seed"].isna()]
    if found.empty or pd.isna(found["estimate"].iloc[0]) or (quantity.endswith("difference") and _is_reference(rows)):
        return "-"
    whole = found.iloc[0]
    ends = "" if pd.isna(whole["low"]) else f" [{whole['low']:{form}}, {whole['high']:{form}}]"
    return f"{whole['estimate']:{form}}{ends}"


def _is_reference(rows: pd.DataFrame) -> bool:
    return bool((rows["score"] == REFERENCE).all())


def caption(
    data: pd.DataFrame, items: pd.DataFrame, runs: Sequence[Ended], options: Mapping[str, Any], count: int
) -> str:
    """What figure and table show, in numbers from the data."""
    units, prompts = (items[name].nunique() for name in ("unit", "id"))
    arms = arm_order(data["arm"])
    answers = "; ".join(f"{arm_name(arm)} {counted(data, arm, 'wrong')}" for arm in arms)
    return f"""\
**Does Φ know when the answer is right?** Greedy completions of {prompts} held-out prompts about {units} units. (a)
Area under the ROC curve of Φ (mean over tokens, filled) and of the mean log-probability (open) for strict accuracy,
within a checkpoint; mean over the seeds that have right and wrong answers, dots for each. (b) Risk (share of wrong
answers) among the answered when the most confident are answered first, mean over seeds, beside a random and the
perfect order. (c) A threshold is chosen on half of the units so that at most {options["target_risk"]:g} of the answered
are wrong, and is measured on the other half, both ways round, halves drawn again and again: how often the promise holds
where it was made (a half without such a threshold promises nothing; the table tells how many found one, and coverage
and risk on the other half). Bars: {bootstrapped(options, count)};
none where fewer than {FEW} units have a right, or a wrong, answer.
{seeds(count)}. Wrong answers: {answers}. {sigma(data, units)} In the table P is the probability of the token that
greedy decoding takes; AURC is the area under (b). {unusual(runs, "Crosses, and in every mean")}"""


def counted(data: pd.DataFrame, arm: str, kind: str) -> str:
    """`3 to 9 (2 to 4 units)` over seeds."""
    rows = data[(data["arm"] == arm) & data["seed"].notna()]
    answers, units = (rows[rows["quantity"] == name]["estimate"] for name in (kind, f"{kind}_units"))
    return f"{span(answers, 0)} ({span(units, 0)} units)"


def sigma(data: pd.DataFrame, units: int) -> str:
    """What the published threshold does."""
    rows = data[(data["score"] == GATE) & data["seed"].notna()]
    answered, lowest = (rows[rows["quantity"] == name]["estimate"].min() for name in ("sigma_coverage", "lowest"))
    told = f"The published threshold is {THRESHOLD:g}: the lowest Φ of any completion is {lowest:.2f}"
    if answered < 1:
        return f"{told}; the gate abstains from {1 - answered:.1%} of them at most in one checkpoint."
    most = 1 - 0.05 ** (1 / units)
    return (
        f"{told}, so the gate never abstains (0 of {units} units: at most {most:.0%}, at 95%) and risk stays as it is."
    )
