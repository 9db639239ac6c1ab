"""The table behind the arms: known means and differences, families, failed scores, and the trap."""

import numpy as np
import pandas as pd
import pytest
from made import ended, ok, scores

from coherence.figures.arms import Bootstrap, by_seed, complete_scores, pooled, summarise, wide
from coherence.figures.arms_figure import draw, shown_families
from coherence.figures.arms_words import caption, table
from coherence.figures.read import Cell, tallies

BOOTSTRAP = Bootstrap(resamples=200, level=0.95)
STRICT = {
    ("sft", 0): [1, 0, 1, 0],
    ("sft", 1): [1, 0, 1, 0],
    ("task", 0): [1, 1, 1, 1],
    ("task", 1): [1, 1, 1, 1],
    ("carl", 0): [0, 0, 0, 0],
    ("carl", 1): [0, 0, 0, 0],
}


OPTIONS = {**BOOTSTRAP._asdict(), "reference": "task"}


def told(table: pd.DataFrame, status: dict[Cell, str] | None = None) -> pd.DataFrame:
    """The summary where every run ended ok, except for those of `status`."""
    return summarise(table, "task", BOOTSTRAP, ok(table) | (status or {}))


@pytest.fixture
def data() -> pd.DataFrame:
    table = scores(STRICT)
    table.loc[table["arm"] == "carl", ["carl", "completion"]] = [0.9, "the same"]
    return told(table)


def test_means_differences_and_families(data: pd.DataFrame) -> None:
    assert pooled(data, "sft", "strict")["estimate"] == 0.5
    assert pooled(data, "sft", "strict", family="clean") == {"estimate": 1, "low": 1, "high": 1}
    assert pooled(data, "carl", "strict_difference") == {"estimate": -1, "low": -1, "high": -1}
    assert pooled(data, "sft", "strict_difference", family="shifted")["estimate"] == -1
    assert set(data["family"]) == {"all", "clean", "shifted"}
    assert data[(data["arm"] == "task") & (data["quantity"] == "strict_difference")].empty


def test_distinct_completions_are_counted_per_seed(data: pd.DataFrame) -> None:
    assert by_seed(data, "carl", "distinct").tolist() == [1, 1]
    assert by_seed(data, "task", "distinct").tolist() == [4, 4]


def test_interval_covers_the_spread_of_seeds() -> None:
    table = scores({("task", 0): [1] * 4, ("task", 1): [0] * 4})
    values = pooled(told(table), "task", "strict")
    assert values == {"estimate": 0.5, "low": 0, "high": 1}


def test_another_arm_changes_no_interval(data: pd.DataFrame) -> None:
    uneven = {("task", 0): [1, 0, 1, 1], ("task", 1): [0, 0, 1, 0]}
    alone = told(scores(uneven))
    both = told(scores({**uneven, **{("x", seed): [0, 1, 0, 0] for seed in (0, 1)}}))
    assert pooled(alone, "task", "strict") == pooled(both, "task", "strict")


def test_items_with_a_failed_score_are_left_out_everywhere() -> None:
    table = scores(STRICT)
    table.loc[(table["id"] == "i1") & (table["arm"] == "carl") & (table["sample"] == 1), "phi"] = np.nan
    kept = complete_scores(table, ended(ok(table)))
    assert kept.left_out == 1 and set(kept.table["id"]) == {"i0", "i2", "i3"}
    text = caption(told(kept.table), kept, [], OPTIONS)
    assert "1 items without a score somewhere are left out." in text


def test_what_cannot_be_compared_refuses() -> None:
    with pytest.raises(ValueError, match="nothing to draw"):
        complete_scores(scores(STRICT).iloc[:0], [])
    with pytest.raises(ValueError, match="'base' is no arm"):
        summarise(scores(STRICT), "base", BOOTSTRAP, ok(scores(STRICT)))
    table = scores(STRICT)
    with pytest.raises(ValueError, match="not all scored on the same items"):
        told(table[~((table["seed"] == 1) & (table["id"] == "i0"))])


