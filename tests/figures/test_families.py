"""The table of families and fields, from made scores."""

import pandas as pd
import pytest
from made import ended, ok

from coherence.figures.arms import Bootstrap
from coherence.figures.families import caption, combined, summarise, tabulated
from coherence.tasks.tools.calls import read_call

GOLD = {"0": "Play(artist=Abba; year=1976)", "1": "Play(artist=Queen)", "2": "Rain(city=Oslo)", "3": "Rain(city=Rome)"}
ROWS = {}
for name, text in GOLD.items():
    tool, arguments = read_call(text) or ("", {})
    ROWS[name] = {"unit": f"u{name}", "family": tool, "answer": {"name": tool, "arguments": arguments}}


def scored(column: str, method: str, said: dict[str, str]) -> pd.DataFrame:
    lines = [
        {
            **{column: method, "id": name, "family": ROWS[name]["family"], "unit": ROWS[name]["unit"]},
            **{"completion": text, "strict": float(text == GOLD[name]), "format": 1.0, "phi": 0.9, "carl": 0.8},
        }
        for name, text in said.items()
    ]
    return pd.DataFrame(lines)


def made() -> pd.DataFrame:
    half = GOLD | {"0": "Play(artist=Abba; year=1999)", "3": "Rain(city=Paris)"}
    runs = [scored("arm", "task", said).assign(seed=seed, mode="greedy") for seed, said in ((0, GOLD), (1, half))]
    plain = scored("baseline", "majority", dict.fromkeys(GOLD, "Play(artist=Queen)")).drop(columns="unit")
    table = pd.concat(runs, ignore_index=True)
    return combined("tools", table, plain, ROWS, ended(ok(table)))


def test_shares_by_family_and_by_field() -> None:
    data = summarise(made(), Bootstrap(200, 0.95))
    share = data.set_index(["part", "method"])["estimate"]
    assert share["all", "majority"] == 0.25 and share["all", "task"] == 0.75
    assert share["Play", "majority"] == 0.5 and share["Rain", "majority"] == 0.0
    assert share["artist", "task"] == 1.0 and share["artist", "majority"] == 0.5
    assert share["year", "task"] == 0.5 and share["city", "task"] == 0.75
    whole = data[(data["part"] == "all") & (data["method"] == "task")].iloc[0]
    assert whole["low"] < 0.75 < whole["high"] and whole["n"] == 4


def test_table_and_caption_tell_the_same() -> None:
    data = summarise(made(), Bootstrap(200, 0.95))
    table = tabulated(data)
    assert list(table.headers) == ["", "prompts", "majority", "task"]
    assert table.rows[0] == ["all", "4", "0.250", "0.750"]
    assert [row[0] for row in table.rows[3:]] == ["value of artist", "value of city", "value of year"]
    runs = ended({("task", 0): "ok", ("task", 1): "over_nan_budget"})
    text = caption(data, "tools", runs, Bootstrap(200, 0.95))
    assert "task, 0.750" in text and "did not end ok: task seed 1 (over nan budget)." in " ".join(text.split())


def test_an_item_whose_score_failed_is_left_out_for_all() -> None:
    runs = scored("arm", "task", GOLD).assign(seed=0, mode="greedy")
    runs.loc[runs["id"] == "1", "strict"] = float("nan")
    plain = scored("baseline", "majority", dict.fromkeys(GOLD, "Play(artist=Queen)")).drop(columns="unit")
    table = combined("tools", runs, plain, ROWS, ended(ok(runs)))
    assert set(table["id"]) == {"0", "2", "3"}
    with pytest.raises(ValueError, match="no item"):
        combined("tools", runs[runs["id"] == "1"], plain, ROWS, ended(ok(runs)))
