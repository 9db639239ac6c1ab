"""What is right, by kind of prompt and by field of the answer: baselines without a model beside the arms.

Legend: S seeds, I items (held-out prompts), clustered by their unit.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from coherence.core.statistics import SHARE, bootstrap_mean
from coherence.figures.arms import ALL, Bootstrap, complete_scores, families, matrix
from coherence.figures.read import Ended, unusual
from coherence.figures.style import arm_name, arm_order
from coherence.figures.tables import Table
from coherence.figures.words import bootstrapped, seeds
from coherence.streams import generator
from coherence.tasks.rewards import FIELDS, STRICT

GREEDY = "greedy"
STAGE = "baseline"


def combined(
    task: str,
    scores: pd.DataFrame,
    baselines: pd.DataFrame,
    rows: Mapping[str, Mapping[str, Any]],
    runs: Sequence[Ended],
) -> pd.DataFrame:
    """Greedy scores of every method, a baseline being an arm with one seed; fields of the answer as JSON.

    Items whose score failed somewhere are left out for all. ValueError if none is left.
    """
    kept = complete_scores(scores, runs).table
    greedy = kept[kept["mode"] == GREEDY]
    plain = baselines[baselines["id"].isin(set(kept["id"]))].rename(columns={"baseline": "arm"})
    plain = plain.assign(mode=GREEDY, seed=0, unit=[rows[name]["unit"] for name in plain["id"]])
    columns = ["arm", "seed", "mode", "id", "unit", "family", "strict", "completion"]
    table = pd.concat([plain[columns].assign(kind=STAGE), greedy[columns].assign(kind="arm")], ignore_index=True)
    if task in FIELDS:
        pairs = zip(table["completion"], table["id"], strict=True)
        table["fields"] = [json.dumps(FIELDS[task](text, rows[name]["answer"])) for text, name in pairs]
    return table


def summarise(table: pd.DataFrame, bootstrap: Bootstrap) -> pd.DataFrame:
    """Tidy: one row per method and family (share strictly right, with its interval) or field (share of its values)."""
    return pd.DataFrame([*_families(table, bootstrap), *_fields(table)])


def _families(table: pd.DataFrame, bootstrap: Bootstrap) -> Iterator[dict[str, Any]]:
    for family, part in families(table).items():
        for method in methods(table):
            values_SI, units = matrix(part, method, GREEDY, "strict")
            found = bootstrap_mean(
                values_SI,
                generator(0, "families", family, method),
                cluster_I=units,
                bounds=SHARE,
                **bootstrap._asdict(),
            )
            told = {"estimate": found.estimate, "low": found.low, "high": found.high}
            yield {"method": method, "part": family, "field": False, "n": values_SI.shape[1], **told}


def _fields(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    if "fields" not in table:
        return
    shares = [
        {"method": method, "id": item, "part": name, "share": share}
        for method, item, text in zip(table["arm"], table["id"], table["fields"], strict=True)
        for name, share in json.loads(text).items()
    ]
    for (name, method), own in pd.DataFrame(shares).groupby(["part", "method"]):
        told = {"n": own["id"].nunique(), "estimate": own["share"].mean()}
        yield {"method": method, "part": name, "field": True, **told}


def methods(table: pd.DataFrame) -> list[str]:
    """Baselines in the order in which they were scored, then the arms."""
    plain = table.loc[table["kind"] == STAGE, "arm"].unique().tolist()
    return [*plain, *arm_order(table.loc[table["kind"] == "arm", "arm"])]


def tabulated(data: pd.DataFrame) -> Table:
    """One row per family and field, one column per method."""
    names = data["method"].unique().tolist()
    rows = []
    for _, own in data.groupby(["field", "part"], sort=False):
        first, shares = own.iloc[0], dict(zip(own["method"], own["estimate"], strict=True))
        label = f"value of {first['part']}" if first["field"] else str(first["part"])
        rows.append([label, str(first["n"]), *(f"{shares[name]:.3f}" for name in names)])
    return Table(["", "prompts", *map(arm_name, names)], rows, ["l", *["r"] * (len(names) + 1)])


def caption(data: pd.DataFrame, task: str, runs: Sequence[Ended], bootstrap: Bootstrap) -> str:
    """What the table shows, in numbers from the data."""
    count = len({run.seed for run in runs})
    whole = data[(data["part"] == ALL) & ~data["field"]]
    best = whole.sort_values("estimate", ascending=False, kind="stable").iloc[0]
    share = "{estimate:.3f} [{low:.3f}, {high:.3f}]".format(**best)
    fields = " Below: share of the answer's values that the completion has, by field." if data["field"].any() else ""
    return f"""\
**Right answers by kind of prompt.** Share of held-out prompts whose greedy completion is strictly right
({STRICT[task]}): baselines without a model, the SFT start, and the arms (means over {seeds(count)}). Highest over
all: {arm_name(best["method"])}, {share}. In the data: {bootstrapped(bootstrap._asdict(), count)}; those of
baselines are of units.{fields} {unusual(runs, "Among the means, runs that did not end ok")}"""