def test_table_has_a_row_per_arm_and_csv_the_numbers(data: pd.DataFrame) -> None:
    status = ok(scores(STRICT)) | {("carl", 1): "over_nan_budget"}
    rows = {row[0]: row for row in table(data, tallies(status), "task").rows}
    assert list(rows) == ["SFT start", "task", "carl"]
    assert rows["carl"][1] == "1 ok, 1 over nan budget" and rows["SFT start"][1] == "2 ok"
    assert rows["task"][2] == "1.000 [1.000, 1.000]"
    numbers = wide(data).set_index(["arm", "family", "mode"])
    assert numbers.loc[("carl", "all", "greedy"), "strict_difference"] == -1
    assert len(numbers) == 3 * 3 * 2 and "distinct_low" not in numbers


def test_a_seed_that_ended_otherwise_is_a_cross() -> None:
    data = told(scores(STRICT), {("carl", 1): "degenerate"})
    assert data.loc[data["status"] == "degenerate", ["arm", "seed"]].drop_duplicates().to_numpy().tolist() == [
        ["carl", 1]
    ]
    marks = [line.get_marker() for line in draw(data, "task").axes[0].get_lines()]
    assert marks.count("x") == 2, "greedy and sampled"


def test_many_families_are_drawn_as_one(data: pd.DataFrame) -> None:
    assert shown_families(data) == ["clean", "shifted"]
    table = scores(STRICT)
    table["family"] = table["id"]
    crowd = told(table)
    assert shown_families(crowd) == ["all"]
    assert len(draw(crowd, "task").axes) == 3
    assert len(draw(data, "task").axes) == 4


def test_a_run_that_ended_otherwise_is_told_whichever_seed_it_is() -> None:
    table = scores(STRICT)
    runs = ended(ok(table) | {("carl", 0): "over_nan_budget"})
    text = " ".join(caption(told(table), complete_scores(table, ended(ok(table))), runs, OPTIONS).split())
    assert "Crosses, and in every mean: carl seed 0 (over nan budget)." in text
    assert "Crosses" not in caption(told(table), complete_scores(table, ended(ok(table))), ended(ok(table)), OPTIONS)
    with pytest.raises(KeyError):
        summarise(table, "task", BOOTSTRAP, {})


def test_a_paired_difference_is_drawn_by_units() -> None:
    """One seed, eight items, two to a unit: the items of a unit move together, so units alone are drawn."""
    table = scores({("task", 0): [0] * 8, ("carl", 0): [1, 1, 0, 0] * 2})
    by_unit = pooled(told(table), "carl", "strict_difference")
    alone = pooled(told(table.assign(unit=table["id"])), "carl", "strict_difference")
    assert by_unit["high"] - by_unit["low"] > 1.2 * (alone["high"] - alone["low"])


def test_a_degenerate_run_is_told_and_enters_no_mean() -> None:
    values = scores(STRICT)
    values.loc[(values["arm"] == "task") & (values["seed"] == 1), "strict"] = 0.0
    status = ok(values) | {("task", 1): "degenerate", ("carl", 0): "degenerate", ("carl", 1): "degenerate"}
    kept = complete_scores(values, ended(status))
    data = told(kept.table, status)
    assert pooled(data, "task", "strict")["estimate"] == 1, "seed 1 would have halved it"
    assert pooled(data, "sft", "strict")["estimate"] == 0.5
    assert pooled(data, "sft", "strict_difference")["estimate"] == -0.5, "of the seed that both have"
    shown = table(data, tallies(status), "task")
    rows = {row[0]: row for row in shown.rows}
    assert rows["task"][1] == "1 ok, 1 degenerate"
    assert rows["carl"][1:3] == ["2 degenerate", "-"]
    assert "carl seed 0 (degenerate)" in caption(data, kept, ended(status), OPTIONS)
